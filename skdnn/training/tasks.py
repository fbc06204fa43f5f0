"""A call of fit, and its epochs, as tasks of scikit-learn's callback API."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from sklearn.callback import CallbackContext

from skdnn.training.state import Call, Progress

__all__ = ["CallbackTasks", "FitRun"]


class FitRun:
    """One call of fit as callbacks see it, while it lasts: ``skdnn_run`` of its root context.

    Entered, it lets the callbacks begin, any of which may set `progress`. Left, it lets them end,
    unless fit failed. Searches keep the context; what is left of a run there holds no data. A
    call of partial_fit has no callbacks.

    Parameters
    ----------
    estimator : DeepBinaryClassifier
        What is being fitted.
    call : Call
        The call.
    data : dict
        ``X``, ``y`` and ``metadata`` of the call, for the hooks that ask for them.
    hash_data : callable
        ``hash_data(call)`` returns hashes of what the call was given, by argument.
    before : dict or None
        Fitted attributes that the call goes on from (``warm_start``).
    attributes : callable
        ``attributes(training)`` returns what makes a fitted estimator of the present parameters.

    Attributes
    ----------
    before : dict or None
        As given.
    tasks : CallbackTasks or None
        What runs the callbacks around every epoch, if there are any.
    training : Training or None
        What callbacks look into; to be set before the first epoch.
    interrupted : bool
        Whether the user wants to stop (Ctrl-C); what was trained is kept.
    """

    def __init__(
        self,
        estimator: Any,
        call: Call,
        data: dict[str, Any],
        *,
        hash_data: Callable[[Call], dict[str, str]],
        before: dict[str, Any] | None,
        attributes: Callable[[Any], dict[str, Any]],
    ) -> None:
        self.before = before
        self.tasks: CallbackTasks | None = None
        self.interrupted = False
        self._estimator, self._call, self._data = estimator, call, data
        self._hash_data, self._attributes = hash_data, attributes
        self.training: Any = None
        self._context: Any = None

    @property
    def progress(self) -> Progress | None:
        """What training goes on from; to be set before the first epoch."""
        return self._call.progress

    @progress.setter
    def progress(self, progress: Progress | None) -> None:
        self._call.progress = progress

    def hash_data(self) -> None:
        """Hash what the estimator is fitted to, for `get_progress`; before training changes it."""
        self._hash_data(self._call)

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Stay out of pickles: of estimators that a callback saves, which hold the context."""
        return type(None), ()

    def __enter__(self) -> Self:
        if self._call.incremental:
            return self
        estimator = self._estimator
        self.progress = getattr(estimator, "_progress", None)  # set by `load_checkpoint`
        self._context = context = estimator._init_callback_context(max_subtasks=estimator.max_iter)
        context.skdnn_run = self
        try:
            context.call_on_fit_task_begin(estimator=estimator, **self._data)
        except BaseException:
            del context.skdnn_run
            raise
        if getattr(estimator, "_skl_callbacks", None):
            self.tasks = CallbackTasks(
                context,
                estimator=estimator,
                reconstruction_attributes=lambda: self._attributes(self.training),
                **self._data,
            )
        return self

    def get_progress(self) -> Progress | None:
        """Return where training stands, between epochs; None where it cannot go on from there."""
        progress: Progress | None = self.training.get_progress()
        if progress is not None:
            progress.data = self._call.hashes
        return progress

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._context is None:
            return
        try:
            if error is None:
                self._end()
        finally:
            del self._context.skdnn_run

    def _end(self) -> None:
        try:
            self._context.call_on_fit_task_end(
                estimator=self._estimator, reconstruction_attributes={}, **self._data
            )
        except KeyboardInterrupt:
            self.interrupted = True  # training is over: keep it
        self._estimator.__dict__.pop("_progress", None)


class CallbackTasks:
    """Runs the hooks of an estimator's callbacks around every epoch.

    Parameters
    ----------
    context : CallbackContext
        The task of the whole fit.
    **hook_arguments : dict
        What the hooks may ask for, by name.
    """

    def __init__(self, context: CallbackContext, **hook_arguments: Any) -> None:
        self._context = context
        self._hook_arguments = hook_arguments
        self._epoch: CallbackContext | None = None

    def begin(self) -> None:
        """Open an epoch's task."""
        self._epoch = self._context.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(**self._hook_arguments)

    def end(self) -> bool:
        """Close an epoch's task; return whether a callback wants to stop."""
        assert self._epoch is not None
        return bool(self._epoch.call_on_fit_task_end(**self._hook_arguments))
