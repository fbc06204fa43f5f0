"""How well models predict with their defaults: tables, peers, and what each default brings.

    SKDNN_TABLES=tables make quality

A table is ``NAME.npz`` with ``X`` (float matrix; categories as codes, NaN where missing), ``y``
(0 and 1) and ``cat`` (which columns are categories). Of larger ones 5,000 rows are drawn. Two
splits of each, 70 % to train on. Ours take the table as it is; peers get medians for gaps,
standardised numbers and one-hot categories, and are fitted by one thread; their times are without
that encoding.

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

from benchmarks.quality_report import write
from skdnn import DeepBinaryClassifier, DeepEnsembleClassifier
from skdnn.preprocessing import TableEncoder

RESULTS = Path(__file__).parent / "results"
RECORDS = RESULTS / "quality.jsonl"
OURS = "DeepEnsembleClassifier"
MLP = "MLPClassifier"
ENCODED_MLP = "TableEncoder, MLPClassifier"

Array = np.ndarray
Make = Callable[[Array], Any]  # from the mask of categories to an estimator


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


def kinds(encoding: dict[str, Any] | None = None, **network: Any) -> Make:
    """Return a maker of the ensemble with something else in its encoders or networks."""

    def make(cat: Array) -> Any:
        pairs = []
        for bins, sizes, rate in ((8, (128,), 0.003), (0, (64, 64), 0.004)):
            encoder = TableEncoder(cat, n_bins=bins)
            changes = {k: v for k, v in (encoding or {}).items() if bins or k != "n_bins"}
            parameters = {"hidden_layer_sizes": sizes, "learning_rate_init": rate, "alpha": 1.0}
            # splits of 5,000 rows; the default for fewer
            estimator = DeepBinaryClassifier(**(parameters | {"batch_size": 117} | network))
            pairs.append((encoder.set_params(**changes), estimator if network else None))
        return DeepEnsembleClassifier(kinds=pairs, random_state=0)

    return make


def one_kind(**encoding: Any) -> Make:
    """Return a maker of the ensemble with one kind of networks."""
    return lambda cat: DeepEnsembleClassifier(
        encoder=TableEncoder(cat, **encoding), n_estimators=16, random_state=0
    )


def mlp_on_ours(cat: Array) -> Any:
    """Return what our fit and prediction are to be compared with in time."""
    return make_pipeline(TableEncoder(cat), MLPClassifier(random_state=0))


ABLATIONS: dict[str, Make] = {
    **{f"n_estimators={k}": ours(n_estimators=k) for k in (1, 2, 4, 8, 24, 32)},
    "cv=4": ours(cv=4),
    "bins alone": one_kind(),
    "no bins alone": one_kind(n_bins=0),
    "bins of trees alone": one_kind(bins="tree"),
    "n_bins=4": kinds({"n_bins": 4}),
    "n_bins=16": kinds({"n_bins": 16}),
    "missing_indicator=True": kinds({"missing_indicator": True}),
    "hidden_layer_sizes=(64,)": kinds(hidden_layer_sizes=(64,)),
    "hidden_layer_sizes=(256,)": kinds(hidden_layer_sizes=(256,)),
    "hidden_layer_sizes=(128, 128)": kinds(hidden_layer_sizes=(128, 128)),
    "alpha=0.1": kinds(alpha=0.1),
    "alpha=10": kinds(alpha=10.0),
    "learning_rate_init=0.001": kinds(learning_rate_init=0.001),
    "learning_rate_init=0.01": kinds(learning_rate_init=0.01),
    "batch_size=32": kinds(batch_size=32),
    "batch_size=200": kinds(batch_size=200),
    "dropout=0.2": kinds(dropout=0.2),
}
CONTENDERS: dict[str, Make] = {OURS: ours(), **PEERS, ENCODED_MLP: mlp_on_ours, **ABLATIONS}


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
    X_train, X_test = X[train], X[test]
    if contender in PEERS:  # timed without the encoding
        encoding, model = model[:-1], model[-1]
        X_train, X_test = encoding.fit_transform(X_train), encoding.transform(X_test)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLPClassifier's about its iterations
        begin = time.process_time()
        model.fit(X_train, y[train])
        fitted = time.process_time()
        probability = model.predict_proba(X_test)[:, 1]
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
    write(
        list(read().values()),
        ours=OURS,
        peers=list(PEERS),
        ablations=[ENCODED_MLP, *ABLATIONS],
    )


if __name__ == "__main__":
    main()
