"""How well models predict with their defaults: tables, peers, and what each default brings.

    SKDNN_TABLES=tables make quality

A table is ``NAME.npz`` with ``X`` (float matrix; categories as codes, NaN where missing), ``y``
(0 and 1) and ``cat`` (which columns are categories). Of larger ones 5,000 rows are drawn. Two
splits of each, 70 % to train on. Ours take the table as it is; peers get medians for gaps,
standardised numbers and one-hot categories, and are fitted by one thread.

Results are kept in ``results/quality.jsonl``, a line for a table, split and contender; what is
there is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skdnn import DeepBinaryClassifier, DeepEnsembleClassifier
from skdnn.preprocessing import TableEncoder

RESULTS = Path(__file__).parent / "results"
RECORDS = RESULTS / "quality.jsonl"
OURS = "DeepEnsembleClassifier"
MLP = "MLPClassifier"

Array = np.ndarray
Make = Callable[[Array], Any]  # from the mask of categories to an estimator


def network(**parameters: Any) -> DeepBinaryClassifier:
    """Return the default network but for some parameters; batches of the splits of 3,500 rows."""
    defaults = {"alpha": 1.0, "learning_rate_init": 0.003, "batch_size": 117}
    return DeepBinaryClassifier(
        **({"hidden_layer_sizes": (128,)} | defaults | parameters)  # type: ignore[arg-type]
    )


def ours(**parameters: Any) -> Make:
    """Return a maker of the ensemble with some parameters."""
    return lambda cat: DeepEnsembleClassifier(
        categorical_features=cat, random_state=0, **parameters
    )


def peer(make: Callable[[], Any]) -> Make:
    """Return a maker of a pipeline with an encoding of scikit-learn's parts."""

    def pipeline(cat: Array) -> Any:
        numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
        categories = make_pipeline(
            SimpleImputer(strategy="most_frequent"),
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
        )
        return make_pipeline(make_column_transformer((numbers, ~cat), (categories, cat)), make())

    return pipeline


def _lightgbm() -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_jobs=1, random_state=0, verbose=-1)


def _catboost() -> Any:
    from catboost import CatBoostClassifier

    return CatBoostClassifier(random_seed=0, thread_count=1, verbose=0, allow_writing_files=False)


def _xgboost() -> Any:
    from xgboost import XGBClassifier

    return XGBClassifier(n_jobs=1, random_state=0)


PEERS: dict[str, Make] = {
    "RandomForestClassifier": peer(lambda: RandomForestClassifier(random_state=0)),
    "ExtraTreesClassifier": peer(lambda: ExtraTreesClassifier(random_state=0)),
    "HistGradientBoostingClassifier": peer(lambda: HistGradientBoostingClassifier(random_state=0)),
    MLP: peer(lambda: MLPClassifier(random_state=0)),
    "LightGBM": peer(_lightgbm),
    "CatBoost": peer(_catboost),
    "XGBoost": peer(_xgboost),
}


def kinds_with(estimator: DeepBinaryClassifier | None = None, **encoding: Any) -> Make:
    """Return a maker of the ensemble with three kinds, all of another encoding or network."""

    def make(cat: Array) -> Any:
        kinds = [
            (TableEncoder(cat, **({"n_bins": 8, "bins": bins} | encoding | off)), estimator)
            for bins, off in (("quantile", {}), ("quantile", {"n_bins": 0}), ("tree", {}))
        ]
        return DeepEnsembleClassifier(n_estimators=12, kinds=kinds, random_state=0)

    return make


def one_kind(n_estimators: int = 12, cv: Any = None, **encoding: Any) -> Make:
    """Return a maker of the ensemble with one kind of networks."""
    return lambda cat: DeepEnsembleClassifier(
        encoder=TableEncoder(cat, **encoding), n_estimators=n_estimators, cv=cv, random_state=0
    )


ABLATIONS: dict[str, Make] = {
    **{f"n_estimators={k}": ours(n_estimators=k) for k in (1, 2, 4, 8, 16, 24, 32)},
    "cv=8": ours(cv=8),
    "bins of quantiles alone": one_kind(),
    "no bins alone": one_kind(n_bins=0),
    "bins of trees alone": one_kind(bins="tree"),
    "4 bins": kinds_with(n_bins=4),
    "16 bins": kinds_with(n_bins=16),
    "missing_indicator": kinds_with(missing_indicator=True),
    "hidden_layer_sizes=(64,)": ours(estimator=network(hidden_layer_sizes=(64,))),
    "hidden_layer_sizes=(256,)": ours(estimator=network(hidden_layer_sizes=(256,))),
    "hidden_layer_sizes=(128, 128)": ours(estimator=network(hidden_layer_sizes=(128, 128))),
    "alpha=0.1": ours(estimator=network(alpha=0.1)),
    "alpha=10": ours(estimator=network(alpha=10.0)),
    "learning_rate_init=0.001": ours(estimator=network(learning_rate_init=0.001)),
    "learning_rate_init=0.01": ours(estimator=network(learning_rate_init=0.01)),
    "batch_size=32": ours(estimator=network(batch_size=32)),
    "batch_size=256": ours(estimator=network(batch_size=256)),
    "dropout=0.2": ours(estimator=network(dropout=0.2)),
    "activation='tanh'": ours(estimator=network(activation="tanh")),
}
CONTENDERS: dict[str, Make] = {OURS: ours(), **PEERS, **ABLATIONS}


def load(path: Path, n_rows: int) -> tuple[Array, Array, Array]:
    """Return X, y and which columns are categories; a random part of the rows of a large table."""
    with np.load(path) as table:
        X, y, cat = table["X"].astype(np.float64), table["y"], table["cat"]
    if len(y) > n_rows:
        rows = np.sort(np.random.RandomState(0).permutation(len(y))[:n_rows])
        X, y = X[rows], y[rows]
    return X, y.astype(int), cat


def measure(path: Path, split: int, contender: str, n_rows: int) -> dict[str, Any]:
    """Fit a contender to one split of a table, and judge it by the other part."""
    X, y, cat = load(path, n_rows)
    splitter = StratifiedShuffleSplit(2, test_size=0.3, random_state=11)
    train, test = list(splitter.split(X, y))[split]
    model = CONTENDERS[contender](cat)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLPClassifier's about its iterations
        begin = time.process_time()
        model.fit(X[train], y[train])
        fitted = time.process_time()
        probability = model.predict_proba(X[test])[:, 1]
        end = time.process_time()
    record = {
        "table": path.stem,
        "split": split,
        "contender": contender,
        "auc": float(roc_auc_score(y[test], probability)),
        "log_loss": float(log_loss(y[test], probability.clip(1e-7, 1 - 1e-7))),
        "fit": fitted - begin,
        "predict": end - fitted,
    }
    if isinstance(model, DeepEnsembleClassifier):
        record["oof_log_loss"] = model.oof_log_loss_
        losses = -np.log(np.where(y[test] == 1, probability, 1 - probability).clip(1e-7))
        record["error"] = float(losses.std() / np.sqrt(len(test)))
    return record


def read() -> dict[tuple[str, int, str], dict[str, Any]]:
    """Return the records that there are."""
    if not RECORDS.exists():
        return {}
    records = map(json.loads, RECORDS.read_text().splitlines())
    return {(r["table"], r["split"], r["contender"]): r for r in records}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--contenders", nargs="*", default=list(CONTENDERS))
    parser.add_argument("--tables", nargs="*", default=None)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--report", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    folder = Path(os.environ["SKDNN_TABLES"])
    paths = [p for p in sorted(folder.glob("*.npz")) if p.stem in (arguments.tables or [p.stem])]
    done = read()
    missing: set[str] = set()
    for contender in [] if arguments.report else arguments.contenders:
        for path in paths:
            for split in (0, 1):
                if (path.stem, split, contender) in done or contender in missing:
                    continue
                try:
                    record = measure(path, split, contender, arguments.rows)
                except ImportError as error:
                    print(f"{contender}: {error}")
                    missing.add(contender)
                    continue
                with RECORDS.open("a") as file:
                    file.write(json.dumps(record) + "\n")
        print(contender, flush=True)
    from benchmarks.quality_report import write

    write(list(read().values()))


if __name__ == "__main__":
    main()
