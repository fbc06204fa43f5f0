"""Pictures of a network, in scikit-learn's convention; matplotlib is imported when one is drawn.

Every display has ``from_estimator``, which computes and draws, and ``plot``, which draws again.
Lines and marks have Okabe and Ito's colours for every kind of colour vision, and differ by style or
shape besides; weights are blue, white and red. Texts and frames follow matplotlib's settings, so
that a dark style is dark throughout. Without ``ax``, a figure is made, as wide as
``figure.figsize`` says.
"""

from skdnn.displays.dead_units import DeadUnitsDisplay
from skdnn.displays.layer_statistics import LayerStatisticsDisplay
from skdnn.displays.loss_curve import LossCurveDisplay
from skdnn.displays.mistakes import MistakesDisplay
from skdnn.displays.weight_image import WeightImageDisplay

__all__ = [
    "DeadUnitsDisplay",
    "LayerStatisticsDisplay",
    "LossCurveDisplay",
    "MistakesDisplay",
    "WeightImageDisplay",
]
