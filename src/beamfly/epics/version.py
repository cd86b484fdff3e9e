"""The release of PyEpics whose names, arguments and results these are."""

__version__ = version = "3.5.10"
__version_tuple__ = version_tuple = (3, 5, 10)
