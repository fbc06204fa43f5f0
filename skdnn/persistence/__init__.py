"""What is kept: models and checkpoints in files that any HDF5 library reads."""

from skdnn.persistence.saving import ModelFileError, load_model, save_model

__all__ = ["ModelFileError", "load_model", "save_model"]
