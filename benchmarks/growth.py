"""How cost grows: time per epoch against samples, features, width and depth, as a picture.

``python -m benchmarks.growth`` writes growth.png and growth.json to benchmarks/results.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.cases import dense_data
from benchmarks.contenders import Training, fit_mlp, fit_ours, fit_torch, has_torch
from benchmarks.report import environment
from benchmarks.timing import Contender, alternate, medians

RESULTS = Path(__file__).parent / "results"

_FIT = {"ours": fit_ours, "mlp": fit_mlp, "torch": fit_torch}
# Colours of Okabe and Ito, told apart by any eye; markers and dashes for print without colour
_STYLES = {
    "ours": {"label": "skdnn", "color": "#D55E00", "marker": "o", "linestyle": "-"},
    "mlp": {"label": "MLPClassifier", "color": "#0072B2", "marker": "s", "linestyle": "--"},
    "torch": {"label": "torch (CPU)", "color": "#009E73", "marker": "^", "linestyle": ":"},
}
# Shorter runs say more about the first epoch than about an epoch
_LEAST_SECONDS = 0.2
_MOST_EPOCHS = 20


@dataclass(frozen=True)
class Task:
    """A network and the size of its data; one of the four grows."""

    samples: int = 10_000
    features: int = 50
    width: int = 64
    depth: int = 2

    def training(self, epochs: int) -> Training:
        """Return how to train: Adam on batches of 200."""
        return Training((self.width,) * self.depth, "adam", epochs, 200)


@dataclass(frozen=True)
class Panel:
    """One axis along which cost grows."""

    quantity: str  # field of Task
    label: str
    values: Sequence[int]

    def task(self, value: int) -> Task:
        """Return the task at a value of the axis."""
        return Task(**{self.quantity: value})


PANELS = (
    Panel("samples", "samples", (1_000, 3_000, 10_000, 30_000, 100_000)),
    Panel("features", "features", (10, 30, 100, 300, 1_000, 3_000)),
    Panel("width", "units of each hidden layer", (8, 16, 32, 64, 128, 256, 512)),
    Panel("depth", "hidden layers", (1, 2, 4, 8, 16)),
)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="default: 5")
    parser.add_argument("--quick", action="store_true", help="two small points a panel")
    parser.add_argument("--no-torch", action="store_true", help="leave torch out")
    parser.add_argument("--redraw", action="store_true", help="draw growth.json, measure nothing")
    parser.add_argument("--output", type=Path, default=RESULTS, metavar="FOLDER")
    return parser.parse_args()


def count_epochs(task: Task, X: Any, y: Any) -> int:
    """Return how many epochs make a run that is long enough for the clock."""
    start = time.perf_counter()
    fit_ours(task.training(1), X, y)
    return min(_MOST_EPOCHS, math.ceil(_LEAST_SECONDS / (time.perf_counter() - start)))


def seconds_per_epoch(task: Task, names: Sequence[str], repeats: int) -> dict[str, float]:
    """Measure all contenders in turn."""
    X, y = dense_data(task.samples, task.features, "float32")
    epochs = count_epochs(task, X, y)
    contenders = {
        name: Contender(
            run=partial(_FIT[name], task.training(epochs), X, y),
            warm_up=partial(_FIT[name], task.training(1), X, y),
            scale=1 / epochs,
        )
        for name in names
    }
    return medians(alternate(contenders, repeats))


def measure_panel(
    panel: Panel, names: Sequence[str], repeats: int, *, quick: bool
) -> dict[str, Any]:
    """Measure along one axis."""
    values = panel.values[:2] if quick else panel.values
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for value in values:
        point = seconds_per_epoch(panel.task(value), names, repeats)
        for name in names:
            seconds[name].append(point[name])
        print(panel.quantity, value, point, file=sys.stderr, flush=True)
    return {
        "quantity": panel.quantity,
        "label": panel.label,
        "values": list(values),
        "seconds_per_epoch": seconds,
    }


def draw(panels: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the panels; large type, because pages show the picture at half its size."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    with plt.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        figure, axes = plt.subplots(2, 2, figsize=(6, 5.4), sharey=True, layout="constrained")
        for ax, panel in zip(axes.flat, panels, strict=True):
            draw_panel(ax, panel)
        for ax in axes[:, 0]:
            ax.set_ylabel("seconds per epoch")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside upper center", ncols=3, frameon=False, handlelength=3
        )
        figure.savefig(path, dpi=200)
        plt.close(figure)


def draw_panel(ax: Any, panel: dict[str, Any]) -> None:
    """Draw one axis of growth, with each measured value marked on it."""
    from matplotlib.ticker import NullFormatter, NullLocator

    for name, seconds in panel["seconds_per_epoch"].items():
        ax.loglog(panel["values"], seconds, linewidth=1.8, markersize=5, **_STYLES[name])
    ax.set_xlabel(panel["label"])
    ax.set_xticks(panel["values"], [short_number(value) for value in panel["values"]])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.grid(color="0.9")
    ax.set_axisbelow(True)


def short_number(value: int) -> str:
    """Return 100k for 100000."""
    return f"{value // 1000}k" if value >= 1000 else str(value)


def main() -> None:
    arguments = parse_arguments()
    folder = arguments.output
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "growth.json"
    if not arguments.redraw:
        names = [n for n in _FIT if n != "torch" or (has_torch() and not arguments.no_torch)]
        panels = [
            measure_panel(panel, names, arguments.repeats, quick=arguments.quick)
            for panel in PANELS
        ]
        numbers = environment() | {"repeats": arguments.repeats, "panels": panels}
        path.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    draw(json.loads(path.read_text(encoding="utf-8"))["panels"], folder / "growth.png")


if __name__ == "__main__":
    main()
