"""Not here: widgets for wxPython. Importing this says what to do instead."""

raise ImportError(
    "beamfly.epics has no wx widgets; PyEpics' own `epics.wx` can be used in the same "
    "program, with wxPython and libca"
)
