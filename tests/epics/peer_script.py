"""What both PyEpics and `beamfly.epics` run; what they print is compared."""

import sys
import time

if sys.argv[1] == "beamfly":
    import beamfly.epics as epics
else:
    import epics
from importlib import import_module

numpy = import_module("numpy")
epics.ca.DEFAULT_CONNECTION_TIMEOUT = PATIENCE = 20


def settle(predicate) -> None:
    end = time.time() + 30
    while not predicate() and time.time() < end:
        epics.poll()


NAMES = ["T:ao", "T:long", "T:string", "T:enum", "T:bool", "T:float", "T:longs"]
NAMES += ["T:short", "T:char", "T:strings"]
VALUES = [
    1.5,
    12,
    "some text",
    "two",
    1,
    [1.5, 2.5],
    [1, 2, 3],
    [7],
    "chars",
    ["a", "b"],
]
SKIPPED = ("timestamp", "posixseconds", "nanoseconds", "chid", "host")
for name, value in zip(NAMES, VALUES, strict=True):
    print(name, epics.caput(name, value, wait=True))
    # PyEpics reads as many elements as the newest update had that has arrived
    epics_pv = epics.get_pv(name, connect=True)
    ends = name == "T:char"  # with a zero
    size = len(value) + ends if isinstance(value, list) or ends else 1
    settle(lambda p=epics_pv, n=size: p.get() is not None and p.count == n)
    settle(lambda n=name: numpy.size(epics.caget(n, use_monitor=False)) > 0)
    print(epics.caget(name, use_monitor=False))
    print(epics.caget(name, as_string=True, use_monitor=False))
    for form in ("native", "time", "ctrl"):
        pv = epics.PV(name, form=form)
        pv.wait_for_connection(20)
        settle(lambda p=pv, n=size: p.get() is not None and p.count == n)
        settle(lambda p=pv: numpy.size(p.get()) > 0)
        first = pv.get()
        print(form, type(first).__name__, getattr(first, "dtype", ""), first, repr(pv))
        data = pv.get_with_metadata(use_monitor=False, timeout=PATIENCE)
        print({key: data[key] for key in sorted(data) if key not in SKIPPED})
        data = pv.get_ctrlvars()
        print({key: data[key] for key in sorted(data) if key not in SKIPPED})
        print(pv.get(as_string=True), pv.get(count=1), pv.get(as_numpy=False))
        for attr in ("type", "typefull", "ftype", "count", "nelm", "access", "units"):
            print(attr, getattr(pv, attr), end="; ")
        for attr in (
            "precision",
            "enum_strs",
            "upper_ctrl_limit",
            "severity",
            "status",
        ):
            print(attr, getattr(pv, attr), end="; ")
        print(pv.char_status, pv.char_severity, pv.char_value)
        pv.disconnect()
    text = epics.cainfo(name, print_out=False)
    kept = [line for line in text.splitlines() if line.split()[0] not in SKIPPED]
    # numpy's own way to show a character differs between the two
    print("\n".join(line for line in kept if name != "T:char" or "array" not in line))

pv = epics.get_pv("T:enum", connect=True)
settle(lambda: pv.get() == 2)
told = []
index = pv.add_callback(lambda **kw: told.append(kw), mark=1)
pv.put("one", wait=True)
settle(lambda: told and told[-1]["value"] == 1)
last = told[-1]
print(
    index, {key: last[key] for key in sorted(last) if key not in (*SKIPPED, "cb_info")}
)
print(last["cb_info"][0], last["cb_info"][1] is pv, sorted(last))
slow = epics.get_pv("T:slow", connect=True)
ended = []
print(slow.put(1, callback=lambda **kw: ended.append(kw), callback_data=5))
settle(lambda: ended)
print(ended, slow.put(3, wait=True))
print(slow.put(1, use_complete=True), slow.put_complete is None)
settle(lambda: slow.put_complete)
print(slow.put_complete)
print(epics.caget_many(["T:long", "T:none", "T:string"], connection_timeout=1))
print(epics.caput_many(["T:long", "T:ao"], [4, 2.5], wait="all"))
device = epics.Device("T:", attrs=["ao", "long", "enum"])
device.ao = 3.25
settle(lambda: device.ao == 3.25)
print(device, device.ao, device.get("ao", as_string=True), sorted(device.save_state()))
for value in (0, 0.5, -2.25, 12345.678, 9.87654321e-7, 3):
    numbers = epics.get_pv("T:slow:end", connect=True)
    numbers.put(value, wait=True)
    print(numbers.get(use_monitor=False, timeout=PATIENCE))
    print(numbers.get(as_string=True, use_monitor=False, timeout=PATIENCE))
chid = epics.ca.create_channel("T:long", connect=True)
print(epics.ca.get(chid, timeout=PATIENCE))
print(epics.ca.element_count(chid), epics.ca.field_type(chid))
print(epics.ca.name(chid), epics.ca.access(chid), epics.ca.isConnected(chid))
print(epics.ca.put(chid, 77, wait=True))
print(epics.ca.get(chid, as_string=True, timeout=PATIENCE))
lines = []
epics.camonitor("T:long", writer=lines.append)
epics.caput("T:long", 78, wait=True)
settle(lambda: lines and lines[-1].endswith("78"))
print([line.split()[0] + line.split()[-1] for line in lines[-1:]])
