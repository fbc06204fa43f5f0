"""The compiled kernels against the NumPy reference, on anything that may come."""

import os
import pickle
import subprocess
import sys
from copy import deepcopy
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal, assert_array_less

from skdnn import kernels
from skdnn.datasets.prepared import PreparedRows
from skdnn.network import prediction
from skdnn.network.activations import ACTIVATIONS, get_activation
from skdnn.network.evaluation import BatchEvaluator
from skdnn.network.network import Network
from skdnn.network.prediction import predict_logits
from skdnn.preprocessing.encodings import FARTHEST
from skdnn.preprocessing.layout import Layout, Output
from skdnn.solvers import Adam, GradientDescent, Momentum
from skdnn.solvers.steps import run_steps
from skdnn.training.build import make_schedule
from skdnn.training.objective import Objective

try:
    from skdnn.kernels import _step as step
except ImportError:
    step = None

pytestmark = pytest.mark.skipif(step is None, reason="the kernels were not built")

N_ROWS = 50
TOLERANCE = {"f": 1e-5, "d": 1e-13}
MOMENTS = ("velocity", "first_sum", "second_sum")


@pytest.fixture(scope="module", autouse=True, params=step.VARIANTS if step else ())
def instructions(request):
    """Run all tests on the kernels for each kind of instructions that the processor has."""
    step.use(request.param)
    yield
    step.use(step.INSTRUCTIONS)


@st.composite
def problems(draw):
    """Draw a network and rows, the network's parameters set."""
    hidden = draw(st.lists(st.integers(1, 37), max_size=3))
    sizes = (draw(st.integers(1, 37)), *hidden, 1)
    dtype = np.dtype(draw(st.sampled_from("fd")))
    rates = [draw(st.sampled_from([0.0, 0.3, 0.9])) for _ in hidden]
    activation = get_activation(draw(st.sampled_from(ACTIVATIONS)), 0.1)
    network = Network(sizes, activation, dtype, rates if any(rates) else ())
    generator = np.random.RandomState(draw(st.integers(0, 99)))
    network.parameters[...] = generator.standard_normal(network.parameters.size) / 2
    X = generator.standard_normal((N_ROWS, sizes[0])).astype(dtype)
    if draw(st.booleans()):
        X[generator.uniform(size=X.shape) < 0.6] = 0
        X = scipy.sparse.csr_array(X)
        if draw(st.booleans()):
            X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    positive = generator.uniform(size=N_ROWS) < 0.5
    weight = generator.uniform(0.1, 3, N_ROWS) if draw(st.booleans()) else None
    return network, X, positive, weight


@st.composite
def batches(draw):
    """Draw a slice of the rows, or some of them by index."""
    n_rows = draw(st.integers(1, N_ROWS))
    if draw(st.booleans()):
        start = draw(st.integers(0, N_ROWS - n_rows))
        return slice(start, start + n_rows)
    return np.random.RandomState(draw(st.integers(0, 99))).permutation(N_ROWS)[:n_rows]


def of_rows(problem):
    """Return network, X, signs and weight as evaluators take them."""
    network, X, positive, weight = problem
    signs = np.where(positive, -1, 1).astype(np.int8)
    return network, X, signs, None if weight is None else weight.astype(network.dtype)


def assert_close(one, other, dtype):
    largest = float(np.abs(other).max(initial=0))
    # scipy's expit vanishes below the smallest normal number, where ours has digits left
    smallest = 1e3 * float(np.finfo(dtype).tiny)
    assert_allclose(one, other, rtol=0, atol=4 * TOLERANCE[dtype.char] * largest + smallest)


# ---------------------------------------------------------------------- value and gradient


@settings(max_examples=300, deadline=None)
@given(problems(), batches(), st.integers(0, 99))
def test_value_and_gradient_are_those_of_the_reference(problem, batch, seed):
    network, *rows = of_rows(problem)
    results = []
    for make in (BatchEvaluator, step.CompiledEvaluator):
        network.gradient[...] = np.nan
        value = make(network).evaluate(*rows, batch, 17.0, np.random.RandomState(seed))
        results.append((value, network.gradient.copy()))
    (expected, gradient), (value, found) = results
    assert value == pytest.approx(expected, rel=4 * TOLERANCE[network.dtype.char])
    assert_close(found, gradient, network.dtype)


@settings(max_examples=300, deadline=None)
@given(problems(), batches())
def test_zeros_of_a_triangle_are_passed_over(problem, batch):
    network, X, signs, weight = of_rows(problem)
    X = np.tril(X.toarray() if scipy.sparse.issparse(X) else X)
    results = []
    for is_triangular in (False, True):
        network.gradient[...] = np.nan
        evaluator = step.CompiledEvaluator(network, is_triangular)
        value = evaluator.evaluate(X, signs, weight, batch, 17.0, np.random.RandomState(0))
        results.append((value, network.gradient.copy()))
    (expected, gradient), (value, found) = results
    assert value == pytest.approx(expected, rel=4 * TOLERANCE[network.dtype.char])
    assert_close(found, gradient, network.dtype)


@pytest.mark.parametrize("n_rows", [30, 512, 600])
@pytest.mark.parametrize("n_columns", [512, 513, 700])
def test_triangle_may_be_larger_than_what_is_passed_over(n_rows, n_columns):
    network = Network((n_columns, 21, 1), get_activation("tanh"), np.dtype("d"))
    generator = np.random.RandomState(0)
    network.parameters[...] = generator.standard_normal(network.parameters.size) / 20
    X = np.tril(generator.standard_normal((n_rows, n_columns)))
    rows = X, np.where(np.arange(n_rows) % 2, 1, -1).astype(np.int8), None
    gradients = []
    for evaluator in (BatchEvaluator(network), step.CompiledEvaluator(network, True)):
        evaluator.evaluate(*rows, slice(7, n_rows), 1.0)
        gradients.append(network.gradient.copy())
    assert_close(gradients[1], gradients[0], network.dtype)


@settings(max_examples=100, deadline=None)
@given(problems(), batches(), st.integers(0, 99))
def test_generator_is_left_where_the_reference_leaves_it(problem, batch, seed):
    network, *rows = of_rows(problem)
    states = [np.random.RandomState(seed) for _ in range(2)]
    BatchEvaluator(network).evaluate(*rows, batch, 1.0, states[0])
    step.CompiledEvaluator(network).evaluate(*rows, batch, 1.0, states[1])
    assert states[0].randint(2**31) == states[1].randint(2**31)


@settings(max_examples=200, deadline=None)
@given(problems(), st.sampled_from([np.nan, np.inf, -np.inf]), st.data())
def test_number_that_is_not_finite_reaches_what_is_checked(problem, bad, data):
    network, X, signs, weight = of_rows(problem)
    if data.draw(st.booleans()):
        numbers = network.parameters
    else:
        numbers = (X.data if scipy.sparse.issparse(X) else X).reshape(-1)
    if numbers.size == 0:
        return
    numbers[data.draw(st.integers(0, numbers.size - 1))] = bad
    checked = []
    with np.errstate(all="ignore"):
        for make in (BatchEvaluator, step.CompiledEvaluator):
            value = make(network).evaluate(
                X, signs, weight, slice(0, N_ROWS), 1.0, np.random.RandomState(0)
            )
            checked.append(np.isfinite(value) and np.isfinite(network.gradient).all())
    assert checked[1] == checked[0]


@pytest.mark.parametrize("order", ["Fortran", "every second column"])
def test_rows_in_another_order_of_memory_are_read_as_they_are(order):
    network = Network((4, 3, 1), get_activation("tanh"), np.dtype(float))
    network.parameters[...] = np.linspace(-1, 1, network.parameters.size)
    X, signs = np.random.RandomState(0).standard_normal((N_ROWS, 4)), np.ones(N_ROWS, np.int8)
    evaluator = step.CompiledEvaluator(network)
    expected = evaluator.evaluate(X, signs, None, slice(0, N_ROWS), 1.0)
    other = np.asfortranarray(X) if order == "Fortran" else np.repeat(X, 2, axis=1)[:, ::2]
    assert evaluator.evaluate(other, signs, None, slice(0, N_ROWS), 1.0) == expected


def test_unaligned_rows_are_read_as_they_are():
    network = Network((4, 3, 1), get_activation("tanh"), np.dtype(float))
    network.parameters[...] = np.linspace(-1, 1, network.parameters.size)
    X, signs = np.random.RandomState(0).standard_normal((N_ROWS, 4)), np.ones(N_ROWS, np.int8)
    shifted = np.frombuffer(b"x" + X.tobytes(), np.float64, offset=1).reshape(X.shape)
    evaluator = step.CompiledEvaluator(network)
    expected = evaluator.evaluate(X, signs, None, slice(0, N_ROWS), 1.0)
    assert not shifted.flags.aligned
    assert evaluator.evaluate(shifted, signs, None, slice(0, N_ROWS), 1.0) == expected


@pytest.mark.parametrize("batch", [slice(0, N_ROWS + 1), np.array([0, N_ROWS]), np.array([-1])])
def test_row_that_is_not_there_is_refused(batch):
    network = Network((4, 3, 1), get_activation("relu"), np.dtype(float))
    X, signs = np.zeros((N_ROWS, 4)), np.ones(N_ROWS, np.int8)
    with pytest.raises(IndexError):
        step.CompiledEvaluator(network).evaluate(X, signs, None, batch, 1.0)


def test_column_that_is_not_there_is_refused():
    network = Network((4, 3, 1), get_activation("relu"), np.dtype(float))
    X = scipy.sparse.csr_array(np.eye(4))
    X.indices[2] = 4
    with pytest.raises(IndexError):
        step.CompiledEvaluator(network).evaluate(X, np.ones(4, np.int8), None, slice(0, 4), 1.0)


@pytest.mark.parametrize(
    ("argument", "value"),
    [(0, np.zeros((N_ROWS, 4), int)), (1, np.ones(3, np.int8)), (2, np.ones(N_ROWS, np.float32))],
)
def test_array_of_another_type_or_size_is_refused(argument, value):
    network = Network((4, 3, 1), get_activation("relu"), np.dtype(float))
    arguments = [np.zeros((N_ROWS, 4)), np.ones(N_ROWS, np.int8), np.ones(N_ROWS)]
    arguments[argument] = value
    with pytest.raises((TypeError, ValueError)):
        step.CompiledEvaluator(network).evaluate(*arguments, slice(0, N_ROWS), 1.0)


def test_units_are_dropped_below_the_very_number_of_the_reference():
    # of so many draws from 2**16 numbers, some meet the threshold
    network = Network((1, 200, 1), get_activation("relu"), np.dtype(float), (0.5,))
    network.parameters[...] = np.linspace(0.5, 1, network.parameters.size)
    X, signs = np.ones((2000, 1)), np.ones(2000, np.int8)
    gradients = []
    for make in (BatchEvaluator, step.CompiledEvaluator):
        generator = np.random.RandomState(0)
        make(network).evaluate(X, signs, None, slice(0, 2000), 2000.0, generator)
        gradients.append(network.gradient.copy())
    assert_allclose(*gradients, rtol=1e-9)


def test_batches_may_grow_under_dropout():
    network = Network((4, 30, 1), get_activation("relu"), np.dtype(float), [0.5])
    network.parameters[...] = np.linspace(-1, 1, network.parameters.size)
    X, signs = np.random.RandomState(0).standard_normal((N_ROWS, 4)), np.ones(N_ROWS, np.int8)

    def evaluate(evaluator, n_rows):
        return evaluator.evaluate(
            X, signs, None, np.arange(n_rows), 1.0, np.random.RandomState(n_rows)
        )

    evaluator = step.CompiledEvaluator(network)
    grown = [evaluate(evaluator, n_rows) for n_rows in (1, 10, N_ROWS)]
    fresh = [evaluate(step.CompiledEvaluator(network), n_rows) for n_rows in (1, 10, N_ROWS)]
    assert grown == fresh


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_point_that_is_not_finite_leaves_nothing_behind(name):
    # a line search may go too far, and come back
    network = Network((4, 3, 3, 1), get_activation(name, 0.1), np.dtype(float))
    start = np.linspace(-1, 1, network.parameters.size)
    X, signs = np.random.RandomState(0).standard_normal((N_ROWS, 4)), np.ones(N_ROWS, np.int8)
    evaluator = step.CompiledEvaluator(network)
    gradients = []
    for parameters in (start, np.full_like(start, np.inf), start):
        network.parameters[...] = parameters
        evaluator.evaluate(X, signs, None, slice(0, N_ROWS), 1.0)
        gradients.append(network.gradient.copy())
    assert np.isnan(gradients[1]).any()
    assert_array_equal(gradients[2], gradients[0])


# ---------------------------------------------------------------------- prepared rows


@st.composite
def encodings(draw):
    """Draw prepared rows, a layout of them, and some places."""
    numbers = st.floats(-FARTHEST, FARTHEST, width=32) | st.just(np.nan)
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 6)))
    prepared = draw(arrays(np.float32, shape, elements=numbers))
    rng = np.random.RandomState(draw(st.integers(0, 99)))
    outputs = [
        Output(kind, rng.randint(shape[1]), "", rng.standard_normal(), rng.uniform(0.1, 1))
        for kind in rng.choice(["number", "bin", "level", "gap"], rng.randint(0, 30))
    ]
    outputs += [Output("level", 0, "", float(x)) for x in np.nan_to_num(prepared[:3, 0])]
    for source in range(draw(st.integers(0, shape[1]))):  # as encoders make them
        numbers = np.concatenate([np.nan_to_num(prepared[:, source]), rng.standard_normal(4)])
        edges = np.unique(numbers.astype(np.float32))[: draw(st.integers(2, 9))].tolist()
        outputs += [Output("bin", source, "", low, high - low) for low, high in pairwise(edges)]
        prepared[rng.rand(shape[0]) < 0.5, source] = rng.randint(-1, 5)
        outputs += [Output("level", source, "", float(code)) for code in range(rng.randint(5))]
        outputs += [Output("gap", source, "")] * rng.randint(2)
    return prepared, Layout(outputs), rng.randint(shape[0], size=9)


def compiled_rows(prepared, layout, places):
    """Return prepared rows that kernels take, whichever run."""
    rows = PreparedRows(prepared, layout, places)
    rows.compiled = step.CompiledRows(layout.encoding, prepared, places)
    return rows


@given(encodings())
def test_encoding_is_the_references(drawn):
    prepared, layout, places = drawn
    expected = np.empty((len(prepared), len(layout.outputs)), np.float32)
    layout._encode_block(prepared, expected)
    found = np.empty_like(expected)
    step.CompiledRows(layout.encoding, prepared).encode(found)
    assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    some = np.empty((places.size, found.shape[1]), np.float32)
    step.CompiledRows(layout.encoding, prepared, places).encode(some)
    assert_array_equal(some, found[places])


@given(encodings(), st.booleans(), st.sampled_from([(), (5,), (70, 3), (200,)]))
def test_batch_of_prepared_rows_is_that_of_their_encoding(drawn, by_index, hidden):
    prepared, layout, places = drawn
    rows = compiled_rows(prepared, layout, places)
    sizes = (rows.shape[1], *hidden, 1)
    network = Network(sizes, get_activation("tanh", 0.0), np.dtype(np.float32))
    network.parameters[...] = np.linspace(-1, 1, network.parameters.size)
    signs = np.where(np.arange(len(rows)) % 2, 1, -1).astype(np.int8)
    batch = np.arange(len(rows))[::-2] if by_index else slice(2, 7)
    found = []
    for X in (rows, np.asarray(rows)):
        value = step.CompiledEvaluator(network).evaluate(X, signs, None, batch, 9.0)
        logits = np.empty(len(rows), np.float32)
        step.CompiledPrediction(network.weights, network.biases, "tanh", 0.0, 4).logits(X, logits)
        found.append([value, *network.gradient.tolist(), *logits.tolist()])
    # sums over many units are rounded as often
    assert_allclose(*found, rtol=1e-5, atol=2e-5 if max(hidden, default=1) > 5 else 1e-6)


def test_rows_of_other_encodings_find_room_of_their_own():
    prepared = np.random.RandomState(0).standard_normal((40, 3)).astype(np.float32)
    network = Network((6, 5, 1), get_activation("tanh", 0.0), np.dtype(np.float32))
    network.parameters[...] = np.linspace(-1, 1, network.parameters.size)
    evaluator, signs = step.CompiledEvaluator(network), np.ones(40, np.int8)
    layouts = [
        Layout(Output("number", k % 3, "") for k in range(6)),
        Layout(Output("bin", k // 2, "", k % 2 - 0.5, 1.0) for k in range(6)),
        Layout(Output("gap", k % 3, "") for k in range(6)),
    ]
    for layout in layouts * 2:
        rows = compiled_rows(prepared, layout, np.arange(40))
        found = evaluator.evaluate(rows, signs, None, slice(0, 40), 40.0)
        dense = step.CompiledEvaluator(network).evaluate(
            np.asarray(rows), signs, None, slice(0, 40), 40.0
        )
        assert_allclose(found, dense, rtol=1e-5)


def test_rows_are_copied_without_what_is_compiled():
    layout = Layout([Output("number", 1, "")])
    rows = compiled_rows(np.ones((4, 2), np.float32), layout, np.array([2, 0]))
    for copy in (pickle.loads(pickle.dumps(rows)), deepcopy(rows)):
        assert_array_equal(np.asarray(copy), np.asarray(rows))


def test_encoding_refuses_what_is_not_its_own():
    layout = Layout([Output("number", 1, ""), Output("bin", 0, "", 0.0, 1.0)])
    wide = np.ones((4, 2), np.float32)
    for prepared, places, error in [
        (wide[:, :1], None, IndexError),
        (wide, np.array([4]), IndexError),
        (wide, np.array([-1]), IndexError),
        (wide.astype(np.float64), None, TypeError),
        (np.asfortranarray(wide), None, ValueError),
    ]:
        with pytest.raises(error):
            step.CompiledRows(layout.encoding, prepared, places).encode(
                np.empty((4, 2), np.float32)
            )
    found = np.empty((2, 2), np.float32)
    step.CompiledRows(layout.encoding, np.ones((4, 5), np.float32)[::2, :2]).encode(
        found
    )  # rows apart
    assert_allclose(found, [[1 / np.sqrt(1 + 1 / 9), 1]] * 2, rtol=1e-6)


# ---------------------------------------------------------------------- activations


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_is_the_references_to_a_few_units_in_the_last_place(name, dtype):
    exponents = np.linspace(-30, np.log2(np.finfo(dtype).max) - 1, 5000)
    z = np.concatenate([2.0**exponents, -(2.0**exponents), np.linspace(-90, 90, 5001)])
    z = z.astype(dtype)
    found, expected = z.copy(), z.copy()
    step.activate(name, 0.1, found)
    with np.errstate(all="ignore"):
        get_activation(name, 0.1).function(expected, np.empty_like(z), None)
    limits = np.finfo(dtype)
    units = np.full(z.shape, 8.0)
    if name == "gelu":
        # a relative error of z is z ** 2 times as large in the tail of the normal distribution
        units *= np.clip(z.astype(float), -1e3, -1) ** 2
    # below the smallest normal number, which |z| multiplies, scipy's expit vanishes before it must
    bound = units * limits.eps * np.abs(expected) + 1e3 * float(limits.tiny)
    assert_array_less(np.abs(found.astype(float) - expected), bound)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_keeps_what_is_not_finite(name, dtype):
    z = np.array([np.nan, np.inf, -np.inf], dtype)
    found, expected = z.copy(), z.copy()
    step.activate(name, 0.1, found)
    with np.errstate(all="ignore"):
        get_activation(name, 0.1).function(expected, np.empty_like(z), None)
    assert_array_equal(found, expected)


# ---------------------------------------------------------------------- runs of steps


RULES = {
    "adam": lambda **common: Adam(SCHEDULE, 0.9, 0.999, 1e-8, **common),
    "adamw": lambda **common: Adam(SCHEDULE, 0.9, 0.99, 1e-3, 0.1, **common),
    "momentum": lambda **common: Momentum(SCHEDULE, 0.9, nesterov=False, **common),
    "nesterov": lambda **common: Momentum(SCHEDULE, 0.9, nesterov=True, **common),
    "plain": lambda **common: GradientDescent(SCHEDULE, **common),
}
SCHEDULE = make_schedule("cosine", 0.01, power_t=0.5)


def run_epoch(problem, rule, batch_size, alpha, largest, *, compiled, monkeypatch):
    """Return the vectors after an epoch from the problem's start, and the sum of its values."""
    network, X, positive, weight = problem
    with monkeypatch.context() as patch:
        patch.setattr(kernels, "compiled", step if compiled else None)
        own = Network(network.layer_sizes, network.activation, network.dtype, network.dropout)
        own.parameters[...] = network.parameters
        objective = Objective(
            own,
            X,
            positive,
            weight,
            alpha=alpha,
            batch_size=batch_size,
            random_state=np.random.RandomState(5),
        )
        solver = RULES[rule](horizon=3, max_grad_norm=largest)
        solver.prepare(objective)
        total = run_steps(objective, solver, objective.batches(), solver.rates(objective.n_batches))
    return own.parameters, solver.moments, total


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=60, deadline=None)
@given(
    problem=problems(),
    batch_size=st.integers(1, N_ROWS),
    alpha=st.sampled_from([0.0, 2.0]),
    largest=st.sampled_from([None, 0.1]),
)
def test_first_steps_are_those_of_the_reference(rule, problem, batch_size, alpha, largest):
    # steps add up differences: few of them, and none behind one that divides a gradient of
    # rounding alone by itself, as the first of Adam does
    batch_size = N_ROWS if rule.startswith("adam") else max(batch_size, N_ROWS // 2)
    dtype = problem[0].dtype
    results = [
        run_epoch(
            problem,
            rule,
            batch_size,
            alpha,
            largest,
            compiled=compiled,
            monkeypatch=pytest.MonkeyPatch(),
        )
        for compiled in (False, True)
    ]
    (parameters, moments, total), (found, found_moments, found_total) = results
    assert found_total == pytest.approx(total, rel=1e3 * TOLERANCE[dtype.char])
    for name in moments:
        assert_allclose(
            found_moments[name],
            moments[name],
            rtol=0,
            atol=1e3 * TOLERANCE[dtype.char] * max(1e-3, np.abs(moments[name]).max()),
        )
    if not rule.startswith("adam"):
        assert_allclose(found, parameters, rtol=0, atol=1e2 * TOLERANCE[dtype.char])


@settings(max_examples=60, deadline=None)
@given(problems(), st.sampled_from(sorted(RULES)), st.sampled_from([0.0, 2.0]))
def test_run_has_the_bits_of_its_steps_one_by_one(problem, rule, alpha):
    network, X, positive, weight = problem
    ends = []
    for at_once in (True, False):
        own = Network(network.layer_sizes, network.activation, network.dtype, network.dropout)
        own.parameters[...] = network.parameters
        objective = Objective(
            own,
            X,
            positive,
            weight,
            alpha=alpha,
            batch_size=9,
            random_state=np.random.RandomState(),
        )
        objective._random_state.seed(3)
        solver = RULES[rule](max_grad_norm=0.5)
        solver.prepare(objective)
        if not at_once:
            objective.__class__ = BatchByBatch
        run_steps(objective, solver, objective.batches(), solver.rates(objective.n_batches))
        ends.append(own.parameters)
    assert_array_equal(*ends)


class BatchByBatch(Objective):
    run_compiled = None


# ---------------------------------------------------------------------- prediction


@settings(max_examples=100, deadline=None)
@given(problems())
def test_predictions_are_those_of_the_reference(problem):
    network, X, _, _ = problem
    arguments = X, network.weights, network.biases, network.activation
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "compiled", None)
        expected = predict_logits(*arguments)
        patch.setattr(kernels, "compiled", step)
        assert_close(predict_logits(*arguments), expected, network.dtype)


@pytest.mark.parametrize("n_threads", [2, 3])
@pytest.mark.parametrize("n_rows", [50, 51, 1000])
def test_predictions_do_not_depend_on_the_number_of_threads(n_threads, n_rows, monkeypatch):
    monkeypatch.setattr(kernels, "compiled", step)
    monkeypatch.setattr(prediction, "_COMPILED_BLOCK", 8 * 17)
    monkeypatch.setattr(prediction, "_SHARE_PRODUCTS", 1)
    network = Network((4, 8, 1), get_activation("tanh"), np.dtype(float))
    network.parameters[...] = np.linspace(-1, 1, network.parameters.size)
    X = np.random.RandomState(0).standard_normal((n_rows, 4))
    logits = []
    for n in (1, n_threads):
        monkeypatch.setattr(prediction, "blas_threads", lambda n=n: n)
        logits.append(predict_logits(X, network.weights, network.biases, network.activation))
    assert_array_equal(*logits)


# ---------------------------------------------------------------------- the seam


def ask(variable):
    return subprocess.run(
        [sys.executable, "-c", "from skdnn import kernels; print(kernels.describe())"],
        env={**os.environ, "SKDNN_KERNELS": variable},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("variable", "said"), [("numpy", "NumPy"), ("compiled", "compiled (")])
def test_variable_forces_one_kind(variable, said):
    assert ask(variable).stdout.startswith(said)


def test_variable_with_another_value_is_an_error():
    assert "SKDNN_KERNELS='fast' must be 'numpy' or 'compiled'" in ask("fast").stderr


def test_kernels_that_were_not_built_cannot_be_forced(monkeypatch):
    monkeypatch.setitem(sys.modules, "skdnn.kernels._step", None)
    monkeypatch.delattr(kernels, "_step", raising=False)
    monkeypatch.setenv("SKDNN_KERNELS", "compiled")
    with pytest.raises(ImportError, match="without its compiled kernels"):
        kernels._choose()


def test_kernels_that_were_not_built_are_replaced_by_the_reference(monkeypatch):
    monkeypatch.setitem(sys.modules, "skdnn.kernels._step", None)
    monkeypatch.delattr(kernels, "_step", raising=False)
    monkeypatch.delenv("SKDNN_KERNELS", raising=False)
    assert kernels._choose() is None


LONG_EPOCH = """
import signal, threading, time
import numpy as np
from skdnn import DeepBinaryClassifier
from skdnn.training.objective import Objective

# what a background job of a shell starts with is that it ignores interrupts
signal.signal(signal.SIGINT, signal.default_int_handler)

def press():
    for _ in range(2):
        time.sleep(1.5)  # two that come between two looks would count as one
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

def begin(self):
    threading.Thread(target=press).start()
    return original(self)

original = Objective.run_compiled.fget
Objective.run_compiled = property(begin)
X = np.random.RandomState(0).standard_normal((2_000_000, 1)).astype(np.float32)
model = DeepBinaryClassifier((400, 400), batch_size=1, max_iter=1, tol=None, shuffle=False)
try:
    model.fit(X, X[:, 0] > 0)
except KeyboardInterrupt:
    print("interrupted", hasattr(model, "coefs_"))
"""


@pytest.mark.skipif(kernels.compiled is None, reason="the reference runs")
def test_second_ctrl_c_ends_a_long_epoch():
    ran = subprocess.run(
        [sys.executable, "-c", LONG_EPOCH], capture_output=True, text=True, check=False
    )
    assert ran.stdout.split() == ["interrupted", "False"]
