"""What the displays share: colours, axes, legends and grids of images.

Text and axes take their colours from matplotlib's settings, so that pictures are right on a dark
background too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = [
    "LINE_STYLES",
    "add_legend",
    "as_images",
    "check_image_shape",
    "image_grid_height",
    "make_axes",
    "make_grid",
    "palette",
    "require_matplotlib",
]

Array = np.ndarray

# Okabe and Ito's palette for every kind of colour vision (2008): those that stand out from white
# first, or those that stand out from black. Line styles or markers differ besides.
_ON_LIGHT = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_ON_DARK = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00")
LINE_STYLES = ("-", "--", "-.", ":")

# Mark the legend of a figure that a display made, and axes that one divided into panels
_LEGEND = "skdnn legend"
_DIVIDED = "skdnn panels"

# Height of a line of a small title, in inches
_TITLE_LINE = 0.16


def palette() -> tuple[str, ...]:
    """Return the colours of lines and marks, for the background that the text colour is for."""
    from matplotlib import rcParams
    from matplotlib.colors import to_rgb

    return _ON_DARK if sum(to_rgb(rcParams["text.color"])) > 1.5 else _ON_LIGHT


def require_matplotlib(caller: str) -> None:
    """Raise ImportError unless matplotlib is there."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{caller} needs matplotlib, which the extra 'plot' of skdnn brings: "
            "pip install matplotlib"
        ) from error


def make_axes(ax: Any, display: Any, height: float | None = None) -> Any:
    """Return the axes to draw on: those given, or the only ones of a new figure.

    Parameters
    ----------
    ax : matplotlib Axes or None
        As the user gave it.
    display : object
        Who asks; named if matplotlib is missing.
    height : float, default=None
        Height of a new figure in inches; by default the one of matplotlib's settings.
    """
    require_matplotlib(f"{type(display).__name__}.plot")
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes

    if ax is not None and not isinstance(ax, Axes):
        raise TypeError(f"ax must be a matplotlib Axes or None, got {type(ax).__name__}.")
    if ax is None:
        width, default_height = plt.rcParams["figure.figsize"]
        _, ax = plt.subplots(figsize=(width, height or default_height), layout="constrained")
    return ax


def make_grid(
    ax: Any, n_cells: int, n_columns: int, *, n_title_lines: int = 0, cell_width: float = 0.0
) -> Array:
    """Divide the place of some axes into a grid; return the axes of its cells, (n_cells,).

    The axes themselves become an empty row above them, which may have a title. There are fewer
    columns where they would be narrower than ``cell_width`` inches, what their titles need.
    """
    from matplotlib.gridspec import GridSpec
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    if ax.get_gid() == _DIVIDED:
        raise ValueError("ax holds the panels of a display already: pass other axes, or None.")
    size = ax.get_window_extent()
    width, height = size.width / ax.figure.dpi, size.height / ax.figure.dpi
    if cell_width:
        n_columns = max(1, min(n_columns, int(width / cell_width)))
    n_rows = math.ceil(n_cells / n_columns)
    options: dict[str, Any] = {"height_ratios": [0.01, *[1.0] * n_rows]}
    spec = ax.get_subplotspec()
    if spec is None or not isinstance(ax.figure.get_layout_engine(), ConstrainedLayoutEngine):
        # nobody else makes room for titles; of a small place they get no more than 3 quarters
        gap = min(_TITLE_LINE * n_title_lines + 0.1, 0.75 * height / n_rows)
        options["hspace"] = gap * (n_rows + 1) / (height - gap * n_rows)
    if spec is not None:
        grid = spec.subgridspec(n_rows + 1, n_columns, **options)
    else:  # axes that were put at a place of their own
        box = ax.get_position()
        place = {"left": box.x0, "right": box.x1, "bottom": box.y0, "top": box.y1}
        grid = GridSpec(n_rows + 1, n_columns, figure=ax.figure, **options, **place)
    ax.set_gid(_DIVIDED)
    ax.set_axis_off()
    ax.set_subplotspec(grid[0, :])
    axes = np.empty(n_cells, object)
    axes[:] = [
        ax.figure.add_subplot(grid[1 + i // n_columns, i % n_columns]) for i in range(n_cells)
    ]
    return axes


def image_grid_height(
    n_images: int,
    n_columns: int,
    image_shape: tuple[int, ...],
    *,
    n_title_lines: int,
    margin: float = 0.0,
) -> float:
    """Return the height in inches of a figure of images with titles, as wide as by default."""
    from matplotlib import rcParams

    width = (rcParams["figure.figsize"][0] - margin) / n_columns
    height = width * image_shape[0] / image_shape[1] + _TITLE_LINE * n_title_lines + 0.06
    return float(np.clip(0.35 + height * math.ceil(n_images / n_columns), 1.5, 12.0))


def add_legend(ax: Any, handles: Sequence[Any], *, is_new: bool) -> Any:
    """Put a legend above the axes of a display's figure, or where there is room in a user's."""
    for legend in ax.figure.legends:
        if legend.get_label() == _LEGEND:  # of an earlier call on the same axes
            legend.remove()
            is_new = True
    if not is_new:
        return ax.legend(handles=handles)
    longest = max(len(handle.get_label()) for handle in handles)
    n_rows = math.ceil(len(handles) / max(1, 78 // (longest + 8)))
    legend = ax.figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=math.ceil(len(handles) / n_rows),
        frameon=False,
    )
    legend.set_label(_LEGEND)
    return legend


def check_image_shape(image_shape: Any, n_features: int) -> tuple[int, ...]:
    """Return (height, width) or (height, width, 3), or raise ValueError."""
    shape = tuple(np.atleast_1d(image_shape).tolist()) if image_shape is not None else ()
    is_shape = len(shape) in (2, 3) and all(isinstance(size, int) and size > 0 for size in shape)
    if not is_shape or (len(shape) == 3 and shape[2] not in (1, 3)):
        raise ValueError(
            "image_shape must be (height, width) or (height, width, channels) with 1 or 3 "
            f"channels, got {image_shape!r}."
        )
    if math.prod(shape) != n_features:
        raise ValueError(
            f"image_shape={shape} makes {math.prod(shape)} numbers of an image, but there are "
            f"{n_features} features."
        )
    return shape[:2] if shape[2:] == (1,) else shape


def as_images(rows: Array, image_shape: tuple[int, ...]) -> Array:
    """Return rows as images whose numbers imshow takes as brightness, from 0 to 1.

    Bytes (uint8) are divided by 255, numbers from 0 to 1 stay as they are, and an image with others
    is stretched from its least number to its largest.
    """
    images = rows.reshape(-1, *image_shape)
    if images.dtype == np.uint8 and images.max(initial=0) > 1:
        return images / 255
    images = images.astype(np.float64)
    for image in images:
        least, largest = image.min(), image.max()
        if least < 0 or largest > 1:
            image -= least
            image /= max(largest - least, np.finfo(np.float64).tiny)
    return images
