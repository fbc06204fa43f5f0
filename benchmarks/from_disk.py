"""Training from a file that is larger than the memory it may take, against training in memory.

``python -m benchmarks.from_disk FOLDER`` writes 4 GB of random but learnable rows there (and 1 GB
in each of three chunked layouts), trains an epoch on each of them in a process of its own, beside
the same epoch on 400 MB in memory and beside plain reading, all in turn, and writes from_disk.md to
benchmarks/results. ``--cold`` drops each file from the page cache before it is read.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import h5py
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from benchmarks.report import environment
from skdnn import DeepBinaryClassifier
from skdnn.datasets import HDF5Matrix, read_labels

RESULTS = Path(__file__).parent / "results"

N_FEATURES = 1000
# Rows of each file: 4 GB contiguous, 1 GB of each other layout, 400 MB for memory
N_ROWS = {"contiguous": 1_000_000, "chunked": 250_000, "lzf": 250_000, "gzip": 250_000}
N_IN_MEMORY = 100_000
_CHUNK = (250, N_FEATURES)  # 1 MB
_LAYOUTS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "chunked": {"chunks": _CHUNK},
    "lzf": {"chunks": _CHUNK, "compression": "lzf"},
    "gzip": {"chunks": _CHUNK, "compression": "gzip", "compression_opts": 4},
}


def make_file(path: Path, layout: str, n_rows: int) -> None:
    """Write rows in steps of 1/16, so that they can be compressed, and labels to learn."""
    rng = np.random.default_rng(0)
    direction = rng.normal(size=N_FEATURES).astype(np.float32)
    unfinished = path.with_suffix(".part")
    with h5py.File(unfinished, "w") as file:
        X = file.create_dataset("X", (n_rows, N_FEATURES), "f4", **_LAYOUTS[layout])
        y = file.create_dataset("y", (n_rows,), "i1")
        for start in range(0, n_rows, 10_000):
            size = min(10_000, n_rows - start)
            block = np.round(rng.normal(size=(size, N_FEATURES)) * 16).astype(np.float32) / 16
            X[start : start + size] = block
            y[start : start + size] = block @ direction + rng.normal(size=size) > 0
    unfinished.replace(path)


def drop_from_cache(path: Path) -> None:
    """Ask the system to forget what it holds of a file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def measure(task: str, path: Path) -> dict[str, float]:
    """Do one task in this process; return rows a second, and its peak memory in MB."""
    if task == "memory":
        with h5py.File(path) as file:
            X: Any = file["X"][:N_IN_MEMORY]
        y = read_labels(path, "y")[:N_IN_MEMORY]
    else:
        X, y = HDF5Matrix(path, "X"), read_labels(path, "y")
    model = DeepBinaryClassifier((100,), batch_size=512, max_iter=1, random_state=0)
    start = time.perf_counter()
    if task == "read":
        with h5py.File(path) as file:
            dataset, buffer = file["X"], np.empty((2500, N_FEATURES), np.float32)
            for first in range(0, len(dataset), len(buffer)):
                dataset.read_direct(buffer, np.s_[first : first + len(buffer)])
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(X, y)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rate": len(X) / seconds, "peak": peak}


def measure_apart(task: str, path: Path, cold: bool) -> dict[str, float]:
    """Do one task in a fresh process."""
    if cold:
        drop_from_cache(path)
    command = [sys.executable, "-m", "benchmarks.from_disk", str(path), "--task", task]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(result.stdout)


def describe(rates: dict[str, float], peaks: dict[str, float]) -> Iterator[str]:
    """Return the lines of the table."""
    memory = rates["memory"]
    head = ("file", "training, rows/s", "÷ memory", "reading, rows/s", "÷ lesser", "peak, MB")
    yield f"| {' | '.join(head)} |"
    yield "|---|--:|--:|--:|--:|--:|"
    peak = peaks["memory"]
    yield f"| none: {N_IN_MEMORY:,} rows in memory | {memory:,.0f} | 1 | | | {peak:.0f} |"
    for layout, n_rows in N_ROWS.items():
        rate, read = rates[layout], rates[f"read {layout}"]
        yield (
            f"| {layout}, {n_rows:,} rows | {rate:,.0f} | {rate / memory:.2f} | {read:,.0f} | "
            f"{rate / min(memory, read):.2f} | {peaks[layout]:.0f} |"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, help="folder for the files, which are kept")
    parser.add_argument("--task", choices=("memory", "train", "read"), help=argparse.SUPPRESS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cold", action="store_true")
    options = parser.parse_args(arguments)
    if options.task:
        print(json.dumps(measure(options.task, options.path)))
        return
    files = {layout: options.path / f"{layout}.h5" for layout in N_ROWS}
    for layout, path in files.items():
        if not path.exists():
            print(f"writing {path}", file=sys.stderr)
            make_file(path, layout, N_ROWS[layout])
    tasks = {"memory": ("memory", files["contiguous"])}
    tasks |= {layout: ("train", path) for layout, path in files.items()}
    tasks |= {f"read {layout}": ("read", path) for layout, path in files.items()}
    if not options.cold:
        for path in files.values():
            measure_apart("read", path, cold=False)
    results: dict[str, list[dict[str, float]]] = {name: [] for name in tasks}
    for _ in range(options.repeats):
        for name, (task, path) in tasks.items():
            results[name].append(measure_apart(task, path, options.cold))
    rates = {name: median(r["rate"] for r in result) for name, result in results.items()}
    peaks = {name: max(r["peak"] for r in result) for name, result in results.items()}
    state = "dropped from the page cache before each" if options.cold else "in the page cache"
    lines = [
        "# Training from HDF5 files",
        "",
        f"One epoch of (100,), adam, batches of 512, on {N_FEATURES:,} float32 features; files "
        f"{state}; medians of {options.repeats}. The lesser of two rates: that of training in "
        "memory, and that of reading the file and nothing else.",
        "",
        *describe(rates, peaks),
        "",
        *(f"- {name}: {value}" for name, value in environment().items()),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    (RESULTS / "from_disk.md").write_text(text)


if __name__ == "__main__":
    main()
