"""Signals and commands on Channel Access: what can go wrong, and what must not."""

import asyncio
import gc
import logging
import threading
import time
import typing
from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np
import pytest
from ca_rig import LONG, STATES, serving, until
from ophyd_async.core import (
    Array1D,
    NotConnectedError,
    SignalRW,
    SignalX,
    StrictEnum,
    SubsetEnum,
    SupersetEnum,
    Table,
    init_devices,
    observe_value,
)

from beamfly.ca.default_client import get_client, purge_channel_caches
from beamfly.ca.message import Access
from beamfly.ca.puts import Put
from beamfly.ca.pv import PV
from beamfly.devices import ca_signal_r, ca_signal_rw, ca_signal_w, ca_signal_x
from beamfly.devices.ca_backend import CaCommandBackend, CaSignalBackend
from beamfly.errors import BadValue, CADisconnected, CARefused


class Abc(StrictEnum):
    A = "Aaa"
    B = "Bbb"
    C = "Ccc"


class Ab(StrictEnum):
    A = "Aaa"
    B = "Bbb"


class SubsetAb(SubsetEnum):
    A = "Aaa"
    B = "Bbb"


class SubsetDe(SubsetEnum):
    D = "Ddd"


class SupersetAb(SupersetEnum):
    A = "Aaa"
    B = "Bbb"


class SupersetAbcd(SupersetEnum):
    A = "Aaa"
    B = "Bbb"
    C = "Ccc"
    D = "Ddd"


class NoEnum(Enum):
    A = "Aaa"


class Rows(Table):
    a: Array1D[np.int32]


async def connect(*signals: Any, timeout: float = 5) -> None:
    await asyncio.gather(*(signal.connect(timeout=timeout) for signal in signals))


def backend_of(signal: Any) -> CaSignalBackend[Any]:
    backend = signal._connector.backend
    assert isinstance(backend, CaSignalBackend)
    return backend


# ---- datatypes

PVS: dict[str, Any] = {
    "X:float": PV(1.5, precision=2),
    "X:whole": PV(3.0, precision=0),
    "X:float32": PV(0.25, type="float"),
    "X:int": 7,
    "X:short": PV(1, type="short"),
    "X:char": PV(1, type="char"),
    "X:text": "hello",
    "X:enum": PV(1, states=STATES),
    "X:two": PV(1, states=("off", "on")),
    "X:doubles": PV([1.0, 2.0, 300.0], length=10),
    "X:floats": PV(np.float32([1, 2]), length=10),
    "X:longs": PV(np.int32([1, 0, 65535]), length=10),
    "X:shorts": PV(np.int16([1, -2]), length=10),
    "X:chars": PV(np.uint8([1, 0, 255]), length=100),
    "X:texts": PV(["Aaa", "Bbb"], length=10),
    "X:one": PV(np.array([2.5]), length=1, type="double"),
    "X:title": PV(LONG, size=100),
}
FITS = [
    ("X:float", None, float, 1.5),
    ("X:float", float, float, 1.5),
    ("X:float32", None, float, 0.25),
    ("X:whole", int, int, 3),
    ("X:whole", float, float, 3.0),
    ("X:int", None, int, 7),
    ("X:short", int, int, 1),
    ("X:short", bool, bool, True),
    ("X:char", None, int, 1),
    ("X:char", bool, bool, True),
    ("X:text", None, str, "hello"),
    ("X:title", str, str, LONG[:39]),
    ("X:title.VAL$", str, str, LONG),
    ("X:title.VAL$", None, str, LONG),
    ("X:enum", None, str, "Bbb"),
    ("X:enum", Abc, Abc, Abc.B),
    ("X:enum", SubsetAb, SubsetAb, SubsetAb.B),
    ("X:enum", SupersetAbcd, SupersetAbcd, SupersetAbcd.B),
    ("X:two", bool, bool, True),
    ("X:doubles", None, Array1D[np.float64], [1.0, 2.0, 300.0]),
    ("X:doubles", Array1D[np.float64], Array1D[np.float64], [1.0, 2.0, 300.0]),
    ("X:doubles", Array1D[np.uint32], Array1D[np.uint32], [1, 2, 300]),
    ("X:doubles", Array1D[np.int64], Array1D[np.int64], [1, 2, 300]),
    ("X:doubles", Array1D[np.uint64], Array1D[np.uint64], [1, 2, 300]),
    ("X:doubles", np.ndarray, np.ndarray, [1.0, 2.0, 300.0]),
    ("X:floats", None, Array1D[np.float32], [1, 2]),
    ("X:longs", None, Array1D[np.int32], [1, 0, 65535]),
    ("X:longs", Array1D[np.uint16], Array1D[np.uint16], [1, 0, 65535]),
    ("X:longs", Array1D[np.bool_], Array1D[np.bool_], [True, False, True]),
    ("X:shorts", None, Array1D[np.int16], [1, -2]),
    ("X:chars", None, Array1D[np.uint8], [1, 0, 255]),
    ("X:chars", Array1D[np.int8], Array1D[np.int8], [1, 0, -1]),
    ("X:chars", Array1D[np.bool_], Array1D[np.bool_], [True, False, True]),
    ("X:texts", None, Sequence[str], ["Aaa", "Bbb"]),
    ("X:texts", Sequence[Ab], Sequence[Ab], [Ab.A, Ab.B]),
    ("X:one", Array1D[np.float64], Array1D[np.float64], [2.5]),
]


@pytest.mark.parametrize(("pv", "declared", "datatype", "value"), FITS)
async def test_what_a_pv_can_be_declared_as(
    pv: str,
    declared: Any,
    datatype: Any,
    value: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving({pv.partition(".")[0]: _fresh(pv)}, monkeypatch) as server:
        signal = ca_signal_rw(declared, pv, name="signal")
        await connect(signal)
        assert backend_of(signal).converter.datatype == datatype
        got = await signal.get_value()
        if isinstance(got, np.ndarray):
            assert got.tolist() == value
            key = (await signal.describe())["signal"]
            assert key["dtype_numpy"] == got.dtype.str and key["shape"] == list(
                got.shape
            )
        else:
            assert got == value and type(got) is type(value)
        # what was read can be written, and is what it was
        before = server[pv].value
        await signal.set(got)
        assert (await signal.read())["signal"]["alarm_severity"] in (0, -1)
        after = server[pv].value
        if isinstance(got, np.ndarray) and got.dtype == bool:
            before = before != 0
        assert np.array_equal(before, after) or after == LONG[:39]


def _fresh(name: str) -> PV:
    """A PV like the one of the list: a PV belongs to one server."""
    given = PVS[name.partition(".")[0]]
    if not isinstance(given, PV):
        return PV(given)
    value = given.value.copy() if isinstance(given.value, np.ndarray) else given.value
    return PV(
        value,
        type=given.type,
        length=given.length,
        size=given.size,
        states=given.properties.states,
        precision=given.properties.precision,
    )


DOES_NOT_FIT = [
    ("X:float", int, "X:float with inferred datatype float cannot be coerced to int"),
    ("X:float", str, "inferred datatype float cannot be coerced to str"),
    ("X:float", bool, "cannot be coerced to bool"),
    ("X:int", bool, "inferred datatype int cannot be coerced to bool"),
    ("X:int", float, "cannot be coerced to float"),
    ("X:text", int, "inferred datatype str cannot be coerced to int"),
    ("X:text", Abc, "inferred datatype str cannot be coerced to Abc"),
    ("X:enum", int, r"datatype str \| SubsetEnum \| StrictEnum cannot be coerced"),
    ("X:enum", bool, "X:enum has 3 choices, can't map to bool"),
    ("X:enum", Ab, r"X:enum has choices \('Aaa', 'Bbb', 'Ccc'\), but .*strictly equal"),
    ("X:enum", SubsetDe, r"requested \['Ddd'\] to be a subset of them"),
    ("X:enum", SupersetAb, r"requested \['Aaa', 'Bbb'\] to be a superset of them"),
    ("X:doubles", float, r"Array1D\[np.float64\] cannot be coerced to float"),
    ("X:doubles", Array1D[np.int32], r"cannot be coerced to Array1D\[np.int32\]"),
    ("X:doubles", Rows, "cannot be coerced to Rows"),
    ("X:texts", str, r"inferred datatype Sequence\[str\] cannot be coerced to str"),
    ("X:texts", Array1D[np.float64], r"Sequence\[str\] cannot be coerced to Array1D"),
]


async def test_what_it_cannot_be_is_said_on_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pvs = {name: _fresh(name) for name in PVS}
    pvs["X:other"] = PV(0, states=("", ""))
    async with serving(pvs, monkeypatch):
        for pv, declared, words in DOES_NOT_FIT:
            signal: SignalRW[Any] = ca_signal_rw(declared, pv)
            with pytest.raises(TypeError, match=words):
                await signal.connect()
        with pytest.raises(TypeError, match="Differing datatypes and element_count: "):
            await ca_signal_rw(None, "X:float", "X:int").connect()
        with pytest.raises(TypeError, match=r"Differing choices: X:enum has .*X:two"):
            await ca_signal_rw(str, "X:enum", "X:two").connect()
        with pytest.raises(TypeError, match="Differing number of choices"):
            await ca_signal_rw(bool, "X:two", "X:enum").connect()
        # what the states of a bool are called does not matter
        await ca_signal_rw(bool, "X:two", "X:other").connect()
        await ca_signal_rw(typing.Sequence[str], "X:texts").connect()
        with pytest.raises(TypeError, match=r"NoEnum.*should inherit from"):
            await ca_signal_rw(NoEnum, "X:enum").connect()  # type: ignore[type-var]


async def test_values_that_do_not_fit_are_not_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pvs = {name: _fresh(name) for name in PVS}
    async with serving(pvs, monkeypatch) as server:
        enum = ca_signal_rw(Abc, "X:enum")
        text = ca_signal_rw(str, "X:text")
        title = ca_signal_rw(str, "X:title.VAL$")
        longs: SignalRW[Any] = ca_signal_rw(Array1D[np.int32], "X:longs")
        await connect(enum, text, title, longs)
        words = r"Ddd is not a valid choice for X:enum, valid choices: \['Aaa', 'Bbb',"
        with pytest.raises(ValueError, match=words):
            await enum.set("Ddd")  # type: ignore[arg-type]
        with pytest.raises(BadValue, match="39; nothing was sent"):
            await text.set(LONG)
        with pytest.raises(BadValue, match=r"X:title.VAL. holds 100 bytes of text"):
            await title.set(101 * "x")
        with pytest.raises(BadValue, match=r"does not fit X:longs: .*nothing was sent"):
            await longs.set(["what", "ever"])
        await title.set(100 * "x")
        assert server["X:title"].value == 100 * "x"
        assert [server["X:enum"].value, server["X:text"].value] == [1, "hello"]
        assert server["X:longs"].value.tolist() == [1, 0, 65535]


async def test_choices_that_change_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving({"X:enum": PV(1, states=STATES)}, monkeypatch) as server:
        strict, loose = ca_signal_rw(Abc, "X:enum"), ca_signal_rw(SubsetAb, "X:enum")
        await connect(strict, loose)
        server["X:enum"].configure(states=("Aaa", "new", "Ccc"))
        assert await loose.get_value() == "new"
        with pytest.raises(Exception, match="X:enum is 'new', which Abc does not have"):
            await strict.get_value()
        seen: list[Any] = []
        strict.subscribe_reading(seen.append)
        await until(lambda: "was not delivered" in caplog.text)
        server["X:enum"].post("Ccc")
        await until(lambda: seen)


# ---- connection


async def test_errors_name_every_pv_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def access(peer: Any, name: str) -> Access:
        return Access.NONE if name == "X:secret" else Access.READ

    pvs = {"X:there": 1, "X:secret": 2}
    async with serving(pvs, monkeypatch, access=access):
        with pytest.raises(NotConnectedError) as raised:
            async with init_devices(timeout=0.8):
                good = ca_signal_r(int, "X:there")
                bad = ca_signal_rw(int, "X:missing:RBV", "X:missing")
                secret = ca_signal_r(int, "X:secret")
        text = str(raised.value)
        assert "ca://X:missing:RBV was not found within 0.8 s" in text
        assert "ca://X:missing was not found within 0.8 s" in text
        assert "ca://X:secret may not be read: the server at 127.0.0.1:" in text
        assert "X:there" not in text
        assert await good.get_value() == 1
        with pytest.raises(
            CARefused, match=r"X:there may not be written: .* 5 was not"
        ):
            writer = ca_signal_w(int, "X:there")
            await writer.connect()
            await writer.set(5)
        assert (bad.name, secret.name) == ("bad", "secret")


async def test_before_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    signal = ca_signal_rw(float, "ca://X:a", "X:b")
    assert signal.source == "ca://X:a"
    backend = backend_of(signal)
    assert (backend.read_pv, backend.write_pv) == ("X:a", "X:b")
    assert backend.source("", False) == "ca://X:b"
    words = r"No PV has been set as connect\(\) has not been called"
    with pytest.raises(NotImplementedError, match=words):
        await signal.get_value()
    with pytest.raises(NotImplementedError, match=words):
        await signal.set(1.0)
    with pytest.raises(NotImplementedError, match="ca://X:go is not connected"):
        await ca_signal_x("X:go").trigger()
    with pytest.raises(BadValue, match="pva://X:a is not a PV of Channel Access"):
        ca_signal_r(float, "pva://X:a")


async def test_found_again_after_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving({"X:a": 1.0}, monkeypatch) as first:
        port = first.port
        signal = ca_signal_rw(float, "X:a", name="a")
        await signal.connect()
        seen: list[Any] = []
        signal.subscribe_reading(lambda reading: seen.append(reading["a"]))
        await until(lambda: seen)
    await until(lambda: len(seen) == 2)
    assert (seen[1]["value"], seen[1]["alarm_severity"]) == (1.0, -1)
    assert seen[1]["message"] == "X:a is disconnected, this is its last known value"
    with pytest.raises(TimeoutError):
        await signal.set(9.0, timeout=0.05)
    async with serving({"X:a": 2.0}, monkeypatch, port=port) as second:
        await until(lambda: len(seen) == 3)
        assert (seen[2]["value"], seen[2]["alarm_severity"]) == (2.0, 0)
        # a write that was given up is not made up for
        assert second["X:a"].value == 2.0
        await signal.set(3.0)
        assert await signal.get_value(cached=False) == 3.0


async def test_purged_caches_are_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving({"X:a": 1.0}, monkeypatch):
        signal, command = ca_signal_rw(float, "X:a"), ca_signal_x("X:b")
        await signal.connect()
        purge_channel_caches()
        await signal.set(2.0)
        assert await signal.get_value() == 2.0
        assert command.source == "ca://X:b"


def test_other_event_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    from ca_rig import environment

    from beamfly.ca.server_thread import serve_in_thread
    from ca.c_ioc import free_port

    with serve_in_thread({"X:a": 1.0}, port=0) as server:
        for name, value in environment(server.port, free_port()).items():
            monkeypatch.setenv(name, value)
        signal = ca_signal_rw(float, "X:a")
        clients: list[Any] = []

        async def use(value: float) -> None:
            if not clients:
                await signal.connect()
            await signal.set(value)
            assert await signal.get_value() == value
            clients.append(get_client())

        asyncio.run(use(2.0))
        thread = threading.Thread(target=lambda: asyncio.run(use(3.0)))
        thread.start()
        thread.join(30)
        asyncio.run(use(4.0))
        assert server.value("X:a") == 4.0
        assert len(set(clients)) == 3 and all(client.closed for client in clients)


async def test_channels_of_forgotten_signals_are_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving({f"X:{n}": n for n in range(50)}, monkeypatch) as server:
        kept = ca_signal_rw(int, "X:0")
        again = ca_signal_rw(int, "X:0")
        await connect(kept, again)
        core = get_client().core
        for _ in range(3):
            signals = [ca_signal_rw(int, f"X:{n}") for n in range(50)]
            await connect(*signals)
            assert len(core.channels) == 50
            del signals
            gc.collect()
            await until(lambda: len(core.channels) == 1)
        assert await kept.get_value() == await again.get_value() == 0
        del kept, again
        gc.collect()
        await until(lambda: not core.channels)
        assert server["X:0"].value == 0


# ---- updates


async def test_no_update_is_lost_and_they_stay_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving({"X:a": 0}, monkeypatch) as server:
        signal = ca_signal_r(int, "X:a", name="a")
        await signal.connect()
        seen: list[int] = []
        stamps: list[float] = []

        def take(reading: dict[str, Any]) -> None:
            seen.append(reading["a"]["value"])
            stamps.append(reading["a"]["timestamp"])

        signal.subscribe_reading(take)
        await until(lambda: seen)
        for burst in range(100):
            for value in range(20):
                stamp = (10**9 + burst) * 10**9
                server["X:a"].post(burst * 20 + value + 1, time_ns=stamp)
            await asyncio.sleep(0)
        await until(lambda: seen[-1] == 2000)
        assert len(seen) == len(set(seen)) and seen == sorted(seen)
        assert stamps[-1] == 10**9 + 99
        backend = backend_of(signal)
        assert backend.subscription is not None
        assert backend.subscription.all_updates and not backend.subscription.dropped
        with pytest.raises(RuntimeError, match="Cannot set a callback when one is alr"):
            backend.set_callback(lambda reading: None)
        signal.clear_sub(take)
        assert backend.subscription is None
        count = len(seen)
        server["X:a"].post(-1)
        assert await signal.get_value() == -1
        assert len(seen) == count


async def test_merged_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPHYD_ASYNC_EPICS_CA_KEEP_ALL_UPDATES", "False")
    async with serving({"X:a": 0}, monkeypatch):
        signal = ca_signal_r(int, "X:a", name="a")
        await signal.connect()
        seen: list[int] = []
        signal.subscribe_reading(lambda reading: seen.append(reading["a"]["value"]))
        await until(lambda: seen)
        subscription = backend_of(signal).subscription
        assert subscription is not None and not subscription.all_updates
        for value in (1, 2, 3):
            subscription._merge(value, 0, 0, 0)
        await until(lambda: len(seen) > 1)
        assert seen == [0, 3] and subscription.dropped == 2
        subscription._merge(4, 0, 0, 0)
        subscription.close()
        subscription.close()
        await asyncio.sleep(0)
        assert seen == [0, 3]


async def test_a_listener_that_raises_hears_of_the_next_update(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving({"X:a": 0}, monkeypatch) as server:
        signal = ca_signal_r(int, "X:a", name="a")
        await signal.connect()
        seen: list[int] = []

        def take(reading: dict[str, Any]) -> None:
            seen.append(reading["a"]["value"])
            if seen[-1] == 0:
                raise ValueError("no zero, please")

        with caplog.at_level(logging.ERROR, "ophyd_async"):
            signal.subscribe_reading(take)
            await until(lambda: seen)
        assert "an update of ca://X:a was not delivered: no zero" in caplog.text
        server["X:a"].post(1)
        await until(lambda: seen == [0, 1])


async def test_alarms(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving({"X:a": PV(0.0, high=10, hihi=20)}, monkeypatch) as server:
        signal = ca_signal_r(float, "X:a", name="a")
        await signal.connect()
        severities: list[int] = []
        for post in ((0.0,), (11.0,), (21.0,)):
            server["X:a"].post(*post)
            reading = (await signal.read())["a"]
            severities.append(reading["alarm_severity"])
        server["X:a"].post(0.0, severity="INVALID", status="COMM")
        severities.append((await signal.read())["a"]["alarm_severity"])
        assert severities == [0, 1, 2, -1]
        limits = (await signal.describe())["a"]["limits"]
        assert limits["alarm"] == {"low": None, "high": 20}
        assert limits["warning"] == {"low": None, "high": 10}


# ---- puts


async def test_waiting_is_decided_by_the_option(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[bool] = []

    def note(put: Put) -> None:
        waits.append(put.wait)

    async with serving({"X:a": PV(0, on_put=note)}, monkeypatch):
        for wait in (True, False, bool):
            signal = ca_signal_rw(int, "X:a", wait=wait)
            await signal.connect()
            for value in (1, 0):
                await signal.set(value)
                assert await signal.get_value() == value
    assert waits == [True, True, False, False, True, False]


async def test_put_of_nothing_writes_what_was_there_on_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pvs = {name: _fresh(name) for name in PVS}
    async with serving(pvs, monkeypatch) as server:
        for name in set(PVS) - {"X:title"}:
            backend = CaSignalBackend[Any](None, name, name)
            with pytest.warns(DeprecationWarning):
                signal = SignalX(backend)
            await signal.connect()
            before = server[name].value
            server[name].post(type(before)() if server[name].scalar else before[:1])
            await signal.trigger()
            assert np.array_equal(server[name].value, before), name


async def test_a_put_that_was_given_up_is_never_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = asyncio.Event()
    put_values: list[float] = []

    async def slow(put: Put) -> None:
        put_values.append(put.value)
        await release.wait()

    async with serving({"X:a": PV(0.0, on_put=slow)}, monkeypatch):
        signal = ca_signal_rw(float, "X:a")
        await signal.connect()
        first = signal.set(1.0)
        await until(lambda: put_values)
        # the server is still busy with the first one
        with pytest.raises(TimeoutError):
            await signal.set(2.0, timeout=0.05)
        third = signal.set(3.0)
        await asyncio.sleep(0)
        release.set()
        await first
        await third
    assert put_values == [1.0, 3.0]


async def test_refused_and_broken_puts(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(put: Put) -> None:
        await asyncio.Event().wait()

    pvs = {"X:fixed": PV(1.0, writable=False), "X:stuck": PV(1.0, on_put=never)}
    async with serving(pvs, monkeypatch) as server:
        fixed, stuck = ca_signal_rw(float, "X:fixed"), ca_signal_rw(float, "X:stuck")
        await connect(fixed, stuck)
        with pytest.raises(CARefused, match="X:fixed"):
            await fixed.set(2.0)
        status = stuck.set(2.0)
        await asyncio.sleep(0.01)
        await server.close()
        with pytest.raises((CADisconnected, CARefused), match="X:stuck"):
            await status


async def test_a_pv_that_is_exchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving({"X:a": 1.0, "X:b": 2.0}, monkeypatch) as server:
        signal = ca_signal_rw(float, "X:a")
        await signal.connect()
        backend_of(signal).write_pv = "X:b"
        await signal.set(3.0)
        assert (server["X:a"].value, server["X:b"].value) == (1.0, 3.0)
        assert await signal.locate() == {"setpoint": 3.0, "readback": 1.0}
        backend_of(signal).write_pv = "X:missing"
        with pytest.raises(TimeoutError, match="ca://X:missing"):
            await signal.set(4.0, timeout=0.05)


async def test_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt takes its time, and the record hears of the first one alone."""
    values: list[float] = []

    enough = asyncio.Event()

    async def slow(put: Put) -> None:
        values.append(put.value)
        await enough.wait()

    async with serving({"X:a": PV(0.0, on_put=slow)}, monkeypatch):
        signal = ca_signal_rw(float, "X:a", attempts=3, timeout=0.05)
        await signal.connect()
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            await signal.set(1.0)
        assert time.monotonic() - start > 0.14
        assert values == [1.0]
        enough.set()


# ---- commands


async def test_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    pvs = {
        "X:go": PV(0, states=("Done", "Go")),
        "X:float": 1.0,
        "X:text": "no",
        "X:array": PV([1, 2], length=2),
    }
    async with serving(pvs, monkeypatch) as server:
        go = ca_signal_x("X:go", name="go")
        await go.connect()
        assert isinstance(go._connector.backend, CaCommandBackend)
        await go.trigger()
        assert server["X:go"].value == 1
        two = ca_signal_x("X:go", execute_value=0)
        await two.connect()
        await two.execute()
        assert server["X:go"].value == 0
        for name, words in (
            ("X:float", "is a DOUBLE; a command requires a scalar numeric PV"),
            ("X:text", "is a STRING; a command requires a scalar numeric PV"),
            ("X:array", "is an array PV"),
        ):
            with pytest.raises(TypeError, match=words):
                await ca_signal_x(name).connect()
        with pytest.raises(NotConnectedError, match="ca://X:missing was not found"):
            await ca_signal_x("X:missing").connect(timeout=0.05)


async def test_observe_value(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving({"X:a": 0}, monkeypatch) as server:
        signal = ca_signal_r(int, "X:a")
        await signal.connect()
        seen: list[int] = []
        async for value in observe_value(signal, done_timeout=30):
            seen.append(value)
            if value == 3:
                break
            server["X:a"].post(value + 1)
        assert seen == [0, 1, 2, 3]
