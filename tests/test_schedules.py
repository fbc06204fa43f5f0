"""Learning rates, warmup, clipping and decoupled decay against formulas written out here."""

import functools
import math

import mpmath
import numpy as np
import pytest

from skdnn.solvers import SCHEDULES, Adam, GradientDescent, Momentum
from skdnn.training.build import make_schedule
from tests import models
from tests.models import parameters_of

FIRST_ORDER = ["gd", "sgd", "adam", "adamw"]
FIRST_ORDER_SOLVERS = pytest.mark.parametrize("solver", FIRST_ORDER)
RATE = 0.01
N_EPOCHS = 12
# 60 rows in batches of 16
N_BATCHES = {"gd": 1, "sgd": 4, "adam": 4, "adamw": 4}
MAY_NOT_CONVERGE = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

make_model = functools.partial(
    models.make_model, learning_rate_init=RATE, max_iter=N_EPOCHS, batch_size=16
)


def last_steps(n_batches, n_epochs=N_EPOCHS):
    """Return the number, counted from 1, of the last step of each epoch."""
    return n_batches * np.arange(1, n_epochs + 1)


# ---------------------------------------------------------------------- published formulas


def inverse_scaling(step, horizon):
    return RATE / step**0.5


def half_a_cosine(step, horizon):
    """Return eq. 5 of Loshchilov & Hutter with eta_min = 0 and T_cur counted in steps from 0."""
    return 0.5 * RATE * (1 + math.cos(math.pi * (min(step, horizon) - 1) / horizon))


def one_cycle(step, horizon):
    """Return Smith & Topin's policy as torch lays it out, in two halves of a cosine."""
    lowest, highest, last = RATE / 25, RATE, RATE / 25 / 1e4
    top, end = 0.3 * horizon - 1, horizon - 1
    position = min(step, horizon) - 1
    begin, finish, share = (
        (lowest, highest, position / top)
        if position <= top
        else (highest, last, (position - top) / (end - top))
    )
    return finish + (begin - finish) / 2 * (1 + math.cos(math.pi * share))


FORMULAS = {
    "constant": lambda step, horizon: RATE,
    "invscaling": inverse_scaling,
    "cosine": half_a_cosine,
    "one_cycle": one_cycle,
}
EVERY_FORMULA = pytest.mark.parametrize("name", FORMULAS)


def rates(name, steps, horizon):
    return [FORMULAS[name](step, horizon) for step in steps]


@EVERY_FORMULA
@pytest.mark.parametrize("horizon", [20, 100, 1000])
def test_schedule_is_its_formula(name, horizon):
    schedule = make_schedule(name, RATE, power_t=0.5)
    steps = range(1, horizon + 10)
    np.testing.assert_allclose(
        [schedule.rate(step, horizon, 0) for step in steps],
        rates(name, steps, horizon),
        rtol=1e-12,
        atol=1e-18,
    )


@EVERY_FORMULA
@FIRST_ORDER_SOLVERS
def test_every_solver_follows_the_formula(name, solver, data):
    model = make_model(solver, learning_rate=name).fit(*data)
    n = N_BATCHES[solver]
    np.testing.assert_allclose(
        model.learning_rate_curve_,
        rates(name, last_steps(n), N_EPOCHS * n),
        rtol=1e-12,
        atol=1e-18,
    )


@FIRST_ORDER_SOLVERS
@pytest.mark.parametrize("power_t", [0.25, 1.0])
def test_invscaling_has_its_exponent(solver, power_t, data):
    model = make_model(solver, learning_rate="invscaling", power_t=power_t).fit(*data)
    steps = last_steps(N_BATCHES[solver])
    np.testing.assert_allclose(model.learning_rate_curve_, RATE / steps**power_t, rtol=1e-12)


@MAY_NOT_CONVERGE
@FIRST_ORDER_SOLVERS
def test_adaptive_rate_falls_to_a_fifth_after_every_plateau(solver, data):
    # no epoch lowers the loss by 10, so that after the first every third ends a plateau
    model = make_model(solver, learning_rate="adaptive", tol=10.0, n_iter_no_change=3)
    expected = [RATE / 5 ** max(0, (epoch - 2) // 3) for epoch in range(1, N_EPOCHS + 1)]
    np.testing.assert_allclose(model.fit(*data).learning_rate_curve_, expected, rtol=1e-12)


@FIRST_ORDER_SOLVERS
def test_adaptive_rate_ends_training_at_a_millionth(solver, data):
    model = make_model(solver, learning_rate="adaptive", tol=10.0, n_iter_no_change=2)
    # 0.01 / 5 ** 6 is the first rate below 1e-6; it is tried, too
    assert model.set_params(max_iter=100).fit(*data).n_iter_ == 1 + 2 * 7


@pytest.mark.parametrize("n_plateaus", [0, 1, 10, 441, 442, 443, 500, 10**9])
@pytest.mark.parametrize("rate", [1e-3, 1.0, 1e300])
def test_adaptive_rate_falls_without_end(rate, n_plateaus):
    schedule = make_schedule("adaptive", rate, power_t=0.5)
    with mpmath.workprec(200):
        expected = float(mpmath.mpf(rate) / mpmath.mpf(5) ** n_plateaus)
    assert schedule.rate(1, 1, n_plateaus) == pytest.approx(expected, rel=1e-15, abs=1e-310)
    assert schedule.exhausted(n_plateaus) == (expected <= 1e-6)


@FIRST_ORDER_SOLVERS
def test_adaptive_rate_is_constant_without_tol(solver, data):
    model = make_model(solver, learning_rate="adaptive").fit(*data)
    assert model.learning_rate_curve_ == [RATE] * N_EPOCHS


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("max_iter", [1, 2, 3])
@FIRST_ORDER_SOLVERS
def test_shortest_schedules_stay_in_range(name, max_iter, solver, data):
    model = make_model(solver, learning_rate=name, max_iter=max_iter).fit(*data)
    assert all(0 < rate <= RATE for rate in model.learning_rate_curve_)


@pytest.mark.parametrize("name", ["invscaling", "cosine", "one_cycle"])
def test_rate_changes_within_an_epoch(name, data):
    one_step = make_model("sgd", learning_rate=name, batch_size=60, max_iter=1).fit(*data)
    four_steps = make_model("sgd", learning_rate=name, max_iter=1).fit(*data)
    assert one_step.learning_rate_curve_ != four_steps.learning_rate_curve_


def test_lbfgs_has_no_learning_rate(data):
    assert make_model("lbfgs", learning_rate="cosine").fit(*data).learning_rate_curve_ == []


def test_gd_steps_at_the_rates_of_the_curve(data):
    """A step of gd is proportional to its rate, all else being equal."""
    start = make_model("gd", max_iter=1, learning_rate_init=1e-300).fit(*data)
    plain = make_model("gd", max_iter=1).fit(*data)
    warming = make_model("gd", max_iter=1, warmup=4).fit(*data)
    np.testing.assert_allclose(
        4 * (parameters_of(warming) - parameters_of(start)),
        parameters_of(plain) - parameters_of(start),
        rtol=1e-9,
        atol=1e-15,
    )


# ---------------------------------------------------------------------- warmup


@EVERY_FORMULA
@FIRST_ORDER_SOLVERS
@pytest.mark.parametrize("warmup", [1, 3, 2.7])
def test_schedule_follows_a_linear_warmup(name, solver, warmup, data):
    model = make_model(solver, learning_rate=name, warmup=warmup).fit(*data)
    n = N_BATCHES[solver]
    n_warmup = round(warmup * n)
    steps = last_steps(n)
    rising = [RATE * step / n_warmup for step in steps[steps <= n_warmup]]
    following = steps[steps > n_warmup] - n_warmup
    expected = rising + rates(name, following, N_EPOCHS * n - n_warmup)
    np.testing.assert_allclose(model.learning_rate_curve_, expected, rtol=1e-12, atol=1e-18)


@FIRST_ORDER_SOLVERS
def test_warmup_may_outlast_training(solver, data):
    model = make_model(solver, learning_rate="cosine", warmup=2 * N_EPOCHS).fit(*data)
    share = np.arange(1, N_EPOCHS + 1) / (2 * N_EPOCHS)
    np.testing.assert_allclose(model.learning_rate_curve_, RATE * share, rtol=1e-12)


@FIRST_ORDER_SOLVERS
def test_warm_start_warms_up_once(solver, data):
    model = make_model(solver, warmup=2, warm_start=True, max_iter=3).fit(*data).fit(*data)
    np.testing.assert_allclose(model.learning_rate_curve_, [RATE / 2] + [RATE] * 5, rtol=1e-12)


@pytest.mark.parametrize("warmup", [-1, np.nan, "long"])
def test_warmup_is_not_negative(warmup, data):
    with pytest.raises(ValueError, match="The 'warmup' parameter"):
        make_model(warmup=warmup).fit(*data)


# ---------------------------------------------------------------------- going on


@pytest.mark.parametrize("name", ["cosine", "one_cycle"])
@FIRST_ORDER_SOLVERS
def test_partial_fit_lays_the_schedule_out_over_max_iter(name, solver, data):
    model = make_model(solver, learning_rate=name)
    for _ in range(N_EPOCHS):
        model.partial_fit(*data, classes=[0, 1])
    n = N_BATCHES[solver]
    expected = rates(name, last_steps(n), N_EPOCHS * n)
    np.testing.assert_allclose(model.learning_rate_curve_, expected, rtol=1e-12, atol=1e-18)


@pytest.mark.parametrize("name", ["cosine", "one_cycle"])
@FIRST_ORDER_SOLVERS
def test_last_rate_holds_after_the_schedule(name, solver, data):
    model = make_model(solver, learning_rate=name, max_iter=3)
    for _ in range(6):
        model.partial_fit(*data, classes=[0, 1])
    assert model.learning_rate_curve_[3:] == [model.learning_rate_curve_[2]] * 3


@pytest.mark.parametrize("name", ["cosine", "one_cycle"])
@FIRST_ORDER_SOLVERS
def test_warm_start_goes_through_the_schedule_anew(name, solver, data):
    model = make_model(solver, learning_rate=name, max_iter=4, warm_start=True)
    curve = model.fit(*data).fit(*data).learning_rate_curve_
    np.testing.assert_allclose(curve[4:], curve[:4], rtol=1e-12)


# ---------------------------------------------------------------------- one step at a time


class Given:
    """An objective whose gradients are given, whatever the parameters."""

    weight_sum = 1.0
    n_batches = 1
    crew = None

    def __init__(self, parameters, gradients, n_weights=None):
        self.parameters = parameters.copy()
        self.gradients = iter(gradients)
        self.gradient = np.empty_like(parameters)
        self.n_weights = parameters.size if n_weights is None else n_weights

    def batches(self):
        return [None]

    def value_and_gradient(self, batch):
        self.gradient[...] = next(self.gradients)
        return 0.0, 1.0


class Watch:
    """A monitor that keeps the parameters after every epoch."""

    def __init__(self, objective):
        self.objective = objective
        self.points = []

    def begin_epoch(self):
        pass

    def end_epoch(self, loss, learning_rate):
        self.points.append(self.objective.parameters.copy())
        return False


def points(solver, parameters, gradients, n_weights=None):
    """Return the parameters after each step."""
    objective = Given(parameters, gradients, n_weights)
    watch = Watch(objective)
    solver.minimize(objective, len(gradients), watch)
    return np.array(watch.points)


def constant(rate=RATE):
    return make_schedule("constant", rate, power_t=0.5)


# ---------------------------------------------------------------------- clipping


def clipped_step(gradient, max_grad_norm, dtype=np.float64):
    """Return what a step at rate 1 from 0 subtracts."""
    gradient = np.asarray(gradient, dtype)
    solver = GradientDescent(constant(1.0), max_grad_norm=max_grad_norm)
    with np.errstate(all="ignore"):
        (point,) = points(solver, np.zeros_like(gradient), [gradient])
    return -point


def test_gradient_is_scaled_down_to_the_norm():
    np.testing.assert_allclose(clipped_step([3.0, 4.0], 1.0), [0.6, 0.8], rtol=1e-15)


@pytest.mark.parametrize("max_grad_norm", [5.0, 5.1, 1e300])
def test_shorter_gradient_is_left_alone(max_grad_norm):
    np.testing.assert_array_equal(clipped_step([3.0, 4.0], max_grad_norm), [3.0, 4.0])


def test_gradient_of_zero_is_left_alone():
    np.testing.assert_array_equal(clipped_step([0.0, 0.0], 1.0), [0.0, 0.0])


# numbers whose squares, or whose norm, are beyond the dtype
@pytest.mark.parametrize("n_parameters", [1, 7, 1000])
@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        (np.float32, 1e30),
        (np.float32, 1e19),
        (np.float32, 3e38),
        (np.float64, 1e200),
        (np.float64, 1e308),
        (np.float64, 1.7e308),
    ],
)
def test_huge_gradient_is_scaled_down_to_the_norm(n_parameters, dtype, size):
    signs = np.where(np.arange(n_parameters) % 3 == 0, -1.0, 1.0)
    expected = 0.5 * signs / math.sqrt(n_parameters)
    step = clipped_step(dtype(size) * signs.astype(dtype), 0.5, dtype)
    np.testing.assert_allclose(step, expected, rtol=10 * np.finfo(dtype).eps)


@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e-30), (np.float64, 1e-200)])
def test_tiny_gradient_is_scaled_down_to_a_tinier_norm(dtype, size):
    gradient = np.full(4, size, dtype)
    step = clipped_step(gradient, size / 2, dtype)
    np.testing.assert_allclose(step, gradient / 4, rtol=10 * np.finfo(dtype).eps)


def test_norm_is_that_of_all_layers_together(data):
    # a step of gd at rate 1 is the gradient
    common = {"learning_rate_init": 1.0, "max_iter": 1}
    start = parameters_of(make_model("gd", max_iter=1, learning_rate_init=1e-300).fit(*data))
    gradient = start - parameters_of(make_model("gd", **common).fit(*data))
    clipped = start - parameters_of(make_model("gd", max_grad_norm=0.01, **common).fit(*data))
    expected = gradient * 0.01 / np.linalg.norm(gradient)
    np.testing.assert_allclose(clipped, expected, rtol=1e-9, atol=1e-15)


@FIRST_ORDER_SOLVERS
def test_huge_norm_clips_nothing(solver, data):
    np.testing.assert_array_equal(
        parameters_of(make_model(solver, max_grad_norm=1e10).fit(*data)),
        parameters_of(make_model(solver).fit(*data)),
    )


def test_clipping_keeps_training_finite(breast_cancer):
    X, y = breast_cancer
    model = make_model("gd", learning_rate_init=0.01, max_grad_norm=1.0)
    assert np.isfinite(model.fit(X * 1e100, y).loss_)


@pytest.mark.parametrize("max_grad_norm", [0.0, -1.0, np.nan, "auto"])
def test_norm_is_positive(max_grad_norm, data):
    with pytest.raises(ValueError, match="The 'max_grad_norm' parameter"):
        make_model(max_grad_norm=max_grad_norm).fit(*data)


# ---------------------------------------------------------------------- decoupled decay


def test_adamw_with_no_gradient_decays_the_weights_alone():
    solver = Adam(constant(0.1), 0.9, 0.999, 1e-8, 0.5)
    (point,) = points(solver, np.array([1.0, 2.0, 3.0, 4.0]), np.zeros((1, 4)), n_weights=2)
    np.testing.assert_allclose(point, [0.95, 1.9, 3.0, 4.0], rtol=1e-15)


def test_adamw_without_decay_is_adam(data):
    np.testing.assert_array_equal(
        parameters_of(make_model("adamw", alpha=0.0).fit(*data)),
        parameters_of(make_model("adam", alpha=0.0).fit(*data)),
    )


def test_loss_of_adamw_has_no_penalty(data):
    common = {"max_iter": 1, "learning_rate_init": 1e-300}
    one, other = (make_model("adamw", alpha=alpha, **common).fit(*data) for alpha in (0.0, 1e3))
    assert one.loss_ == other.loss_


def test_decay_follows_the_schedule(data):
    """Without a gradient, weights shrink by 1 - rate * alpha in every step."""
    X, y = np.zeros((60, 4)), data[1]
    common = {"alpha": 3.0, "learning_rate": "cosine", "activation": "tanh"}
    start = make_model("adamw", max_iter=1, learning_rate_init=1e-300, **common).fit(X, y)
    model = make_model("adamw", batch_size=60, **common).fit(X, y)
    factor = np.prod([1 - 3.0 * rate for rate in model.learning_rate_curve_])
    np.testing.assert_allclose(model.coefs_[0], factor * start.coefs_[0], rtol=1e-12)


# ---------------------------------------------------------------------- torch


def torch_rates(make_scheduler, n_steps):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    parameter = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([parameter], lr=RATE)
    scheduler = make_scheduler(torch.optim.lr_scheduler, optimizer)
    found = []
    for _ in range(n_steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize("horizon", [10, 100, 777])
def test_cosine_is_that_of_torch(horizon):
    schedule = make_schedule("cosine", RATE, power_t=0.5)
    theirs = torch_rates(lambda module, o: module.CosineAnnealingLR(o, T_max=horizon), horizon)
    ours = [schedule.rate(step, horizon, 0) for step in range(1, horizon + 1)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


@pytest.mark.parametrize("horizon", [10, 100, 777])
def test_one_cycle_is_that_of_torch(horizon):
    schedule = make_schedule("one_cycle", RATE, power_t=0.5)
    theirs = torch_rates(
        # without the momentum that torch cycles as well
        lambda module, o: module.OneCycleLR(
            o, max_lr=RATE, total_steps=horizon, cycle_momentum=False
        ),
        horizon - 1,
    )
    ours = [schedule.rate(step, horizon, 0) for step in range(1, horizon)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


N_WEIGHTS, N_BIASES, N_STEPS = 300, 20, 50


def given_gradients():
    """Return gradients of which some are far larger than others."""
    generator = np.random.RandomState(3)
    shape = (N_STEPS, N_WEIGHTS + N_BIASES)
    return generator.standard_normal(shape) * 10.0 ** generator.uniform(-3, 2, shape[1])


def torch_points(make_optimizer, start, gradients, decay, max_grad_norm=None):
    """Return the points of an optimiser of torch that decays the weights, not the biases."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    weights, biases = (
        torch.tensor(part, requires_grad=True) for part in np.split(start, [N_WEIGHTS])
    )
    optimizer = make_optimizer(
        torch.optim,
        [{"params": [weights], "weight_decay": decay}, {"params": [biases], "weight_decay": 0.0}],
    )
    found = []
    for gradient in gradients:
        weights.grad, biases.grad = map(torch.tensor, np.split(gradient, [N_WEIGHTS]))
        if max_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_([weights, biases], max_grad_norm)
        optimizer.step()
        found.append(np.concatenate([weights.detach().numpy(), biases.detach().numpy()]))
    return np.array(found)


def start():
    return np.random.RandomState(4).standard_normal(N_WEIGHTS + N_BIASES)


# Torch adds epsilon to the root of the corrected second moment, we as MLPClassifier to that of the
# raw one; where epsilon is next to nothing there is nothing between them.
EPSILON = 1e-12
BETAS = pytest.mark.parametrize("betas", [(0.9, 0.999), (0.8, 0.95), (0.0, 0.9)], ids=str)


@BETAS
def test_adam_takes_the_steps_of_torch(betas):
    gradients = given_gradients()
    theirs = torch_points(
        lambda optim, groups: optim.Adam(groups, lr=RATE, betas=betas, eps=EPSILON),
        start(),
        gradients,
        0.0,
    )
    ours = points(Adam(constant(), *betas, EPSILON), start(), gradients)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


@BETAS
@pytest.mark.parametrize("decay", [1e-2, 3.0])
def test_adamw_takes_the_steps_of_torch(betas, decay):
    gradients = given_gradients()
    theirs = torch_points(
        lambda optim, groups: optim.AdamW(groups, lr=RATE, betas=betas, eps=EPSILON),
        start(),
        gradients,
        decay,
    )
    ours = points(Adam(constant(), *betas, EPSILON, decay), start(), gradients, N_WEIGHTS)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


def test_clipping_is_that_of_torch():
    gradients = given_gradients()
    theirs = torch_points(
        lambda optim, groups: optim.SGD(groups, lr=RATE), start(), gradients, 0.0, 0.7
    )
    ours = points(GradientDescent(constant(), max_grad_norm=0.7), start(), gradients)
    # torch adds 1e-6 to the norm
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_at_a_constant_rate_is_that_of_torch(nesterov):
    gradients = given_gradients()
    theirs = torch_points(
        lambda optim, groups: optim.SGD(groups, lr=RATE, momentum=0.9, nesterov=nesterov),
        start(),
        gradients,
        0.0,
    )
    ours = points(Momentum(constant(), 0.9, nesterov), start(), gradients)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)
