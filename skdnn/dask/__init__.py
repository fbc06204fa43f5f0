"""Training on the workers of a Dask cluster (extra ``dask``)."""

try:
    import dask.array  # noqa: F401
    import distributed  # noqa: F401
except ImportError as error:
    raise ImportError(
        "skdnn.dask needs dask and distributed, which the extra 'dask' of skdnn brings: "
        "pip install 'dask[array,dataframe]' distributed"
    ) from error

from skdnn.dask.classifier import DaskDeepBinaryClassifier

__all__ = ["DaskDeepBinaryClassifier"]
