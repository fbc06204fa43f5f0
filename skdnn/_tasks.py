"""Epochs as tasks of scikit-learn's callback API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.callback import CallbackContext

__all__ = ["CallbackTasks"]


class CallbackTasks:
    """Runs the hooks of an estimator's callbacks around every epoch.

    Parameters
    ----------
    context : CallbackContext
        The task of the whole fit.
    estimator : estimator
        What is being fitted.
    data : dict
        ``X``, ``y`` and ``metadata`` of the call of fit, for the hooks that ask for them.
    """

    def __init__(self, context: CallbackContext, estimator: Any, data: dict[str, Any]) -> None:
        self._context = context
        self._hook_arguments = {"estimator": estimator, **data}
        self._epoch: CallbackContext | None = None

    def reconstruct_with(self, attributes: Callable[[], dict[str, Any]]) -> None:
        """Set what makes a fitted estimator of the present parameters, called only if asked."""
        self._hook_arguments["reconstruction_attributes"] = attributes

    def begin(self) -> None:
        """Open an epoch's task."""
        self._epoch = self._context.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(**self._hook_arguments)

    def end(self) -> bool:
        """Close an epoch's task; return whether a callback wants to stop."""
        assert self._epoch is not None
        return bool(self._epoch.call_on_fit_task_end(**self._hook_arguments))
