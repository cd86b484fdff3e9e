"""`epicsPV`: a PV with the methods of Mark Rivers' class of that name."""

# the names are those that old scripts use
# ruff: noqa: N801, N802, N999

from typing import Any

from beamfly.epics.pv import PV


class epicsPV(PV):
    """A PV whose updates can be asked for instead of being told of."""

    def __init__(self, pvname: str | None = None, wait: bool = True) -> None:
        """Look for a PV.

        Args:
            pvname: Its name.
            wait: Whether to wait for it.
        """
        self.monitorState = False
        self._index: int | None = None
        super().__init__(pvname or "")
        if pvname and wait:
            self.connect()

    def setMonitor(self) -> None:
        """Take note of updates from now on, for `checkMonitor`."""
        self.monitorState = False
        if self._index is None:
            self._index = self.add_callback(self._updated)

    def _updated(self, **keywords: Any) -> None:
        self.monitorState = True

    def clearMonitor(self) -> None:
        """Take no note any more."""
        self.remove_callback(self._index)
        self._index = None
        self.monitorState = False

    def checkMonitor(self) -> bool:
        """Whether an update has come since the last call."""
        self.poll()
        state, self.monitorState = self.monitorState, False
        return state

    def getControl(self) -> dict[str, Any] | None:
        """Units, limits and the like."""
        return self.get_ctrlvars()

    def array_get(self, count: int | None = None) -> Any:
        """The value, or some of its elements."""
        return self.getw(count)

    def getw(self, count: int | None = None) -> Any:
        """The value, or some of its elements."""
        return self.get(count=count)

    def getValue(self) -> Any:
        """The value."""
        return self.get()

    def putw(self, value: Any, wait: bool = False) -> None:
        """Write, and perhaps wait until it is processed."""
        self.put(value, wait=wait)

    def putWait(self, value: Any) -> None:
        """Write, and wait until it is processed."""
        self.put(value, wait=True)
