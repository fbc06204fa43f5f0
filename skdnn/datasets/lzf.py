"""LZF carries no checksum: of a damaged chunk, HDF5 may give what happened to be in memory.

Looked at only where rows hold NaN or infinity, since it takes longer than reading does.
"""

from __future__ import annotations

import math

import h5py

__all__ = ["check_lzf"]


def check_lzf(dataset: h5py.Dataset, first: int, last: int) -> None:
    """Raise an OSError if rows are in an LZF chunk that does not hold all of its bytes.

    Parameters
    ----------
    dataset : h5py.Dataset
        Open.
    first, last : int
        Rows ``first`` to ``last - 1``.
    """
    creation = dataset.id.get_create_plist()
    n_filters = creation.get_nfilters()
    # what comes behind it, such as Fletcher's checksum, finds damage by itself
    if not n_filters or creation.get_filter(n_filters - 1)[0] != h5py.h5z.FILTER_LZF:
        return
    n_bytes = math.prod(dataset.chunks) * dataset.dtype.itemsize
    # h5py 3.11 wants slices that say where they begin
    cells = slice(first, last), *(slice(0, n) for n in dataset.shape[1:])
    for part in dataset.iter_chunks(cells):
        edges = zip(part, dataset.chunks, strict=True)
        offset = tuple(side.start - side.start % size for side, size in edges)
        if not dataset.id.get_chunk_info_by_coord(offset).size:
            continue  # never written
        skipped, chunk = dataset.id.read_direct_chunk(offset)
        if not skipped & 1 << (n_filters - 1) and _decompressed_size(chunk) != n_bytes:
            raise OSError(
                f"{dataset.file.filename}: the chunk of rows {offset[0]} to "
                f"{min(offset[0] + dataset.chunks[0], len(dataset)) - 1} of {dataset.name!r} is "
                "damaged: its LZF data are not those of a whole chunk."
            )


def _decompressed_size(chunk: bytes) -> int:
    """Return the number of bytes that LZF data stand for."""
    position = size = 0
    while position < len(chunk):
        control = chunk[position]
        if control < 32:  # so many bytes, and one, as they are
            size += control + 1
            position += control + 2
            continue
        length, position = control >> 5, position + 2
        if length == 7:
            length += chunk[position - 1] if position <= len(chunk) else 0
            position += 1
        size += length + 2  # bytes that came before
    return size if position == len(chunk) else -1
