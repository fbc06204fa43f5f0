"""What training allocates: nothing in the loop but numpy's casting buffers."""

import tracemalloc

import numpy as np
import pytest

from skdnn import DeepBinaryClassifier
from skdnn.network.activations import ACTIVATIONS, get_activation
from skdnn.network.network import Network
from skdnn.solvers import Adam, GradientDescent, Momentum
from skdnn.training.build import make_schedule
from skdnn.training.objective import Objective
from tests.callbacks import Callback


@pytest.fixture(scope="module")
def rows():
    X = np.random.RandomState(0).standard_normal((10_000, 20)).astype(np.float32)
    return X, X[:, 0] > 0


@pytest.fixture
def traced():
    tracemalloc.start()
    yield
    tracemalloc.stop()


SCHEDULE = make_schedule("constant", 0.001, power_t=0.5)
SOLVERS = {
    "adam": Adam(SCHEDULE, 0.9, 0.999, 1e-8),
    "adamw": Adam(SCHEDULE, 0.9, 0.999, 1e-8, 0.01, max_grad_norm=1.0),
    "momentum": Momentum(SCHEDULE, 0.9, nesterov=True),
    "plain": GradientDescent(SCHEDULE),
}


def peak_of_steps(rows, solver, activation="relu", sample_weight=None):
    """Return the largest memory that one of ten steps takes besides what was there before."""
    network = Network((20, 100, 50, 1), get_activation(activation), np.dtype(np.float32))
    network.parameters[:] = np.random.RandomState(0).uniform(-0.3, 0.3, network.parameters.size)
    objective = Objective(
        network,
        *rows,
        sample_weight,
        alpha=1.0,
        batch_size=200,
        random_state=np.random.RandomState(0),
    )
    solver.moments = {}
    solver.prepare(objective)
    peaks = []
    for batch in list(objective.batches())[:11]:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        objective.value_and_gradient(batch)
        solver.n_steps += 1
        solver.step(0.001)
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
    return max(peaks[1:])  # the first makes the workspaces


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_step_makes_no_temporaries_to_speak_of(solver, rows):
    assert peak_of_steps(rows, solver) < 64_000


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_no_activation_makes_temporaries_to_speak_of(activation, rows):
    assert peak_of_steps(rows, SOLVERS["adam"], activation) < 64_000


@pytest.mark.usefixtures("traced")
def test_weights_make_no_temporaries_to_speak_of(rows):
    assert peak_of_steps(rows, SOLVERS["adam"], sample_weight=np.ones(10_000)) < 64_000


class MemoryOfEpochs(Callback):
    """Callback that notes the memory in use after every epoch."""

    def __init__(self):
        self.used = []

    def on_fit_task_end(self, estimator, context):
        self.used.append(tracemalloc.get_traced_memory()[0])


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_memory_does_not_grow_from_epoch_to_epoch(solver, rows):
    note = MemoryOfEpochs()
    model = DeepBinaryClassifier(solver=solver, max_iter=23, tol=None, random_state=0)
    model.set_callbacks(note).fit(*rows)
    # the task tree of scikit-learn's callbacks and the curves keep about a kilobyte an epoch
    assert note.used[21] - note.used[1] < 20 * 2_500
