"""A process is forked while another of its threads trains: the child trains, on all BLAS threads.

One thread fits small networks without end; the other forks at random moments. Each child fits one
and looks at the number of threads that BLAS has before and after.

    python -m robustness.forks --forks 200
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import threading
import time
import warnings
from collections import Counter

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from skdnn import DeepBinaryClassifier

N_THREADS = 2
SECONDS_A_CHILD = 60
FINE, FEWER_THREADS, OTHER_BITS, HANGS = "fine", "fewer BLAS threads", "other bits", "hang"
BY_STATUS = {0: FINE, 1: FEWER_THREADS, 2: OTHER_BITS, -signal.SIGALRM: HANGS}


def blas_threads() -> int:
    return max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")


def make_fit(seed: int) -> np.ndarray:
    """Return the first layer's weights after a fit of some milliseconds."""
    X = np.random.RandomState(seed).standard_normal((200, 5))
    model = DeepBinaryClassifier((10,), max_iter=2, tol=None, random_state=seed, batch_size=50)
    return model.fit(X, X[:, 0] > 0).coefs_[0]


def fit_until(stop: threading.Event) -> None:
    while not stop.is_set():
        make_fit(0)


def outcome_of_a_child(expected: np.ndarray) -> str:
    """Fork, train in the child, and return what came of it."""
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        child = os.fork()
    if child == 0:
        signal.alarm(SECONDS_A_CHILD)
        status = 3
        try:
            before = blas_threads()
            same = (make_fit(1) == expected).all()
            status = 2 * (not same) or int(min(before, blas_threads()) < N_THREADS)
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return BY_STATUS.get(status, f"exit code {status}")


def main(arguments: list[str] | None = None) -> int:
    """Fork, count what came of the children, and return 1 if any was not fine."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--forks", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    rng, stop = random.Random(options.seed), threading.Event()
    counts: Counter[str] = Counter()
    with threadpool_limits(N_THREADS, user_api="blas"):
        expected = make_fit(1)
        thread = threading.Thread(target=fit_until, args=(stop,))
        thread.start()
        try:
            for _ in range(options.forks):
                time.sleep(rng.uniform(0, 0.02))
                counts[outcome_of_a_child(expected)] += 1
        finally:
            stop.set()
            thread.join()
    found = ", ".join(f"{n} {name}" for name, n in sorted(counts.items()))
    print(f"{options.forks} forks (seed {options.seed}) while another thread trains: {found}")
    return int(counts[FINE] < options.forks)


if __name__ == "__main__":
    sys.exit(main())
