"""Processes forked while a fit is under way, in another thread or in the same one."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from skdnn import DeepBinaryClassifier
from skdnn.training.objective import Objective

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")

ROOT = Path(__file__).parents[1]
COMMON = """
import os, signal, threading, time
import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits
import skdnn.numerics.threads as threads
from skdnn.numerics.threads import single_blas_thread

threadpool_limits(2, user_api="blas")

def n_blas_threads():
    return max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")

def status_of_child(call):
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # a child that waits for ever ends with another status
        try:
            call()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def train_on_all_threads():
    assert n_blas_threads() == 2
    with single_blas_thread():
        assert n_blas_threads() == 1
    assert n_blas_threads() == 2
"""


def run(script):
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", COMMON + script],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def assert_prints(script, *words):
    done = run(script)
    assert done.stdout.split() == list(words), done.stdout + done.stderr


def test_child_has_all_blas_threads_while_another_thread_of_the_parent_trains():
    assert_prints(
        """
entered, leave = threading.Event(), threading.Event()

def train():
    with single_blas_thread():
        entered.set()
        leave.wait()

thread = threading.Thread(target=train)
thread.start()
entered.wait()
print(status_of_child(train_on_all_threads), n_blas_threads())
leave.set()
thread.join()
print(n_blas_threads())
""",
        "0",  # of the child
        "1",  # the parent still trains
        "2",  # and has ended
    )


def test_child_is_not_kept_from_training_by_a_lock_of_the_parent():
    assert_prints(
        """
locked, get_threads = threading.Event(), threads._get_threads

def slowly():
    locked.set()
    time.sleep(1)
    return get_threads()

threads._get_threads = slowly
thread = threading.Thread(target=threads.blas_threads)
thread.start()
locked.wait()
threads._get_threads = get_threads
print(status_of_child(train_on_all_threads))
thread.join()
""",
        "0",
    )


def test_child_that_is_forked_while_it_trains_itself_keeps_its_place():
    assert_prints(
        """
def leave():
    assert n_blas_threads() == 1
    context.__exit__(None, None, None)
    train_on_all_threads()

context = single_blas_thread()
with single_blas_thread(False):
    context.__enter__()
    print(status_of_child(leave))
context.__exit__(None, None, None)
train_on_all_threads()
""",
        "0",
    )


def test_child_goes_on_with_the_fit_that_it_was_forked_in():
    assert_prints(
        """
from skdnn.numerics.threads import Crew

def shares(crew):
    found = [0] * 4
    def note(i):
        found[i] = i
    crew.run([lambda i=i: note(i) for i in range(4)])
    assert found == [0, 1, 2, 3]

with Crew(3, 4) as crew:
    print(status_of_child(lambda: shares(crew)))
    shares(crew)
""",
        "0",
    )


def test_twenty_children_train():
    done = subprocess.run(
        [sys.executable, "-m", "robustness.forks", "--forks", "20"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_looking_for_dead_layers_keeps_blas_to_one_thread(monkeypatch):
    """A fork while BLAS computes on threads of its own hung in the child, and in the parent."""
    seen = []
    look = Objective.dead_layers

    def spy(self):
        seen.extend(p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas")
        return look(self)

    monkeypatch.setattr(Objective, "dead_layers", spy)
    X = np.random.RandomState(0).standard_normal((40, 3))
    with threadpool_limits(2, user_api="blas"):
        DeepBinaryClassifier((4,), max_iter=2, tol=None).fit(X, X[:, 0] > 0)
    assert set(seen) == {1}
