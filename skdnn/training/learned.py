"""What a call of fit sets on an estimator, and how it is taken back when the call fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from skdnn.solvers import DivergenceError

__all__ = ["Learned"]


class Learned:
    """Mixin of estimators that a failed call leaves as they were."""

    # besides the public attributes, which end with an underscore
    _learned_privately: ClassVar[tuple[str, ...]] = ()

    def _learned(self) -> dict[str, Any]:
        """Return what fit has set, by attribute."""
        return {
            name: value
            for name, value in vars(self).items()
            if (name.endswith("_") and not name.startswith("_")) or name in self._learned_privately
        }

    @contextmanager
    def _unchanged_on_error(self, *, diverged_is_unfitted: bool = False) -> Iterator[None]:
        """Take back what a failed call set; after divergence perhaps the fitted model too."""
        before = self._learned()
        try:
            yield
        except BaseException as error:
            for name in self._learned():
                delattr(self, name)
            if not (diverged_is_unfitted and isinstance(error, DivergenceError)):
                self.__dict__.update(before)
            raise
