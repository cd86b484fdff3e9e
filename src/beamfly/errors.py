"""Every exception that beamfly raises on purpose.

```
BeamflyError
├── ProtocolError            a rule of a wire protocol was broken
│   ├── LocalProtocolError   by us: what was asked for cannot be said; nothing was sent
│   └── RemoteProtocolError  by the peer: what it sent makes no sense
├── Disconnected             the peer went away; also a ConnectionError
│   ├── PandaDisconnected
│   ├── CADisconnected
│   └── ScanServerDisconnected
├── TimedOut                 no answer in time; also a TimeoutError
├── BadValue                 an argument is out of range or unknown; also a ValueError
├── PandaError               a PandA refused or gave up
│   ├── CommandError         the reply to a command was ERR; names command and answer
│   ├── VersionError         this server is too old for what was asked
│   ├── CaptureError         a PCAP capture ended early; carries the end reason
│   └── FrameTimeout         no PCAP frame in time; also a TimedOut
├── CAError                  a Channel Access operation failed; carries the ECA status
├── ScanError                a scan or a scan server request failed
├── HdfError                 an HDF5 file cannot be written or read; also an OSError
└── CatalogError             a run cannot be stored or found
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


class CADisconnected(Disconnected):
    """A Channel Access circuit went away with the channel on it."""


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
    """A PCAP capture ended early; the message gives the reason and the rows kept."""


class FrameTimeout(PandaError, TimedOut):
    """No PCAP frame arrived in the time allowed."""


class CAError(BeamflyError):
    """A Channel Access operation failed."""


class ScanError(BeamflyError):
    """A scan, or a request to the scan server, failed."""


class HdfError(BeamflyError, OSError):
    """An HDF5 file cannot be created, written or read."""


class CatalogError(BeamflyError):
    """A run cannot be stored in the catalog, or is not there."""
