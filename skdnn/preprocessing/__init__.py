"""From a table as it is, with numbers, categories and gaps, to what a network likes."""

from skdnn.preprocessing.table_encoder import TableEncoder

__all__ = ["TableEncoder"]
