"""The estimator on a Dask cluster."""
