"""What a scan flyer is prepared for: commands, and what can be known of their data.

`ScanPlan` has everything that is submitted. `Contents` tells which devices the commands
log, how often, and whether they are a plain nest of loops, whose shape is known.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from beamfly.errors import BadValue
from beamfly.scan.actions import ConfigLog, Include, Log, Script
from beamfly.scan.command import Command
from beamfly.scan.containers import Container, If, Loop
from beamfly.scan.moves import Set
from beamfly.scan.points import alternates, count_logs, count_loop
from beamfly.scan.sequence import read_commands, submission


@dataclass(frozen=True)
class ScanPlan:
    """A scan to be submitted by a flyer."""

    commands: Any
    """Commands, a CommandSequence, or XML."""
    name: str = "bluesky"
    """Shown by displays of the scan server."""
    queue: bool = True
    """Whether it waits for other queued scans; else it starts at once."""
    timeout: float = 0
    """Whole seconds that it may run, 0 for ever."""
    deadline: str | None = None
    """Local time of the server at which it is aborted, `yyyy-mm-dd HH:MM:SS`."""
    pre_post: bool = True
    """Whether the server's pre- and post-scan are executed."""
    columns: Sequence[str] | Mapping[str, str] | None = None
    """Devices that make up a row, or device -> name of its data. None: all that the
    commands log; what included files and scripts log has to be named."""
    dtypes: Mapping[str, type] = field(default_factory=dict[str, type])
    """Device -> float, int, str or list, for those that cannot be asked."""

    @classmethod
    def of(cls, value: Any) -> "ScanPlan":
        """A plan as it is, anything else as the commands of one."""
        return value if isinstance(value, ScanPlan) else cls(value)

    def settings(self) -> dict[str, Any]:
        """Arguments of `ScanClient.submit`, commands apart."""
        names = ("name", "queue", "timeout", "deadline", "pre_post")
        return {name: getattr(self, name) for name in names}


@dataclass
class Contents:
    """What is known of the commands of a scan before it runs."""

    xml: bytes
    """What is submitted."""
    devices: list[str]
    """Those that are logged, in the order of the commands."""
    always: set[str]
    """Those that are in every `Log`, so that no row lacks them."""
    rows: int | None
    """How many rows there will be, None if that cannot be known."""
    loops: list[Loop]
    """Outer to inner, if it is one nest of loops around one `Log`; else empty."""

    @classmethod
    def of(cls, commands: Any) -> "Contents":
        """Look through the commands; BadValue if they make no sense."""
        xml = submission(commands)
        tree = read_commands(xml)
        logs = list(_logs(tree, _Automatic()))
        devices = list(dict.fromkeys(name for names in logs for name in names))
        always = set(devices).intersection(*logs) if logs else set[str]()
        rows = None if _unforeseeable(tree) else count_logs(tree)
        loops = _nest(tree) if rows is not None else []
        return cls(xml, devices, always, rows, loops)

    def metadata(self) -> dict[str, Any]:
        """For a start document: points, and of a nest of loops what plots need."""
        known: dict[str, Any] = {}
        if self.rows is not None:
            known["num_points"] = self.rows
        if self.loops:
            known |= {
                "shape": [count_loop(x.start, x.end, x.step) for x in self.loops],
                "extents": [sorted((x.start, x.end)) for x in self.loops],
                "snaking": [alternates(x.start, x.end, x.step) for x in self.loops],
                "motors": [loop.device for loop in self.loops],
            }
        return known


def _inside(command: Command) -> list[Command]:
    return command.body if isinstance(command, Container) else []


@dataclass
class _Automatic:
    """Whether every write is logged, as the commands so far have it."""

    on: bool = False


def _logs(commands: Iterable[Any], automatic: _Automatic) -> Iterable[list[str]]:
    """The devices of each `Log`, and of each write once all of those are logged."""
    for command in commands:
        if isinstance(command, ConfigLog):
            automatic.on = command.automatic
        elif isinstance(command, Log):
            yield list(command.devices)
        elif automatic.on and isinstance(command, (Set, Loop)):
            yield [command.readback if command.wait else command.device]
        yield from _logs(_inside(command), automatic)


def _unforeseeable(commands: Iterable[Any]) -> bool:
    """Whether it cannot be known how often something is logged."""
    for command in commands:
        if isinstance(command, (If, Include, Script, ConfigLog)):
            return True
        if getattr(command, "errhandler", None) or _unforeseeable(_inside(command)):
            return True
    return False


def _nest(commands: Sequence[Any]) -> list[Loop]:
    """Loops from outer to inner around the only `Log`; empty if it is not so."""
    logging = [command for command in commands if count_logs([command])]
    if len(logging) != 1 or not isinstance(logging[0], Loop):
        return []
    loop = logging[0]
    body = cast(list[Any], loop.body)
    if any(isinstance(command, Log) for command in body):
        return [loop] if count_logs(body) == 1 else []
    inner = _nest(body)
    return [loop, *inner] if inner else []


def column_names(plan: ScanPlan, contents: Contents) -> dict[str, str]:
    """Device -> name of its data, without the flyer's name.

    Raises:
        BadValue: Two devices would have data of one name.
    """
    chosen = plan.columns
    if isinstance(chosen, Mapping):
        names = dict(chosen)
    else:
        devices = contents.devices if chosen is None else chosen
        names = {device: data_name(device) for device in devices}
    owners: dict[str, str] = {"serial": "the serial of a row"}
    for device, name in names.items():
        if name in owners:
            msg = (
                f"{owners[name]} and {device} would both be data named {name!r}: name "
                "them with columns={device: name}; nothing was submitted"
            )
            raise BadValue(msg)
        owners[name] = device
    return names


def data_name(device: str) -> str:
    """A name for the data of a device: `loc://x(3)` is x, `M1.RBV` is M1_RBV."""
    protocol, _, rest = device.rpartition("://")
    if protocol in ("loc", "sim"):
        rest = rest.partition("(")[0].partition("<")[0]
    # event documents have no dots and slashes in the names of data
    return "".join(letter if letter not in "./ " else "_" for letter in rest.strip())
