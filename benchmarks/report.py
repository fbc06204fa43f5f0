"""The results as a Markdown table, and what they were measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from threadpoolctl import threadpool_info

from benchmarks.timing import medians
from skdnn import kernels

__all__ = ["Row", "environment", "format_report", "format_row"]

_HEADER = (
    "case",
    "dtype",
    "ours, s",
    "MLP ÷ ours",
    "NumPy ÷ ours",
    "torch ÷ ours",
    "textbook ÷ ours",
    "GEMM share",
    "X, MB",
    "peak, MB: ours / MLP",
)
_PACKAGES = ("skdnn", "numpy", "scipy", "scikit-learn", "torch")
# They choose another kernel or block size than OpenBLAS itself does.
_OPENBLAS_SETTINGS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS")


@dataclass
class Row:
    """What was measured of a case."""

    name: str
    title: str
    dtype: str
    group: str
    seconds: dict[str, list[float]]  # of each measurement, by contender
    peak_bytes: dict[str, int]  # by contender
    x_bytes: int
    notes: list[str] = field(default_factory=list)

    def ratio(self, name: str) -> float | None:
        """Return the median time of a contender over ours; None if it took no part."""
        middle = medians(self.seconds)
        return middle[name] / middle["ours"] if name in middle else None

    def as_dict(self) -> dict[str, Any]:
        """Return all numbers, the raw ones and the medians."""
        return asdict(self) | {"median_seconds": medians(self.seconds)}

    @classmethod
    def from_dict(cls, numbers: dict[str, Any]) -> Row:
        """Undo `as_dict`."""
        return cls(**{name: numbers[name] for name in cls.__dataclass_fields__})


# ---------------------------------------------------------------------- environment


def environment() -> dict[str, Any]:
    """Return the machine, the versions and the BLAS kernels, without any path."""
    return {
        "machine": {"cpu": _cpu_model(), "cores": os.cpu_count(), "system": platform.system()},
        "versions": {"python": platform.python_version()}
        | {package: _version(package) for package in _PACKAGES},
        "kernels": kernels.describe(),
        "blas": [_describe_blas(library) for library in threadpool_info() if _is_blas(library)],
        "settings": {name: os.environ[name] for name in _OPENBLAS_SETTINGS if name in os.environ},
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _is_blas(library: dict[str, Any]) -> bool:
    return library["user_api"] == "blas"


def _describe_blas(library: dict[str, Any]) -> dict[str, Any]:
    described = {
        key: library.get(key) for key in ("internal_api", "version", "architecture", "num_threads")
    }
    # numpy and scipy bring a BLAS each, in a folder of that name
    return described | {"of": Path(library["filepath"]).parent.name.removesuffix(".libs")}


# ---------------------------------------------------------------------- Markdown


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.3g}"


def _table_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def format_row(row: Row, marks: Sequence[int] = ()) -> str:
    """Return the line of the table; ``marks`` are the numbers of its notes."""
    share = row.ratio("gemm")
    peak = [_megabytes(n_bytes) for n_bytes in row.peak_bytes.values()]
    return _table_line(
        [
            row.title + "".join(f" [{mark}]" for mark in marks),
            row.dtype,
            f"{medians(row.seconds)['ours']:.3g}",
            *(_ratio(row.ratio(name)) for name in ("mlp", "numpy", "torch", "textbook")),
            "-" if share is None else f"{share:.0%}",
            _megabytes(row.x_bytes),
            " / ".join(peak) or "-",
        ]
    )


def _format_table(rows: Sequence[Row]) -> list[str]:
    notes: list[str] = []
    lines = [_table_line(_HEADER), _table_line(["---"] * 2 + ["--:"] * (len(_HEADER) - 2))]
    for row in rows:
        notes += [note for note in row.notes if note not in notes]
        lines.append(format_row(row, [notes.index(note) + 1 for note in row.notes]))
    return [*lines, "", *(f"[{i}] {note}.  " for i, note in enumerate(notes, 1))]


def _format_summary(rows: Sequence[Row]) -> list[str]:
    ratios = {f"{row.title}, {row.dtype}": row.ratio("mlp") or 0.0 for row in rows}
    adam = [row.ratio("mlp") or 0.0 for row in rows if row.group == "adam"]
    worst = min(ratios, key=ratios.__getitem__)
    lines = []
    if adam:
        mean = geometric_mean(adam)
        lines.append(
            f"- Geometric mean of MLPClassifier ÷ ours over the {len(adam)} dense Adam rows: "
            f"**{mean:.2f}**"
        )
    return [*lines, f"- Smallest MLPClassifier ÷ ours: **{ratios[worst]:.2f}** ({worst})"]


def _format_environment(about: dict[str, Any]) -> list[str]:
    machine = about["machine"]
    versions = ", ".join(f"{name} {version or '-'}" for name, version in about["versions"].items())
    lines = [f"- {machine['cpu']}, {machine['cores']} cores, {machine['system']}", f"- {versions}"]
    lines.append(f"- our kernels: {about['kernels']}")
    lines += [
        f"- BLAS of {blas['of']}: {blas['internal_api']} {blas['version']}, kernel "
        f"{blas['architecture']}, {blas['num_threads']} threads"
        for blas in about["blas"]
    ]
    if about["settings"]:
        lines.append("- set from outside: " + ", ".join(map("=".join, about["settings"].items())))
    return lines


def format_report(rows: Sequence[Row], about: dict[str, Any], repeats: int) -> str:
    """Return the whole report in Markdown."""
    return "\n".join(
        [
            f"Medians, contenders in turn, runs of each: {repeats}. Ratio above 1: ours is faster. "
            "MLP is MLPClassifier.",
            "",
            *_format_table(rows),
            "",
            *_format_summary(rows),
            "",
            *_format_environment(about),
            "",
        ]
    )
