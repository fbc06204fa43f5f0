"""Print the way of one fit through the package's files, up to where the training loop begins.

Every line is a file and the functions called in it before another file is entered; the number at
the end is how often the file changes. Fewer, longer stays read better.

    python -m benchmarks.way
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import skdnn
from skdnn import DeepBinaryClassifier

_PACKAGE = Path(skdnn.__file__).parent


def way_of_a_fit() -> list[tuple[str, list[str]]]:
    """Return the files that a fit enters in turn, and what is called in each."""
    stays: list[tuple[str, list[str]]] = []
    arrived = False

    def note(frame: FrameType, event: str, _: Any) -> None:
        nonlocal arrived
        path = Path(frame.f_code.co_filename)
        if event != "call" or arrived or _PACKAGE not in path.parents:
            return
        name = frame.f_code.co_name
        arrived = name == "minimize"
        file = path.relative_to(_PACKAGE).as_posix()
        if not stays or stays[-1][0] != file:
            stays.append((file, []))
        stays[-1][1].append(name)

    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(40, 3)), rng.randint(0, 2, 40)
    model = DeepBinaryClassifier((5,), max_iter=2, tol=None)
    sys.setprofile(note)
    try:
        model.fit(X, y)
    finally:
        sys.setprofile(None)
    return stays


def main() -> None:
    """Print the way."""
    stays = way_of_a_fit()
    for file, names in stays:
        print(f"{file:28} {', '.join(names)}")
    print(f"{len(stays) - 1} changes of file, {len({file for file, _ in stays})} files")


if __name__ == "__main__":
    main()
