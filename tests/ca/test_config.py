"""EPICS_CA_* and EPICS_CAS_* variables, and addresses."""

import dataclasses
import getpass
import socket

import pytest

from beamfly.ca import sockets
from beamfly.ca.addresses import dotted, number_of
from beamfly.ca.config import Config, parse_addresses, user_name
from beamfly.errors import BadValue


def test_nothing_set_gives_the_defaults() -> None:
    assert Config.from_environment({}) == Config()


def test_everything_set() -> None:
    config = Config.from_environment(
        {
            "EPICS_CA_ADDR_LIST": "10.0.0.1 ioc2:5070\tioc2:5070",
            "EPICS_CA_AUTO_ADDR_LIST": "NO",
            "EPICS_CA_NAME_SERVERS": "ns:6000",
            "EPICS_CA_SERVER_PORT": "6064",
            "EPICS_CA_REPEATER_PORT": "6065",
            "EPICS_CA_CONN_TMO": "3.5",
            "EPICS_CA_MAX_SEARCH_PERIOD": "100",
            "EPICS_CA_MAX_ARRAY_BYTES": "20000",
            "EPICS_CA_AUTO_ARRAY_BYTES": "no",
            "EPICS_CA_MCAST_TTL": "4",
            "EPICS_CLI_TIMEOUT": "2",
            "EPICS_CAS_INTF_ADDR_LIST": "127.0.0.1",
            "EPICS_CAS_IGNORE_ADDR_LIST": "10.0.0.9",
            "EPICS_CAS_SERVER_PORT": "7064",
            "EPICS_CAS_BEACON_PERIOD": "7",
            "EPICS_CAS_BEACON_PORT": "7065",
            "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "YES",
        }
    )
    assert config == Config(
        addresses=(("10.0.0.1", 6064), ("ioc2", 5070)),
        auto_addresses=False,
        name_servers=(("ns", 6000),),
        server_port=6064,
        repeater_port=6065,
        connection_timeout=3.5,
        longest_search_period=100,
        largest_array=20024,
        multicast_ttl=4,
        tool_timeout=2,
        cas_interfaces=(("127.0.0.1", 7064),),
        cas_ignored=(("10.0.0.9", 7064),),
        cas_port=7064,
        cas_beacon_addresses=(("10.0.0.1", 7065), ("ioc2", 5070)),
        cas_auto_beacon_addresses=True,
        cas_beacon_port=7065,
        cas_beacon_period=7,
    )
    assert config.warnings == ()


def test_a_server_leans_on_the_clients_variables() -> None:
    config = Config.from_environment(
        {
            "EPICS_CA_SERVER_PORT": "6064",
            "EPICS_CA_AUTO_ADDR_LIST": "no",
            "EPICS_CA_REPEATER_PORT": "6065",
            "EPICS_CA_BEACON_PERIOD": "9",
            "EPICS_CAS_BEACON_ADDR_LIST": "",
            "EPICS_CA_ADDR_LIST": "a",
        }
    )
    assert (config.cas_port, config.cas_beacon_port) == (6064, 6065)
    assert config.cas_beacon_addresses == (("a", 6065),)
    assert config.cas_auto_beacon_addresses is False
    assert config.cas_beacon_period == 9


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EPICS_CA_SERVER_PORT", "80"),
        ("EPICS_CA_SERVER_PORT", "99999"),
        ("EPICS_CA_CONN_TMO", "soon"),
        ("EPICS_CA_CONN_TMO", "inf"),
        ("EPICS_CA_MAX_SEARCH_PERIOD", "1"),
        ("EPICS_CA_MAX_ARRAY_BYTES", "inf"),
        ("EPICS_CA_MAX_ARRAY_BYTES", "nan"),
        ("EPICS_CA_MCAST_TTL", "256"),
        ("EPICS_CA_ADDR_LIST", "host:port"),
        ("EPICS_CA_ADDR_LIST", "host:0"),
    ],
)
def test_nonsense_takes_the_default_and_says_so(name: str, value: str) -> None:
    config = Config.from_environment({name: value})
    assert config == Config()
    assert len(config.warnings) == 1
    assert name in config.warnings[0] and value in config.warnings[0]


def test_hosts_that_cannot_be_resolved_are_told() -> None:
    told: list[str] = []
    names = [("localhost", 1), ("nohost.invalid", 2), ("x" * 70 + ".invalid", 3)]
    assert sockets.resolve(names, told.append) == [("127.0.0.1", 1)]
    assert len(told) == 2 and "host nohost.invalid has no IPv4 address" in told[0]
    assert sockets.resolve(names) == [("127.0.0.1", 1)]


def test_addresses_given_by_hand_must_be_right() -> None:
    assert parse_addresses("a b:6000", 5064) == (("a", 5064), ("b", 6000))
    with pytest.raises(BadValue, match="':5064' is no address"):
        parse_addresses(":5064", 5064)


def test_numbers_and_names_of_hosts() -> None:
    numeric, names = sockets.split_numeric([("127.0.0.1", 1), ("localhost", 2)])
    assert (numeric, names) == ([("127.0.0.1", 1)], [("localhost", 2)])
    assert sockets.resolve([("localhost", 2)]) == [("127.0.0.1", 2)]
    assert dotted(number_of("10.1.2.3")) == "10.1.2.3"
    assert number_of("ioc") == number_of("1.2.3.400") == number_of("1.2.3") == 0


def test_broadcast_addresses_are_addresses() -> None:
    for address in sockets.broadcast_addresses():
        socket.inet_aton(address)
    addresses, _ = sockets.search_addresses(Config(addresses=(("127.0.0.1", 5064),)))
    assert addresses[0] == ("127.0.0.1", 5064)
    assert len(addresses) == len(set(addresses)) > 1


def test_settings_are_a_frozen_dataclass() -> None:
    noted = dataclasses.replace(Config(server_port=1), warnings=("odd",))
    assert noted == Config(server_port=1) and hash(noted) == hash(Config(server_port=1))
    assert noted != Config() and noted.warnings == ("odd",)
    assert {field.name for field in dataclasses.fields(Config)} == {*Config.__slots__}
    with pytest.raises(dataclasses.FrozenInstanceError, match="server_port"):
        noted.server_port = 2  # type: ignore[misc]
    with pytest.raises(TypeError, match="cannot be made"):
        Config(port=1)  # type: ignore[call-arg]


def test_the_user_is_who_getpass_says(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("USERNAME", "LNAME", "USER", "LOGNAME")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    try:
        expected = getpass.getuser()
    except (KeyError, OSError):
        expected = "nobody"
    assert user_name() == expected
    for name in names:
        monkeypatch.setenv(name, f"somebody by {name}")
        assert user_name() == getpass.getuser() == f"somebody by {name}"
