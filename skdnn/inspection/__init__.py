"""Numbers that tell how a fitted network does inside: units, activations, gradients."""

from skdnn.inspection.gradients import check_gradients
from skdnn.inspection.statistics import (
    DeadUnits,
    activation_statistics,
    dead_units,
    gradient_statistics,
)
from skdnn.inspection.table import Table

__all__ = [
    "DeadUnits",
    "Table",
    "activation_statistics",
    "check_gradients",
    "dead_units",
    "gradient_statistics",
]
