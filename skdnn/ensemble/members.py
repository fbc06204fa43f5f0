"""One network of an ensemble: trained on all folds but one, stopped and judged by that."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.callback import CallbackContext

from skdnn.classifier import DeepBinaryClassifier
from skdnn.datasets.prepared import PreparedRows
from skdnn.ensemble.encoded import EncodedTable
from skdnn.ensemble.folds import Fold, Rows, draw_seed
from skdnn.ensemble.judgement import Judge
from skdnn.training.rowspace import ROW_SPACE_SOLVERS
from skdnn.training.scoring import check_scorer
from skdnn.training.state import Weights

__all__ = ["Member", "fit_member"]


Array = np.ndarray


class Member(NamedTuple):
    """A fitted network, its encoder, and its logits of the rows set aside."""

    network: DeepBinaryClassifier
    encoder: Any
    says: Array


def fit_member(
    ensemble: Any,
    k: int,
    template: DeepBinaryClassifier,
    table: EncodedTable,
    fold: Fold,
    rows: Rows,
    task: CallbackContext,
    *,
    has_defaults: bool,
) -> Member:
    """Return network k of an ensemble.

    Parameters
    ----------
    ensemble : DeepEnsembleClassifier
        Whose parameters, seed and callbacks hold. Nothing is written to it.
    k : int
        Which of its networks.
    template : DeepBinaryClassifier
        What the network is a copy of.
    table : EncodedTable
        The table as it sees it.
    fold : Fold
        Rows to train on, and rows set aside.
    rows : Rows
        Labels and weights of all rows of the table.
    task : CallbackContext
        Of this network.
    has_defaults : bool
        Whether the template is not the user's.
    """
    started = time.perf_counter()
    # a user's function is given rows as they are, and a row space is spanned by them
    as_arrays = callable(template.scoring) or template.solver in ROW_SPACE_SOLVERS
    encoder, *X = table.select(fold, as_arrays=as_arrays)
    n_outputs = X[0].shape[1]
    seen = table.draw_outputs(encoder, n_outputs, draw_seed(ensemble._root, 4, k))
    if seen is not None:
        X = [_columns_of(rows, seen) for rows in X]
    parts = (fold.train, fold.held_out)
    y = [rows.y[part] for part in parts]
    weight = [None if rows.weight is None else rows.weight[part] for part in parts]
    network = clone(template)
    scoring = network.scoring
    judge = Judge(
        rows.positive[fold.held_out],
        None
        if scoring == "loss"
        else check_scorer(network, ensemble.classes_, has_weights=rows.weight is not None),
        # the same parts for all kinds, which are compared by what they say of them
        np.random.RandomState(draw_seed(ensemble._root, 3, k // ensemble._judgement.n_kinds)),
    )
    # not set_params, which would take longer than the epoch of a small table
    network.random_state = draw_seed(ensemble._root, 2, k)
    network.verbose = max(0, int(ensemble.verbose) - 1)
    network.scoring = judge
    # what nobody can set, no warning should ask for
    network._tells_outcome = not has_defaults
    data = {"X": X[0], "y": y[0], "metadata": None}
    with task.propagate_callback_context(network):
        # within it: what the network passes on to callbacks is not told to them twice
        task.call_on_fit_task_begin(estimator=ensemble, **data)
        network.fit(X[0], y[0], weight[0], X_val=X[1], y_val=y[1], sample_weight_val=weight[1])
        task.call_on_fit_task_end(estimator=ensemble, **data)
    network.scoring = scoring
    del network._tells_outcome
    if seen is not None:
        _see_all(network, seen, n_outputs)
    if ensemble.verbose:
        print(
            f"Network {k + 1} of {ensemble.n_estimators}: best of {network.n_iter_} epochs is "
            f"{network.best_iter_}, validation score = {network.best_validation_score_:.6f}, "
            f"{time.perf_counter() - started:.1f} s",
            flush=True,
        )
    return Member(network, encoder, judge.logits)


def _columns_of(rows: Any, seen: Array) -> Any:
    """Return some columns of encoded rows, of those in memory in the order of their rows."""
    if isinstance(rows, PreparedRows):
        return rows.with_columns(seen)
    return np.take(rows, seen, axis=1) if isinstance(rows, np.ndarray) else rows[:, seen]


def _see_all(network: DeepBinaryClassifier, seen: Array, n_features: int) -> None:
    """Let a network take all columns, with weights of 0 for those that it did not see."""
    first, *others = network.coefs_
    weights = np.zeros((n_features, first.shape[1]), first.dtype)
    weights[seen] = first
    network._set_weights(Weights([weights, *others], network.intercepts_))
    network.n_features_in_ = n_features
