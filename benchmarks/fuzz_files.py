"""Mutated model and checkpoint files: each loads to what was saved, or raises ModelFileError.

Byte mutants keep the digest that they had; structural mutants are signed anew, as a forger would.
Memory is limited, each file has a few seconds, and the file outside that links lead to is a pipe
without a writer: whoever opens it to read waits until the time is over.

    python -m benchmarks.fuzz_files --mutations 5000
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
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from benchmarks import forgeries
from skdnn import DeepBinaryClassifier
from skdnn._container import open_container, read_container, sign, write_container
from skdnn.persistence import ModelFileError, load_model, save_model

SECONDS_A_FILE = 5
EXTRA_MEMORY = 256 * 2**20  # beyond what the process has when the first file is loaded
HEADER_BYTES = 512


class Subject(NamedTuple):
    """A valid file, and how it is read."""

    name: str
    image: bytes
    load: Callable[[Path], Any]
    save: Callable[[Any, Path], None]  # undoes load, to the same bytes
    forgeries: tuple[Callable[..., None], ...]


def make_subjects(folder: Path) -> list[Subject]:
    """Return the files that are mutated: a small model, one with training state, a checkpoint."""
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
        every = (*forgeries.OF_STORAGE, *forgeries.OF_CONTENT)
        subjects.append(Subject(name, path.read_bytes(), load_model, save_model, every))
    contents = open_container(path)
    arrays = {**contents.arrays, "parameters": np.arange(30.0)}
    save_checkpoint(({"epoch": 3, "fingerprint": "ab", **contents.attributes}, arrays), path)
    # what a checkpoint must hold is for its own reader to say
    subjects.append(
        Subject("checkpoint", path.read_bytes(), load_checkpoint, save_checkpoint,
                forgeries.OF_STORAGE)
    )  # fmt: skip
    return subjects


def load_checkpoint(path: Path) -> Any:
    return read_container(path, "checkpoint")


def save_checkpoint(contents: Any, path: Path) -> None:
    write_container(path, kind="checkpoint", attributes=contents[0], arrays=contents[1])


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


def outcome(subject: Subject, image: bytes, path: Path) -> str:
    """Return what came of loading a file: "refused", "the same", or what should not happen."""
    path.write_bytes(image)
    signal.setitimer(signal.ITIMER_REAL, SECONDS_A_FILE)
    try:
        loaded = subject.load(path)
    except ModelFileError as error:
        return "refused" if "\n" not in str(error) and str(path) in str(error) else repr(error)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    again = path.with_suffix(".again")
    subject.save(loaded, again)
    return "the same" if again.read_bytes() == subject.image else "another model"


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
            if result not in ("refused", "the same"):
                print(f"mutation {i} of {subject.name}, {name}: {result}")
    report(outcomes)
    surprises = sum(n for key, n in outcomes.items() if key[2] not in ("refused", "the same"))
    seconds = time.perf_counter() - started
    print(
        f"{options.mutations} mutations (seed {options.seed}), {surprises} surprises; {seconds:.0f}"
        f" s, the slowest file {slowest * 1e3:.0f} ms"
    )
    return int(surprises > 0)


def report(outcomes: Counter[tuple[str, str, str]]) -> None:
    kinds = sorted({name for _, name, _ in outcomes})
    results = sorted({result for _, _, result in outcomes})
    print(f"{'':40}" + "".join(f"{result[:20]:>22}" for result in results))
    for kind in kinds:
        counts = [sum(n for key, n in outcomes.items() if key[1:] == (kind, r)) for r in results]
        print(f"{kind:40}" + "".join(f"{count:22}" for count in counts))


if __name__ == "__main__":
    sys.exit(main())
