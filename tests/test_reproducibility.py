"""What a fit counts and reports, repeats to the last bit, and leaves in a pickle."""

import hashlib
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_limits

from skdnn import DeepBinaryClassifier
from tests.models import learned, make_model, parameters_of

SOLVERS = ["gd", "sgd", "adam", "lbfgs"]

ALL_SOLVERS = pytest.mark.parametrize("solver", SOLVERS)


@pytest.fixture(scope="module")
def fitted(data):
    return make_model().fit(*data)


# ---------------------------------------------------------------------- epochs and reports


@ALL_SOLVERS
def test_without_tol_training_takes_exactly_max_iter_epochs(solver, breast_cancer):
    assert make_model(solver, max_iter=17).fit(*breast_cancer).n_iter_ == 17


@ALL_SOLVERS
def test_loss_curve_has_an_entry_an_epoch(solver, breast_cancer):
    assert len(make_model(solver, max_iter=17).fit(*breast_cancer).loss_curve_) == 17


@ALL_SOLVERS
def test_running_out_of_epochs_warns(solver, breast_cancer):
    with pytest.warns(ConvergenceWarning, match="max_iter=3"):
        make_model(solver, max_iter=3, tol=1e-9).fit(*breast_cancer)


@ALL_SOLVERS
def test_convergence_does_not_warn(solver, breast_cancer):
    model = make_model(solver, (), alpha=100.0, tol=1e-3, max_iter=1000)
    assert model.fit(*breast_cancer).n_iter_ < 1000


@ALL_SOLVERS
@pytest.mark.parametrize(("verbose", "n_lines"), [(False, 0), (True, 6), (1, 6), (2, 3), (4, 1)])
def test_verbose_prints_a_line_every_so_many_epochs(solver, verbose, n_lines, data, capsys):
    make_model(solver, max_iter=6, verbose=verbose).fit(*data)
    assert len(capsys.readouterr().out.splitlines()) == n_lines


def test_lines_name_their_epoch(data, capsys):
    make_model("gd", max_iter=6, verbose=2).fit(*data)
    assert re.findall(r"Iteration (\d+)", capsys.readouterr().out) == ["2", "4", "6"]


def test_loss_curve_starts_with_the_cost_before_the_first_update(data):
    one, ten = make_model("gd", max_iter=1).fit(*data), make_model("gd").fit(*data)
    assert one.loss_curve_[0] == ten.loss_curve_[0]


@pytest.mark.parametrize("solver", ["gd", "lbfgs"])
def test_training_lowers_the_loss(solver, breast_cancer):
    curve = make_model(solver, max_iter=30).fit(*breast_cancer).loss_curve_
    assert curve[-1] < curve[0] / 2


# ---------------------------------------------------------------------- reproducibility


ONE_THREAD = """
import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
"""
SCRIPT = """
import hashlib
import sys

import numpy as np
from sklearn.datasets import load_breast_cancer
from skdnn import DeepBinaryClassifier

X, y = load_breast_cancer(return_X_y=True)
model = DeepBinaryClassifier(
    (20, 7), solver=sys.argv[1], max_iter=20, tol=None, random_state=0, early_stopping=True
)
model.fit(X / X.max(axis=0), y)
print(hashlib.sha256(b"".join(p.tobytes() for p in model.coefs_ + model.intercepts_)).hexdigest())
"""


@ALL_SOLVERS
@pytest.mark.parametrize("early_stopping", [False, True])
def test_same_seed_gives_the_same_bits(solver, early_stopping, breast_cancer):
    model = make_model(solver, (20, 7), early_stopping=early_stopping)
    np.testing.assert_array_equal(
        parameters_of(clone(model).fit(*breast_cancer)),
        parameters_of(clone(model).fit(*breast_cancer)),
    )


def test_refit_forgets_the_first_fit(data):
    model = make_model().fit(*data)
    first = learned(model)
    assert learned(model.fit(*data)) == first


def test_other_seed_gives_other_parameters(data, fitted):
    other = make_model(random_state=2).fit(*data)
    assert not np.array_equal(parameters_of(other), parameters_of(fitted))


def test_numpy_seed_is_used_without_random_state(data):
    model = make_model(random_state=None)
    np.random.seed(5)
    first = parameters_of(clone(model).fit(*data))
    np.random.seed(5)
    np.testing.assert_array_equal(parameters_of(clone(model).fit(*data)), first)


@ALL_SOLVERS
def test_other_process_gives_the_same_bits(solver):
    X, y = load_breast_cancer(return_X_y=True)
    model = DeepBinaryClassifier(
        (20, 7), solver=solver, max_iter=20, tol=None, random_state=0, early_stopping=True
    )
    with threadpool_limits(1):
        model.fit(X / X.max(axis=0), y)
    here = hashlib.sha256(b"".join(p.tobytes() for p in model.coefs_ + model.intercepts_))
    there = subprocess.run(
        [sys.executable, "-c", ONE_THREAD + SCRIPT, solver],
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.strip() == here.hexdigest()


@ALL_SOLVERS
def test_grid_search_gives_the_same_bits_with_one_and_two_jobs(solver, breast_cancer):
    search = GridSearchCV(
        make_model(solver, (20,)), {"alpha": [1e-4, 1.0]}, scoring="neg_log_loss", cv=2
    )
    with threadpool_limits(1):
        one = clone(search).set_params(n_jobs=1).fit(*breast_cancer)
        two = clone(search).set_params(n_jobs=2).fit(*breast_cancer)
    np.testing.assert_array_equal(
        one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"]
    )


@ALL_SOLVERS
def test_number_of_blas_threads_changes_little(solver):
    generator = np.random.RandomState(0)
    X = generator.standard_normal((300, 400))
    y = X[:, :5].sum(axis=1) > 0
    model = make_model(solver, (64, 16), max_iter=20)
    with threadpool_limits(1):
        one = parameters_of(clone(model).fit(X, y))
    with threadpool_limits(2):
        two = parameters_of(clone(model).fit(X, y))
    np.testing.assert_allclose(two, one, rtol=1e-9, atol=1e-9)


# ---------------------------------------------------------------------- pickles


def allowed_bytes(model):
    return 1.1 * parameters_of(model).nbytes + 20_000 + 40 * model.n_iter_


@ALL_SOLVERS
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("hidden", [(3,), (300, 100)])
@pytest.mark.parametrize("max_iter", [2, 40])
def test_pickle_is_little_more_than_the_parameters(
    solver, early_stopping, hidden, max_iter, breast_cancer
):
    X, y = breast_cancer
    model = make_model(solver, hidden, early_stopping=early_stopping, max_iter=max_iter)
    model.fit(X, y)
    assert len(pickle.dumps(model)) <= allowed_bytes(model)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_epoch_costs_a_pickle_40_bytes(early_stopping, data):
    short = make_model(early_stopping=early_stopping, max_iter=10).fit(*data)
    long = make_model(early_stopping=early_stopping, max_iter=2010).fit(*data)
    assert len(pickle.dumps(long)) - len(pickle.dumps(short)) <= 40 * 2000


def test_pickle_of_a_cold_fit_after_a_warm_one_is_small(breast_cancer):
    X, y = breast_cancer
    model = make_model(hidden=(300, 100), warm_start=True).fit(X, y)
    model.set_params(warm_start=False).fit(X, y)
    assert len(pickle.dumps(model)) <= allowed_bytes(model)
