"""Solvers and schedules against their formulas, on functions whose answers are known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skdnn.solvers import (
    LBFGS,
    SCHEDULES,
    Adam,
    DivergenceError,
    GradientDescent,
    Momentum,
)
from skdnn.training.build import make_schedule

# More than one of the blocks that Adam steps through.
N_PARAMETERS = 40_000


class Function:
    """An objective of one batch: a function of a vector that returns value and gradient."""

    weight_sum = 1.0
    n_batches = 1

    def __init__(self, function, start):
        self.function = function
        self.parameters = np.array(start, dtype=getattr(start, "dtype", float))
        self.gradient = np.empty_like(self.parameters)
        self.n_weights = self.parameters.size
        self.crew = None

    def all_rows(self):
        return None

    def batches(self):
        return [None]

    def value_and_gradient(self, batch):
        value, self.gradient[...] = self.function(self.parameters)
        return float(value), 1.0

    def is_stationary(self, tol):
        return abs(self.gradient).max() <= tol


class Watch:
    """A monitor that records losses and rates, and stops after a number of epochs."""

    def __init__(self, n_epochs=math.inf):
        self.n_epochs = n_epochs
        self.n_begun = 0
        self.losses, self.rates = [], []

    def begin_epoch(self):
        self.n_begun += 1

    def end_epoch(self, loss, learning_rate):
        self.losses.append(loss)
        self.rates.append(learning_rate)
        return len(self.losses) >= self.n_epochs


def bowl(x):
    """Return value and gradient of a bowl whose axes differ."""
    steepness = np.linspace(0.1, 2.0, x.size)
    return 0.5 * np.dot(steepness, (x - 1) ** 2), steepness * (x - 1)


def logarithm(x):
    """Return value and gradient of 100 x - log x, which is infinite at 0."""
    with np.errstate(all="ignore"):
        return np.sum(100 * x - np.log(x)), 100 - 1 / x


def constant(rate):
    return make_schedule("constant", rate, power_t=0.5)


def start(n_parameters=N_PARAMETERS):
    return np.random.RandomState(0).standard_normal(n_parameters)


def minimized(solver, function=bowl, n_epochs=10, at=None):
    objective = Function(function, start() if at is None else at)
    solver.minimize(objective, n_epochs, Watch())
    return objective.parameters


def watched(solver, n_epochs=10, stop_after=math.inf):
    watch = Watch(stop_after)
    solver.minimize(Function(bowl, start()), n_epochs, watch)
    return watch


def plain_adam(x, rate, beta_1, beta_2, epsilon, n_steps):
    m, v = np.zeros_like(x), np.zeros_like(x)
    for t in range(1, n_steps + 1):
        _, g = bowl(x)
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g * g
        rate_t = rate * math.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        x = x - rate_t * m / (np.sqrt(v) + epsilon)
    return x


def plain_momentum(x, rate, momentum, nesterov, n_steps):
    velocity = np.zeros_like(x)
    for _ in range(n_steps):
        _, g = bowl(x)
        velocity = momentum * velocity - rate * g
        x = x + (momentum * velocity - rate * g if nesterov else velocity)
    return x


# ---------------------------------------------------------------------- schedules

steps = st.integers(1, 10**6)


@given(step=steps, n_plateaus=st.integers(0, 20))
@settings(derandomize=True, max_examples=30)
def test_constant_rate_is_constant(step, n_plateaus):
    assert constant(0.3).rate(step, 10, n_plateaus) == 0.3


@given(step=steps, power_t=st.floats(0, 2))
@settings(derandomize=True, max_examples=30)
def test_invscaling_rate_falls_with_a_power_of_the_step(step, power_t):
    schedule = make_schedule("invscaling", 0.3, power_t=power_t)
    assert schedule.rate(step, 10, 0) == pytest.approx(0.3 / step**power_t, rel=1e-14)


@given(step=steps, n_plateaus=st.integers(0, 12))
@settings(derandomize=True, max_examples=30)
def test_adaptive_rate_is_a_fifth_after_every_plateau(step, n_plateaus):
    schedule = make_schedule("adaptive", 0.3, power_t=0.5)
    assert schedule.rate(step, 10, n_plateaus) == pytest.approx(0.3 / 5**n_plateaus, rel=1e-14)


@given(horizon=st.integers(1, 10**4), share=st.floats(0, 1))
@settings(derandomize=True, max_examples=30)
def test_cosine_rate_is_half_a_cosine(horizon, share):
    step = 1 + int(share * (horizon - 1))
    rate = make_schedule("cosine", 0.3, power_t=0.5).rate(step, horizon, 0)
    assert rate == pytest.approx(0.15 * (1 + math.cos(math.pi * (step - 1) / horizon)), rel=1e-14)


@pytest.mark.parametrize(
    ("step", "expected"),
    [(1, 0.3 / 25), (30, 0.3), (100, 0.3 / 250_000), (150, 0.3 / 250_000)],
    ids=["start", "top", "end", "beyond the end"],
)
def test_one_cycle_rate_goes_up_and_down(step, expected):
    rate = make_schedule("one_cycle", 0.3, power_t=0.5).rate(step, 100, 0)
    assert rate == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["cosine", "one_cycle"])
@given(step=steps, horizon=st.integers(1, 10**4))
@settings(derandomize=True, max_examples=30)
def test_rate_stays_between_zero_and_its_start(name, step, horizon):
    assert 0 < make_schedule(name, 0.3, power_t=0.5).rate(step, horizon, 0) <= 0.3


@pytest.mark.parametrize("name", sorted(set(SCHEDULES) - {"adaptive"}))
def test_plateau_ends_training(name):
    assert GradientDescent(make_schedule(name, 0.1, power_t=0.5)).plateau()


@pytest.mark.parametrize(("rate", "is_end"), [(1.1e-6, False), (1e-6, True), (1e-7, True)])
def test_plateau_is_the_end_at_a_millionth_or_less(rate, is_end):
    assert make_schedule("adaptive", rate, power_t=0.5).exhausted(0) is is_end


def test_plateau_lowers_an_adaptive_rate_until_it_is_below_a_millionth():
    solver = GradientDescent(make_schedule("adaptive", 1e-4, power_t=0.5))
    # 1e-4, 2e-5, 4e-6, 8e-7
    assert [solver.plateau() for _ in range(4)] == [False, False, False, True]


@pytest.mark.parametrize("name", SCHEDULES)
def test_solver_steps_at_the_rates_of_its_schedule(name):
    schedule = make_schedule(name, 0.1, power_t=0.5)
    rates = watched(GradientDescent(schedule, horizon=4), n_epochs=4).rates
    assert rates == [schedule.rate(step, 4, 0) for step in (1, 2, 3, 4)]


# ---------------------------------------------------------------------- rules


def test_gradient_descent_is_its_formula():
    x = start()
    x1 = x - 0.1 * bowl(x)[1]
    x2 = x1 - 0.1 * bowl(x1)[1]
    np.testing.assert_allclose(
        minimized(GradientDescent(constant(0.1)), n_epochs=2), x2, rtol=1e-13, atol=1e-15
    )


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("momentum", [0.5, 0.9, 1.0])
def test_momentum_is_its_formula(nesterov, momentum):
    np.testing.assert_allclose(
        minimized(Momentum(constant(0.1), momentum, nesterov)),
        plain_momentum(start(), 0.1, momentum, nesterov, 10),
        rtol=1e-12,
        atol=1e-14,
    )


@pytest.mark.parametrize("n_parameters", [1, 16_383, 16_384, 16_385, 40_000])
def test_adam_in_blocks_is_its_formula(n_parameters):
    x = start(n_parameters)
    np.testing.assert_allclose(
        minimized(Adam(constant(0.1), 0.9, 0.999, 1e-8), at=x),
        plain_adam(x, 0.1, 0.9, 0.999, 1e-8, 10),
        rtol=1e-12,
        atol=1e-14,
    )


@pytest.mark.parametrize("betas", [(0.0, 0.0), (0.5, 0.9), (0.9, 0.99)])
@pytest.mark.parametrize("epsilon", [1e-8, 0.1])
def test_adam_with_other_decay_rates_is_its_formula(betas, epsilon):
    np.testing.assert_allclose(
        minimized(Adam(constant(0.1), *betas, epsilon)),
        plain_adam(start(), 0.1, *betas, epsilon, 10),
        rtol=1e-12,
        atol=1e-14,
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adam_does_not_move_a_parameter_without_gradient(dtype):
    # float32 has no such epsilon
    x = start().astype(dtype)
    still = minimized(Adam(constant(0.1), 0.9, 0.999, 1e-300), lambda x: (0.0, 0 * x), at=x)
    np.testing.assert_array_equal(still, x, strict=True)


FIRST_ORDER = {
    "gd": lambda rate: GradientDescent(rate),
    "momentum": lambda rate: Momentum(rate, 0.9, nesterov=False),
    "nesterov": lambda rate: Momentum(rate, 0.9, nesterov=True),
    "adam": lambda rate: Adam(rate, 0.9, 0.999, 1e-8),
}


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_solver_goes_on_from_its_state_to_the_bit(name):
    schedule = make_schedule("invscaling", 0.1, power_t=0.5)
    first, second = FIRST_ORDER[name](schedule), FIRST_ORDER[name](schedule)
    halfway = minimized(first, n_epochs=5)
    second.set_state(*first.get_state())
    np.testing.assert_array_equal(
        minimized(second, n_epochs=5, at=halfway),
        minimized(FIRST_ORDER[name](schedule), n_epochs=10),
    )


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_minimize_reports_that_it_was_stopped(name):
    solver = FIRST_ORDER[name](constant(0.1))
    assert solver.minimize(Function(bowl, start()), 10, Watch(1))


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_minimize_reports_that_it_ran_out_of_epochs(name):
    solver = FIRST_ORDER[name](constant(0.1))
    assert not solver.minimize(Function(bowl, start()), 10, Watch())


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_epochs_hand_over_the_loss_before_the_step(name):
    losses = watched(FIRST_ORDER[name](constant(0.1)), n_epochs=2).losses
    assert losses[0] == pytest.approx(bowl(start())[0])


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_as_many_epochs_begin_as_end(name):
    watch = watched(FIRST_ORDER[name](constant(0.1)), stop_after=3)
    assert watch.n_begun == len(watch.losses) == 3


# ---------------------------------------------------------------------- divergence


@pytest.mark.parametrize("name", FIRST_ORDER)
@pytest.mark.parametrize(
    "function",
    [
        lambda x: (np.nan, 0 * x),
        lambda x: (np.inf, 0 * x),
        lambda x: (0.0, np.full_like(x, np.inf)),
        lambda x: (0.0, np.full_like(x, np.nan)),
    ],
    ids=["nan loss", "infinite loss", "infinite gradient", "nan gradient"],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_what_is_not_finite_is_divergence(name, function):
    with pytest.raises(DivergenceError, match=r"epoch 1:.*learning rate 0\.1"):
        minimized(FIRST_ORDER[name](constant(0.1)), function)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_overflow_of_adams_second_moment_is_divergence():
    with pytest.raises(DivergenceError, match="moment"):
        minimized(Adam(constant(0.1), 0.9, 0.999, 1e-8), lambda x: (0.0, np.full_like(x, 1e200)))


def test_divergence_knows_its_epoch():
    values = iter([1.0, 1.0, np.nan])
    with pytest.raises(DivergenceError) as error:
        minimized(GradientDescent(constant(0.1)), lambda x: (next(values), 0 * x))
    assert error.value.epoch == 3


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_large_finite_parameters_are_not_divergence():
    still = minimized(GradientDescent(constant(0.1)), lambda x: (0.0, 0 * x), at=[1e300, -1e300])
    np.testing.assert_array_equal(still, [1e300, -1e300])


# ---------------------------------------------------------------------- L-BFGS


def test_lbfgs_finds_the_minimum():
    found = minimized(LBFGS(None, 15_000), n_epochs=200, at=start(50))
    np.testing.assert_allclose(found, np.ones(50), atol=1e-6)


def test_lbfgs_steps_back_from_a_trial_point_that_is_not_finite():
    # the first trial point is 0, where the function is infinite
    found = minimized(LBFGS(1e-6, 15_000), logarithm, n_epochs=100, at=[1.0])
    np.testing.assert_allclose(found, 0.01, rtol=1e-6)


def test_lbfgs_that_starts_where_nothing_is_finite_diverges():
    with pytest.raises(DivergenceError, match="iteration 1"):
        minimized(LBFGS(1e-6, 15_000), lambda x: (np.inf, 0 * x), at=[1.0])


def test_lbfgs_complains_when_iterations_run_out():
    solver = LBFGS(1e-12, 15_000)
    minimized(solver, n_epochs=2)
    assert "max_iter=2" in solver.complaint


def test_lbfgs_complains_when_evaluations_run_out():
    solver = LBFGS(1e-12, 3)
    minimized(solver, n_epochs=100)
    assert "max_fun=3" in solver.complaint


def test_lbfgs_without_tol_does_not_complain():
    solver = LBFGS(None, 15_000)
    minimized(solver, n_epochs=2)
    assert not solver.complaint


def test_lbfgs_stops_when_told():
    assert len(watched(LBFGS(1e-12, 15_000), 100, stop_after=3).losses) == 3


def test_lbfgs_begins_as_many_iterations_as_it_ends():
    watch = watched(LBFGS(1e-12, 15_000), 100, stop_after=3)
    assert watch.n_begun == 3
