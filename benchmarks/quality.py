"""How well models predict with their defaults: tables, peers, and what each default brings.

    SKDNN_TABLES=tables make quality

A table is ``NAME.npz`` with ``X`` (float matrix; categories as codes, NaN where missing), ``y``
(0 and 1) and ``cat`` (which columns are categories). Of larger ones 5,000 rows are drawn. Two
splits of each, 70 % to train on. Ours take the table as it is; peers get medians for gaps,
standardised numbers and one-hot categories, and are fitted by one thread; their times are without
that encoding. What changes a default is measured on half of the tables, drawn by a seed.

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
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, clone
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
from skdnn.ensemble.defaults import check_kinds, resolve_estimator
from skdnn.preprocessing import TableEncoder

RESULTS = Path(__file__).parent / "results"
RECORDS = RESULTS / "quality.jsonl"
OURS = "DeepEnsembleClassifier"
MLP = "MLPClassifier"
ENCODED_MLP = "TableEncoder, MLPClassifier"

Array = np.ndarray
Make = Callable[[Array, int], Any]  # from the mask of categories and the number of rows


def ours(**parameters: Any) -> Make:
    """Return a maker of the ensemble with some parameters."""
    return lambda cat, n_rows: DeepEnsembleClassifier(
        **({"categorical_features": cat, "random_state": 0} | parameters)
    )


def standardised(cat: Array) -> Any:
    """Return an encoder made of scikit-learn's parts."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    categories = make_pipeline(
        SimpleImputer(strategy="most_frequent"),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    )
    return make_column_transformer((numbers, ~cat), (categories, cat))


def peer(make: Callable[[], Any]) -> Make:
    """Return a maker of a pipeline with that encoding."""
    return lambda cat, n_rows: make_pipeline(standardised(cat), make())


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


def kinds(
    change: Callable[[TableEncoder, DeepBinaryClassifier], Any] = lambda encoder, network: None,
    which: tuple[int, ...] = (0, 1, 2, 3),
    n_estimators: int | None = None,
    fewest_rows: int | None = None,
) -> Make:
    """Return a maker of the ensemble with some of its kinds, encoders and networks changed.

    ``n_estimators`` is by default what these kinds have in the ensemble, ``fewest_rows`` what the
    last kind takes.
    """

    def make(cat: Array, n_rows: int) -> Any:
        whole = DeepEnsembleClassifier(categorical_features=cat)
        default = check_kinds(whole)
        if fewest_rows is not None:
            default[-1] = default[-1]._replace(fewest_rows=fewest_rows, most_columns=np.inf)
        present = [k for k, kind in enumerate(default) if kind.suits(n_rows, cat.size)]
        triples = []
        for kind in (default[k] for k in which if k in present):
            encoder, network = clone(kind.encoder), resolve_estimator(kind, n_rows, n_rows)
            change(encoder, network)
            triples.append((encoder, network, kind.max_features))
        n_networks = n_estimators or whole.n_estimators // len(present) * len(triples)
        return DeepEnsembleClassifier(kinds=triples, n_estimators=n_networks, random_state=0)

    return make


def wider(factor: float) -> Make:
    """Return a maker with other numbers of units."""
    return kinds(
        lambda _, network: network.set_params(
            hidden_layer_sizes=tuple(int(factor * size) for size in network.hidden_layer_sizes)
        )
    )


def times(name: str, factor: float) -> Make:
    """Return a maker with a parameter of the networks times a factor."""

    def change(_: Any, network: DeepBinaryClassifier) -> None:
        value = getattr(network, name) * factor
        network.set_params(**{name: round(value) if name == "batch_size" else value})

    return kinds(change)


def networks(**parameters: Any) -> Make:
    """Return a maker with other parameters of the networks."""
    return kinds(lambda _, network: network.set_params(**parameters))


def bins(instead_of: int = TableEncoder().n_bins, **parameters: Any) -> Make:
    """Return a maker with other bins in the kinds with some number of them."""

    def change(encoder: TableEncoder, _: DeepBinaryClassifier) -> None:
        if encoder.n_bins == instead_of:
            encoder.set_params(**parameters)

    return kinds(change)


def standardised_kind(cat: Array, n_rows: int) -> Any:
    """Return the ensemble, with numbers that are standardised in the kind without bins."""
    model = kinds()(cat, n_rows)
    model.kinds[1] = (standardised(cat), model.kinds[1][1])
    return model


def columns(share: float) -> Make:
    """Return a maker of the ensemble whose third kind sees another share of the columns."""

    def make(cat: Array, n_rows: int) -> Any:
        model = kinds()(cat, n_rows)
        model.kinds[2] = (*model.kinds[2][:2], share)
        return model

    return make


class PlainMean(ClassifierMixin, BaseEstimator):
    """The ensemble, if all networks counted the same."""

    def __init__(self, ensemble: DeepEnsembleClassifier) -> None:
        self.ensemble = ensemble

    def fit(self, X: Array, y: Array) -> PlainMean:
        self.ensemble.fit(X, y)
        return self

    def predict_proba(self, X: Array) -> Array:
        positive = self.ensemble.member_proba(X).mean(axis=1)
        return np.column_stack([1 - positive, positive])


def mlp_on_ours(cat: Array, n_rows: int) -> Any:
    """Return what our fit and prediction are to be compared with in time."""
    return make_pipeline(TableEncoder(cat), MLPClassifier(random_state=0))


# On all tables
VARIANTS: dict[str, Make] = {
    **{f"random_state={k}": ours(random_state=k) for k in (1, 2)},
    **{f"n_estimators={k}": ours(n_estimators=k) for k in (1, 2, 4, 8, 12, 16, 32)},
    "without the kind of one layer": kinds(which=(0, 1, 3)),
    "all columns for the kind of one layer": columns(1.0),
    "without the kind of fine bins, as many networks": kinds(which=(0, 1, 2), n_estimators=24),
    "the kind of fine bins on all tables": kinds(fewest_rows=0),
    "target_encoding=False, so no numbers are names": kinds(
        lambda encoder, _: encoder.set_params(target_encoding=False)
    ),
}
# On half of them, drawn by a seed
ABLATIONS: dict[str, Make] = {
    "all networks count the same": lambda cat, n: PlainMean(ours()(cat, n)),
    "without the kind without bins": kinds(which=(0, 2, 3)),
    "bins, two layers, alone": kinds(which=(0,)),
    "no bins, two layers, alone": kinds(which=(1,)),
    "bins, one layer, 60 % of the columns, alone": kinds(which=(2,)),
    "4 folds, each twice": ours(cv=4),
    "40 % of the columns for the kind of one layer": columns(0.4),
    "80 % of the columns for the kind of one layer": columns(0.8),
    "16 fine bins": bins(32, n_bins=16),
    "64 fine bins": bins(32, n_bins=64),
    "n_bins=4": bins(n_bins=4),
    "n_bins=16": bins(n_bins=16),
    "n_bins=32": bins(n_bins=32),
    "bins='tree'": bins(bins="tree"),
    **{
        f"missing_indicator={always}": kinds(
            lambda encoder, _, always=always: encoder.set_params(missing_indicator=always)
        )
        for always in (True, False)
    },
    "standardised instead of clipped smoothly": standardised_kind,
    "half as many units": wider(0.5),
    "twice as many units": wider(2),
    "alpha=0.1": networks(alpha=0.1),
    "alpha=0.3": networks(alpha=0.3),
    "alpha=3": networks(alpha=3.0),
    "half the learning rates": times("learning_rate_init", 0.5),
    "twice the learning rates": times("learning_rate_init", 2),
    "half the batches": times("batch_size", 0.5),
    "twice the batches": times("batch_size", 2),
    "n_iter_no_change=6": networks(n_iter_no_change=6),
    "n_iter_no_change=10": networks(n_iter_no_change=10),
    "n_iter_no_change=20": networks(n_iter_no_change=20),
    "dropout=0.2": networks(dropout=0.2),
}
CONTENDERS: dict[str, Make] = {
    OURS: ours(),
    **PEERS,
    ENCODED_MLP: mlp_on_ours,
    **VARIANTS,
    **ABLATIONS,
}


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
    model = CONTENDERS[contender](cat, len(train))
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
        error = 0.0  # of the difference of the two log losses
        for rows, chance in ((test, probability), (train, expit(model.oof_decision_function_))):
            losses = -np.log(np.where(y[rows] == 1, chance, 1 - chance).clip(1e-7))
            error += losses.var() / len(rows)
        record["error"] = float(np.sqrt(error))
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
    half = np.random.RandomState(0).permutation(len(paths))[: (len(paths) + 1) // 2]
    for contender in [] if arguments.report else arguments.contenders:
        chosen = [paths[k] for k in sorted(half)] if contender in ABLATIONS else paths
        for path in chosen:
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
        ablations=[ENCODED_MLP, *VARIANTS, *ABLATIONS],
    )


if __name__ == "__main__":
    main()
