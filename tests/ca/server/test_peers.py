"""Genuine clients against our server: libca (aioca, PyEpics) and caproto."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from tests.ca.c_ioc import free_port

from beamfly.ca.access import AccessRules, Rule
from beamfly.ca.config import Config
from beamfly.ca.message import Access
from beamfly.ca.puts import Put
from beamfly.ca.pv import PV
from beamfly.ca.records import RecordGroup
from beamfly.ca.server_thread import ThreadedServer, serve_in_thread

pytestmark = [pytest.mark.peer, pytest.mark.timeout(120)]


class Gate:
    """Puts of which one is not done before the other."""

    def __init__(self) -> None:
        self._held: list[Put] = []

    def hold(self, put: Put) -> None:
        put.hold()
        self._held.append(put)

    def open(self, put: Put) -> None:
        for held in self._held:
            held.finish()


def refuse(put: Put) -> None:
    from beamfly.errors import BadValue

    msg = "never"
    raise BadValue(msg)


def make_pvs() -> dict[str, Any]:
    long_text = "/a/long/path/" + "x" * 200
    gate = Gate()
    return {
        "d": PV(
            **{"value": 21.5, "units": "degC", "precision": 3, "hopr": 100, "lopr": -5},
            **{"hihi": 50, "high": 40, "low": 1, "lolo": 0, "drvh": 90, "drvl": -1},
            description="a temperature",
        ),
        "f": PV(1.5, type="float", precision=1),
        "l": PV(70000, units="cnt"),
        "h": PV(-3, type="short"),
        "c": PV(200, type="char"),
        "e": PV("two", states=("zero", "one", "two")),
        "s": PV("hello"),
        "w0": PV(length=10, type="double"),
        "w1": PV([7.0], length=10),
        "wn": PV(np.arange(1000.0), length=2000),
        "big": PV(np.arange(1e6)),
        "wl": PV([1, -2], length=5),
        "ws": PV(["one", "two"], length=4),
        "text": PV("/data", type="char", length=300),
        "long": PV(long_text, size=400),
        "ro": PV(1.0, writable=False),
        "secret": PV(1.0),
        "slow": PV(0.0, on_put=gate.hold),
        "go": PV(0.0, on_put=gate.open),
        "never": PV(0.0, on_put=refuse),
        "M1": RecordGroup("motor", VAL=PV(0.0, units="mm"), RBV=0.0, DMOV=1),
        **{f"many:{index}": float(index) for index in range(1000)},
    }


@dataclass
class Peers:
    """Our server, and a way to run clients against it."""

    server: ThreadedServer
    environment: dict[str, str]

    @contextmanager
    def start(self, script: str) -> "Generator[subprocess.Popen[str]]":
        """A client that runs the script; it is gone at the end."""
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script)],
            env=os.environ | self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def run(self, script: str) -> Any:
        """The last line that a script prints, as JSON."""
        with self.start(script) as process:
            out, err = process.communicate(timeout=90)
        assert process.returncode == 0, err[-3000:]
        return json.loads(out.splitlines()[-1])

    def run_aioca(self, body: str) -> Any:
        """What the body of a coroutine with everything of aioca returns."""
        return self.run(
            "import asyncio, json, numpy as np\nfrom aioca import *\n"
            "async def main():\n"
            + textwrap.indent(textwrap.dedent(body), "    ")
            + "\nprint(json.dumps(asyncio.run(main())))\n"
        )


@contextmanager
def posting(server: ThreadedServer, name: str) -> Iterator[None]:
    """New values all the time, whenever a client gets to listen to them."""
    done = threading.Event()

    def post() -> None:
        while not done.wait(0.05):
            server.post(name, time.time())

    poster = threading.Thread(target=post)
    poster.start()
    try:
        yield
    finally:
        done.set()
        poster.join()


@pytest.fixture
def peers() -> Iterator[Peers]:
    access = AccessRules(Rule(), Rule("secret", rights=Access.NONE))
    config = Config(cas_beacon_addresses=(("127.0.0.1", free_port()),))
    with serve_in_thread(make_pvs(), config=config, port=0, access=access) as server:
        environment = {
            "EPICS_CA_ADDR_LIST": "127.0.0.1",
            "EPICS_CA_AUTO_ADDR_LIST": "NO",
            "EPICS_CA_SERVER_PORT": str(server.port),
            "EPICS_CA_REPEATER_PORT": str(free_port()),
            "OPENBLAS_NUM_THREADS": "1",
        }
        yield Peers(server, environment)


def test_aioca_reads_every_type(peers: Peers) -> None:
    found = peers.run_aioca("""
        result = {}
        for name in "d f l h c e s w0 w1 wn wl ws text".split():
            for code in range(7):
                value = await caget(name, code, FORMAT_TIME, throw=False)
                if not value.ok:
                    result[f"{name},{code}"] = value.errorcode
                elif hasattr(value, "tolist"):
                    result[f"{name},{code}"] = value.tolist()[:4]
                else:
                    result[f"{name},{code}"] = value
        return result
    """)
    expected = {
        **{"d,0": "21.500", "d,1": 21, "d,2": 21.5, "d,3": 21, "d,4": 21, "d,6": 21.5},
        **{"l,0": "70000", "l,1": 4464, "l,4": 112, "l,5": 70000, "l,6": 70000.0},
        **{"h,0": "-3", "h,3": 65533, "h,4": 253, "c,0": "200", "c,1": 200},
        **{
            "e,0": "two",
            "e,3": 2,
            "e,6": 2.0,
            "s,0": "hello",
            "s,6": 152,
            "f,0": "1.5",
        },
        **{"w0,6": [], "w1,6": [7.0], "wn,5": [0, 1, 2, 3], "wl,0": ["1", "-2"]},
        **{"ws,0": ["one", "two"], "text,4": [47, 100, 97, 116]},
    }
    assert {key: found[key] for key in expected} == expected


def test_aioca_metadata_and_fields(peers: Peers) -> None:
    found = peers.run_aioca("""
        d = await caget("d", format=FORMAT_CTRL)
        e = await caget("e", format=FORMAT_CTRL)
        t = await caget("d", format=FORMAT_TIME)
        fields = await caget(["d.EGU", "d.HIHI", "d.DESC$", "d.RTYP", "M1.RBV", "M1",
                              "M1.EGU", "long.VAL$", "d.SEVR"])
        return [d.units, d.precision, d.upper_disp_limit, d.upper_alarm_limit,
                d.lower_warning_limit, d.upper_ctrl_limit, e.enums, t.severity,
                t.timestamp, [str(f) for f in fields]]
    """)
    assert found[:8] == [
        *("degC", 3, 100.0, 50.0, 1.0, 90.0),
        *(["zero", "one", "two"], 0),
    ]
    assert abs(found[8] - time.time()) < 60
    assert found[9][:7] == [
        *("degC", "50.0", "a temperature", "ao", "0.0", "0.0", "mm"),
    ]
    assert found[9][7] == "/a/long/path/" + "x" * 200


def test_aioca_puts(peers: Peers) -> None:
    found = peers.run_aioca("""
        await caput("l", 5, wait=True)
        await caput("h", "0x10", wait=True)
        await caput("e", "one", wait=True)
        await caput("wl", [4, 5, 6], wait=True)
        await caput("ws", ["a", "b", "c"], wait=True)
        await caput("text", "new path", datatype=DBR_CHAR_STR, wait=True)
        await caput("long.VAL$", "y" * 300, datatype=DBR_CHAR_STR, wait=True)
        await caput("w0", np.arange(10.0) / 4, wait=True)
        await caput("big", np.arange(1e6) * 2, wait=True)
        await caput("f", 2.25)          # without waiting: the next read sees it
        f = await caget("f")
        big = await caget("big")
        await caput("w1", [], wait=True)
        errors = []
        for name in ("ro", "never", "secret"):
            try:
                await caput(name, 1.0, wait=True)
                errors.append("done")
            except Exception as error:
                errors.append(str(error).splitlines()[0][:60])
        clipped = await caput("d", 500.0, wait=True)
        return [f, float(big[-1]), len(big), errors, await caget("d"),
                len(await caget("w1"))]
    """)
    assert found[:3] == [2.25, 1999998.0, 1_000_000]
    assert "Write access denied" in found[3][0]
    assert "Channel write request failed" in found[3][1]
    assert "access denied" in found[3][2]
    assert found[4:] == [90.0, 0]
    server = peers.server
    values = {name: server.value(name) for name in ("l", "h", "e", "ws", "long")}
    assert values == {
        **{"l": 5, "h": 16, "e": 1, "ws": ("a", "b", "c"), "long": "y" * 300},
    }
    assert list(server.value("wl")) == [4, 5, 6]
    assert server.value("w0")[3] == 0.75
    assert server.call(lambda: str(server.server["text"])) == "new path"


def test_aioca_monitors(peers: Peers) -> None:
    script = """
        import asyncio, json
        from aioca import *
        async def main():
            heard = {"value": [], "alarm": [], "property": [], "array": []}
            def note(kind):
                return lambda value: heard[kind].append(
                    value.tolist() if hasattr(value, "tolist") else float(value))
            camonitor("d", note("value"), events=DBE_VALUE, all_updates=True)
            camonitor("d", note("alarm"), events=DBE_ALARM, all_updates=True)
            camonitor("d", note("property"), events=DBE_PROPERTY, format=FORMAT_CTRL,
                      all_updates=True)
            camonitor("w0", note("array"), all_updates=True)
            while min(map(len, heard.values())) == 0:
                await asyncio.sleep(0.01)
            print("ready", flush=True)
            while len(heard["property"]) < 2:
                await asyncio.sleep(0.01)
            print(json.dumps(heard))
        asyncio.run(main())
    """
    with peers.start(script) as process:
        server = peers.server
        server.post("w1", [])
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for value in (22.0, 45.0, 46.0):
            server.post("d", value)
        server.post("w0", [1.0, 2.0])
        time.sleep(0.2)
        server.call(lambda: server.server["d"].configure(precision=4))
        out, err = process.communicate(timeout=30)
        heard = json.loads(out or "null")
        assert heard == {
            "value": [21.5, 22.0, 45.0, 46.0],
            "alarm": [21.5, 45.0],
            "property": [21.5, 46.0],
            "array": [[], [1.0, 2.0]],
        }, err


def test_aioca_put_completion(peers: Peers) -> None:
    found = peers.run_aioca("""
        await connect(["slow", "go"], timeout=30)
        waiting = asyncio.create_task(caput("slow", 3.0, wait=True, timeout=30))
        while (seen := await caget("slow", timeout=30)) != 3.0:
            await asyncio.sleep(0.01)
        early = waiting.done()
        await caput("go", 1, wait=True, timeout=30)
        await waiting
        return [seen, early]
    """)
    assert found == [3.0, False]


def test_aioca_access_denied(peers: Peers) -> None:
    found = peers.run_aioca("""
        info = await cainfo("secret")
        got = await caget("secret", throw=False)
        return [info.read, info.write, (await cainfo("ro")).write, got.ok]
    """)
    assert found == [False, False, False, False]


def test_aioca_connects_a_thousand(peers: Peers) -> None:
    found = peers.run_aioca("""
        values = await caget([f"many:{index}" for index in range(1000)], timeout=20)
        return [len(values), sum(values)]
    """)
    assert found == [1000, 499500.0]


def test_aioca_reconnects_after_a_restart() -> None:
    port = free_port()
    config = Config(cas_beacon_addresses=(("127.0.0.1", free_port()),))
    environment = {
        "EPICS_CA_ADDR_LIST": "127.0.0.1",
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        "EPICS_CA_SERVER_PORT": str(port),
        "EPICS_CA_REPEATER_PORT": str(free_port()),
    }
    script = """
        import asyncio
        from aioca import *
        async def main():
            heard = asyncio.Queue()
            camonitor("x", heard.put_nowait, notify_disconnect=True)
            for _ in range(3):
                value = await heard.get()
                print(float(value) if value.ok else "gone", flush=True)
        asyncio.run(main())
    """
    first = serve_in_thread({"x": 1.0}, config=config, port=port)
    with first, Peers(first, environment).start(script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1.0\n"
        first.close()
        assert process.stdout.readline() == "gone\n"
        with serve_in_thread({"x": 2.0}, config=config, port=port):
            out, err = process.communicate(timeout=60)
            assert out == "2.0\n", err


def test_stopped_client_gets_the_latest_and_blocks_nobody(peers: Peers) -> None:
    script = """
        import asyncio, json
        from aioca import *
        async def main():
            numbers, arrays = [], []
            camonitor("many:5", lambda v: numbers.append(float(v)), all_updates=True)
            camonitor("wn", lambda v: arrays.append(float(v[0])), all_updates=True)
            while not (numbers and arrays):
                await asyncio.sleep(0.01)
            print("ready", flush=True)
            while numbers[-1] != 99_999 or arrays[-1] != 1999:
                await asyncio.sleep(0.01)
            print(json.dumps([len(numbers), len(arrays)]))
        asyncio.run(main())
    """
    with peers.start(script) as process:
        server = peers.server
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGSTOP)

        def burst(first: int) -> None:
            for value in range(first, first + 1000):
                server.server["many:5"].post(float(value))
            for value in range(first // 50, first // 50 + 20):
                server.server["wn"].post(np.full(2000, float(value)))

        for first in range(0, 100_000, 1000):
            server.call(burst, first)
        sizes = server.call(
            lambda: max(circuit.outbox.size for circuit in server.server.core.circuits)
        )
        assert sizes < 1_000_000
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=60)
        numbers, arrays = json.loads(out or "null")
        assert 1 < numbers < 100_000, err
        assert 1 < arrays < 2001


def test_pyepics(peers: Peers) -> None:
    with posting(peers.server, "many:7"):
        found = peers.run("""
            import json, time
            import epics
            epics.ca.DEFAULT_CONNECTION_TIMEOUT = 30
            d = epics.PV("d")
            d.wait_for_connection(timeout=30)
            d.get_ctrlvars(timeout=30)
            e = epics.PV("e")
            heard = []
            many = epics.PV("many:7", callback=lambda value, **kw: heard.append(value))
            path = epics.PV("text")
            result = [d.get(timeout=30), d.get(as_string=True), d.units, d.precision,
                      d.upper_alarm_limit, d.type,
                      e.get(as_string=True, timeout=30), e.enum_strs]
            result.append(path.put("by pyepics", wait=True))
            result.append(path.get(as_string=True, use_monitor=False, timeout=30))
            result.append(epics.caput("l", 77, wait=True))
            result.append(epics.caget("l", use_monitor=False, timeout=30))
            result.append(epics.caput("e", "zero", wait=True))
            result.append(epics.caget("e", as_string=True, use_monitor=False))
            result.append(len(epics.caget("big", timeout=30)))
            result.append(epics.caget("M1.RTYP"))
            deadline = time.monotonic() + 30
            while len(heard) < 5 and time.monotonic() < deadline:
                time.sleep(0.01)
            print(json.dumps([result, len(heard)]))
        """)
    assert found[0] == [
        *(21.5, "21.500", "degC", 3, 50.0, "time_double"),
        *("two", ["zero", "one", "two"], 1, "by pyepics", 1, 77, 1, "zero"),
        *(1_000_000, "motor"),
    ]
    assert found[1] >= 5


def test_caproto_sync(peers: Peers) -> None:
    found = peers.run("""
        import json
        from functools import partial
        from caproto.sync import client
        read = partial(client.read, timeout=30)
        write = partial(client.write, timeout=30)
        ctrl = read("d", data_type="control", repeater=False)
        e = read("e", repeater=False)
        s = read("s", repeater=False)
        w = read("wn", repeater=False)
        done = write("l", 42, notify=True, repeater=False)
        text = read("long.VAL$", repeater=False)
        refused = write("ro", 1.0, notify=True, repeater=False)
        print(json.dumps([
            ctrl.data.tolist(), ctrl.metadata.units.decode(),
            ctrl.metadata.upper_disp_limit, int(e.data_type), len(w.data),
            s.data[0].decode(), done.status.name,
            read("l", repeater=False).data.tolist(), len(text.data),
            refused.status.name]))
    """)
    assert found[0] == [21.5]
    assert found[1:3] == ["degC", 100.0]
    assert found[4:8] == [1000, "hello", "ECA_NORMAL", [42]]
    assert found[8] == 214
    assert found[9] == "ECA_NOWTACCESS"


def test_caproto_threading_monitor(peers: Peers) -> None:
    script = """
        import json, time
        from caproto.threading.client import Context
        context = Context(timeout=30)
        pv, big, other = context.get_pvs("many:9", "big", "many:8")
        other.wait_for_connection(timeout=30)
        pv.wait_for_connection(timeout=30)
        big.wait_for_connection(timeout=30)
        heard = []
        subscription = pv.subscribe(data_type="time")
        def note(sub, response):
            heard.append(response.metadata.timestamp)
        subscription.add_callback(note)
        deadline = time.monotonic() + 30
        while len(heard) < 10 and time.monotonic() < deadline:
            time.sleep(0.01)
        size = len(big.read(timeout=30).data)
        other.write([3.5], wait=True, timeout=30)
        found = other.read(timeout=30).data.tolist()
        print(json.dumps([len(heard), size, found]), flush=True)
        context.disconnect()
    """
    with posting(peers.server, "many:9"), peers.start(script) as process:
        out, err = process.communicate(timeout=90)
        assert json.loads(out.splitlines()[0])[1:] == [1_000_000, [3.5]], err
        assert json.loads(out.splitlines()[0])[0] >= 10


def make_motor() -> RecordGroup:
    """A motor with every field that ophyd-async's Motor wants; it takes 0.25 s."""
    import asyncio

    def move(put: Put) -> None:
        put.hold()
        group.post(DMOV=0)
        start = group["RBV"]

        async def go() -> None:
            for step in range(1, 6):
                await asyncio.sleep(0.05)
                group.post(RBV=start + (put.value - start) * step / 5)
            group.post(DMOV=1)
            put.finish()

        moves.append(asyncio.ensure_future(go()))

    moves: list[asyncio.Future[None]] = []
    numbers = {
        **{"RBV": 0.0, "VELO": 100.0, "VMAX": 100.0, "ACCL": 0.1, "HLM": 90.0},
        **{"LLM": -90.0, "DHLM": 90.0, "DLLM": -90.0, "OFF": 0.0, "MRES": 0.001},
        **{"TWV": 1.0, "UREV": 1.0, "ERES": 0.001, "RDBD": 0.01, "SREV": 200},
        **{"DMOV": 1, "STOP": 0, "HLS": 0, "LLS": 0, "OUT": "", "DESC": "a motor"},
    }
    states = {
        "DIR": PV(0, states=("Pos", "Neg")),
        "SET": PV(0, states=("Use", "Set")),
        "FOFF": PV(0, states=("Variable", "Frozen")),
    }
    value = PV(0.0, units="mm", precision=3, on_put=move)
    group = RecordGroup("motor", {"VAL": value, **numbers, **states})
    return group


def test_ophyd_async(peers: Peers) -> None:
    peers.server.call(lambda: peers.server.server.add("M2", make_motor()))
    found = peers.run("""
        import asyncio, json, time
        import numpy as np
        from collections.abc import Sequence
        from ophyd_async.core import Array1D, StrictEnum
        from ophyd_async.epics.core import epics_signal_rw
        from ophyd_async.epics.motor import Motor
        class Choice(StrictEnum):
            ZERO = "zero"
            ONE = "one"
            TWO = "two"
        async def main():
            result = {}
            for name, kind, value in (
                ("l", int, 5), ("d", float, 2.5), ("s", str, "new"),
                ("e", Choice, Choice.ONE), ("w1", Array1D[np.float64], np.arange(3.0)),
                ("text", str, "long " * 20), ("ws", Sequence[str], ["x", "y"]),
            ):
                signal = epics_signal_rw(kind, f"ca://{name}", name=name)
                await signal.connect(timeout=30)
                await signal.set(value)
                got = await signal.get_value()
                result[name] = got.tolist() if hasattr(got, "tolist") else got
                key = (await signal.describe())[name]
                result[name + ".units"] = key.get("units")
            motor = Motor("ca://M2", name="motor")
            await motor.connect(timeout=30)
            start = time.monotonic()
            await motor.set(2.0, timeout=60)
            result["took"] = time.monotonic() - start
            result["motor"] = (await motor.read())["motor"]["value"]
            print(json.dumps(result))
        asyncio.run(main())
    """)
    assert {name: found[name] for name in ("l", "d", "s", "e", "w1", "text", "ws")} == {
        **{"l": 5, "d": 2.5, "s": "new", "e": "one", "w1": [0, 1, 2]},
        **{"text": "long " * 20, "ws": ["x", "y"]},
    }
    assert (found["d.units"], found["motor"]) == ("degC", 2.0)
    assert found["took"] > 0.2
