"""Named, typed columns in HDF5 files that can be read while they are written.

`ColumnWriter` appends blocks of rows; `open_columns` reads them, also from another
process while they grow; `recover` makes a file whose writer was killed an ordinary one.
No other room touches h5py, and this one knows nothing of where rows come from.
"""

from beamfly.hdf.layout import Column, Plot, Run, can_be_named
from beamfly.hdf.reader import Columns, open_columns
from beamfly.hdf.superblock import recover
from beamfly.hdf.writer import CHUNK_ROWS, ColumnWriter

__all__ = [
    "CHUNK_ROWS",
    "Column",
    "ColumnWriter",
    "Columns",
    "Plot",
    "Run",
    "can_be_named",
    "open_columns",
    "recover",
]
