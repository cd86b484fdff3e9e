"""`CANothing`: the value of an operation that failed, and the exception for it."""

from beamfly.ca.status import ECA_NORMAL, message
from beamfly.errors import CAError


class CANothing(CAError):
    """Success or failure of `caput` and `connect`, failure of `caget`.

    It is raised, or returned with throw=False. True in a condition if all went well.
    """

    def __init__(self, name: str, errorcode: int = ECA_NORMAL) -> None:
        """Tell of a PV.

        Args:
            name: Of the PV.
            errorcode: An ECA status; ECA_NORMAL (1) for success.
        """
        super().__init__(f"{name}: {message(errorcode)}", name=name, status=errorcode)
        self.ok = errorcode == ECA_NORMAL
        """Whether all went well."""
        self.errorcode = errorcode
        """The ECA status."""

    def __repr__(self) -> str:
        return f"CANothing({self.name!r}, {self.errorcode})"

    def __bool__(self) -> bool:
        return self.ok

    def __reduce__(self) -> tuple[type["CANothing"], tuple[str, int]]:
        return CANothing, (self.name, self.errorcode)
