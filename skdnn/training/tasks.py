"""Epochs as tasks of scikit-learn's callback API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sklearn.callback import CallbackContext

from skdnn.training.state import Progress

__all__ = ["CallbackTasks", "FitRun"]


@dataclass
class FitRun:
    """One call of fit as `Checkpoint` sees it: attribute ``skdnn_run`` of its root context.

    Attributes
    ----------
    hash_data : callable or None
        Returns hashes of what the estimator is fitted to, by name; None once training has begun,
        so that nothing is kept for it.
    before : dict or None
        Fitted attributes that the call goes on from (``warm_start``).
    progress : Progress or None
        What training is to go on from, set before the first epoch.
    get_progress : weak reference to a callable
        Which returns where training stands, between epochs. Weak, since searches keep the context.
    data : dict
        The hashes, if they were asked for in time.
    """

    hash_data: Callable[[], dict[str, str]] | None
    before: dict[str, Any] | None
    progress: Progress | None = None
    get_progress: Callable[[], Callable[[], Progress] | None] = lambda: None
    data: dict[str, str] = field(default_factory=dict)

    def note_data(self) -> dict[str, str]:
        """Hash the data, unless that was done, and return the hashes."""
        if self.hash_data is not None and not self.data:
            self.data = self.hash_data()
        return self.data


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
