"""Names of the C header cadef.h: events, states, status codes, exceptions."""

from typing import Any

from beamfly.ca.dbr_names import DBE_ALARM, DBE_LOG, DBE_PROPERTY, DBE_VALUE
from beamfly.ca.status import ECA_BADSTR, ECA_DISCONN, ECA_NORMAL, ECA_TIMEOUT
from beamfly.ca.status import message as ca_message
from beamfly.errors import BadValue, CADisconnected, CARefused

__all__ = [
    "CA_OP_CONN_DOWN",
    "CA_OP_CONN_UP",
    "DBE_ALARM",
    "DBE_LOG",
    "DBE_PROPERTY",
    "DBE_VALUE",
    "ECA_DISCONN",
    "ECA_NORMAL",
    "ECA_TIMEOUT",
    "CAException",
    "Disconnected",
    "InvalidString",
    "ca_message",
    "cs_closed",
    "cs_conn",
    "cs_never_conn",
    "cs_prev_conn",
]

CA_OP_CONN_UP = 6
CA_OP_CONN_DOWN = 7
cs_never_conn = 0
cs_prev_conn = 1
cs_conn = 2
cs_closed = 3


class CAException(CARefused):
    """A request that was not even sent, because the server would refuse it."""

    def __init__(
        self, status: int, function: str, name: str = "", why: str = ""
    ) -> None:
        """Tell of a status and of the function of the C library that is like ours."""
        text = f"{ca_message(status)} calling {function}"
        super().__init__(f"{text}: {why}" if why else text, name=name, status=status)
        self.function = function
        self.why = why
        """What is wrong with the request, empty if the status says it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status, self.function, self.name, self.why)


class InvalidString(CAException, BadValue):
    """Text that is too long for a DBR_STRING."""

    def __init__(self, function: str, name: str, why: str) -> None:
        """Tell of a PV."""
        super().__init__(ECA_BADSTR, function, name, why)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.function, self.name, self.why)


class Disconnected(CADisconnected):
    """The channel is not connected."""

    def __init__(self, name: str) -> None:
        """Tell of a PV."""
        super().__init__(f"Channel {name} disconnected", name=name, status=ECA_DISCONN)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name,)
