"""Comparisons, values of all types and ways of setting, as recorded."""

import ast

import pytest
from scan_recording import section
from scan_rig import Rig


def wait_for(device, value, comparison=None, tolerance=None, timeout=None) -> str:
    children = {"comparison": comparison, "tolerance": tolerance, "timeout": timeout}
    rest = "".join(f"<{k}>{v}</{k}>" for k, v in children.items() if v is not None)
    return f"<wait><device>{device}</device><value>{value}</value>{rest}</wait>"


def set_to(device, value, rest="<wait>false</wait>") -> str:
    return f"<set><device>{device}</device><value>{value}</value>{rest}</set>"


def cases(title: str, line_start: str = "(") -> list[tuple[tuple, str]]:
    """Arguments of a probe, and what it printed."""
    found = []
    for line in section("t4", title):
        if line.startswith(line_start) and ") " in line:
            arguments, _, printed = line.partition(") ")
            found.append((ast.literal_eval(arguments + ")"), printed))
    assert found
    return found


@pytest.mark.parametrize(("arguments", "printed"), cases("wait comparisons"))
def test_wait_comparisons(arguments: tuple, printed: str):
    rig = Rig()
    scan = rig.submit(set_to("loc://w(0)", 5) + wait_for("loc://w(0)", *arguments, 0.3))
    info = rig.wait(scan)
    assert f"{info['state']} {info.get('error')}" == printed


@pytest.mark.parametrize(("arguments", "printed"), cases("text/enum compare"))
def test_texts_and_enums(arguments: tuple, printed: str):
    rig = Rig()
    info = rig.wait(rig.submit(wait_for(*arguments, None, 0.3)))
    assert f"{info['state']} {info.get('error')}" == printed


def types() -> list[tuple[tuple, str]]:
    lines = section("t4", "set variants on real PVs")
    start = lines.index("types") + 1
    found = []
    for line in lines[start:]:
        arguments, _, printed = line.partition(") ")
        found.append((ast.literal_eval(arguments + ")"), printed))
    return found


@pytest.mark.parametrize(("arguments", "printed"), types())
def test_types(arguments: tuple, printed: str):
    device, value = arguments
    rig = Rig()
    if value == '"abc"':  # the probe before it had left this value
        rig.ioc.pvs["motor_x"].value = 3.5
    if value == '"Bogus"':
        rig.wait(rig.submit(set_to("mode", "Idle")))
    log = f"<log><devices><device>{device}</device></devices></log>"
    scan = rig.submit(set_to(device, value) + log)
    info = rig.wait(scan)
    data = {name: samples[0][1] for name, samples in rig.data(scan).items()}
    assert f"{info['state']} {info.get('error')} {data}" == printed


def variants() -> list[str]:
    lines = section("t4", "set variants on real PVs")
    return lines[: lines.index("slow device")]


@pytest.mark.parametrize("line", variants())
def test_set_variants(line: str):
    rest, state, runtime, *error = (
        line.replace(" Finished", "|Finished")
        .replace(" Failed", "|Failed")
        .replace("|", " ")
        .strip()
        .split(" ", 3)
        if line[0] == "<"
        else ("", *line.split())
    )
    rig = Rig()
    before = set_to("motor_y", 0) if "motor_y" in rest else ""
    info = rig.wait(rig.submit(before + set_to("motor_x", 2, rest)))
    assert info["state"] == state
    assert abs(int(info["runtime"] or 0) - int(runtime)) < 30
    said = str(info.get("error"))
    # the genuine server names the device here and shows its value, not the readback's
    assert said.replace("motor_y (0.0) !=", "motor_x (2.0) !=") == " ".join(error)


SLOW = "<readback>readback</readback><tolerance>0.15</tolerance><timeout>5</timeout>"
COMPLETION = "<completion>true</completion>"


@pytest.mark.parametrize(
    ("rest", "index"),
    [
        (SLOW, 1),
        (COMPLETION + SLOW, 2),
        ("<readback>readback</readback><timeout>0.3</timeout>", 3),
    ],
)
def test_slow_device(rest: str, index: int):
    lines = section("t4", "set variants on real PVs")
    line = lines[lines.index("slow device") + index]
    assert line.startswith(rest)
    state, _, error = line.removeprefix(rest).strip().split(" ", 2)
    rig = Rig()
    info = rig.wait(rig.submit(set_to("setpoint", 1, rest)))
    assert info["state"] == state
    said = str(info.get("error"))
    assert said.replace("(0.3)", "(0.30000000000000004)").replace(
        "(0.2)", "(0.30000000000000004)"
    ) == error  # fmt: skip


NO_WAIT = "<wait>false</wait>"


@pytest.mark.parametrize(
    ("value", "rest"),
    [
        (1, f"{COMPLETION}{NO_WAIT}<timeout>1</timeout>"),
        (1, f"{COMPLETION}<timeout>10</timeout>"),
        (7, f"{COMPLETION}<timeout>10</timeout>"),
    ],
)
def test_completion(value: int, rest: str):
    lines = section("t4", "set variants on real PVs")
    (line,) = [x for x in lines if x.startswith(f"{value} {rest}")]
    state, _, error = line.removeprefix(f"{value} {rest}").strip().split(" ", 2)
    rig = Rig()
    info = rig.wait(rig.submit(set_to("callback_test", value, rest)))
    assert (info["state"], str(info.get("error"))) == (state, error)


def test_local_pvs_refuse_what_does_not_fit():
    rig = Rig()
    info = rig.wait(rig.submit(set_to("loc://n(0)", '"abc"')))
    assert info["state"] == "Failed"
    assert (info["error"] or "").startswith("Failed to write loc://n(0) = abc")
