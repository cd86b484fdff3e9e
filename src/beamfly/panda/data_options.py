"""What a data connection can ask of a PandA: the option line of the data port.

`DataOptions()` is what `DataConnection.connect` sends for raw data, the fastest the
server has. Everything else the server offers is here too, for old tools and slow links.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from beamfly.errors import LocalProtocolError
from beamfly.panda.responses import FieldCapture


class DataFormat(Enum):
    """How samples are packed; the value is the word in the option line."""

    FRAMED = "FRAMED"
    """Binary, in frames that state their length: up to 2 MiB raw, 64 KiB scaled."""
    UNFRAMED = "UNFRAMED"
    """Binary samples and nothing else; their end can only be guessed from END."""
    BASE64 = "BASE64"
    """Lines of base64, 57 bytes in each."""
    ASCII = "ASCII"
    """One line of decimal (scaled) or hexadecimal (raw) numbers per sample."""


@dataclass(frozen=True)
class DataOptions:
    """One option line. LocalProtocolError if the answer could not be understood."""

    format: DataFormat = DataFormat.FRAMED
    """How samples are packed."""
    scaled: bool = False
    """Whether the PandA scales and averages: slower, it has a small processor."""
    xml: bool = True
    """Whether the header is XML; else it is text."""
    header: bool = True
    """Whether each acquisition starts with a header."""
    status: bool = True
    """Whether the server says OK, and END after each acquisition."""
    one_shot: bool = False
    """Whether the server closes the connection after one acquisition."""
    fields: Sequence[FieldCapture] = field(default=())
    """Without a header: what a sample holds. If empty, 32-bit words in column WORD."""

    def __post_init__(self) -> None:
        """Refuse what leaves the end or the layout of the data unknowable."""
        unframed = self.format is DataFormat.UNFRAMED
        if unframed and not self.status and not self.one_shot:
            msg = (
                "UNFRAMED data with NO_STATUS has no end unless ONE_SHOT is also set; "
                "nothing was sent"
            )
            raise LocalProtocolError(msg)
        ascii_only = self.format is DataFormat.ASCII and not self.header
        if ascii_only and self.scaled and not self.fields:
            msg = (
                "scaled ASCII data with NO_HEADER cannot be read unless fields are "
                "given; nothing was sent"
            )
            raise LocalProtocolError(msg)

    @classmethod
    def bare(cls, fields: Sequence[FieldCapture] = ()) -> "DataOptions":
        """What BARE means: the samples of one acquisition and nothing else."""
        return cls(
            DataFormat.UNFRAMED,
            xml=False,
            header=False,
            status=False,
            one_shot=True,
            fields=fields,
        )

    @property
    def process(self) -> str:
        """Scaled or Raw, as a header says it."""
        return "Scaled" if self.scaled else "Raw"

    @property
    def format_name(self) -> str:
        """Framed, Unframed, Base64 or ASCII, as a header says it."""
        word = self.format.value
        return word if self.format is DataFormat.ASCII else word.capitalize()

    def line(self) -> bytes:
        """The option line with its newline; the order of words does not matter."""
        words = ["XML"] if self.xml else []
        words += [self.format.value, "SCALED" if self.scaled else "RAW"]
        words += [] if self.header else ["NO_HEADER"]
        words += [] if self.status else ["NO_STATUS"]
        words += ["ONE_SHOT"] if self.one_shot else []
        return " ".join(words).encode() + b"\n"
