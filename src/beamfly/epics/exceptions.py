"""Errors of this layer, under the names that PyEpics gives them; all are CAErrors."""

from beamfly.errors import CAError


class ChannelAccessException(CAError):
    """An operation of `beamfly.epics` cannot be done."""

    def __init__(self, *args: object, name: str = "", status: int = 0) -> None:
        """Several arguments become one sentence."""
        super().__init__(" ".join(map(str, args)), name=name, status=status)


class ChannelAccessGetFailure(CAError):
    """A server refused to read a PV."""

    def __init__(self, message: str, chid: int, status: int, name: str = "") -> None:
        super().__init__(message, name=name, status=status)
        self.chid = chid
        """Number of the channel."""


class CASeverityException(CAError):
    """A put is not allowed, such as one to a PV without write access."""

    def __init__(self, fcn: str, msg: str, name: str = "", status: int = 0) -> None:
        super().__init__(f" {fcn} returned '{msg}'", name=name, status=status)
        self.fcn = fcn
        """What was tried: put."""
        self.msg = msg
        """Why it failed."""


class RecordException(CAError):
    """A record is not of the type that a device class is for, or lacks a field."""

    def __init__(
        self, msg: str, *args: object, name: str = "", status: int = 0
    ) -> None:
        """Say what is wrong; more arguments are taken for old scripts' sake."""
        super().__init__(msg, name=name, status=status)

    @property
    def msg(self) -> str:
        """The sentence."""
        return str(self)


class ScanException(RecordException):
    """A record is no sscan, or a scan has no room for more."""


class MotorException(RecordException):
    """A record is no motor, or lacks a field."""


class MotorLimitException(MotorException):
    """A motor has reached a limit."""
