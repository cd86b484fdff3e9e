"""What PyEpics' documentation shows and scripts do, each as a function that prints.

`python examples.py NAME ...` runs some under PyEpics; the tests run all of them with
`beamfly.epics`, and compare what is printed with what PyEpics has printed. Nothing
depends on who is faster: examples wait until something is so.
"""

import contextlib
import io
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

SECONDS = 30.0
NOT_SHOWN = ("timestamp", "posixseconds", "nanoseconds", "chid", "host", "cb_info")
EXAMPLES: dict[str, Callable[[Any], None]] = {}


def example(function: Callable[[Any], None]) -> Callable[[Any], None]:
    EXAMPLES[function.__name__] = function
    return function


def settle(predicate: Callable[[], Any]) -> None:
    """Wait until something is so; what is printed then tells if it never was."""
    end = time.monotonic() + SECONDS
    while not predicate() and time.monotonic() < end:
        time.sleep(0.005)


def shown(data: dict[str, Any]) -> dict[str, Any]:
    """What is the same every time."""
    return {key: data[key] for key in sorted(data) if key not in NOT_SHOWN}


def connected(epics: Any, name: str, **options: Any) -> Any:
    pv = epics.PV(name, **options)
    settle(lambda: pv.connected)
    settle(lambda: np.size(pv.get(use_monitor=False)) > 0)
    return pv


@example
def one_float(epics: Any) -> None:
    pv = connected(epics, "T:ao")
    print(pv.put(2.5, wait=True), pv.get(use_monitor=False))
    settle(lambda: pv.value == 2.5)
    print(pv, pv.value, pv.char_value, pv.get(as_string=True))
    pv.value = 3.25
    settle(lambda: pv.value == 3.25)
    print(pv.value, pv.type, pv.ftype, pv.count, pv.nelm, pv.access)
    print(pv.units, pv.precision, pv.lower_ctrl_limit, pv.upper_ctrl_limit)
    print(pv.lower_alarm_limit, pv.lower_warning_limit, pv.upper_warning_limit)
    print(pv.upper_alarm_limit, pv.lower_disp_limit, pv.upper_disp_limit)
    print(pv.severity, pv.char_severity, pv.status, pv.char_status)
    print(pv.read_access, pv.write_access, pv.enum_strs, pv.pvname, pv.form)
    print(abs(pv.timestamp - pv.posixseconds - 1e-9 * pv.nanoseconds) < 1e-5)


@example
def one_enum(epics: Any) -> None:
    pv = connected(epics, "T:enum")
    for value in ("two", 0, "one"):
        print(pv.put(value, wait=True), pv.get(use_monitor=False))
        print(pv.get(as_string=True, use_monitor=False))
    settle(lambda: pv.value == 1)
    print(pv.enum_strs, pv.char_value, pv.type, pv.units, pv.precision)


@example
def waveforms(epics: Any) -> None:
    pv = connected(epics, "T:longs") if epics.caput("T:longs", [1], wait=True) else None
    print(pv.put(np.arange(5), wait=True))
    settle(lambda: np.size(pv.get()) == 5)
    value = pv.get()
    print(type(value).__name__, value.dtype, value, pv.get(as_numpy=False))
    print(pv, pv.count, pv.char_value, pv.get(as_string=True), pv.nelm)
    print(pv.get(count=2, use_monitor=False))
    print(pv.put(list(range(150)), wait=True), pv.get(use_monitor=False)[-1])
    short = connected(epics, "T:longs", count=3)
    print(short.get(use_monitor=False), short.count)


@example
def waveform_strings(epics: Any) -> None:
    epics.caput("T:char", "first", wait=True)
    pv = connected(epics, "T:char")
    for text in ("/data/a long/path", "", "x" * 300):
        print(pv.put(text, wait=True))
        print(repr(pv.get(as_string=True, use_monitor=False)))
    pv.put([72, 105, 0, 33], wait=True)
    print(pv.get(as_string=True, use_monitor=False))
    epics.caput("T:strings", ["a"], wait=True)
    texts = connected(epics, "T:strings")
    print(texts.put(["one", "two", "three"], wait=True))
    print([str(text) for text in texts.get(use_monitor=False)][:3])


@example
def values_of_other_types(epics: Any) -> None:
    for value in ("12", "0x1f", 3.7, np.float64(5.0), True):
        done = epics.caput("T:long", value, wait=True)
        print(done, epics.caget("T:long", use_monitor=False))
    done = epics.caput("T:ao", "4.5", wait=True)
    print(done, epics.caget("T:ao", use_monitor=False))


@example
def callbacks(epics: Any) -> None:
    told: list[dict[str, Any]] = []
    pv = connected(epics, "T:ao")
    pv.put(1.0, wait=True)
    settle(lambda: pv.value == 1.0)
    index = pv.add_callback(lambda **kw: told.append(kw), mine="yes")
    pv.put(2.0, wait=True)
    settle(lambda: told and told[-1]["value"] == 2.0)
    print(index, shown(told[-1]), sorted(told[-1]))
    print(told[-1]["cb_info"][0], told[-1]["cb_info"][1] is pv)
    second = pv.add_callback(lambda **kw: told.append({"second": kw["value"]}))
    told.clear()
    pv.run_callback(second)
    pv.run_callbacks()
    print([one.get("second", one.get("value")) for one in told], len(pv.callbacks))
    pv.remove_callback(index)
    told.clear()
    pv.put(3.0, wait=True)
    settle(lambda: told)
    print(told, sorted(pv.callbacks))
    pv.clear_callbacks()
    print(pv.callbacks)
    now: list[Any] = []
    pv.add_callback(lambda value, **kw: now.append(value), run_now=True)
    print(now[:1])


@example
def callbacks_from_the_start(epics: Any) -> None:
    told: list[Any] = []
    pv = epics.PV(
        "T:long",
        callback=(lambda **kw: told.append("a"), lambda **kw: told.append("b")),
    )
    settle(lambda: len(told) >= 2)
    print(sorted(set(told)), sorted(pv.callbacks))


@example
def connections(epics: Any) -> None:
    told: list[Any] = []
    pv = epics.PV(
        "T:ao",
        connection_callback=lambda pvname, conn, pv: told.append((pvname, conn)),
        access_callback=lambda read, write, pv: told.append((read, write)),
    )
    settle(lambda: ("T:ao", True) in told and (True, True) in told)
    print(sorted(set(map(str, told))), pv.connected, pv.wait_for_connection())
    again: list[Any] = []
    cached = epics.get_pv("T:ao", connect=True)
    epics.get_pv("T:ao", connection_callback=lambda conn, **kw: again.append(conn))
    print(again, cached is epics.get_pv("T:ao"))
    absent = epics.PV("T:absent", connection_timeout=0.05)
    print(absent.connected, absent.get(timeout=0.05), absent)
    pv.disconnect()
    print(pv.connected, pv)


@example
def put_and_wait(epics: Any) -> None:
    pv = connected(epics, "T:slow")
    ended: list[Any] = []
    print(pv.put_complete, pv.put(1, use_complete=True), pv.put_complete is None)
    settle(lambda: pv.put_complete)
    print(pv.put_complete)
    print(pv.put(1, callback=lambda **kw: ended.append(kw), callback_data=5))
    settle(lambda: ended)
    print(ended)
    more = {"who": "me"}
    pv.put(1, callback=lambda **kw: ended.append(kw), callback_data=more)
    settle(lambda: len(ended) == 2)
    print(ended[1], pv.put(1, wait=True))


@example
def metadata(epics: Any) -> None:
    epics.caput("T:ao", 2.5, wait=True)
    for form in ("native", "time", "ctrl"):
        pv = connected(epics, "T:ao", form=form)
        print(form, pv.type, shown(pv.get_with_metadata(use_monitor=False)))
        print(shown(pv.get_with_metadata(use_monitor=False, as_string=True)))
    space = pv.get_with_metadata(form="ctrl", use_monitor=False, as_namespace=True)
    print(type(space).__name__, space.value, space.units)
    print(shown(pv.get_ctrlvars()), sorted(pv.get_timevars()))
    for name in ("T:long", "T:enum", "T:string", "T:bool"):
        print(name, sorted(connected(epics, name).get_ctrlvars()))


@example
def procedures(epics: Any) -> None:
    print(epics.caput("T:ao", 1.5, wait=True), epics.caget("T:ao", use_monitor=False))
    print(epics.caget("T:ao", as_string=True, use_monitor=False))
    lines: list[str] = []
    epics.camonitor("T:ao", writer=lines.append)
    epics.caput("T:ao", 2.5, wait=True)
    settle(lambda: lines and lines[-1].endswith("2.500"))
    print(lines[-1].split()[0], lines[-1].split()[-1], len(lines[-1].split()))
    epics.camonitor_clear("T:ao")
    print(epics.get_pv("T:ao").callbacks)
    values: list[Any] = []
    epics.camonitor("T:ao", callback=lambda value, **kw: values.append(value))
    epics.caput("T:ao", 3.5, wait=True)
    settle(lambda: 3.5 in values)
    print(values[-1])
    epics.camonitor_clear("T:ao")
    text = epics.cainfo("T:ao", print_out=False)
    print([line.split()[0] for line in text.splitlines()])


@example
def many(epics: Any) -> None:
    names = ["T:ao", "T:long", "T:enum"]
    print(epics.caput_many(names, [1.5, 6, 2], wait="all"))
    print(epics.caput_many(names, [2.5, 7, 1], wait="each"))
    print(epics.caput_many(names, [3.5, 8, 2]))
    settle(lambda: epics.caget_many(names, timeout=SECONDS) == [3.5, 8, 2])
    print(epics.caget_many(names, timeout=SECONDS))
    print(epics.caget_many(names, as_string=True, timeout=SECONDS))


@example
def devices(epics: Any) -> None:
    device = epics.Device("T:", attrs=["ao", "long", "enum"], aliases={"where": "ao"})
    for attr in ("ao", "long", "enum"):
        settle(lambda at=attr: device.PV(at).connected)
    device.put("ao", 1.5, wait=True)
    device.long = 12
    device.put("enum", "two", wait=True)
    settle(lambda: (device.ao, device.long, device.enum) == (1.5, 12, 2))
    print(device, device.where, device.get("enum", as_string=True))
    state = device.save_state()
    print(sorted(state.items()))
    device.put("ao", 7.0, wait=True)
    device.restore_state(state)
    settle(lambda: device.ao == 1.5)
    print(device.ao, "where" in dir(device), "nothing" in dir(device))
    told: list[Any] = []
    device.add_callback(
        "long", lambda pvname, value, **kw: told.append((pvname, value))
    )
    device.long = 13
    settle(lambda: ("T:long", 13) in told)
    print(told[-1])
    fixed = epics.Device("T:", attrs=["ao"], mutable=False)
    try:
        print(fixed.other)
    except AttributeError as error:
        print(type(error).__name__)


@example
def subclasses(epics: Any) -> None:
    class Stage(epics.Device):
        """A device of one's own."""

        attrs = ("ao", "long")
        _nonpvs = ("_prefix", "_pvs", "_delim", "label")

        def __init__(self, prefix: str) -> None:
            self.label = "stage"
            epics.Device.__init__(self, prefix, attrs=self.attrs, delim="")

        def move(self, value: float) -> int:
            return self.put("ao", value, wait=True)

        position = epics.Device.pv_property("ao", wait=True)
        text = epics.Device.pv_property("ao", as_string=True)

    stage = Stage("T:")
    settle(lambda: stage.PV("ao").connected)
    print(stage.move(4.5), stage.label)
    settle(lambda: stage.position == 4.5)
    print(stage.position, stage.text)

    class Doubled(epics.PV):
        """A PV of one's own."""

        def __init__(self, pvname: str, factor: float, **kws: Any) -> None:
            self.factor = factor
            super().__init__(pvname, **kws)

        def get(self, *args: Any, **kws: Any) -> Any:
            value = super().get(*args, **kws)
            return value if value is None else self.factor * value

        def put(self, value: Any, **kws: Any) -> Any:
            return super().put(value / self.factor, **kws)

    pv = Doubled("T:ao", 2.0, form="native")
    settle(lambda: pv.connected)
    print(pv.put(8.0, wait=True), pv.get(use_monitor=False), pv.factor)
    print(epics.caget("T:ao", use_monitor=False))


@example
def threads(epics: Any) -> None:
    results: dict[str, Any] = {}

    def plain(name: str) -> None:
        epics.ca.use_initial_context()
        pv = connected(epics, name)
        results[name] = pv.put(2, wait=True), pv.get(use_monitor=False)

    @epics.ca.withInitialContext
    def decorated(name: str) -> None:
        results[f"decorated {name}"] = epics.caget(name, use_monitor=False)

    epics.caput("T:long", 2, wait=True)
    work = [threading.Thread(target=plain, args=(name,)) for name in ("T:ao", "T:enum")]
    work += [epics.ca.CAThread(target=plain, args=("T:long",))]
    for thread in work:
        thread.start()
        thread.join()
    thread = threading.Thread(target=decorated, args=("T:long",))
    thread.start()
    thread.join()
    print(sorted(results.items()))


@example
def alarms(epics: Any) -> None:
    epics.caput("T:ao", 0.0, wait=True)
    settle(lambda: epics.caget("T:ao") == 0.0)
    told: list[Any] = []

    def tell(pvname: str, value: Any, **keywords: Any) -> None:
        told.append((pvname, value, keywords["comparison"], keywords["trip_point"]))

    alarm = epics.Alarm("T:ao", "gt", 5.0, callback=tell, alert_delay=0)
    for value in (3.0, 6.0, 6.5, 1.0, 5.5):
        epics.caput("T:ao", value, wait=True)
        settle(lambda now=value: epics.caget("T:ao") == now)
    settle(lambda: len(told) == 2)
    print(told, alarm.alarm_state)


@example
def channel_numbers(epics: Any) -> None:
    ca, dbr = epics.ca, epics.dbr
    chid = ca.create_channel("T:long")
    settle(lambda: ca.isConnected(chid))
    print(ca.name(chid), ca.element_count(chid), ca.field_type(chid), ca.state(chid))
    print(ca.access(chid), ca.read_access(chid), ca.write_access(chid))
    print(ca.put(chid, 21, wait=True), ca.get(chid), ca.get(chid, as_string=True))
    print(ca.promote_type(chid, use_time=True), ca.promote_type(chid, use_ctrl=True))
    print(dbr.Name(ca.field_type(chid)), dbr.native_type(dbr.CTRL_LONG))
    ca.get(chid, wait=False)
    print(ca.get_complete(chid, timeout=SECONDS), sorted(ca.get_ctrlvars(chid)))
    print(sorted(ca.get_timevars(chid)), ca.get_severity(chid))
    told: list[Any] = []
    subscription = ca.create_subscription(
        chid, use_time=True, callback=lambda **kw: told.append(kw)
    )
    ca.put(chid, 22, wait=True)
    settle(lambda: told and told[-1]["value"] == 22)
    print(told[-1]["pvname"], told[-1]["value"], told[-1]["ftype"], told[-1]["count"])
    print(ca.clear_subscription(subscription[2]))
    enum = ca.create_channel("T:enum", connect=True)
    print(ca.get_enum_strings(enum), ca.message(80))
    group = ca.sg_create()
    print(ca.sg_put(group, chid, 23), ca.sg_block(group, SECONDS), ca.get(chid))
    print(ca.sg_test(group), ca.sg_reset(group), ca.sg_delete(group))


@example
def saved_and_restored(epics: Any) -> None:
    autosave = import_module(f"{epics.__name__}.autosave")
    values = {"T:ao": 1.25, "T:long": -5, "T:enum": 2, "T:string": "some text"}
    for name, value in values.items():
        epics.caput(name, value, wait=True)
        settle(lambda at=name, to=value: epics.caget(at) == to)
    with tempfile.TemporaryDirectory() as folder:
        path, save = Path(folder, "t.req"), Path(folder, "t.sav")
        path.write_text("".join(f"{name}\n" for name in values))
        with contextlib.redirect_stdout(io.StringIO()):
            autosave.AutoSaver(str(path)).save(str(save))
        lines = save.read_text().splitlines()
        print([line for line in lines if line[0] != "#"])
        for name in values:
            epics.caput(name, "" if name == "T:string" else 0, wait=True)
        print(autosave.restore_pvs(str(save)))
    settle(lambda: epics.caget("T:string", use_monitor=False) == "some text")
    print([epics.caget(name, use_monitor=False) for name in values])


@example
def motor(epics: Any) -> None:
    m = epics.Motor("T:m1")
    for field in ("RBV", "VAL", "LLM", "HLM", "VELO", "DMOV"):
        settle(lambda at=field: m.PV(at).connected)
    print(m.slew_speed, m.VELO, m.units, m.description)
    print(m.move(2.5, wait=True), m.get_position(), m.PV("RBV").get(use_monitor=False))
    settle(lambda: m.get_position() == 2.5)
    print(m.move(1.0, relative=True, wait=True))
    settle(lambda: m.get_position() == m.get_position(readback=True) == 3.5)
    print(m.get_position(dial=True), m.within_limits(5), m.within_limits(50))
    print(m.move(50), m.move(None), m.move(50, ignore_limits=True, wait=True))
    try:
        m.check_limits()
    except Exception as error:
        print(type(error).__name__, error)
    print(m.move(0.0, wait=True))
    m.tweak_val = 0.25
    settle(lambda: m.tweak_val == 0.25)
    print(m.tweak(wait=True), m.tweak(direction="reverse", wait=True))
    told: list[Any] = []
    m.set_callback("RBV", lambda value, **kw: told.append((kw["motor_field"], value)))
    m.move(1.5, wait=True)
    settle(lambda: ("RBV", 1.5) in told)
    print(told[-1])
    m.clear_callback("RBV")
    settle(lambda: m.get_position() == 1.5)
    m.set_position(4.0)
    settle(lambda: m.get_position() == 4.0)
    print(m.PV("RBV").get(use_monitor=False), m.get("SET"), m.make_step_list(0.5, 20))
    try:
        epics.Motor("T:ao")
    except Exception as error:
        print(type(error).__name__)


def run(epics: ModuleType, name: str) -> None:
    print(f"## {name}")
    EXAMPLES[name](epics)


if __name__ == "__main__":
    import epics as pyepics

    for each in sys.argv[1:]:
        run(pyepics, each)
    sys.stdout.flush()
