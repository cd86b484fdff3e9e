"""What a scan flyer is prepared for: commands, and what can be known of their data.

`ScanPlan` has everything that is submitted. `Contents` tells which devices the commands
log, how often, and whether they are a plain nest of loops, whose shape is known.
`stream_layouts` puts columns into streams.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from beamfly.devices.scan_columns import ScanColumn
from beamfly.devices.scan_rows import MAIN, StreamLayout
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
    streams: bool | Mapping[str, Sequence[str]] = False
    """False: one row per `Log`, in which devices that it does not log keep their value.
    True: a stream for each set of devices that is logged together; the one with most
    rows is `primary`, others are named after their devices. Or stream -> devices."""
    check: bool = True
    """Whether the server has to simulate the scan first, which finds PVs that are not
    there and values out of their limits."""

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
    sets: dict[frozenset[str], int]
    """Devices that are logged together -> how often, conditions taken as met."""
    rows: int | None
    """How many rows there will be, None if that cannot be known."""
    loops: list[Loop]
    """Outer to inner, if it is one nest of loops around one `Log`; else empty."""

    @classmethod
    def of(cls, commands: Any) -> "Contents":
        """Look through the commands; BadValue if they make no sense."""
        xml = submission(commands)
        tree = read_commands(xml)
        devices: dict[str, None] = {}
        sets: dict[frozenset[str], int] = {}
        for names, times in _logs(tree, _Automatic()):
            devices |= dict.fromkeys(names)
            together = frozenset(names)
            sets[together] = sets.get(together, 0) + times
        always = set(devices).intersection(*sets)
        rows = None if _unforeseeable(tree) else count_logs(tree)
        loops = _nest(tree) if rows is not None else []
        return cls(xml, list(devices), always, sets, rows, loops)

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


def _logs(
    commands: Iterable[Any], automatic: _Automatic, times: int = 1
) -> Iterable[tuple[list[str], int]]:
    """The devices of each `Log`, and of each write once all of those are logged.

    Each with how often that is, if the commands are executed so many times.
    """
    for command in commands:
        again = times
        if isinstance(command, Loop):
            again *= count_loop(command.start, command.end, command.step)
        if isinstance(command, ConfigLog):
            automatic.on = command.automatic
        elif isinstance(command, Log):
            yield list(command.devices), times
        elif automatic.on and isinstance(command, (Set, Loop)):
            yield [command.readback if command.wait else command.device], again
        yield from _logs(_inside(command), automatic, again)


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


def stream_layouts(
    plan: ScanPlan, contents: Contents, columns: Sequence[ScanColumn]
) -> list[StreamLayout]:
    """Which columns make up which stream; there is one in any case.

    Raises:
        BadValue: A column is in no stream, or two streams have the same name.
    """
    if not plan.streams or not columns:
        return [StreamLayout(MAIN, columns)]
    said: dict[str, Sequence[str]] = {}
    if isinstance(plan.streams, Mapping):
        said.update(plan.streams)
    named = {
        frozenset([devices] if isinstance(devices, str) else devices): name
        for name, devices in said.items()
    }
    unnamed = [devices for devices in contents.sets if devices not in named]
    main = max(unnamed, key=lambda devices: contents.sets[devices], default=None)
    layouts: dict[str, StreamLayout] = {}
    for devices in [*named, *unnamed]:
        own = [column for column in columns if column.device in devices]
        name = named.get(devices) or "_".join(column.key for column in own)
        if devices is main and MAIN not in said:
            name = MAIN
        if name in layouts:
            msg = f"Two sets of devices would both be the stream {name!r}"
            raise BadValue(f"{msg}: name them with streams=; nothing was submitted")
        if own:
            layouts[name] = StreamLayout(name, own, devices)
    there = {column.device for layout in layouts.values() for column in layout.columns}
    for column in columns:
        if column.device not in there:
            msg = f"{column.device} is in no Log of these commands"
            raise BadValue(f"{msg}: name its stream with streams=; nothing was done")
    return list(layouts.values())


def data_name(device: str) -> str:
    """A name for the data of a device: `loc://x(3)` is x, `M1.RBV` is M1_RBV."""
    protocol, _, rest = device.rpartition("://")
    if protocol in ("loc", "sim"):
        rest = rest.partition("(")[0].partition("<")[0]
    # event documents have no dots and slashes in the names of data
    return "".join(letter if letter not in "./ " else "_" for letter in rest.strip())
