"""Parallel, error handlers, includes and the queue, as recorded."""

from pathlib import Path

import pytest
from scan_recording import GOLDEN, documents, normal, section
from scan_rig import Rig

from beamfly.scan.config import ScanConfig

HANDLER = "<error_handler>{}</error_handler>".format
LOG_Q = "<log><devices><device>loc://q(0)</device></devices></log>"


def delay(seconds: float, handler: str = "") -> str:
    end = HANDLER(handler) if handler else ""
    return f"<delay><seconds>{seconds}</seconds>{end}</delay>"


def wait_for(value: float, timeout: float, handler: str = "") -> str:
    end = HANDLER(handler) if handler else ""
    return (
        f"<wait><device>loc://q(0)</device><value>{value}</value>"
        f"<timeout>{timeout}</timeout>{end}</wait>"
    )


def set_to(device: str, value: float) -> str:
    return (
        f"<set><device>{device}</device><value>{value}</value><wait>false</wait></set>"
    )


def test_parallel():
    rig = Rig()
    lines = section("t6", "parallel")
    for index, commands in enumerate(
        (
            f"<parallel><timeout>0.5</timeout><body>{delay(5)}{wait_for(9, 9)}</body>"
            "</parallel>",
            f"<parallel><body>{delay(3)}{wait_for(9, 0.3)}</body></parallel>",
        )
    ):
        assert normal(str(rig.wait(rig.submit(commands)))) == lines[index]
    scan = rig.submit(
        f"<parallel><timeout>0.3</timeout><body>{delay(5)}</body>"
        f"{HANDLER('OnErrorContinue')}</parallel>{LOG_Q}"
    )
    assert normal(f"{rig.wait(scan)} {rig.data(scan)}") == lines[2]
    assert rig.wait(rig.submit("<parallel/>"))["state"] == lines[3]
    info = rig.wait(rig.submit("<parallel><body/></parallel><sequence/>"))
    units = f"{info['total_work_units']} {info['performed_work_units']}"
    assert f"{info['state']} {units}" == lines[4]


def test_two_logs_in_parallel():
    """The genuine server fails here."""
    rig = Rig()
    scan = rig.submit(f"<parallel><body>{LOG_Q}{LOG_Q}</body></parallel>")
    assert rig.wait(scan)["state"] == "Finished"
    assert rig.data(scan) == {"loc://q(0)": [(0, "0.0"), (1, "0.0")]}


def test_error_handlers():
    rig = Rig()
    lines = section("t6", "error handlers")
    scan = rig.submit(wait_for(9, 0.2, "OnErrorContinue") + LOG_Q)
    assert f"{rig.wait(scan)['state']} {rig.data(scan)}" == lines[0]
    info = rig.wait(rig.submit(wait_for(9, 0.3, "OnErrorRetryThenAbort")))
    assert info["state"] == "Failed"
    assert lines[1] == f"Failed 925 {info['error']}"
    assert abs(int(info["runtime"] or 0) - 925) < 40
    info = rig.wait(rig.submit(wait_for(9, 0.3, "OnErrorRetryThenContinue") + LOG_Q))
    assert lines[2] == f"{info['state']} 944 {info.get('error')}"
    assert abs(int(info["runtime"] or 0) - 944) < 60
    text = f"<commands>{wait_for(9, 0.3, 'NoSuchHandler')}</commands>"
    reply = rig.request("POST", "/scan/eh", text)
    assert reply.status == 400
    assert b"Error loading class NoSuchHandler" in reply.body
    scan = rig.submit(
        f"<sequence><body>{wait_for(9, 0.2)}{LOG_Q}</body>"
        f"{HANDLER('OnErrorContinue')}</sequence>{LOG_Q}"
    )
    assert f"seq handler {rig.wait(scan)['state']} {rig.data(scan)}" in lines
    scan = rig.submit(
        "<loop><device>loc://x(0)</device><start>1</start><end>3</end><step>1</step>"
        f"<wait>false</wait><body>{wait_for(9, 0.2)}</body>"
        f"{HANDLER('OnErrorContinue')}</loop>"
        "<log><devices><device>loc://x(0)</device></devices></log>"
    )
    said = f"{rig.wait(scan)['state']} {rig.data(scan)}"
    assert f"loop handler (continue skips rest of loop) {said}" in lines


def test_abort_beats_handlers():
    rig = Rig()
    scan = rig.submit(delay(20, "OnErrorContinue") + delay(5))
    rig.sleep(0.5)
    rig.put(scan, "abort")
    lines = section("t6", "error handlers")
    assert normal(str(rig.wait(scan))) == lines[lines.index("abort beats handler") + 1]


def test_include():
    rig = Rig(ScanConfig(paths=[str(GOLDEN)], macros={"DemoDevice": "motor_x"}))
    lines = section("t6", "include")
    scan = rig.submit(
        "<include><scan_file>inc.scn</scan_file><macros>M=loc://inc(0)</macros>"
        "</include>"
    )
    assert normal(f"{rig.wait(scan)} {rig.data(scan)}") == lines[0]
    text = normal(rig.request("GET", f"/scan/{scan}/commands").body.decode())
    assert text == documents("t6", "GET", "/scan/#/commands")[0]
    reply = rig.request(
        "POST",
        "/scan/x",
        "<commands><include><scan_file>nofile.scn</scan_file></include></commands>",
    )
    assert reply.status == 400
    assert b"Include 'nofile.scn': cannot open 'nofile.scn'" in reply.body
    scan = rig.submit(
        set_to("$(DemoDevice)", 1)
        + "<log><devices><device>$(DemoDevice)</device></devices></log>"
        + "<comment><text>x</text></comment>"
    )
    assert normal(f"{rig.wait(scan)} {rig.data(scan)}") in lines
    scan = rig.submit(set_to("loc://$(undef)(0)", 1))
    assert normal(str(rig.wait(scan))) == lines[-1]


@pytest.mark.parametrize(
    "name",
    ["../secret.scn", "/etc/passwd", "a/../../secret.scn", "link.scn", "", ".",
     "examples:../secret.scn", "sub"],
)  # fmt: skip
def test_nothing_outside_the_script_path_is_included(tmp_path: Path, name: str):
    inside = tmp_path / "scripts"
    (inside / "sub").mkdir(parents=True)
    (tmp_path / "secret.scn").write_text("<commands/>")
    (inside / "link.scn").symlink_to(tmp_path / "secret.scn")
    rig = Rig(ScanConfig(paths=[str(inside)]))
    text = f"<commands><include><scan_file>{name}</scan_file></include></commands>"
    reply = rig.request("POST", "/scan/x", text)
    assert reply.status == 400
    assert b"cannot open" in reply.body


def test_files_that_include_themselves(tmp_path: Path):
    me = "<include><scan_file>me.scn</scan_file></include>"
    (tmp_path / "me.scn").write_text(f"<commands>{me}</commands>")
    (tmp_path / "two.scn").write_text(f"<commands>{me}{me}</commands>")
    rig = Rig(ScanConfig(paths=[str(tmp_path)]))
    for file in ("me.scn", "two.scn"):
        text = f"<commands><include><scan_file>{file}</scan_file></include></commands>"
        reply = rig.request("POST", "/scan/x", text)
        assert reply.status == 400
        assert b"nested too deeply" in reply.body


def test_queue_and_moves():
    rig = Rig()
    lines = section("t6", "queue vs immediate, move")
    names = {name: rig.submit(delay(s), name) for name, s in
             (("A", 2), ("B", 0.3), ("C", 0.3), ("D", 0.3))}  # fmt: skip
    names["E"] = rig.submit(delay(1), "E", "?queue=false")
    rig.sleep(0.5)

    def listed() -> str:
        infos = rig.engine.infos()
        return str([(info.name, info.state) for info in infos][:5])

    printed = [listed()]
    for name, steps in (("D", "-1"), ("D", "-5"), ("C", "1"), ("B", "10")):
        status = rig.put(names[name], f"move/{steps}")
        printed.append(f"{status} {listed()}")
    printed.append(str(rig.put(names["B"], "move/x")))
    assert printed == lines[:6]
    for scan in names.values():
        rig.wait(scan)
    finished = sorted((rig.info(scan)["finish"], name) for name, scan in names.items())
    assert [name for _, name in finished] == list("EABDC")
    assert "E" in lines[6].split(",")[1]
