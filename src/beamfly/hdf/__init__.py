"""Named, typed columns in HDF5 files that can be read while they are written.

`ColumnWriter` appends blocks of rows; `open_columns` reads them, also from another
process while they grow. `inspect` and `verify` say what is in a file and whether it is
right; `repair` makes a file whose writer was killed an ordinary one (`recover` only
lets it be opened).

No other room touches h5py, and this one knows nothing of where rows come from.
"""

from beamfly.hdf.inspection import FileReport, inspect, verify
from beamfly.hdf.layout import Column, Plot, Run, can_be_named
from beamfly.hdf.reader import Columns, open_columns
from beamfly.hdf.repair import Repair, repair
from beamfly.hdf.superblock import recover
from beamfly.hdf.writer import CHUNK_ROWS, ColumnWriter

__all__ = [
    "CHUNK_ROWS",
    "Column",
    "ColumnWriter",
    "Columns",
    "FileReport",
    "Plot",
    "Repair",
    "Run",
    "can_be_named",
    "inspect",
    "open_columns",
    "recover",
    "repair",
    "verify",
]
