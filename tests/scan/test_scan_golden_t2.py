"""Documents of a scan through its life, as recorded from a genuine server."""

import re
import xml.etree.ElementTree as ET

from scan_recording import GOLDEN, documents, normal, section
from scan_rig import Rig

from beamfly.scan.config import ScanConfig, read_config

LIFE = (
    "<comment><text>Hello $(DemoDevice)</text></comment><set><device>motor_x</device>"
    "<value>3</value><wait>false</wait></set><delay><seconds>1</seconds></delay><log>"
    "<devices><device>motor_x</device><device>count</device><device>mode</device>"
    "<device>wf</device><device>stext</device><device>ctext</device>"
    "<device>wf1</device></devices></log>"
)
ALIAS = (
    "<set><device>xpos</device><value>4</value></set>"
    "<log><devices><device>xpos</device></devices></log>"
    "<log><devices><device>motor_x</device></devices></log>"
    "<delay><seconds>1.5</seconds></delay>"
)


def config() -> ScanConfig:
    return read_config((GOLDEN / "scan_config.xml").read_bytes())


def ask(rig: Rig, path: str) -> str:
    reply = rig.request("GET", path)
    assert reply.status == 200
    return normal(reply.body.decode())


def devices(text: str) -> list[list[str | None]]:
    """Devices in a document, in any order."""
    found = [[item.text for item in device] for device in ET.fromstring(text)]
    return sorted(found, key=str)


def test_life_cycle():
    rig = Rig(config())
    scan = rig.submit(LIFE, "My%20First%20Scan")
    running, finished = documents("t2", "GET", "/scan/#")[:2]
    rig.sleep(0.7)
    assert ask(rig, f"/scan/{scan}") == running
    rig.wait(scan)
    assert ask(rig, f"/scan/{scan}") == finished
    data, commands = (
        documents("t2", "GET", f"/scan/#/{what}")[0] for what in ("data", "commands")
    )
    assert ask(rig, f"/scan/{scan}/data") == data
    assert ask(rig, f"/scan/{scan}/commands") == commands
    serial = documents("t2", "GET", "/scan/#/last_serial")[0]
    assert ask(rig, f"/scan/{scan}/last_serial") == serial
    recorded = documents("t2", "GET", "/scan/#/devices")[0]
    assert devices(ask(rig, f"/scan/{scan}/devices")) == devices(recorded)
    assert ask(rig, "/scans") == documents("t2", "GET", "/scans")[0]


def test_alias():
    rig = Rig(config())
    scan = rig.submit(ALIAS)
    rig.sleep(1)
    recorded = documents("t2", "GET", "/scan/#/devices")[1].split("\n{")[0]
    assert ask(rig, f"/scan/{scan}/devices") == recorded
    lines = section("t2", "alias")
    assert normal(str(rig.wait(scan))) in lines
    assert str(rig.data(scan)) in lines
    commands = documents("t2", "GET", "/scan/#/commands")[1]
    assert ask(rig, f"/scan/{scan}/commands") == commands


def test_local_pv():
    rig = Rig(config())
    scan = rig.submit(
        "<set><device>loc://a(5)</device><value>6</value></set>"
        "<log><devices><device>loc://a(5)</device></devices></log>"
    )
    lines = section("t2", "loc pv")
    assert [normal(f"{rig.wait(scan)} {rig.data(scan)}")] == lines


def test_missing_pv_and_abort():
    rig = Rig(config())
    lines = section("t2", "missing pv, abort")
    scan = rig.submit("<set><device>nosuchpv</device><value>6</value></set>")
    rig.sleep(1)
    waiting, aborted = documents("t2", "GET", "/scan/#")[2:4]
    assert ask(rig, f"/scan/{scan}") == waiting
    recorded = documents("t2", "GET", "/scan/#/devices")[2]
    assert ask(rig, f"/scan/{scan}/devices") == recorded
    for verb in ("pause", "next"):
        assert rig.put(scan, verb) == 200
        assert normal(str(rig.info(scan))) in lines
    assert rig.put(scan, "resume") == 200
    assert rig.put(scan, "abort") == 200
    assert normal(str(rig.wait(scan))) in lines
    assert ask(rig, f"/scan/{scan}") == aborted
    assert rig.put(scan, "abort") == 200
    assert rig.request("DELETE", f"/scan/{scan}").status == 200
    assert rig.request("GET", f"/scan/{scan}").status == 500


def test_missing_pv_times_out_with_its_name():
    rig = Rig(ScanConfig(connect_timeout=3.0))
    scan = rig.submit("<set><device>nosuchpv</device><value>6</value></set>")
    info = rig.wait(scan)
    assert info["state"] == "Failed"
    assert info["error"] == "Device nosuchpv did not connect in 3 seconds"
    assert 3000 <= int(info["runtime"] or 0) < 3200


def test_configured_devices():
    text = ask(Rig(config()), "/scan/-1/devices")
    assert devices(text) == [
        ["motor_x", "xpos", "no PV"],
        ["neutrons", "neutrons", "no PV"],
    ]


def test_server_info():
    root = ET.fromstring(ask(Rig(), "/server/info"))
    assert [child.tag for child in root][:8] == [
        "version", "start_time", "scan_config", "script_paths", "macros", "used_mem",
        "max_mem", "non_heap",
    ]  # fmt: skip
    assert re.fullmatch(r"4\.7\.\d", root.findtext("version", ""))
