"""Every public name of PyEpics, its arguments and its defaults are here too.

`LEFT_OUT` is the whole list of what is not, with reasons; an entry that nothing needs
any more fails.
"""

import importlib
import inspect
import re
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.peer

MODULES = [
    *("", ".alarm", ".autosave", ".autosave.save_restore", ".ca", ".compat"),
    *(".compat.epicsPV", ".dbr", ".device", ".devices", ".devices.ad_base"),
    *(".devices.ad_fileplugin", ".devices.ad_image", ".devices.ad_mca"),
    *(".devices.ad_overlay", ".devices.ad_perkinelmer", ".devices.ai", ".devices.ao"),
    *(".devices.bi", ".devices.bo", ".devices.mca", ".devices.scaler"),
    *(".devices.scan", ".devices.srs570", ".devices.struck", ".devices.transform"),
    *(".devices.xspress3", ".motor", ".multiproc", ".pv", ".utils", ".version"),
]
"""Without `wx` and `qt` (widgets: importing them says so), `clibs` (libca itself),
`compat.CaChannel` (needs wx) and `compat.ca_util` (commented out by PyEpics)."""
LEFT_OUT = {
    r"dbr\.(TimeStamp|(time|ctrl)_\w+|\w+_t|\w+_args|py_obj|char_p|void_p|value_offset)"
    r"(\..*)?": "ctypes that describe libca's memory",
    r"dbr\.(Map|NP_Map|make_callback)": "how ctypes become Python and back",
    r"ca\.(Empty|GET_PENDING)(\..*)?": "how its own requests are kept",
    r"autosave\.save_restore\.(\w*(num|alpha|print)\w*|line)": "of pyparsing",
    r"version\.commit_id": "PyEpics' own",
    r".*\.IOENCODING|devices\.struck\.HEADER": "the same with other words, or a copy",
    r"devices.*\.Scaler\.(attr_kws|calc_attrs|chan_attrs)": "forms for its own loops",
    r"(motor\.)?Motor\.tweak": "'foreward', which means forward",
    r"devices\.(bi|bo)(\.b[io])?\.attrs": "four fields that these records lack",
}
NOT_ASKED = {
    *(f"X:b.{field}" for field in ("EGU", "HOPR", "LOPR", "PREC")),  # not of binaries
    "X:m1.disabled",  # no field
    "X:SIS:InitialChannelAdvancel",  # misspelled: there is no such PV
}
NOT_KEPT = {"Scan.waitSemaphore": "nobody waits for it"}
DEVICES: list[tuple[str, str, tuple[Any, ...]]] = [
    ("devices.ai", "ai", ("X:a",)),
    ("devices.ao", "ao", ("X:a.",)),
    ("devices.bi", "bi", ("X:b",)),
    ("devices.bo", "bo", ("X:b",)),
    ("devices.scaler", "Scaler", ("X:s1", 4)),
    ("devices.mca", "DXP", ("X:", 2)),
    ("devices.mca", "ROI", ("X:mca1", 3)),
    ("devices.mca", "MCA", ("X:", 2)),
    ("devices.mca", "MultiXMAP", ("X:", "netCDF1:", 2)),
    ("devices.struck", "Struck", ("X:SIS", "X:s1", 2)),
    ("devices.scan", "Scan", ("X:scan1",)),
    ("devices.srs570", "SRS570", ("X:A1",)),
    ("devices.ad_base", "AD_Camera", ("X:cam1:",)),
    ("devices.ad_fileplugin", "AD_FilePlugin", ("X:HDF1:",)),
    ("devices.ad_image", "AD_ImagePlugin", ("X:image1:",)),
    ("devices.ad_overlay", "AD_OverlayPlugin", ("X:Over1:",)),
    ("devices.ad_perkinelmer", "AD_PerkinElmer", ("X:",)),
    ("devices.ad_mca", "ADMCAROI", ("X:MCA1ROI", 2)),
    ("devices.ad_mca", "ADMCA", ("X:det1:", "X:MCA1:ArrayData", 3, "X:MCA1ROI")),
    ("devices.xspress3", "Xspress3", ("X:", 2)),
    ("devices.xspress3", "Xspress310", ("X:", 2)),
    ("motor", "Motor", ("X:m1",)),
]


def pair(name: str) -> tuple[types.ModuleType, types.ModuleType]:
    return importlib.import_module(f"epics{name}"), importlib.import_module(
        f"beamfly.epics{name}"
    )


def parameters(function: Any) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []


VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def accepts(theirs: Any, ours: Any) -> str:
    """What is wrong with our arguments for callers of theirs; empty: nothing."""
    mine = parameters(ours)
    takes = {one.kind for one in mine}
    for at, one in enumerate(parameters(theirs)):
        if one.kind in VARIADIC:
            continue
        found = next((other for other in mine if other.name == one.name), None)
        if found is None:
            if inspect.Parameter.VAR_POSITIONAL in takes:
                continue
            return f"has no {one.name}"
        if mine.index(found) != at:
            return f"has {one.name} at {mine.index(found)}, not {at}"
        if found.default is not one.default and found.default != one.default:
            if one.default is not inspect.Parameter.empty:
                return f"{one.name} is {found.default!r}, not {one.default!r}"
            # one that has become optional is no harm
    return ""


def same(theirs: Any, ours: Any) -> bool:
    if isinstance(theirs, (list, tuple)) and isinstance(ours, (list, tuple)):
        return set(map(str, theirs)) <= set(map(str, ours))
    if type(theirs).__name__ in ("function", "type", "property", "object"):
        return True
    return bool(np.all(theirs == ours)) or type(theirs) is not type(ours)


def public(thing: Any) -> Iterator[tuple[str, Any]]:
    for name in dir(thing):
        if not name.startswith("_"):
            yield name, inspect.getattr_static(thing, name)


def differences(where: str, theirs: Any, ours: Any) -> Iterator[tuple[str, str]]:
    """What a class or a function of theirs has and ours has not."""
    problem = accepts(theirs, ours)
    if problem:
        yield where, problem
    if not inspect.isclass(theirs):
        return
    for name, value in public(theirs):
        if not hasattr(ours, name):
            yield f"{where}.{name}", "is missing"
        elif callable(getattr(theirs, name)):
            problem = accepts(getattr(theirs, name), getattr(ours, name))
            if problem:
                yield f"{where}.{name}", problem
        elif not same(value, inspect.getattr_static(ours, name)):
            yield f"{where}.{name}", f"is not {value!r:.60}"


def belongs(module: types.ModuleType, name: str, value: Any) -> bool:
    """Whether a name is the module's own, not one that it has from elsewhere."""
    if name.startswith("_"):
        return name == "__version__"
    if inspect.ismodule(value):
        return value.__name__.startswith(f"{module.__name__}.")
    home = getattr(value, "__module__", None)
    if home is None or home == module.__name__:
        return True
    if not home.startswith("epics"):
        return not callable(value) and home not in ("typing", "ctypes", "__future__")
    return "__init__" in str(module.__file__)


def compare(module: str) -> Iterator[tuple[str, str]]:
    """What differs between a module of theirs and ours."""
    theirs, ours = pair(module)
    for name, value in vars(theirs).items():
        where = f"{module}.{name}".removeprefix(".")
        if not belongs(theirs, name, value):
            continue
        if not hasattr(ours, name):
            yield where, "is missing"
        elif callable(value):
            yield from differences(where, value, getattr(ours, name))
        elif not inspect.ismodule(value) and not same(value, getattr(ours, name)):
            yield where, f"is {getattr(ours, name)!r:.60}, not {value!r:.60}"


def reason(where: str) -> str | None:
    return next((form for form in LEFT_OUT if re.fullmatch(form, where)), None)


def test_everything_public_is_here() -> None:
    found = [one for module in MODULES for one in compare(module)]
    missing = [f"{where} {what}" for where, what in found if reason(where) is None]
    assert not missing, "\n".join(missing)
    needed = {reason(where) for where, _ in found}
    assert set(LEFT_OUT) == needed, "not needed any more"


class Recorder:
    """Stands in for PVs: all connected, all put, none with a value of its own."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __call__(self, pvname: str, *args: Any, **options: Any) -> Any:
        self.asked.add(pvname)
        kind = {"X:m1.RTYP": "motor", "X:scan1.RTYP": "sscan"}.get(pvname, "")

        class Fake:
            """A PV without a channel."""

            connected = write_access = True
            value = kind
            __init__ = object.__init__

            def __getattr__(self, name: str) -> Any:
                return lambda *args, **options: kind if name == "get" else 1

        fake = Fake()
        fake.pvname = pvname  # type: ignore[attr-defined]
        return fake


def built(
    monkeypatch: pytest.MonkeyPatch, package: str, module: str, name: str, args: Any
) -> tuple[Any, set[str]]:
    """A device of one package, and the PVs that it asked for."""
    recorder = Recorder()
    for place in ("device", "devices.mca", "devices.mca_record", "devices.ad_mca"):
        if package == "epics" and place == "devices.mca_record":
            continue
        found = importlib.import_module(f"{package}.{place}")
        for function in ("get_pv", "PV"):
            if hasattr(found, function):
                monkeypatch.setattr(found, function, recorder)
    kind = getattr(importlib.import_module(f"{package}.{module}"), name)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    return kind(*args), recorder.asked


@pytest.mark.parametrize(("module", "name", "args"), DEVICES, ids=lambda one: str(one))
def test_devices_have_the_same_pvs_and_attributes(
    monkeypatch: pytest.MonkeyPatch, module: str, name: str, args: Any
) -> None:
    with monkeypatch.context() as patch:
        theirs, wanted = built(patch, "epics", module, name, args)
    with monkeypatch.context() as patch:
        ours, asked = built(patch, "beamfly.epics", module, name, args)
        kept = {one for one in vars(theirs) if not one.startswith("_")}
        missing = {f"{name}.{one}" for one in kept - set(dir(ours))}
    assert not missing - set(NOT_KEPT)
    assert not {one.replace(".VAL", "") for one in wanted - NOT_ASKED} - {
        one.replace(".VAL", "") for one in asked
    }
