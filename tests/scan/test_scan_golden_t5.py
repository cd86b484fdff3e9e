"""Pause, next, abort, time-outs and patches, as recorded."""

import ast
from datetime import datetime

import pytest
from scan_recording import documents, normal, runtimes, section
from scan_rig import Rig

STATE = ("state", "address", "command", "performed_work_units", "total_work_units",
         "runtime", "error")  # fmt: skip


def delay(seconds: float, handler: str = "") -> str:
    end = f"<error_handler>{handler}</error_handler>" if handler else ""
    return f"<delay><seconds>{seconds}</seconds>{end}</delay>"


def set_to(device: str, value: float, rest: str = "<wait>false</wait>") -> str:
    return f"<set><device>{device}</device><value>{value}</value>{rest}</set>"


class Probe(Rig):
    """Prints what the probe printed."""

    def __init__(self):
        super().__init__()
        self.lines: list[str] = []
        self.runtimes: list[int] = []

    def brief(self, scan: int) -> dict[str, str | None]:
        info = self.info(scan)
        return {key: info.get(key) for key in STATE}

    def note(self, *items: object) -> None:
        for item in items:
            if isinstance(item, dict) and item.get("runtime"):
                self.runtimes.append(int(item["runtime"]))
        self.lines.append(normal(" ".join(str(item) for item in items)))

    def same_as(self, title: str, slack: int = 30) -> None:
        assert self.lines == section("t5", title)
        recorded = runtimes("t5", title)
        for ours, theirs in zip(self.runtimes, recorded, strict=True):
            assert abs(ours - theirs) <= slack, (self.runtimes, recorded)


def test_pause_and_resume_during_a_delay():
    probe = Probe()
    scan = probe.submit(delay(1.5) + delay(0.3))
    probe.sleep(0.6)
    probe.note(probe.brief(scan))
    probe.put(scan, "pause")
    probe.sleep(0.3)
    probe.note(probe.brief(scan))
    probe.sleep(1)
    probe.note(probe.brief(scan))
    probe.put(scan, "resume")
    probe.sleep(0.2)
    probe.note(probe.brief(scan))
    info = probe.wait(scan)
    assert section("t5", "pause/resume during delay")[-1] == "Finished 3210"
    assert info["state"] == "Finished"
    assert abs(int(info["runtime"] or 0) - 3115) < 20  # 1.8 s and 1.3 s of pause
    probe.lines.append("Finished 3210")
    probe.same_as("pause/resume during delay")


def test_pause_during_a_wait_does_not_stop_its_time_out():
    probe = Probe()
    scan = probe.submit(
        "<wait><device>loc://q(0)</device><value>1</value><timeout>1.5</timeout></wait>"
    )
    probe.sleep(0.5)
    probe.put(scan, "pause")
    probe.note(probe.brief(scan))
    probe.sleep(1.5)
    probe.note(probe.brief(scan))
    probe.put(scan, "resume")
    probe.note(probe.wait(scan))
    probe.same_as("pause during wait")


def test_next():
    probe = Probe()
    lines = section("t5", "next on delay / wait / set-completion / loop / parallel")
    wait = "<wait><device>loc://q(0)</device><value>1</value></wait>"
    completion = "<completion>true</completion><timeout>10</timeout>"
    for commands, units in (
        (delay(20) + delay(0.1), "2"),
        (wait + delay(0.1), "2"),
        (set_to("callback_test", 1, completion) + delay(0.1), "2"),
    ):
        scan = probe.submit(commands)
        probe.sleep(0.6)
        assert probe.put(scan, "next") == 200
        info = probe.wait(scan)
        assert (info["state"], info["performed_work_units"]) == ("Finished", units)
        assert abs(int(info["runtime"] or 0) - 702) < 20
    scan = probe.submit(f"<parallel><body>{delay(20)}{delay(20)}</body></parallel>")
    probe.sleep(0.6)
    probe.put(scan, "next")
    probe.sleep(0.4)
    assert normal(str(probe.brief(scan))) == lines[4]
    probe.put(scan, "next")
    assert probe.wait(scan, 3)["state"] == lines[5]


def test_next_on_the_device_of_a_loop_skips_its_body():
    rig = Rig()
    body = "<log><devices><device>loc://x(0)</device></devices></log>"
    scan = rig.submit(
        "<loop><device>callback_test</device><start>1</start><end>3</end>"
        "<step>1</step><completion>true</completion><wait>false</wait>"
        f"<body>{body}</body></loop>"
    )
    rig.sleep(1)
    rig.put(scan, "next")
    info = rig.wait(scan)
    assert (info["state"], info["performed_work_units"]) == ("Finished", "3")
    assert len(rig.data(scan)["loc://x(0)"]) == 2


def test_next_while_paused_is_ignored():
    rig = Rig()
    scan = rig.submit(delay(20))
    rig.sleep(0.5)
    rig.put(scan, "pause")
    rig.put(scan, "next")
    rig.sleep(0.4)
    lines = [rig.info(scan)["state"]]
    rig.put(scan, "resume")
    rig.put(scan, "next")
    lines.append(rig.wait(scan)["state"])
    assert lines == section("t5", "next when paused")


def test_abort_of_running_paused_and_idle_scans():
    probe = Probe()
    first, second = probe.submit(delay(20)), probe.submit(delay(20))
    probe.sleep(0.5)
    probe.note(probe.brief(first)["state"], probe.brief(second))
    probe.put(second, "pause")
    probe.note("paused idle?", probe.brief(second)["state"])
    probe.put(second, "abort")
    probe.note(probe.brief(second), probe.info(second))
    probe.put(first, "pause")
    probe.put(first, "abort")
    probe.note(probe.wait(first))
    lines = section("t5", "abort running/paused/idle")
    assert probe.lines == lines[:4]
    text = normal(probe.request("GET", f"/scan/{second}").body.decode())
    assert text == documents("t5", "GET", "/scan/#")[0]


def test_abort_of_all_scans():
    rig = Rig()
    scans = [rig.submit(delay(20)) for _ in range(3)]
    rig.sleep(0.4)
    lines = [str([rig.info(scan)["state"] for scan in scans])]
    rig.put(-1, "abort")
    rig.sleep(0.4)
    infos = [rig.info(scan) for scan in scans]
    lines.append(str([(info["state"], info.get("error")) for info in infos]))
    assert lines == section("t5", "abort -1")


def test_time_out_and_deadline():
    probe = Probe()
    scan = probe.submit(delay(20), query="?timeout=1")
    probe.note(probe.wait(scan))
    scan = probe.submit(delay(20), query="?deadline=2020-01-01%2000:00:00")
    probe.sleep(0.5)
    text = normal(probe.request("GET", f"/scan/{scan}").body.decode())
    assert text == documents("t5", "GET", "/scan/#")[1].split("\n{")[0]
    soon = datetime.fromtimestamp(probe.now + 2).strftime("%Y-%m-%d%%20%H:%M:%S")
    scan = probe.submit(delay(20), query=f"?deadline={soon}")
    probe.note(probe.wait(scan))
    scan = probe.submit(delay(0.1), query="?deadline=0000-00-00%2000:00:00")
    probe.note(probe.wait(scan)["state"])
    lines = section("t5", "timeout/deadline")
    assert probe.lines == [lines[0], *lines[-2:]]
    assert 990 <= probe.runtimes[0] <= 1020
    assert 1000 <= probe.runtimes[1] <= 2000


PATCHED = (
    delay(1)
    + set_to("loc://p(0)", 10)
    + "<loop><device>loc://x(0)</device><start>1</start><end>3</end><step>1</step>"
    + f"<wait>false</wait><body>{delay(0.3)}{set_to('loc://p(0)', 1)}</body></loop>"
    + f"<parallel><body>{set_to('loc://p(0)', 1)}</body></parallel>"
    + "<wait><device>loc://p(0)</device><value>1</value><timeout>2</timeout></wait>"
    + "<log><devices><device>loc://p(0)</device></devices></log>"
)
PATCHES = [
    ("value", 1, "value", 5), ("seconds", 0, "seconds", 0.4),
    ("loop body", 4, "value", 77), ("in parallel", 6, "value", 55),
    ("wrong prop", 1, "foo", 1), ("wrong addr", 50, "value", 1),
    ("end", 2, "end", 5), ("step_size", 2, "step_size", 2),
    ("desired_value", 7, "desired_value", 99), ("value on wait", 7, "value", 99),
    ("comparison sym", 7, "comparison", "&gt;="),
    ("comparison name", 7, "comparison", "ABOVE"),
    ("device_name", 1, "device_name", "loc://x(0)"), ("noprop", 1, "", 1),
    ("bad type", 0, "seconds", "abc"), ("completion", 1, "completion", "true"),
]  # fmt: skip


def test_patches():
    probe = Probe()
    lines = section("t5", "patch")
    scan = probe.submit(PATCHED)
    probe.sleep(0.3)
    results: list[str] = []
    for label, address, name, value in PATCHES:
        body = (
            f"<patch><address>{address}</address><property>{name}</property>"
            f"<value>{value}</value></patch>"
        )
        results.append(f"{label} {probe.put(scan, 'patch', body)}")
    assert " ".join(results) == lines[0]
    text = normal(probe.request("GET", f"/scan/{scan}/commands").body.decode())
    assert text == documents("t5", "GET", "/scan/#/commands")[0].split("\n{")[0]
    probe.note(probe.wait(scan))
    info = ast.literal_eval(probe.lines[-1])
    expected = ast.literal_eval(next(line for line in lines if line[:2] == "{'"))
    # steps of 2 from 1 to 5 are three, as were counted before; the rest is the same
    assert info == expected
    assert probe.data(scan) == {}


def test_patching_what_is_over_or_unknown():
    rig = Rig()
    scan = rig.submit(delay(0.1))
    rig.wait(scan)
    patch = (
        "<patch><address>0</address><property>seconds</property>"
        "<value>2</value></patch>"
    )
    assert rig.put(scan, "patch", patch) == 200
    for body in ("<foo/>", "x", patch.replace("<address>0", "<address>x")):
        assert rig.put(scan, "patch", body) == 400


def test_a_running_scan_is_not_deleted():
    rig = Rig()
    scan = rig.submit(delay(2))
    assert rig.request("DELETE", f"/scan/{scan}").status == 200
    assert rig.info(scan)["state"] == "Running"


@pytest.mark.parametrize("verb", ["pause", "resume", "next"])
def test_verbs_on_ended_scans_do_nothing(verb: str):
    rig = Rig()
    scan = rig.submit(delay(0.1))
    rig.wait(scan)
    assert rig.put(scan, verb) == 200
    assert rig.info(scan)["state"] == "Finished"
