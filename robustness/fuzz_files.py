"""Mutated model and checkpoint files: each loads to what was saved, or raises ModelFileError.

A checkpoint may also be forged so that it loads and says something else of training. Then `fit`
must train, or refuse it by an error that names the file.

Byte mutants keep the digest that they had; structural mutants are signed anew, as a forger would.
Memory is limited, each file has a few seconds, and the file outside that links lead to is a pipe
without a writer: whoever opens it to read waits until the time is over.

    python -m robustness.fuzz_files --mutations 5000
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pandas as pd

from robustness import forgeries
from skdnn import Checkpoint, DeepBinaryClassifier, DeepEnsembleClassifier, load_checkpoint
from skdnn.container.container import sign, write_container
from skdnn.persistence import ModelFileError, load_model, save_model
from skdnn.persistence.checkpoint import pack_checkpoint
from skdnn.solvers import DivergenceError

SECONDS_A_FILE = 5
EXTRA_MEMORY = 256 * 2**20  # beyond what the process has when the first file is loaded
HEADER_BYTES = 512
EXPECTED = ("refused", "the same", "refused by fit", "trains")


class Subject(NamedTuple):
    """A valid file, and how it is read."""

    name: str
    image: bytes
    load: Callable[[Path], Any]
    save: Callable[[Any, Path], None]  # undoes load, to the same bytes
    forgeries: tuple[Callable[..., None], ...]
    data: Any = None  # what a checkpoint was fitted to


class KilledError(Exception):
    """Stands for the end of a process."""


class Killer:
    """Ends training after its third epoch; put behind a Checkpoint."""

    def setup(self, estimator: Any, context: Any) -> None:
        pass

    def teardown(self, estimator: Any, context: Any) -> None:
        pass

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        pass

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        if context.task_name == "epoch" and context.task_id == 2:
            raise KilledError


def make_subjects(folder: Path) -> list[Subject]:
    """Return the files that are mutated: small models and checkpoints."""
    rng = np.random.RandomState(0)
    X, labels = rng.standard_normal((60, 5)), np.array(["no", "yes"])
    y = labels[(X[:, 0] > 0).astype(int)]
    plain = DeepBinaryClassifier((4, 3), solver="lbfgs", tol=None, max_iter=5, random_state=0)
    plain.fit(X.astype(np.float32), y)
    going_on = DeepBinaryClassifier(
        np.array([4, 3]), max_iter=5, tol=None, early_stopping=True, warm_start=True,
        random_state=np.int64(0), class_weight={"no": 1.0, "yes": 2.0},
    )  # fmt: skip
    going_on.fit(X, y)
    subjects = []
    for name, model in (("model", plain), ("model with training state", going_on)):
        path = folder / "valid.h5"
        save_model(model, path)
        every = (*forgeries.OF_STORAGE, *forgeries.OF_CONTENT, *forgeries.OF_MODELS)
        subjects.append(Subject(name, path.read_bytes(), load_model, save_model, every))
    save_model(make_ensemble(X, y), path)
    every = (*forgeries.OF_STORAGE, *forgeries.OF_CONTENT)
    subjects.append(Subject("ensemble", path.read_bytes(), load_model, save_model, every))
    wide = np.tile(X, 20)[:50]
    in_row_space = {"solver": "sgd", "row_space": True, "learning_rate": "adaptive", "tol": 1.0}
    for name, data, parameters in (
        ("checkpoint", (X, y), {"early_stopping": True, "dropout": 0.1}),
        ("checkpoint in a row space", (wide, y[:50]), in_row_space),
        ("checkpoint of a second fit", (X, y), {"solver": "sgd", "warm_start": True}),
    ):
        save_killed(path, data, parameters)
        every = (*forgeries.OF_STORAGE, *forgeries.OF_CONTENT, *forgeries.OF_CHECKPOINTS)
        every = (*every, *forgeries.OF_TRAINING)
        subjects.append(
            Subject(name, path.read_bytes(), load_checkpoint, save_checkpoint, every, data)
        )
    return subjects


def make_ensemble(X: np.ndarray, y: np.ndarray) -> DeepEnsembleClassifier:
    """Return an ensemble on a table that has every kind of column."""
    table = pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
    table["gaps"] = np.where(X[:, 0] > 1, np.nan, X[:, 1])
    table["text"] = np.array(["a", "b", "c"])[np.arange(len(X)) % 3]
    network = DeepBinaryClassifier((3,), max_iter=2, tol=None)
    model = DeepEnsembleClassifier(n_estimators=2, cv=2, estimator=network, random_state=0)
    return model.fit(table, y)


def save_killed(path: Path, data: Any, parameters: dict[str, Any]) -> None:
    """Leave the checkpoint of a fit that ended early; of the second one with ``warm_start``."""
    path.unlink()
    model = DeepBinaryClassifier((4, 3), max_iter=5, tol=None, random_state=0, batch_size=20)
    model.set_params(**parameters)
    if model.warm_start:
        model.fit(*data)
    with suppress(KilledError):
        model.set_callbacks(Checkpoint(path), Killer()).fit(*data)


def save_checkpoint(model: Any, path: Path) -> None:
    before = model if hasattr(model, "coefs_") else None
    attributes, arrays = pack_checkpoint(model, model._progress, before)
    write_container(path, kind="checkpoint", attributes=attributes, arrays=arrays)


def change_bytes(rng: np.random.RandomState, image: bytes) -> tuple[str, bytes]:
    """Return a damaged file: bytes changed, cut off, added, moved or zeroed."""
    kind = rng.choice(["flip", "bytes", "cut", "append", "zero", "swap"])
    changed = bytearray(image)
    start, stop = sorted(rng.randint(0, len(image), 2))
    if kind == "flip":
        changed[start] ^= 1 << rng.randint(8)
    elif kind == "bytes":
        for position in rng.randint(0, len(image), rng.randint(1, 50)):
            changed[position] = rng.randint(256)
    elif kind == "cut":
        del changed[start:]
    elif kind == "append":
        changed += rng.bytes(rng.randint(1, 1000))
    elif kind == "zero":
        changed[start:stop] = bytes(stop - start)
    else:
        changed = changed[stop:] + changed[start:stop] + changed[:start]
    return f"bytes: {kind}", bytes(changed)


def change_structure(
    rng: np.random.RandomState, subject: Subject, outside: Path
) -> tuple[str, bytes]:
    """Return a file that a forger changed with HDF5's own tools, and signed."""
    forge = subject.forgeries[rng.randint(len(subject.forgeries))]
    buffer = io.BytesIO(subject.image)
    with h5py.File(buffer, "r+") as file:
        forge(rng, file, outside)
    content = buffer.getvalue()[HEADER_BYTES:]
    return f"structure: {forge.__name__}", sign(content) + content


def is_one_line_about(path: Path, error: Exception) -> bool:
    """Return whether a message names the file, and does nothing else to a terminal."""
    return str(error).isprintable() and str(path) in str(error)


def outcome(subject: Subject, image: bytes, path: Path) -> str:
    """Return what came of loading a file: "refused", "the same", or what should not happen."""
    path.write_bytes(image)
    signal.setitimer(signal.ITIMER_REAL, SECONDS_A_FILE)
    try:
        loaded = subject.load(path)
    except ModelFileError as error:
        return "refused" if is_one_line_about(path, error) else repr(error)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    again = path.with_suffix(".again")
    subject.save(loaded, again)
    if again.read_bytes() == subject.image:
        return "the same"
    return "another model" if subject.data is None else outcome_of_fit(subject, loaded, path)


def outcome_of_fit(subject: Subject, model: Any, path: Path) -> str:
    """Return what came of going on from a checkpoint that says something else of training."""
    signal.setitimer(signal.ITIMER_REAL, SECONDS_A_FILE)
    try:
        with warnings.catch_warnings(action="ignore"):
            warnings.simplefilter("error", RuntimeWarning)
            model.set_callbacks().fit(*subject.data)
    except DivergenceError:
        return "trains"
    except ValueError as error:
        named = is_one_line_about(path, error)
        return "refused by fit" if named else f"fit: {type(error).__name__}: {error}"
    except BaseException as error:
        return f"fit: {type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return "trains"


def too_late(signum: int, frame: Any) -> None:
    raise TimeoutError(f"more than {SECONDS_A_FILE} s")


def limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + EXTRA_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main(arguments: list[str] | None = None) -> int:
    """Run the mutations, print what came of them, and return 1 if any was a surprise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutations", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    outcomes: Counter[tuple[str, str, str]] = Counter()
    signal.signal(signal.SIGALRM, too_late)
    started, slowest = time.perf_counter(), 0.0
    with tempfile.TemporaryDirectory() as folder:
        subjects = make_subjects(Path(folder))
        path, outside = Path(folder, "mutant.h5"), Path(folder, "outside.h5")
        os.mkfifo(outside)
        limit_memory()
        for i in range(options.mutations):
            rng = np.random.RandomState([options.seed, i])
            subject = subjects[i % len(subjects)]
            if rng.randint(2):
                name, image = change_bytes(rng, subject.image)
            else:
                name, image = change_structure(rng, subject, outside)
            begun = time.perf_counter()
            result = outcome(subject, image, path)
            slowest = max(slowest, time.perf_counter() - begun)
            outcomes[subject.name, name, result] += 1
            if result not in EXPECTED:
                print(f"mutation {i} of {subject.name}, {name}: {result}")
    report(outcomes)
    surprises = sum(n for key, n in outcomes.items() if key[2] not in EXPECTED)
    seconds = time.perf_counter() - started
    print(
        f"{options.mutations} mutations (seed {options.seed}), {surprises} surprises; {seconds:.0f}"
        f" s, the slowest file {slowest * 1e3:.0f} ms"
    )
    return int(surprises > 0)


def report(outcomes: Counter[tuple[str, str, str]]) -> None:
    """Print how often each kind of mutation came to each result."""
    kinds = sorted({name for _, name, _ in outcomes})
    print(f"{'':40}" + "".join(f"{result:>16}" for result in (*EXPECTED, "surprise")))
    for kind in kinds:
        results: Counter[str] = Counter()
        for (_, name, result), n in outcomes.items():
            if name == kind:
                results[result if result in EXPECTED else "surprise"] += n
        print(f"{kind:40}" + "".join(f"{results[r]:16}" for r in (*EXPECTED, "surprise")))


if __name__ == "__main__":
    sys.exit(main())
