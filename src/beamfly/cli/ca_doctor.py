"""`beamfly ca doctor PV`: every step from settings to value, and what to do."""

import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface

import click

from beamfly.ca import sockets
from beamfly.ca.addresses import host_of
from beamfly.ca.channel import Channel, can_be
from beamfly.ca.config import Address, Config
from beamfly.ca.datagrams import Search, Version
from beamfly.ca.dbr import Dbr, Family
from beamfly.ca.header import unpack_header
from beamfly.ca.message import Access, Command
from beamfly.ca.payloads import Value
from beamfly.ca.search import parse_replies
from beamfly.ca.tool_text import Look, alarm, elements, stamp
from beamfly.cli.ca_session import CommandSession, choose_type
from beamfly.errors import BadValue, RemoteProtocolError

SKEW_SECONDS = 5.0
"""A time stamp this far in the future means that two clocks disagree."""
AGAIN_SECONDS = 0.5
"""A search that nobody has answered is sent again after so long."""
FIELD_SECONDS = 0.5
"""For fields that every record has."""
OBSTACLES = {
    "DISP": "it refuses all puts",
    "PACT": "it is busy: a put with completion waits for what is going on",
}
"""Fields that should be 0 when somebody wants to put, and what they mean else."""
TCP_SECONDS = 0.5
"""For a connection to a port, and for what who listens there says."""


@dataclass(frozen=True)
class Server:
    """Who answered a search."""

    host: str
    port: int
    asked: str
    """The address that the search was sent to."""
    seconds: float
    """Until the answer."""


@click.command()
@click.argument("pv")
@click.option(
    "-w",
    "wait",
    type=click.FloatRange(0.01),
    default=2.0,
    help="Seconds for each step.",
)
def doctor(pv: str, wait: float) -> None:
    """Find out why a PV cannot be reached, or how well it can."""
    config = Config.from_environment()
    if not can_be(pv):
        msg = f"{pv!r:.60} cannot be the name of a PV; it is not looked for"
        raise BadValue(msg)
    addresses = list(_settings(config))
    servers = _search(pv, addresses, config, wait)
    if not servers and not config.name_servers:
        record, dot, field = pv.partition(".")
        if dot and _search(record, addresses, config, wait):
            _say(False, f"{record} has no field {field}, or what follows it is wrong")
        else:
            _advise(pv, addresses, config)
        raise SystemExit(1)
    with CommandSession(wait, config) as session:
        start = time.monotonic()
        (channel,) = session.connect([pv], 0, missing=False)
        if channel.link is None:
            if servers:
                _say(False, "no server that answered could be talked to")
            for server in servers:
                click.echo(f"      is TCP to {server.host}:{server.port} let through?")
            _name_servers(pv, config)
            if not servers:
                _advise(pv, addresses, config)
            raise SystemExit(1)
        took = time.monotonic() - start
        _say(True, f"connected to {channel.host} in {1000 * took:.1f} ms")
        good = _examine(session, channel)
    raise SystemExit(0 if good and len({(s.host, s.port) for s in servers}) < 2 else 1)


def _say(good: bool, text: str) -> None:
    """One finding."""
    click.echo(f"{'ok  ' if good else 'BAD '}  {text}")


def _settings(config: Config) -> Iterator[Address]:
    """Where searches go, and what is odd about the settings."""
    for warning in config.warnings:
        _say(False, warning)
    numeric, names = sockets.search_addresses(config)
    yield from numeric
    for name in names:
        found = sockets.resolve([name])
        if not found:
            _say(False, f"host {name[0]} of EPICS_CA_ADDR_LIST cannot be resolved")
        yield from found
    listed = "yes" if config.auto_addresses else "no"
    servers = ", ".join(f"{host}:{port}" for host, port in config.name_servers)
    _say(True, f"broadcasts: {listed}; name servers: {servers or 'none'}")


def _search(
    pv: str, addresses: list[Address], config: Config, wait: float
) -> list[Server]:
    """Ask every address for the PV, one number for each, and list who answers."""
    found: dict[tuple[str, int], Server] = {}
    unreachable: set[Address] = set()
    start = again = time.monotonic()
    with sockets.search_socket(config) as sock:
        end = start + wait
        while (now := time.monotonic()) < end:
            if not found and now >= again:
                # a datagram may be lost, an IOC may be slow
                _ask(pv, addresses, sock, unreachable)
                again = now + AGAIN_SECONDS
            left = (end if found else min(end, again)) - now
            if not select.select([sock], [], [], left)[0]:
                continue
            for server in _answers(sock, addresses, start):
                found.setdefault((server.host, server.port), server)
                # duplicates answer soon after the first
                end = min(end, time.monotonic() + 0.3)
    for server in found.values():
        text = f"{server.host}:{server.port} has {pv}, asked at {server.asked}"
        _say(len(found) == 1, f"{text}, after {1000 * server.seconds:.1f} ms")
        usual = int(server.asked.rpartition(":")[2])
        if server.port != usual:
            click.echo(f"      port {usual} there is taken by another server, so a")
            click.echo(
                f"      firewall must let TCP port {server.port} through as well"
            )
    if len(found) > 1:
        click.echo("      several servers have this PV: stop all but one of them")
    return list(found.values())


def _ask(
    pv: str, addresses: list[Address], sock: socket.socket, unreachable: set[Address]
) -> None:
    """Send a search to every address; say once where none can be sent."""
    for number, address in enumerate(addresses):
        first = Version(priority=1, sequence=number).encode()
        try:
            sock.sendto(first + Search(pv, number).encode(), address)
        except OSError as error:
            if address not in unreachable:
                unreachable.add(address)
                _say(False, f"no search can be sent to {address[0]}: {error}")


def _answers(
    sock: socket.socket, addresses: list[Address], start: float
) -> Iterator[Server]:
    """Servers in one datagram."""
    try:
        data, source = sock.recvfrom(sockets.LARGEST_DATAGRAM)
    except OSError:
        # the echo of a datagram that nobody wanted
        return
    for number, port, address in parse_replies(data):
        host = host_of(address, source[0])
        if number < len(addresses):
            asked = "{}:{}".format(*addresses[number])
            yield Server(host, port, asked, time.monotonic() - start)


def _advise(pv: str, addresses: list[Address], config: Config) -> None:
    """Nobody answered."""
    _say(False, f"nobody has {pv}; these were asked over UDP:")
    for host, port in addresses:
        click.echo(f"        {host}:{port}  {_listens(host, port)}")
    mine = sockets.networks()
    for host, _ in addresses:
        _foreign(host, mine)
    click.echo("      is the name right, and is the IOC running?")
    click.echo(
        "      an IOC in another network: put its host, or the broadcast address"
    )
    click.echo("      of its network, into EPICS_CA_ADDR_LIST, such as")
    click.echo('        export EPICS_CA_ADDR_LIST="10.1.2.255 ioc7:5066"')
    click.echo(
        "      UDP does not get through: EPICS_CA_NAME_SERVERS=host:port uses TCP"
    )
    if not config.auto_addresses and not config.addresses:
        click.echo("      EPICS_CA_AUTO_ADDR_LIST is NO and there is no address list!")


def _name_servers(pv: str, config: Config) -> None:
    """Nobody was found by those that are asked over TCP."""
    numeric, names = sockets.split_numeric(config.name_servers)
    if config.name_servers:
        _say(False, f"no name server knows {pv}; these were asked over TCP:")
    for host, port in numeric + sockets.resolve(names, click.echo):
        click.echo(f"        {host}:{port}  {_listens(host, port)}")


def _foreign(host: str, mine: list[IPv4Interface]) -> None:
    """Point out an address that may be in the wrong network."""
    address = IPv4Address(host)
    if address.is_loopback or not mine or any(address in one.network for one in mine):
        return
    here = ", ".join(str(one) for one in mine)
    click.echo(f"      {host} is in no network of this machine, which has {here}:")
    if host.endswith(".255"):
        click.echo("        broadcasts do not get there, unless a router lets them")
        click.echo("        through; name the IOC's own address, or a CA gateway")
    else:
        click.echo("        does the way there let UDP through, and the answers back?")


def _listens(host: str, port: int) -> str:
    """Who accepts connections there."""
    try:
        with socket.create_connection((host, port), TCP_SECONDS) as sock:
            return _greeting(sock)
    except TimeoutError:
        return "no answer over TCP either"
    except OSError as error:
        return f"nothing over TCP: {error.strerror or error}"


def _greeting(sock: socket.socket) -> str:
    """Whether it is a server of Channel Access: those say their version at once."""
    sock.settimeout(TCP_SECONDS)
    try:
        sock.sendall(Version().encode())
        header = unpack_header(sock.recv(64))
    except TimeoutError:
        return "the port is taken by something that says nothing, or an IOC that hangs"
    except (OSError, RemoteProtocolError):
        header = None
    if header is not None and header.command == Command.VERSION:
        return "a server listens there, without this PV"
    return "the port is taken by something that does not speak Channel Access"


def _rights(rights: Access) -> None:
    """What the server lets us do."""
    me = sockets.identity(Config())
    who = f"user {me.user} on host {me.machine}"
    if rights & Access.READ:
        _say(True, "may be read")
    else:
        _say(False, f"access denied: the server does not let {who} read it")
    if rights & Access.WRITE:
        click.echo("      may be written")
    else:
        click.echo(f"      is read-only: the server does not let {who} write it")
    if rights != Access.READ | Access.WRITE:
        click.echo("      its access security decides (field ASG of the record)")


def _obstacles(session: CommandSession, channel: Channel) -> bool:
    """Fields of the record that keep clients from putting; whether there are none."""
    if not channel.access & Access.WRITE:
        return True
    record = channel.name.partition(".")[0]
    # what serves no records has no such fields either
    session.wait = min(session.wait, FIELD_SECONDS)
    names = [f"{record}.{field}" for field in OBSTACLES]
    channels = session.connect(names, 0, missing=False)
    values = session.read(channels, lambda one: Dbr.LONG, 1)
    good = True
    for (field, text), value in zip(OBSTACLES.items(), values, strict=True):
        if isinstance(value, Value) and value.elements() != (0,):
            _say(False, f"{text} (field {field} of the record)")
            good = False
    return good


def _examine(session: CommandSession, channel: Channel) -> bool:
    """The channel itself; whether all is well."""
    native = channel.native_type
    rights = channel.access
    _say(True, f"{native.name} with up to {channel.count} elements")
    _rights(rights)
    start = time.monotonic()
    style = Look()

    def choose(one: Channel) -> Dbr:
        return choose_type(one, Family.TIME, style)

    (value,) = session.read([channel], choose, 10)
    if not isinstance(value, Value):
        _say(False, f"reading failed: {value}")
        return False
    took = time.monotonic() - start
    shown = elements(value, style, is_array=channel.count > 1)
    _say(True, f"value {shown} at {stamp(value)}, read in {1000 * took:.1f} ms")
    good = _obstacles(session, channel)
    if alarm(value):
        _say(False, f"the record is in alarm: {alarm(value)}")
        good = False
    if value.timestamp - time.time() > SKEW_SECONDS:
        _say(False, "its time stamp is in the future: the clocks disagree")
        good = False
    return good
