"""Settings of Channel Access, from the environment or given by hand.

`Config.from_environment()` is the only place that reads environment variables; it
understands all EPICS_CA_* and EPICS_CAS_* of EPICS base. `Config(...)` with arguments
ignores the environment. Names of hosts are resolved by the shells, not here.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

from beamfly.ca.frozen import Frozen, frozen
from beamfly.errors import BadValue

Address = tuple[str, int]
"""Host name or IPv4 address, and port."""
SERVER_PORT = 5064
REPEATER_PORT = 5065
LARGEST = 1e12
"""No number of the environment is larger, inf the least."""
HEADER_ROOM = 24
"""Bytes that EPICS_CA_MAX_ARRAY_BYTES leaves out of account."""


@frozen
class Config(Frozen):
    """Settings of clients and servers; defaults are those of EPICS base."""

    addresses: tuple[Address, ...] = ()
    """Where searches go besides the broadcasts, EPICS_CA_ADDR_LIST."""
    auto_addresses: bool = True
    """Whether searches are broadcast too, EPICS_CA_AUTO_ADDR_LIST."""
    name_servers: tuple[Address, ...] = ()
    """Searched over TCP, EPICS_CA_NAME_SERVERS."""
    server_port: int = SERVER_PORT
    """Port of servers where an address names none, EPICS_CA_SERVER_PORT."""
    repeater_port: int = REPEATER_PORT
    """Where beacons are repeated, EPICS_CA_REPEATER_PORT."""
    connection_timeout: float = 30.0
    """Seconds of silence after which a server is asked for an echo, and after which a
    name server is tried again, EPICS_CA_CONN_TMO."""
    longest_search_period: float = 300.0
    """Seconds between searches for what is never found, at least 60,
    EPICS_CA_MAX_SEARCH_PERIOD."""
    largest_array: int | None = None
    """Most bytes of a payload, None for no limit; larger ones fail with ECA 72.
    EPICS_CA_MAX_ARRAY_BYTES if EPICS_CA_AUTO_ARRAY_BYTES is NO."""
    multicast_ttl: int = 1
    """Hops of searches that go to a multicast address, EPICS_CA_MCAST_TTL."""
    tool_timeout: float = 1.0
    """Seconds that command line tools wait, EPICS_CLI_TIMEOUT."""
    cas_interfaces: tuple[Address, ...] = ()
    """Where a server listens, all interfaces when empty, EPICS_CAS_INTF_ADDR_LIST."""
    cas_ignored: tuple[Address, ...] = ()
    """Clients whose searches are not answered, EPICS_CAS_IGNORE_ADDR_LIST."""
    cas_port: int = SERVER_PORT
    """Of a server, EPICS_CAS_SERVER_PORT, else EPICS_CA_SERVER_PORT."""
    cas_beacon_addresses: tuple[Address, ...] = ()
    """Where beacons go besides the broadcasts, EPICS_CAS_BEACON_ADDR_LIST, else
    EPICS_CA_ADDR_LIST; without a port of their own they go to cas_beacon_port."""
    cas_auto_beacon_addresses: bool = True
    """Whether beacons are broadcast, EPICS_CAS_AUTO_BEACON_ADDR_LIST, else
    EPICS_CA_AUTO_ADDR_LIST."""
    cas_beacon_port: int = REPEATER_PORT
    """EPICS_CAS_BEACON_PORT, else EPICS_CA_REPEATER_PORT."""
    cas_beacon_period: float = 15.0
    """Longest seconds between beacons, EPICS_CAS_BEACON_PERIOD, else
    EPICS_CA_BEACON_PERIOD."""
    warnings: tuple[str, ...] = ()
    """Variables that were not understood, and what was taken instead."""

    UNCOMPARED = ("warnings",)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> "Config":
        """Read EPICS_CA_* and EPICS_CAS_*; what makes no sense takes its default.

        Args:
            environ: Read instead of the process' own environment.
        """
        return _Reader(os.environ if environ is None else environ).config()


def parse_addresses(text: str, port: int) -> tuple[Address, ...]:
    """`host[:port]`, separated by white space, without repetitions; BadValue else."""
    found: dict[Address, None] = {}
    for word in text.split():
        host, _, number = word.partition(":")
        try:
            chosen = int(number) if number else port
        except ValueError:
            chosen = -1
        if not host or not 0 < chosen < 65536:
            msg = f"{word!r} is no address such as 10.0.0.1 or ioc1:5064"
            raise BadValue(msg)
        found[host, chosen] = None
    return tuple(found)


def _port(text: str) -> int:
    """A port number, or ValueError."""
    port = int(text)
    if port > 65535:
        raise ValueError(text)
    return port


def user_name() -> str:
    """Who runs this process: what getpass.getuser says, without its import."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        if found := os.environ.get(name):
            return found
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        # no entry for this user id, as in some containers
        return "nobody"


class _Reader:
    """Reads one environment, noting what it did not understand."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._warnings: list[str] = []

    def config(self) -> Config:
        """Everything, in the order in which variables lean on each other."""
        port = self._port("EPICS_CA_SERVER_PORT", SERVER_PORT)
        repeater = self._port("EPICS_CA_REPEATER_PORT", REPEATER_PORT)
        beacon_port = self._port("EPICS_CAS_BEACON_PORT", repeater)
        auto = self._yes("EPICS_CA_AUTO_ADDR_LIST", True)
        cas_port = self._port("EPICS_CAS_SERVER_PORT", port)
        beacon_list = "EPICS_CAS_BEACON_ADDR_LIST"
        if not self._text(beacon_list):
            beacon_list = "EPICS_CA_ADDR_LIST"
        period = self._number("EPICS_CA_BEACON_PERIOD", 15.0, 0.1)
        limit = self._number("EPICS_CA_MAX_ARRAY_BYTES", 16384, 16384)
        no_limit = self._yes("EPICS_CA_AUTO_ARRAY_BYTES", True)
        return Config(
            addresses=self._addresses("EPICS_CA_ADDR_LIST", port),
            auto_addresses=auto,
            name_servers=self._addresses("EPICS_CA_NAME_SERVERS", port),
            server_port=port,
            repeater_port=repeater,
            connection_timeout=self._number("EPICS_CA_CONN_TMO", 30.0, 0.1),
            longest_search_period=self._number("EPICS_CA_MAX_SEARCH_PERIOD", 300, 60),
            largest_array=None if no_limit else int(limit) + HEADER_ROOM,
            multicast_ttl=int(self._number("EPICS_CA_MCAST_TTL", 1, 1, 255)),
            tool_timeout=self._number("EPICS_CLI_TIMEOUT", 1.0, 0.0),
            cas_interfaces=self._addresses("EPICS_CAS_INTF_ADDR_LIST", cas_port),
            cas_ignored=self._addresses("EPICS_CAS_IGNORE_ADDR_LIST", cas_port),
            cas_port=cas_port,
            cas_beacon_addresses=self._addresses(beacon_list, beacon_port),
            cas_auto_beacon_addresses=self._yes(
                "EPICS_CAS_AUTO_BEACON_ADDR_LIST", auto
            ),
            cas_beacon_port=beacon_port,
            cas_beacon_period=self._number("EPICS_CAS_BEACON_PERIOD", period, 0.1),
            warnings=tuple(dict.fromkeys(self._warnings)),
        )

    def _text(self, name: str) -> str:
        """A variable's value; one that is empty counts as unset."""
        return self._environ.get(name, "").strip()

    def _parse(
        self,
        name: str,
        default: Any,
        parse: Callable[[str], Any],
        least: float,
        most: float = LARGEST,
    ) -> Any:
        """A variable's number, or its default if it is not in this range."""
        text = self._text(name)
        if not text:
            return default
        try:
            value = parse(text)
            if least <= value <= most:
                return value
        except ValueError:
            pass
        upwards = "on" if most == LARGEST else f"to {most:g}"
        self._warnings.append(
            f"{name}={text} is no number from {least:g} {upwards}; took {default}"
        )
        return default

    def _number(
        self, name: str, default: float, least: float, most: float = LARGEST
    ) -> float:
        return self._parse(name, default, float, least, most)

    def _port(self, name: str, default: int) -> int:
        """Ports up to 5000 belong to others."""
        return self._parse(name, default, _port, 5001)

    def _yes(self, name: str, default: bool) -> bool:
        """EPICS looks for "no" anywhere in the value."""
        text = self._text(name)
        return "no" not in text.lower() if text else default

    def _addresses(self, name: str, port: int) -> tuple[Address, ...]:
        """Every address that is understood."""
        found: dict[Address, None] = {}
        for word in self._text(name).split():
            try:
                found.update(dict.fromkeys(parse_addresses(word, port)))
            except BadValue as error:
                self._warnings.append(f"{name}: {error}; it is left out")
        return tuple(found)
