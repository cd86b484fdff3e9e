"""caget and its relatives against a genuine C IOC."""

import asyncio
import gc
import subprocess
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import pytest

from beamfly import ca
from beamfly.ca import (
    CANothing,
    caget,
    cainfo,
    camonitor,
    caput,
    connect,
    purge_channel_caches,
)
from beamfly.ca.cadef import CAException
from beamfly.ca.datatypes import InvalidDatatype
from beamfly.errors import BadValue, CAError

from .c_ioc import CIoc

pytestmark = [pytest.mark.peer, pytest.mark.usefixtures("ioc")]
T = 5.0


async def until(predicate: Any, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.01)


async def test_scalars_and_their_types() -> None:
    await caput("T:ao", 1.5, wait=True)
    await caput("T:long", 7, wait=True)
    await caput("T:enum", 2, wait=True)
    await caput("T:string", "hello", wait=True)
    values = await caget(["T:ao", "T:long", "T:enum", "T:string"])
    assert values == [1.5, 7, 2, "hello"]
    assert [type(value).__name__ for value in values] == [
        *("ca_float", "ca_int", "ca_int", "ca_str")
    ]
    assert [value.datatype for value in values] == [6, 5, 3, 0]
    assert all(value.ok and value.element_count == 1 for value in values)
    assert [type(+value) for value in values] == [float, int, int, str]
    assert not hasattr(values[0], "timestamp")


async def test_formats() -> None:
    await caput("T:ao", 7.5, wait=True)
    value = await caget("T:ao", format=ca.FORMAT_TIME)
    assert (value.severity, value.status) == (1, 4)
    assert value.timestamp == pytest.approx(time.time(), abs=60)
    assert value.raw_stamp[0] == int(value.timestamp)
    assert value.datetime.timestamp() == pytest.approx(value.timestamp)
    value = await caget("T:ao", format=ca.FORMAT_CTRL)
    assert (value.units, value.precision, value.severity) == ("mm", 3, 1)
    limits = [
        *(value.upper_disp_limit, value.lower_disp_limit, value.upper_alarm_limit),
        *(value.upper_warning_limit, value.lower_warning_limit),
        *(value.lower_alarm_limit, value.upper_ctrl_limit, value.lower_ctrl_limit),
    ]
    assert limits == [10, -10, 8, 7, -7, -8, 9, -9]
    value = await caget("T:enum", format=ca.FORMAT_CTRL)
    assert value.enums == ["zero", "one", "two"]
    value = await caget("T:long", format=ca.FORMAT_CTRL)
    assert value.units == "µm" and not hasattr(value, "precision")
    value = await caget("T:string", format=ca.FORMAT_CTRL)
    assert value == "hello" and value.timestamp > 0
    with pytest.raises(InvalidDatatype):
        await caget("T:ao", format=9)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("datatype", "expected"),
    [
        (ca.DBR_STRING, "two"),
        (ca.DBR_ENUM_STR, "two"),
        (str, "two"),
        (bytes, b"two"),
        (int, 2),
        (float, 2.0),
        (np.float32, 2.0),
        (np.dtype("i2"), 2),
        (ca.DBR_CLASS_NAME, "mbbo"),
        (ca.DBR_STSACK_STRING, "two"),
    ],
)
async def test_datatypes(datatype: Any, expected: Any) -> None:
    await caput("T:enum", 2, wait=True)
    value = await caget("T:enum", datatype)
    assert value == expected
    assert isinstance(value, type(expected))


async def test_the_record_type_is_one_name_for_arrays_too() -> None:
    value = await caget("T:longs", ca.DBR_CLASS_NAME)
    assert value == "waveform"
    assert not hasattr(value, "severity")


async def test_datatypes_may_be_numbers_of_numpy() -> None:
    value = await caget("T:ao", np.int32(ca.DBR_STRING))
    assert isinstance(value, str) and value.datatype == 0


async def test_stsack_has_acknowledgement() -> None:
    value = await caget("T:ao", ca.DBR_STSACK_STRING)
    assert value.datatype == 37 and value.ackt in (0, 1) and value.acks >= 0
    await caput("T:ao", 0, datatype=ca.DBR_PUT_ACKT, wait=True)
    assert (await caget("T:ao", ca.DBR_STSACK_STRING)).ackt == 0
    await caput("T:ao", 1, datatype=ca.DBR_PUT_ACKT, wait=True)


@pytest.mark.parametrize("datatype", ["g", "complex", 77, [1]])
async def test_impossible_datatypes(datatype: Any) -> None:
    with pytest.raises(InvalidDatatype, match="nothing was sent"):
        await caget("T:ao", datatype)


ARRAYS = [
    ("T:double", np.array([1.5, 2.5])),
    ("T:float", np.array([1.5, -2.5], "f4")),
    ("T:longs", np.arange(7, dtype="i4")),
    ("T:short", np.array([-1], "i2")),
    ("T:char", np.array([1, 255], "u1")),
]


@pytest.mark.parametrize(("name", "array"), ARRAYS)
@pytest.mark.parametrize("format", [ca.FORMAT_RAW, ca.FORMAT_TIME, ca.FORMAT_CTRL])
async def test_arrays(name: str, array: Any, format: Any) -> None:
    await caput(name, array, wait=True)
    value = await caget(name, format=format)
    assert isinstance(value, ca.ca_array)
    assert value.dtype == array.dtype
    assert value.tolist() == array.tolist()
    assert type(+value) is np.ndarray
    await caput(name, [], wait=True)
    assert (await caget(name, format=format)).shape == (0,)


async def test_counts() -> None:
    await caput("T:longs", [1, 2, 3], wait=True)
    assert (await caget("T:longs", count=2)).tolist() == [1, 2]
    assert len(await caget("T:longs", count=-1)) == 100
    assert len(await caget("T:longs", count=1000)) == 100
    one = await caget("T:longs", count=1)
    assert isinstance(one, ca.ca_array) and one.tolist() == [1]


async def test_a_million_elements() -> None:
    array = np.random.default_rng(1).random(1_000_000)
    await caput("T:double", array, wait=True, timeout=20)
    value = await caget("T:double", timeout=20)
    assert np.array_equal(value, array)
    await caput("T:double", [1.0], wait=True)


async def test_text() -> None:
    await caput("T:strings", ["a", "µ", ""], wait=True)
    value = await caget("T:strings")
    assert value.tolist() == ["a", "µ", ""]
    long_text = "a long string of more than forty characters, with µ"
    await caput("T:char", long_text, datatype=ca.DBR_CHAR_STR, wait=True)
    assert await caget("T:char", ca.DBR_CHAR_STR) == long_text
    assert await caget("T:char", ca.DBR_CHAR_BYTES) == long_text.encode()
    assert await caget("T:string.DESC$") == ""
    with pytest.raises(BadValue, match="holds 39"):
        await caput("T:string", long_text)


@pytest.mark.parametrize("name", ["T:ao.DESC$", "T:string.VAL$"])
async def test_long_strings_end_where_they_end(name: str) -> None:
    for text in ("a longer text", "µ", "", "x" * 39):
        await caput(name, text, wait=True)
        assert await caget(name) == text
        await caput(name, "before this", wait=True)
        await caput(name, text, datatype=ca.DBR_CHAR_STR, wait=True)
        assert await caget(name) == text
        await caput([name, "T:ao"], ["in a list", 1], wait=True)
        assert await caget(name) == "in a list"


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize(
    ("name", "value", "status", "text"),
    [
        ("T:ao", [1, 2], 176, "has room for 1, not 2"),
        ("T:short", np.arange(11), 176, "Invalid element count requested calling"),
        ("T:ao.DESC$", "x" * 300, 176, "has room for 41, not 300"),
        ("T:string", "x" * 40, 186, "Invalid string calling .* holds 39"),
        ("T:strings", ["µ" * 20], 186, "nothing was sent"),
    ],
)
async def test_what_there_is_no_room_for(
    name: str, value: Any, status: int, text: str, wait: bool
) -> None:
    with pytest.raises(CAException, match=text) as error:
        await caput(name, value, wait=wait)
    assert error.value.status == status
    assert isinstance(error.value, BadValue) == (status == 186)
    result = await caput(name, value, wait=wait, throw=False)
    assert (result.name, result.errorcode, result.ok) == (name, status, False)
    await connect([name, "T:long"])
    results = await caput([name, "T:long"], [value, 3], wait=wait, throw=False)
    assert [one.errorcode for one in results] == [status, 1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("T:long", 2**31),
        ("T:longs", [0, 1e10]),
        ("T:enum", -1),
        ("T:char", 256),
        ("T:ao", 1 + 2j),
        ("T:string", [["a"]]),
    ],
)
async def test_numbers_that_would_become_others(name: str, value: Any) -> None:
    before = await caget(name)
    with pytest.raises(BadValue, match="nothing was sent"):
        await caput(name, value)
    with pytest.raises(BadValue, match="nothing was sent"):
        await caput([name, "T:ao"], [value, 1])
    assert np.array_equal(await caget(name), before)


async def test_text_types_take_text() -> None:
    for value in (1, 2.5, True):
        with pytest.raises(BadValue, match="is no text"):
            await caput("T:char", value, datatype=ca.DBR_CHAR_STR)
    with pytest.raises(BadValue, match="is no integer"):
        await caput("T:ao", "x", datatype=ca.DBR_PUT_ACKT)
    with pytest.raises(BadValue, match="is no integer"):
        await caget("T:longs", count=1.5)  # type: ignore[call-overload]


async def test_units_that_are_no_utf8() -> None:
    await caput("T:long.EGU", b"\xb5m", wait=True)
    value = await caget("T:long", format=ca.FORMAT_CTRL)
    assert value.units == "\ufffdm"
    await caput("T:long.EGU", "µm", wait=True)


async def test_lists_of_puts() -> None:
    pvs = ["T:ao", "T:long"]
    assert all(await caput(pvs, [1, 2], wait=True))
    assert await caget(pvs) == [1, 2]
    await caput(pvs, 3, wait=True)
    assert await caget(pvs) == [3, 3]
    await caput(pvs, "4", wait=True)
    await caput(("T:longs", "T:double"), [1, 2], repeat_value=True, wait=True)
    assert (await caget("T:double")).tolist() == [1, 2]
    assert await caget(pvs) == [4, 4]
    with pytest.raises(BadValue, match="must match in length"):
        await caput(pvs, [1, 2, 3])
    with pytest.raises(TypeError):
        await caput("T:ao", 1, unknown=True)


async def test_puts_are_in_order_and_do_not_suspend() -> None:
    await connect("T:long")
    coroutine = caput("T:long", 41)
    with pytest.raises(StopIteration) as done:
        coroutine.send(None)
    assert done.value.value
    for value in range(200):
        await caput("T:long", value)
    assert await caget("T:long") == 199


async def test_waiting_for_processing() -> None:
    start = time.monotonic()
    await caput("T:slow.PROC", 1, wait=True)
    assert time.monotonic() - start > 0.25
    with pytest.raises(CANothing) as error:
        await caput("T:never.PROC", 1, wait=True, timeout=0.05)
    assert (error.value.errorcode, error.value.name) == (80, "T:never.PROC")


async def test_what_is_not_there() -> None:
    with pytest.raises(CANothing) as error:
        await caget("T:nothing", timeout=0.1)
    assert repr(error.value) == "CANothing('T:nothing', 80)"
    text = "T:nothing: User specified timeout on IO operation expired"
    assert str(error.value) == text
    result = await caget("T:nothing", timeout=0.1, throw=False)
    assert isinstance(result, CANothing) and not result and not result.ok
    with pytest.raises(CANothing, match="Multiple PVs"):
        await caget(["T:ao", "T:nothing"], timeout=0.2)
    for seconds in (0.2, 2, 20):
        good, bad = await caget(["T:ao", "T:nothing"], timeout=seconds, throw=False)
        assert bad.errorcode == 80
        if good.ok:
            break
    assert good.ok
    with pytest.raises(CAError):
        await caget("T:nothing", timeout=(time.time() + 0.1,))
    with pytest.raises(CANothing):
        await caput("T:nothing", 1, timeout=0.1)
    with pytest.raises(CANothing):
        await connect("T:nothing", timeout=0)


@pytest.mark.parametrize("late", [0, -1.0, (1.0,)])
async def test_no_time_at_all(late: Any) -> None:
    """Only what needs no answer is done."""
    await caput("T:ao", 1, wait=True)
    for operation in (
        caget("T:ao", timeout=late),
        caput("T:ao", 2, None, True, timeout=late),
    ):
        with pytest.raises(CANothing, match="T:ao: User specified timeout"):
            await operation
    with pytest.raises(CANothing, match="Multiple PVs"):
        await caget(["T:ao", "T:long"], timeout=late)
    results = await caget(["T:ao", "T:long"], timeout=late, throw=False)
    assert [(one.name, one.errorcode) for one in results] == [
        ("T:ao", 80),
        ("T:long", 80),
    ]
    assert not await caget("T:ao", timeout=late, throw=False)
    assert await caget("T:ao") == 1
    assert await connect("T:ao", timeout=late)
    assert (await cainfo("T:ao", timeout=late)).ok
    assert await caput("T:ao", 3, timeout=late)
    assert await caget("T:ao") == 3


async def test_a_put_needs_a_value() -> None:
    await caput("T:ao", 1, wait=True)
    for pv in ("T:ao", ["T:ao"]):
        with pytest.raises(TypeError, match=r"needs a value for .*T:ao"):
            await caput(pv)  # type: ignore[call-overload]
    assert await caput(["T:ao"], values=[2], wait=True)  # type: ignore[call-overload]
    assert await caget("T:ao") == 2


async def test_refused_puts() -> None:
    with pytest.raises(CANothing) as error:
        await caput("T:enum", "no such state", wait=True)
    assert error.value.errorcode == 160
    with pytest.raises(CAException, match="Write access denied calling"):
        await caput("T:ao.NAME", "x", wait=True)
    result = await caput("T:ao.NAME", "x", throw=False)
    assert result.errorcode == 376


async def test_connect_and_info(ioc: CIoc) -> None:
    assert await connect("T:ao")
    assert all(await connect(["T:ao", "T:long"]))
    info = await cainfo("T:longs")
    assert str(info).splitlines() == [
        "T:longs:",
        "    State: connected",
        f"    Host: 127.0.0.1:{ioc.port}",
        "    Access: True, True",
        "    Data type: long",
        "    Count: 100",
    ]
    info = await cainfo("T:nothing", wait=False)
    assert (info.state, info.host, info.datatype) == (0, "<disconnected>", 7)
    infos = {one.name: one for one in ca.get_channel_infos()}
    assert infos["T:ao"].connected and not infos["T:nothing"].connected


async def test_monitor() -> None:
    await caput("T:long", 1, wait=True)
    seen: list[Any] = []
    early = camonitor("T:ao", seen.append)
    assert early.state == early.OPENING
    early.close()
    subscription = camonitor("T:long", seen.append, all_updates=True)
    await until(lambda: len(seen) == 1)
    assert subscription.state == subscription.OPEN
    # an IOC keeps about a hundred updates for a client that does not read
    for value in range(2, 50):
        await caput("T:long", value)
    await until(lambda: len(seen) == 49)
    assert seen == list(range(1, 50))
    infos = {one.name: one.subscriber_count for one in ca.get_channel_infos()}
    assert infos == {"T:ao": 0, "T:long": 1}
    subscription.close()
    subscription.close()
    await caput("T:long", 1, wait=True)
    await asyncio.sleep(0.05)
    assert len(seen) == 49 and subscription.state == subscription.CLOSED


async def test_merged_updates_end_with_the_newest() -> None:
    await caput("T:long", 0, wait=True)
    seen: list[Any] = []
    every: list[Any] = []
    go_on = asyncio.Event()
    go_on.set()

    async def slow(value: Any) -> None:
        await go_on.wait()
        seen.append(value)

    subscription = camonitor("T:long", slow)
    other = camonitor("T:long", every.append, all_updates=True)
    await until(lambda: seen == every == [0])
    go_on.clear()
    for value in range(1, 50):
        await caput("T:long", value)
    await until(lambda: every == list(range(50)))
    go_on.set()
    await until(lambda: seen[-1] == 49)
    # the newest, and one that it may have been busy with
    assert len(seen) in (2, 3) and subscription.dropped_callbacks == 50 - len(seen)
    subscription.close()
    other.close()


async def test_asynchronous_callbacks_get_all_updates() -> None:
    await caput("T:long", 0, wait=True)
    seen: list[Any] = []

    async def slow(value: Any) -> None:
        await asyncio.sleep(0.001)
        seen.append(value)

    subscription = camonitor("T:long", slow, all_updates=True)
    await until(lambda: seen == [0])
    for value in range(1, 50):
        await caput("T:long", value)
    await until(lambda: len(seen) == 50)
    assert seen == list(range(50))
    subscription.close()


@pytest.mark.parametrize("events", [0, -1, 256])
async def test_a_monitor_of_no_events(events: int) -> None:
    with pytest.raises(BadValue, match="no sum of DBE"):
        camonitor("T:ao", print, events)
    with pytest.raises(InvalidDatatype, match="is no format"):
        camonitor("T:ao", print, format=7)  # type: ignore[call-overload]
    assert ca.get_channel_infos() == []


async def test_monitor_of_several() -> None:
    seen: list[Any] = []
    subscriptions = camonitor(
        ["T:ao", "T:long"], lambda value, index: seen.append((index, value.name))
    )
    await until(lambda: len(seen) == 2)
    assert sorted(seen) == [(0, "T:ao"), (1, "T:long")]
    for subscription in subscriptions:
        subscription.close()


async def test_a_callback_that_raises_closes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def bad(value: Any) -> None:
        raise ZeroDivisionError

    subscription = camonitor("T:ao", bad)
    await until(lambda: subscription.state == subscription.CLOSED)
    printed = capsys.readouterr().err
    assert "Subscription T:ao callback raised exception" in printed
    assert "ZeroDivisionError" in printed and "Subscription T:ao closed" in printed


async def test_formats_of_monitors() -> None:
    seen: list[Any] = []
    subscription = camonitor("T:enum", seen.append, format=ca.FORMAT_CTRL)
    await until(lambda: len(seen) == 1)
    assert seen[0].enums == ["zero", "one", "two"]
    subscription.close()
    subscription = camonitor("T:longs", seen.append, format=ca.FORMAT_TIME, count=-1)
    await until(lambda: len(seen) == 2)
    assert len(seen[1]) == 100 and seen[1].severity >= 0
    subscription.close()


async def test_connect_timeout_of_a_monitor() -> None:
    seen: list[Any] = []
    subscription = camonitor("T:nothing", seen.append, connect_timeout=0.05)
    await until(lambda: len(seen) == 1)
    assert isinstance(seen[0], CANothing) and seen[0].errorcode == 80
    subscription.close()


async def test_purge() -> None:
    seen: list[Any] = []
    subscription = camonitor("T:ao", seen.append)
    await until(lambda: len(seen) == 1)
    purge_channel_caches()
    assert subscription.state == subscription.CLOSED
    assert ca.get_channel_infos() == []
    assert await caget("T:ao") is not None


def test_every_loop_has_connections_of_its_own_and_leaves_nothing() -> None:
    before = threading.active_count()

    async def main() -> Any:
        camonitor("T:counter", lambda value: None)
        camonitor("T:nothing", lambda value: None)
        return await caget("T:ao")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            asyncio.run(main())
        results: list[Any] = []
        threads = [
            threading.Thread(target=lambda: results.append(asyncio.run(main())))
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        gc.collect()
    assert len(results) == 3
    assert threading.active_count() == before


def uvloop_or_skip() -> asyncio.AbstractEventLoop:
    uvloop = pytest.importorskip("uvloop")
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def open_sockets() -> int:
    return len(psutil.Process().net_connections("inet"))


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop_or_skip])
@pytest.mark.parametrize("in_a_thread", [False, True])
def test_a_loop_that_is_simply_closed_leaves_nothing(
    new_loop: Callable[[], asyncio.AbstractEventLoop], in_a_thread: bool
) -> None:
    seen: list[Any] = []

    async def main() -> None:
        seen.append(camonitor("T:ao", lambda value: None))
        camonitor("T:nothing", lambda value: None)
        assert await caget("T:ao") is not None

    before = open_sockets()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            loop = new_loop()
            if in_a_thread:
                thread = threading.Thread(target=loop.run_forever)
                thread.start()
                asyncio.run_coroutine_threadsafe(main(), loop).result(30)
                loop.call_soon_threadsafe(loop.stop)
                thread.join()
            else:
                loop.run_until_complete(main())
                # again after all was closed in between
                loop.call_soon(purge_channel_caches)
                loop.run_until_complete(main())
            loop.close()
            loop.close()
        assert [one.state for one in seen] == [2] * len(seen)
        assert open_sockets() == before
        watch = weakref.ref(loop)
        seen.clear()
        del loop
        gc.collect()
    assert watch() is None


def test_purge_from_another_thread() -> None:
    states: list[int] = []

    async def main() -> None:
        subscription = camonitor("T:ao", lambda value: None)
        await caget("T:ao")
        await asyncio.to_thread(purge_channel_caches)
        await until(lambda: subscription.state == subscription.CLOSED)
        states.append(subscription.state)
        assert await caget("T:ao") is not None

    asyncio.run(main())
    assert states == [2]


def test_run_is_deprecated() -> None:
    async def main() -> Any:
        return await caget("T:ao")

    with pytest.warns(DeprecationWarning, match=r"asyncio\.run"):
        assert ca.run(main()) is not None


@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")
def test_run_forever() -> None:
    seen: list[Any] = []

    async def watch() -> None:
        loop = asyncio.get_running_loop()

        def see(value: Any) -> None:
            seen.append(value)
            if len(seen) > 1:
                loop.stop()

        camonitor("T:counter", see)

    assert ca.run(watch(), forever=True) is None
    assert len(seen) > 1

    async def fail() -> None:
        await caget("T:ao")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ca.run(fail(), forever=True)


def test_modules_are_attributes() -> None:
    names = "ca.types.Timeout, ca.cadef.ECA_TIMEOUT, ca.dbr.DBR_LONG"
    code = f"from beamfly import ca; print({names})"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert out.stdout.split()[-2:] == [b"80", b"5"]


async def test_names_of_the_house_of_aioca_are_all_here() -> None:
    import aioca
    import aioca.types
    from epicscorelibs.ca import dbr as their_dbr

    import beamfly.ca.cadef
    import beamfly.ca.types
    from beamfly.ca import dbr

    for name in set(aioca.__all__) - {"__version__"}:
        assert hasattr(ca, name), name
        if name.startswith(("DBR_", "FORMAT_", "DBE_")):
            assert getattr(ca, name) == getattr(aioca, name)
    assert ca.ca_extra_fields == aioca.ca_extra_fields
    for name in ("AugmentedValue", "Count", "Datatype", "Dbe", "Dbr", "Format"):
        assert hasattr(beamfly.ca.types, name)
    for name in their_dbr.__all__:
        assert hasattr(dbr, name), name
    assert dbr.InvalidDatatype is InvalidDatatype
    assert beamfly.ca.cadef.ECA_TIMEOUT == 80
