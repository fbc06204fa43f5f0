"""One BLAS thread, and crews that share a batch's rows."""

import threading
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from threadpoolctl import threadpool_info, threadpool_limits

import skdnn.training.rows
from skdnn import DeepBinaryClassifier
from skdnn.numerics.threads import Crew, blas_threads, single_blas_thread


def n_blas_threads():
    return max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")


@pytest.fixture
def two_blas_threads():
    with threadpool_limits(2, user_api="blas"):
        yield


@pytest.fixture
def small_shares(monkeypatch):
    """Give threads shares of batches that would be too small to be worth it."""
    monkeypatch.setattr(skdnn.training.rows, "_SHARE_PRODUCTS", 1)
    monkeypatch.setattr(skdnn.training.rows, "_SHARE_ROWS", 8)


@pytest.mark.usefixtures("two_blas_threads")
def test_blas_has_one_thread_inside_and_its_own_number_after():
    with single_blas_thread():
        assert n_blas_threads() == 1
    assert n_blas_threads() == 2


@pytest.mark.usefixtures("two_blas_threads")
def test_nested_contexts_restore_at_the_outermost():
    with single_blas_thread():
        with single_blas_thread():
            pass
        assert n_blas_threads() == 1


@pytest.mark.usefixtures("two_blas_threads")
def test_number_of_threads_is_told_as_it_was_outside():
    with single_blas_thread():
        assert blas_threads() == 2


@pytest.mark.usefixtures("two_blas_threads")
def test_error_inside_restores_the_number():
    with pytest.raises(ZeroDivisionError), single_blas_thread():
        1 / 0  # noqa: B018
    assert n_blas_threads() == 2


@pytest.mark.usefixtures("two_blas_threads")
def test_number_is_restored_when_the_first_to_enter_lives_on():
    entered, leave = threading.Event(), threading.Event()
    alive = threading.Event()

    def first():
        with single_blas_thread():
            entered.set()
            leave.wait(10)
        left.set()
        alive.wait(10)

    left = threading.Event()
    thread = threading.Thread(target=first)
    thread.start()
    entered.wait(10)
    with single_blas_thread():
        leave.set()
        left.wait(10)
    number = n_blas_threads()
    alive.set()
    thread.join()
    assert number == 2


@pytest.mark.usefixtures("two_blas_threads")
def test_limits_of_other_threads_hold_after_a_fit():
    with single_blas_thread():
        pass
    seen = []

    def look():
        with threadpool_limits(1, user_api="blas"):
            seen.append(n_blas_threads())

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [1]


def test_crew_runs_tasks_in_different_threads():
    seen = [None, None]
    barrier = threading.Barrier(2, timeout=600)

    def note(k):
        barrier.wait()
        seen[k] = threading.get_ident()

    with Crew(2) as crew:
        crew.run([lambda: note(0), lambda: note(1)])
    assert seen[0] == threading.get_ident() != seen[1]


def test_error_of_a_crew_member_is_raised_and_the_crew_goes_on():
    done = []
    with Crew(2) as crew:
        with pytest.raises(ZeroDivisionError):
            crew.run([lambda: None, lambda: 1 / 0])
        crew.run([lambda: None, lambda: done.append(1)])
    assert done == [1]


def test_crew_leaves_no_thread_behind():
    before = set(threading.enumerate())
    with Crew(3) as crew:
        crew.run([lambda: None] * 3)
        members = set(threading.enumerate()) - before
    for member in members:
        member.join(10)
    assert not any(member.is_alive() for member in members)


SHARING = {
    "adam": {"batch_size": 50},
    "sgd": {"batch_size": 50, "solver": "sgd"},
    "gd": {"solver": "gd", "learning_rate_init": 0.1},
    "lbfgs": {"solver": "lbfgs"},
    "unshuffled": {"batch_size": 50, "shuffle": False},
    "short last batch": {"batch_size": 59},
}


@pytest.mark.usefixtures("two_blas_threads", "small_shares")
@pytest.mark.parametrize("params", SHARING.values(), ids=SHARING)
@pytest.mark.parametrize("weighted", [False, True])
def test_shared_batches_give_the_parameters_of_whole_ones(params, weighted, monkeypatch):
    rng = np.random.RandomState(0)
    X = rng.standard_normal((120, 6))
    y, weight = X[:, 0] > 0, rng.uniform(0.5, 2, 120) if weighted else None
    model = DeepBinaryClassifier((9, 5), "tanh", max_iter=5, tol=None, random_state=0, **params)
    shared = clone(model).fit(X, y, weight)
    monkeypatch.setattr(skdnn.training.rows, "_SHARE_PRODUCTS", 10**18)
    whole = clone(model).fit(X, y, weight)
    assert_allclose(shared.loss_curve_, whole.loss_curve_, rtol=1e-11)
    assert_allclose(shared.coefs_[0], whole.coefs_[0], rtol=1e-8, atol=1e-11)


@pytest.mark.usefixtures("two_blas_threads", "small_shares")
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_sharing_threads_repeat_themselves_to_the_bit(dropout):
    X = np.random.RandomState(0).standard_normal((120, 6))
    model = DeepBinaryClassifier(
        (9, 5), max_iter=20, tol=None, random_state=0, batch_size=50, dropout=dropout
    )
    first, second = (clone(model).fit(X, X[:, 0] > 0).coefs_[0] for _ in range(2))
    assert_array_equal(first, second)


@pytest.mark.usefixtures("two_blas_threads")
def test_wide_layers_share_the_steps_of_adam(monkeypatch):
    X = np.random.RandomState(0).standard_normal((600, 200)).astype(np.float32)
    model = DeepBinaryClassifier((700, 300), max_iter=2, tol=None, random_state=0, batch_size=300)
    shared = clone(model).fit(X, X[:, 0] > 0)
    monkeypatch.setattr(skdnn.training.rows, "_SHARE_PRODUCTS", 10**18)
    whole = clone(model).fit(X, X[:, 0] > 0)
    assert_allclose(shared.coefs_[0], whole.coefs_[0], rtol=0, atol=1e-4)


@pytest.mark.usefixtures("two_blas_threads", "small_shares")
def test_divergence_is_noticed_by_sharing_threads():
    X = np.random.RandomState(0).standard_normal((120, 6)) * 1e200
    model = DeepBinaryClassifier((9,), max_iter=20, tol=None, batch_size=50, random_state=0)
    with pytest.raises(skdnn.DivergenceError):
        model.fit(X * 1e100, X[:, 0] > 0)


def test_crew_of_fewer_threads_computes_all_shares():
    done = []
    with Crew(2, n_shares=4) as crew:
        crew.run([partial(done.append, k) for k in range(4)])
    assert sorted(done) == [0, 1, 2, 3]
