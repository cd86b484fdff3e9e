"""Errors of this layer, under the names that PyEpics gives them; all are CAErrors."""

from beamfly.errors import CAError


class ChannelAccessException(CAError):
    """An operation of `beamfly.epics` cannot be done."""


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


class MotorException(CAError):
    """A record is no motor, or lacks a field."""

    @property
    def msg(self) -> str:
        """The sentence."""
        return str(self)


class MotorLimitException(MotorException):
    """A motor has reached a limit."""
