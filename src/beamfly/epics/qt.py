"""Not here: widgets for Qt. Importing this says what to do instead."""

raise ImportError(
    "beamfly.epics has no Qt widgets; PyEpics' own `epics.qt`, or PyDM, can be used "
    "in the same program"
)
