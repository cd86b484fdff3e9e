"""Every exception that beamfly raises on purpose.

```
BeamflyError
├── ProtocolError            a rule of a wire protocol was broken
│   ├── LocalProtocolError   by us: what was asked for cannot be said; nothing was sent
│   │   └── NeedMoreDataError    (in beamfly.panda.connections, for those who use it)
│   └── RemoteProtocolError  by the peer: what it sent makes no sense
│       └── NoContextAvailableError  a PandA answered what was not asked (there too)
├── Disconnected             the peer went away; also a ConnectionError
│   ├── PandaDisconnected
│   ├── CADisconnected       also a CAError
│   └── ScanServerDisconnected
├── TimedOut                 no answer in time; also a TimeoutError
├── BadValue                 an argument is out of range or unknown; also a ValueError
│   ├── InvalidDatatype      Channel Access has no such type (in beamfly.ca.dbr)
│   └── TextTooLong          for a DBR_STRING (in beamfly.ca.payloads)
├── PandaError               a PandA refused or gave up
│   ├── CommandError         the reply to a command was ERR; names command and answer
│   ├── VersionError         this server is too old for what was asked
│   ├── CaptureError         a PCAP capture ended early; carries the end reason
│   │   └── HDFDataOverrunError  because this client did not read fast enough
│   └── FrameTimeout         no PCAP frame in time; also a TimedOut
├── CAError                  a Channel Access operation failed; carries the ECA status
│   ├── CATimeout            no answer for a PV in time; also a TimedOut
│   ├── CARefused            the server answered with a status that is no success
│   │   └── CAException      it would have, so nothing was sent (in beamfly.ca.cadef)
│   │       └── InvalidString    text that is too long; also a BadValue (there too)
│   ├── CANothing            the value of a failed caget or caput (in beamfly.ca)
│   ├── ChannelAccessException     a channel number means nothing (in beamfly.epics,
│   │                              as are the next ones, under PyEpics' names)
│   ├── ChannelAccessGetFailure    the server refused to have a PV read
│   ├── CASeverityException        a PV may not be written
│   └── MotorException       a record is no motor, or lacks a field
│       └── MotorLimitException    a motor is at a limit
├── ScanError                a scan or a scan server request failed
│   ├── ScanServerError      the server refused a request; carries status and reason
│   │   └── UnknownScan      there is no scan of that id
│   ├── ScanFailed           a scan ended in state Failed; carries its info
│   ├── ScanAborted          a scan was aborted; carries its info
│   └── ScanTimeout          no answer, or no end of a scan, in time; also a TimedOut
├── Held                     a suspender ended a flight (in beamfly.watch)
├── HdfError                 an HDF5 file cannot be written or read; also an OSError
└── CatalogError             a run cannot be stored or read
    └── RunNotFound          no run fits; also a KeyError and an IndexError
```

One sentence each: what, where, and what was not done because of it. Catch
`BeamflyError` to catch them all.
"""


class BeamflyError(Exception):
    """Anything that beamfly raises on purpose."""


class ProtocolError(BeamflyError):
    """A rule of a wire protocol was broken."""


class LocalProtocolError(ProtocolError):
    """We were asked to send something that the protocol has no words for."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something that the protocol does not allow."""


class Disconnected(BeamflyError, ConnectionError):
    """The peer closed the connection, or it broke."""


class PandaDisconnected(Disconnected):
    """A PandA closed its control or data connection, or it broke."""


class ScanServerDisconnected(Disconnected):
    """The scan server cannot be reached."""


class TimedOut(BeamflyError, TimeoutError):
    """No answer in time; the message names who was asked and the seconds waited."""


class BadValue(BeamflyError, ValueError):
    """An argument is out of range, unknown, or does not fit its field."""


class PandaError(BeamflyError):
    """A PandA refused a command or gave up a capture."""


class CommandError(PandaError):
    """The PandA answered ERR; the message names the command and the answer."""


class VersionError(PandaError):
    """The PandA's software is older than what the command needs."""


class CaptureError(PandaError):
    """A PCAP capture ended early; the message gives the reason and the rows kept.

    Args:
        message: The sentence.
        reason: The end reason as the PandA words it, None if the end is our own.
    """

    def __init__(self, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason


class HDFDataOverrunError(CaptureError):
    """This client did not read fast enough, so the PandA gave up an acquisition."""


class FrameTimeout(PandaError, TimedOut):
    """No PCAP frame arrived in the time allowed."""


class CAError(BeamflyError):
    """A Channel Access operation failed."""

    def __init__(self, message: str, *, name: str = "", status: int = 0) -> None:
        """Say what failed, on which PV, and with which ECA status (0: none)."""
        super().__init__(message)
        self.name = name
        """The PV, empty when no single one is meant."""
        self.status = status
        """The ECA status code, such as 80 for a time-out; 0 when there is none."""


class CADisconnected(CAError, Disconnected):
    """A Channel Access circuit went away with the channel on it."""


class CATimeout(CAError, TimedOut):
    """A PV was not found, or did not answer, in the time allowed."""


class CARefused(CAError):
    """A Channel Access server answered a request with a failure status."""


class ScanError(BeamflyError):
    """A scan, or a request to the scan server, failed."""


class ScanServerError(ScanError):
    """The scan server refused a request; the message has the server's own reason."""

    def __init__(self, message: str, status: int = 0, reason: str = ""):
        super().__init__(message)
        self.status = status
        """HTTP status code, 0 when there was none."""
        self.reason = reason
        """What the server said, empty when it said nothing."""


class UnknownScan(ScanServerError):
    """The scan server has no scan of that id."""


class _ScanEnded(ScanError):
    """A scan ended in another way than it should."""

    def __init__(self, message: str, info: object = None):
        super().__init__(message)
        self.info = info
        """The last `ScanInfo` of the scan."""


class ScanFailed(_ScanEnded):
    """A scan ended in state Failed; the message has the server's reason."""


class ScanAborted(_ScanEnded):
    """A scan was aborted."""


class ScanTimeout(ScanError, TimedOut):
    """The scan server did not answer, or a scan did not end, in the time allowed."""


class HdfError(BeamflyError, OSError):
    """An HDF5 file cannot be created, written or read."""


class CatalogError(BeamflyError):
    """A run cannot be stored in the catalog, or is not there."""


class RunNotFound(CatalogError, KeyError, IndexError):
    """No run in the catalog has this uid, scan_id or number."""

    def __str__(self) -> str:  # a KeyError would show its message in quotes
        return Exception.__str__(self)
