"""A table as networks see it: encoders fitted once, or for each fold, and rows of either.

An encoder that looks at labels must not see those of the fold that is set aside, so what it learns
of them is learned for each network anew. Of any other transformer than `TableEncoder` nobody knows
what that is: all of it is fitted anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.base import clone
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import check_array, gen_batches

from skdnn import kernels
from skdnn.datasets.columns import check_columns, check_no_dates
from skdnn.datasets.prepared import PreparedRows
from skdnn.ensemble.defaults import is_identity
from skdnn.ensemble.folds import Fold, take
from skdnn.preprocessing import TableEncoder

__all__ = ["EncodedTable", "encoded_blocks", "resolve_encoder"]

Array = np.ndarray

# Entries of a block of encoded rows
_BLOCK_SIZE = 2**20

# Bytes of encoded rows from which on they are encoded when they are needed
_LARGE = 2**26

# Of seeds that are drawn
_LARGEST_SEED = np.iinfo(np.int32).max

# Rows that the kernels of matrix products take together, at most
_TILE = 16

# Of what encoder=None cannot take
_ADVICE = "leave encoder=None out, so that X is encoded."


def resolve_encoder(encoder: Any, seed: int) -> Any:
    """Return an unfitted encoder of what the user gave, with seeds wherever it draws."""
    if encoder is None:
        return FunctionTransformer().set_output(transform="default")
    encoder = clone(encoder)
    seeds = _seeds(encoder.get_params(), seed)
    if seeds:
        encoder.set_params(**seeds)
    return encoder


def _seeds(parameters: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return integers for the generators among an encoder's parameters, nested ones included.

    A generator that the networks shared would draw in the order in which they are trained.
    """
    drawn = np.random.RandomState(seed)
    seeds: dict[str, Any] = {}
    for name in sorted(parameters):
        owner, _, last = name.rpartition("__")
        if last != "random_state":
            continue
        value = parameters[name]
        own = drawn.randint(_LARGEST_SEED) if owner else seed
        if value is None:
            seeds[name] = own
        elif isinstance(value, np.random.RandomState):
            seeds[name] = value.randint(_LARGEST_SEED)
        elif isinstance(value, str):  # "deprecated", as of TargetEncoder: folds are what draws
            seeds |= _seeded_folds(parameters, f"{owner}__" if owner else "", own)
    return seeds


def _seeded_folds(parameters: dict[str, Any], prefix: str, seed: int) -> dict[str, Any]:
    """Return the folds that TargetEncoder makes of a number, with a seed."""
    n_folds, shuffle = parameters.get(f"{prefix}cv"), parameters.get(f"{prefix}shuffle")
    if not (isinstance(n_folds, Integral) and isinstance(shuffle, str)):
        return {}
    is_number = parameters.get(f"{prefix}target_type") == "continuous"
    kind = KFold if is_number else StratifiedKFold
    return {f"{prefix}cv": kind(n_folds, shuffle=True, random_state=seed)}


class EncodedTable:
    """What networks of one kind see of the rows that they are trained on.

    Parameters
    ----------
    encoder : transformer
        Unfitted, unless ``fitted`` is True.
    X : table of n_samples rows
    y : ndarray of shape (n_samples,)
        Labels.
    fitted : bool
        Whether the encoder is fitted already.
    max_features : float
        Share of the columns that a network sees.
    others : sequence of EncodedTable
        Of other kinds: what is prepared of the table is shared with those that prepare the same.

    Attributes
    ----------
    encoder : transformer
        Fitted to all rows.
    """

    def __init__(
        self,
        encoder: Any,
        X: Any,
        y: Array,
        *,
        fitted: bool,
        max_features: float = 1.0,
        others: Sequence[EncodedTable] = (),
    ) -> None:
        self._is_ours = isinstance(encoder, TableEncoder)
        if self._is_ours:  # which takes any two labels, but bytes
            y = np.unique(y, return_inverse=True)[1].astype(np.int8)
        self._X, self._y, self._max_features = X, y, max_features
        self.encoder = encoder
        self._rows: Any = None
        if self._is_ours:
            same = [o for o in others if o._is_ours and o.encoder._prepares_as(encoder)]
            if fitted:
                self._rows = same[0]._rows if same else encoder._prepare(X)
            elif same:
                self._rows = same[0]._rows
                twins = [o.encoder for o in same if o.encoder._encodes_as(encoder)]
                with_other_bins, parameters = same[0].encoder._of_rows, encoder.get_params()
                self.encoder = twins[0] if twins else with_other_bins(self._rows, y, parameters)[0]
            else:
                self._rows, _ = encoder._learn(X, y)
        elif is_identity(encoder):
            self._rows = _as_rows(X, encoder, X.shape[0])
        elif not fitted:
            encoder.fit(X, y)

    @property
    def n_inputs(self) -> int:
        """Dense inputs of a network, as far as they are known before it is trained; 1 at least."""
        n_outputs = self.encoder.n_outputs_ if self._is_ours else self._X.shape[1]
        is_sparse = scipy.sparse.issparse(self._X)
        return 1 if is_sparse else max(1, round(self._max_features * n_outputs))

    def draw_outputs(self, encoder: Any, n_outputs: int, seed: int) -> Array | None:
        """Return which outputs of an encoder a network sees; None: all of them.

        Those of a random share of the columns [1]_, of one at least.

        References
        ----------
        .. [1] Ho (1998). The random subspace method for constructing decision forests. IEEE
           Transactions on Pattern Analysis and Machine Intelligence 20(8).
        """
        if self._max_features == 1:
            return None
        sources = encoder._sources if self._is_ours else np.arange(n_outputs)
        columns = np.unique(sources)
        n_seen = max(1, round(self._max_features * columns.size))
        seen = np.random.RandomState(seed).choice(columns, n_seen, replace=False)
        return np.flatnonzero(np.isin(sources, seen))

    def select(self, fold: Fold, *, as_arrays: bool) -> tuple[Any, Any, Any]:
        """Return the encoder of a fold, the encoded rows to train on, and those set aside.

        ``as_arrays``: as what they are once encoded, if that is not too large.
        """
        train, held_out = fold.train, fold.held_out
        encoder, y = self.encoder, self._y[train]
        if not self._is_ours:
            if self._rows is not None:
                return encoder, self._rows[train], self._rows[held_out]
            encoder = clone(encoder)
            # not fit and transform: a cross-fitted encoding of rows that were fitted is another
            encoded = _fit_transform(encoder, take(self._X, train), y)
            rows = _as_rows(encoded, encoder, train.size)
            return encoder, rows, _transform(encoder, self._of(held_out))
        rows = self._rows
        if encoder.uses_target_:
            encoder, crossed = encoder._of_rows(rows[train], y)
            rows = encoder._with_log_odds(rows, train, crossed)
        is_prepared = _is_large(encoder, rows) if as_arrays else _are_looked_up(encoder, rows)
        return encoder, *(_as_taken(encoder, rows, part, is_prepared) for part in (train, held_out))

    def _of(self, rows: Array) -> Any:
        return take(self._X, rows)


def _is_large(encoder: TableEncoder, rows: Any) -> bool:
    """Return whether an encoding takes much memory, and more than the prepared rows."""
    if not isinstance(rows, np.ndarray):
        return False
    n_bytes = rows.shape[0] * encoder.n_outputs_ * rows.itemsize
    return n_bytes > max(_LARGE, rows.nbytes)


def _are_looked_up(encoder: TableEncoder, rows: Any) -> bool:
    """Return whether networks take prepared rows: compiled kernels look up the encoding."""
    if encoder._scaler is not None:  # of sparse rows, which dense ones may follow
        return False
    return isinstance(rows, np.ndarray) and (
        kernels.compiled is not None or _is_large(encoder, rows)
    )


def _as_taken(encoder: TableEncoder, rows: Any, places: Array, is_prepared: bool) -> Any:
    """Return some prepared rows as networks take them: as they are, or encoded."""
    if is_prepared:
        return PreparedRows(rows, encoder._layout, places)
    return encoder._encode(rows, places)


def encoded_blocks(encoders: Sequence[Any], X: Any) -> Iterator[tuple[slice, Any, Any]]:
    """Return encoded rows of a table, block by block, as float32.

    Parameters
    ----------
    encoders : sequence of transformers
        Fitted; those that are the same object encode once.
    X : table
        Checked already.

    Yields
    ------
    rows : slice
        Rows of a block.
    encoder : transformer
        Each of ``encoders`` in turn.
    block : {ndarray, PreparedRows, CSR matrix} of shape (n_rows or a little more, n_columns)
        Dense blocks are filled up to a number of rows that matrix products take together, so that
        a row's prediction is the same whatever rows come with it.
    """
    groups: dict[int, list[Any]] = {}
    for encoder in {id(encoder): encoder for encoder in encoders}.values():
        shared = encoder._columns if isinstance(encoder, TableEncoder) else encoder
        groups.setdefault(id(shared), []).append(encoder)
    for group in groups.values():
        is_ours = isinstance(group[0], TableEncoder)
        rows = group[0]._prepare(X, is_checked=True) if is_ours else _transform(group[0], X)
        if scipy.sparse.issparse(rows):
            n_entries = 1 + rows.nnz // rows.shape[0]
        else:
            n_entries = max(e.n_outputs_ for e in group) if is_ours else rows.shape[1]
        size = max(1, _BLOCK_SIZE // (n_entries * _TILE)) * _TILE
        for place in gen_batches(rows.shape[0], size):
            block = rows[place]
            n_rows = block.shape[0]
            places = np.arange(n_rows + -n_rows % _TILE).clip(max=n_rows - 1)
            for encoder in group:
                if is_ours:
                    filled = encoder._with_log_odds(block)
                    is_prepared = _are_looked_up(encoder, filled)
                    yield place, encoder, _as_taken(encoder, filled, places, is_prepared)
                else:
                    yield place, encoder, _fill_up(block)


def _fill_up(block: Any) -> Any:
    """Return dense rows and zeros, so that matrix products take whole tiles."""
    missing = -block.shape[0] % _TILE
    if not (missing and isinstance(block, np.ndarray)):
        return block
    return np.concatenate([block, np.zeros((missing, block.shape[1]), block.dtype)])


def _fit_transform(encoder: Any, X: Any, y: Array) -> Any:
    if hasattr(encoder, "fit_transform"):
        return encoder.fit_transform(X, y)
    encoder.fit(X, y)
    return encoder.transform(X)


def _transform(encoder: Any, X: Any) -> Any:
    return _as_rows(encoder.transform(X), encoder, X.shape[0])


def _as_rows(encoded: Any, encoder: Any, n_rows: int) -> Any:
    """Return what a transformer gave, of so many rows, as float32 rows."""
    is_own = is_identity(encoder)
    name = "X" if is_own else f"encoded by {type(encoder).__name__}"
    if is_own:
        check_no_dates(encoded, _ADVICE)
    try:
        with np.errstate(all="ignore"):  # what overflows float32 is infinite, which is an error
            rows = check_array(
                encoded, accept_sparse="csr", dtype=np.float32, order="C", input_name=name
            )
    except (TypeError, ValueError) as error:
        if is_own:
            check_columns(encoded, error, _ADVICE)
        if name in str(error):
            raise
        raise type(error)(f"X, {name}, is no matrix of numbers: {error}") from error
    if rows.shape[0] != n_rows:
        raise ValueError(f"X, {name}, has {rows.shape[0]} rows, but there were {n_rows} of them.")
    return rows
