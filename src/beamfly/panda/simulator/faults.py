"""What can be made to go wrong with a simulated PandA, on demand."""

from dataclasses import dataclass, field


@dataclass
class Faults:
    """Switches; all of them may be set at any time, from any thread."""

    refuse_control: bool = False
    """Close every new control connection at once."""
    refuse_data: bool = False
    """Close every new data connection at once."""
    silent: bool = False
    """Carry out no command and answer none."""
    arm_error: str | None = None
    """What `*PCAP.ARM=` is refused with, None to allow it."""
    unreadable: set[str] = field(default_factory=set[str])
    """Fields that cannot be read, and that `*CHANGES` reports as `(error)`."""
    data_rate: float | None = None
    """Bytes per second of each data connection, None for no limit."""
    drop_after_rows: int | None = None
    """Close a data connection after so many rows of an acquisition, None for never."""
    drop_inside_frame: bool = False
    """Whether to do so in the middle of a frame that was announced as whole."""
