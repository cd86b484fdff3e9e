"""Loops, snakes, automatic logging, work units and addresses, as recorded."""

from pathlib import Path

import pytest
from scan_recording import normal, section
from scan_rig import Rig

from beamfly.scan.config import ScanConfig

LOG_X = "<log><devices><device>loc://x(0)</device></devices></log>"
LOG_BOTH = (
    "<log><devices><device>loc://x(0)</device><device>loc://y(0)</device>"
    "</devices></log>"
)


def loop(start: float, end: float, step: float, body: str = LOG_X, axis: str = "x"):
    return (
        f"<loop><device>loc://{axis}(0)</device><start>{start}</start>"
        f"<end>{end}</end><step>{step}</step><wait>false</wait>"
        f"<body>{body}</body></loop>"
    )


def positions(rig: Rig, scan: int, axis: str = "x") -> list[float]:
    return [float(value) for _, value in rig.data(scan)[f"loc://{axis}(0)"]]


def test_loops():
    rig = Rig()
    lines = section("t3", "loops")
    assert len(lines) == 14
    for line in lines:
        start, end, step = (float(x) for x in line[1 : line.index(")")].split(", "))
        scan = rig.submit(loop(start, end, step))
        info = rig.wait(scan)
        units = f"{info['total_work_units']} {info['performed_work_units']}"
        ours = f"{info['state']} {units} {positions(rig, scan)}"
        assert ours == line.partition(") ")[2]


@pytest.mark.parametrize(
    ("start", "end", "step"), [(1, 1.1, 0.1), (0.1, 0.4, 0.3), (1, 1.3, 0.3)]
)
def test_no_end_point_twice(start: float, end: float, step: float):
    """The genuine server goes to these ends twice."""
    rig = Rig()
    assert positions(rig, rig.submit(loop(start, end, step))) == [start, end]


def test_snake():
    rig = Rig()
    lines = section("t3", "snake")
    inner = loop(0, 2, -1, LOG_BOTH, "y")
    for outer, expected in ((loop(0, 2, 1, inner), lines[1]),
                            (loop(2, 0, 1, inner), lines[4])):  # fmt: skip
        scan = rig.submit(outer)
        rig.wait(scan)
        pairs = zip(positions(rig, scan), positions(rig, scan, "y"), strict=True)
        assert str(list(pairs)) == expected
    serials = [serial for serial, _ in rig.data(scan)["loc://x(0)"]]
    assert f"serials {serials}" == lines[2]


def test_automatic_log():
    rig = Rig()
    lines = section("t3", "loop auto log")
    body = "<set><device>loc://z(0)</device><value>9</value><wait>false</wait></set>"
    scan = rig.submit(
        "<config_log><automatic>true</automatic></config_log>" + loop(1, 3, 1, body)
    )
    assert rig.wait(scan)["performed_work_units"] == "4"
    assert str(rig.data(scan)) == lines[1]
    serial = rig.request("GET", f"/scan/{scan}/last_serial").body.decode().strip()
    assert serial == lines[3] == "<serial>5</serial>"


TWO = "<comment><text>a</text></comment><comment><text>b</text></comment>"
IF = (
    "<if><device>loc://x(0)</device><comparison>ABOVE</comparison>"
    "<value>{}</value><body><comment><text>a</text></comment></body></if>"
)
BODIES = [
    "",
    f"<sequence><body>{TWO}</body></sequence>",
    f"<parallel><body>{TWO}</body></parallel>",
    IF.format(100),
    IF.format(-100),
]


@pytest.mark.parametrize("index", range(5))
def test_work_units(index: int):
    rig = Rig()
    body = BODIES[index]
    info = rig.wait(
        rig.submit(loop(1, 2, 1, body) + "<delay><seconds>.05</seconds></delay>")
    )
    expected = section("t3", "work units")[index]
    units = f"{info['total_work_units']} {info['performed_work_units']}"
    assert f"{body[:30]!r} {info['state']} {info.get('error')} {units}" == expected


def test_work_units_of_included_files(tmp_path: Path):
    (tmp_path / "a.scn").write_text(f"<commands>{TWO}<parallel/></commands>")
    rig = Rig(ScanConfig(paths=[str(tmp_path)]))
    include = "<include><scan_file>a.scn</scan_file></include>"
    info = rig.wait(rig.submit(loop(1, 2, 1, include)))
    assert (info["total_work_units"], info["state"]) == ("6", "Finished")


def test_addresses():
    rig = Rig()
    delay = "<delay><seconds>{}</seconds></delay>".format
    scan = rig.submit(
        "<comment><text>0</text></comment>"
        + loop(1, 2, 1, f"{delay(0.6)}<sequence><body>{delay(0.6)}</body></sequence>")
        + f"<parallel><body>{delay(0.6)}{delay(0.8)}</body></parallel>{delay(0.3)}"
    )
    seen: list[str] = []
    while not seen or "- end -" not in seen[-1]:
        info = rig.info(scan)
        command = (info["command"] or "")[:30]
        units = info["performed_work_units"], info["total_work_units"]
        line = normal(str((info["address"], command, *units)))
        if line not in seen[-1:]:
            seen.append(line)
        rig.sleep(0.12)
    assert seen == section("t3", "addresses")
