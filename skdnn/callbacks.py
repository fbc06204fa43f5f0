"""Callbacks that scikit-learn lacks: checkpoints of training, and going on from them."""

from __future__ import annotations

import os
import re
from numbers import Integral
from pathlib import Path
from typing import Any

from sklearn.callback import CallbackContext

from skdnn.classifier import DeepBinaryClassifier
from skdnn.container.container import StrPath, check_path, open_container, write_container
from skdnn.persistence.checkpoint import checkpoint_of, pack_checkpoint
from skdnn.persistence.model import pack_parameters, parameters_to_save, unpack_parameters
from skdnn.training.tasks import FitRun

__all__ = ["Checkpoint", "load_checkpoint"]


class Checkpoint:
    """Writes where training stands to a file, so that a killed run can go on to the same bits.

    A callback of scikit-learn's for `DeepBinaryClassifier.set_callbacks`. What it writes is
    everything that the rest of training depends on: parameters, solver moments, generator, epoch,
    schedule, the memory of early stopping, curves, and hashes of parameters and data. A file is
    written beside its place, brought to the disk and moved there: a kill at any moment leaves a
    whole one, and perhaps a hidden one that ends in ``.tmp``. That takes some milliseconds: choose
    ``every`` so that an epoch's share of them does not matter.

    If there is a file when `fit` begins, training goes on from it, provided that parameters and
    data are the same. A script that was killed is simply run again. A file whose training has
    ended gives its result at once. To train anew, remove the file. With ``warm_start``, a `fit`
    that goes on from a fitted model replaces the file.

    Within a meta-estimator that supports callbacks (`GridSearchCV`, `Pipeline`), set it on the
    network itself: every fit then has a file of its own, named after the chain of tasks that leads
    to it, such as ``run.fit-0.search-0.candidate-split-evaluation-3.ckpt`` for ``run.ckpt``. A
    search that was killed is started again and finds them; its candidates and folds must be the
    same. Functions without callbacks, such as `cross_val_score`, would have all fits meet in one
    file: the second one fails.

    Parameters
    ----------
    path : str or path-like
        The file. Its folder must exist.
    every : int, default=1
        A file is written every so many epochs, and at the end of training.

    Raises
    ------
    TypeError or ValueError
        When ``path`` or ``every`` is of another kind. By `fit`: when the file is a checkpoint of
        other parameters or data, which are named, or when a parameter has no form in a file (a
        callable, a RandomState).
    ModelFileError
        By `fit`, when there is a file that is no whole checkpoint.
    OSError
        By `fit`, when the file cannot be written; the one before is kept.

    See Also
    --------
    load_checkpoint : The estimator itself, from the file alone.

    Notes
    -----
    'gd', 'sgd', 'adam' and 'adamw' end with the same bits as a run that was never killed, on the
    same machine with the same libraries and number of threads; elsewhere with the same numbers up
    to rounding, or, where the coordinates of the row space of linearly dependent rows turn out
    otherwise, with a ValueError. 'lbfgs' goes on from the parameters with an empty history. Data in
    memory are recognised by a hash of their contents; data that stay in a file by shape, dtype,
    size and 1,000 of their rows. What other callbacks keep is theirs to restore.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_breast_cancer
    >>> from skdnn import Checkpoint, DeepBinaryClassifier, load_checkpoint
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> X /= X.max(axis=0)
    >>> path = Path(tempfile.mkdtemp(), "run.ckpt")
    >>> model = DeepBinaryClassifier((8,), max_iter=20, tol=None, random_state=0)
    >>> model = model.set_callbacks(Checkpoint(path, every=5)).fit(X, y)
    >>> again = load_checkpoint(path).fit(X, y)  # had it been killed, this would go on
    >>> bool((again.coefs_[0] == model.coefs_[0]).all())
    True
    """

    def __init__(self, path: StrPath, every: int = 1) -> None:
        if os.path.basename(check_path(path)) in ("", os.curdir, os.pardir):  # noqa: PTH119
            raise ValueError(f"path must name a file, got {str(path)!r}.")
        if isinstance(every, bool) or not isinstance(every, Integral) or every < 1:
            raise ValueError(f"every must be an integer of at least 1, got {every!r}.")
        self.path: Path = Path(path).absolute()  # wherever the process goes from here
        self.every: int = int(every)

    def __repr__(self) -> str:
        return f"Checkpoint({str(self.path)!r}, every={self.every})"

    def setup(self, estimator: Any, context: CallbackContext) -> None:
        """Check before training that there will be something to write, and a place for it."""
        if not isinstance(estimator, DeepBinaryClassifier):
            raise TypeError(
                f"Checkpoint serves DeepBinaryClassifier, got {type(estimator).__name__}: in a "
                "pipeline or a search, call set_callbacks on the network itself. An ensemble has "
                "no checkpoints: train it in steps, by warm_start=True."
            )
        if getattr(context.parent, "skdnn_is_ensemble", False):
            raise ValueError(
                "Checkpoint is of a single network, and this one is an ensemble's: train that in "
                "steps, by warm_start=True, and keep each by joblib.dump."
            )
        # what could not be loaded again is not worth a file
        unpack_parameters(pack_parameters(parameters_to_save(estimator)))
        folder = self._path_of(context).parent
        if not folder.is_dir():
            raise FileNotFoundError(f"Checkpoint path={str(self.path)!r}: no folder {folder}.")

    def teardown(self, estimator: Any, context: CallbackContext) -> None:
        """Do nothing."""

    def on_fit_task_begin(self, estimator: Any, context: CallbackContext) -> None:
        """Let a fit go on from the file, if there is one."""
        run: FitRun | None = getattr(context, "skdnn_run", None)
        if run is None:
            return
        run.hash_data()
        path, held = self._path_of(context), run.progress
        # of a loaded estimator whose fit failed, the file may be further than what it holds
        wanted = run.before is None if held is None else held.source == str(path)
        if not wanted or not path.exists():
            return
        found = checkpoint_of(open_container(path), path)
        went_on = hasattr(found, "coefs_")
        if held is None and went_on:
            raise ValueError(
                f"The checkpoint {path} is of a fit that went on from a fitted model (warm_start), "
                "and this one begins anew: load_checkpoint goes on with it; or remove the file."
            )
        n_held = 0 if held is None else len(held.curves["loss"])
        if went_on == (run.before is not None) and len(found._progress.curves["loss"]) > n_held:
            run.progress = found._progress

    def on_fit_task_end(self, estimator: Any, context: CallbackContext) -> None:
        """Write the file after every ``every``-th epoch, and after the last."""
        at_the_end = hasattr(context, "skdnn_run")
        root = context if at_the_end else context.parent
        run: FitRun = root.skdnn_run
        progress = run.get_progress()
        if progress is None:
            return
        n_epochs = len(progress.curves["loss"])
        # lbfgs may end before its first iteration does: there is nothing to go on from
        if not n_epochs or (not at_the_end and n_epochs % self.every):
            return
        path, held = self._path_of(root), run.progress
        if (
            held is not None
            and held.source == str(path)
            and len(held.curves["loss"]) == n_epochs
            and held.ended == progress.ended
        ):
            return  # the file says so already
        before = None
        if run.before is not None:
            before = DeepBinaryClassifier(**parameters_to_save(estimator))
            before.__dict__.update(run.before)
        attributes, arrays = pack_checkpoint(estimator, progress, before)
        write_container(path, kind="checkpoint", attributes=attributes, arrays=arrays)

    def _path_of(self, context: CallbackContext | None) -> Path:
        """Return the file of the fit whose root task the context is of."""
        path = self.path
        tasks: list[str] = []
        if context is not None and context.parent is not None:
            while context is not None:
                name = re.sub(r"\W+", "-", context.source_task_name or context.task_name)
                tasks.insert(0, f"{name}-{context.task_id}")
                context = context.parent
        return path.with_name(".".join([path.stem, *tasks]) + path.suffix)


def load_checkpoint(path: StrPath) -> DeepBinaryClassifier:
    """Load an estimator from a checkpoint; its `fit` goes on from there.

    Parameters
    ----------
    path : str or path-like
        File that `Checkpoint` wrote.

    Returns
    -------
    DeepBinaryClassifier
        With the parameters that it had, and a `Checkpoint` on the same file, which writes after
        every epoch (`set_callbacks` sets others). Call `fit` with the data that it was fitted to:
        it goes on, also where a callback had ended training. Until then it is not fitted or, where
        a second `fit` was killed (``warm_start``), what the first one left.

    Raises
    ------
    ModelFileError
        When the file is anything but a whole checkpoint in a format that this version knows.
    OSError
        When the file cannot be opened.

    See Also
    --------
    Checkpoint : Writes the file; has an example of both.

    Examples
    --------
    >>> from skdnn import load_checkpoint
    >>> load_checkpoint("no such file")
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'no such file'
    """
    model = checkpoint_of(open_container(path), Path(path).absolute())
    if model._progress.ended == "callback":
        model._progress.ended = ""
    return model.set_callbacks(Checkpoint(path))
