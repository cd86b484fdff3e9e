"""A scan server without sockets and without waiting: requests in, virtual time.

`Rig` has the engine, the routes and a few PVs that behave like those of the IOC behind
the recordings; `sleep` lets time pass at once.
"""

import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

from beamfly.scan.call import HttpReply, HttpRequest
from beamfly.scan.channels import ChannelTable, Reading
from beamfly.scan.config import ScanConfig
from beamfly.scan.engine import Engine
from beamfly.scan.info import ServerInfo
from beamfly.scan.library import FileLibrary
from beamfly.scan.local import LabelledEnum, LocalChannels, converted
from beamfly.scan.routes import Routes
from beamfly.scan.store import MemoryStore
from beamfly.scan.values import EnumValue

START = 1_795_157_000.0
EPICS_EPOCH = 631152000000
MODES = ("Idle", "Run", "Error")


class FakePV:
    """A PV of the pretended IOC; writes that do not fit are dropped silently."""

    def __init__(self, ioc: "FakeIOC", name: str, value: Any):
        self.ioc = ioc
        self.name = name
        self.value = value
        self.time = EPICS_EPOCH
        self.listeners: list[Callable[[], None]] = []

    def post(self, value: Any) -> None:
        self.value = value
        self.time = int(self.ioc.now * 1000)
        for listener in list(self.listeners):
            listener()

    def write(self, value: Any, done: Callable[[str | None], None] | None) -> None:
        try:
            self.post(convert(self.value, value))
        except ValueError:
            pass  # as Channel Access does without a callback
        if done is not None:
            done(None)


class Axis(FakePV):
    """A setpoint whose readback follows at one unit per second."""

    def write(self, value: Any, done: Callable[[str | None], None] | None) -> None:
        self.post(float(value))
        readback = self.ioc.pvs["readback"]

        def move() -> None:
            gap = self.value - readback.value
            step = min(0.1, abs(gap))
            readback.post(round(readback.value + (step if gap > 0 else -step), 6))
            if abs(self.value - readback.value) > 1e-9:
                self.ioc.later(0.1, move)
            elif done is not None:
                done(None)

        self.ioc.later(0.1, move)


class Slow(FakePV):
    """Completion comes four seconds late, and 1 springs back to 0 by then."""

    def write(self, value: Any, done: Callable[[str | None], None] | None) -> None:
        self.post(int(value))

        def end() -> None:
            if self.value == 1:
                self.post(0)
            if done is not None:
                done(None)

        self.ioc.later(4.0, end)


def convert(old: Any, value: Any) -> Any:
    if isinstance(old, list):
        if isinstance(value, str):
            raise ValueError(value)
        return [float(value)]
    if isinstance(old, str) and not isinstance(value, str):
        return f"{value:f}"
    if value == "True":
        raise ValueError(value)
    return converted(old, value)


class FakeChannel:
    def __init__(self, pv: FakePV | None, changed: Callable[[], None]):
        self.pv = pv
        self.changed = changed
        if pv is not None:
            pv.listeners.append(changed)

    @property
    def connected(self) -> bool:
        return self.pv is not None

    @property
    def reading(self) -> Reading | None:
        if self.pv is None:
            return None
        return Reading(self.pv.value, self.pv.time)

    def read(self, answer: Callable[[Reading | None], None]) -> None:
        answer(self.reading)

    def write(self, value: Any, done: Callable[[str | None], None] | None) -> None:
        assert self.pv is not None
        self.pv.write(value, done)

    def close(self) -> None:
        if self.pv is not None:
            self.pv.listeners.remove(self.changed)


class FakeIOC:
    """Channels to the pretended IOC; PVs that it does not have never connect."""

    def __init__(self, now: float):
        self.now = now
        self.due: list[tuple[float, Callable[[], None]]] = []
        values = {
            "motor_x": 2.0, "motor_y": 0.0, "readback": 0.0, "neutrons": 0.0,
            "count": 7, "mode": LabelledEnum(0, "Idle", MODES), "stext": "hello",
            "ctext": "", "wf": [1.5, 2.0, 3.0, 0.0], "wf1": [0],
        }  # fmt: skip
        self.pvs = {name: FakePV(self, name, value) for name, value in values.items()}
        self.pvs["setpoint"] = Axis(self, "setpoint", 0.0)
        self.pvs["callback_test"] = Slow(self, "callback_test", 0)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        self.due.append((self.now + seconds, action))
        self.due.sort(key=lambda item: item[0])

    def open(self, name: str, changed: Callable[[], None]) -> FakeChannel:
        return FakeChannel(self.pvs.get(name), changed)

    def advance(self, now: float) -> None:
        self.now = now
        while self.due and self.due[0][0] <= now:
            self.due.pop(0)[1]()

    def next_wakeup(self) -> float | None:
        return self.due[0][0] if self.due else None


class Rig:
    def __init__(self, config: ScanConfig | None = None, store=None, scripts=None):
        self.now = START
        self.config = config or ScanConfig(read_timeout=5.0)
        local = LocalChannels(self.now)
        self.ioc = FakeIOC(self.now)
        channels = ChannelTable({"loc://": local, "sim://": local}, self.ioc)
        self.store = store or MemoryStore()
        library = FileLibrary(self.config.paths, scripts)
        self.engine = Engine(
            self.config, channels, self.store, library, self.now, lambda: None
        )
        self.ended = False
        self.routes = Routes(self.engine, self.server_info, self.end)
        self.settle()

    def server_info(self) -> ServerInfo:
        return ServerInfo("4.7.0", int(START * 1000), "config", [], "", 1, 2, "beamfly")

    def end(self) -> None:
        self.ended = True

    def settle(self) -> None:
        """Do everything that needs no time."""
        for _ in range(1000):
            self.engine.advance(self.now)
            due = self.engine.next_wakeup()
            if due is None or due > self.now:
                return
        raise AssertionError("the engine never comes to rest")

    def sleep(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            self.settle()
            due = self.engine.next_wakeup()
            if due is None or due > end:
                break
            self.now = due
        self.now = end
        self.settle()

    def request(
        self, method: str, path: str, body: str | None = None, kind: str = "text/xml"
    ) -> HttpReply:
        """The answer; 0.001 s pass, as on a fast network."""
        self.sleep(0.001)
        path, _, query = path.partition("?")
        pairs = [item.split("=", 1) for item in query.split("&") if item]
        replies: list[HttpReply] = []
        self.routes.handle(
            HttpRequest(
                method,
                path,
                {key: value.replace("%20", " ") for key, value in pairs},
                None if body is None else body.encode(),
                kind,
            ),
            self.now,
            "127.0.0.1",
            replies.append,
        )
        while not replies:
            due = self.engine.next_wakeup()
            assert due is not None, "nothing will ever answer"
            self.now = max(self.now, due)
            self.engine.advance(self.now)
        self.settle()
        (reply,) = replies
        return reply

    # what the probes behind the recordings used

    def submit(self, commands: str, name: str = "t", query: str = "") -> int:
        if not commands.startswith("<commands"):
            commands = f"<commands>{commands}</commands>"
        reply = self.request("POST", f"/scan/{name}{query}", commands)
        assert reply.status == 200, reply.body
        return int(ET.fromstring(reply.body).text or "")

    def put(self, scan: int, verb: str, body: str = "") -> int:
        return self.request("PUT", f"/scan/{scan}/{verb}", body).status

    def info(self, scan: int) -> dict[str, str | None]:
        reply = self.request("GET", f"/scan/{scan}")
        assert reply.status == 200, reply.body
        return {child.tag: child.text for child in ET.fromstring(reply.body)}

    def wait(self, scan: int, limit: float = 60) -> dict[str, str | None]:
        end = self.now + limit
        while self.now < end:
            info = self.info(scan)
            if info["state"] in ("Aborted", "Failed", "Finished", "Logged"):
                return info
            self.sleep(0.1)
        return self.info(scan)

    def data(self, scan: int) -> dict[str, list[tuple[int, str]]]:
        root = ET.fromstring(self.request("GET", f"/scan/{scan}/data").body)
        return {
            device.findtext("name", ""): [
                (int(sample.attrib["id"]), sample.findtext("value", ""))
                for sample in device.iter("sample")
            ]
            for device in root
        }


__all__ = ["EnumValue", "FakeIOC", "Rig"]
