"""Plan stubs for scans under way, and what the server is asked before one begins."""

import bluesky.plan_stubs as bps
import pytest
from ophyd_async.core import init_devices

from beamfly.devices.scan_check import abridged
from beamfly.devices.scan_flyer import ScanServerFlyer
from beamfly.errors import BadValue, ScanServerError
from beamfly.plans import move_scan, skip_command
from beamfly.scan import Delay, Log, Loop, Parallel, Wait
from beamfly.scan.config import PVConfig
from beamfly.scan.sequence import CommandSequence, read_commands
from scan_serving import scan_server

FOREVER = Wait("loc://never(0)", 1)


@pytest.fixture
def flyer(RE, scans) -> ScanServerFlyer:
    with init_devices():
        scan = ScanServerFlyer("127.0.0.1", scans.port, describe_timeout=0.05)
    return scan


def test_a_command_is_skipped(RE, flyer, scans):
    def plan():
        yield from bps.stage(flyer, wait=True)
        yield from bps.prepare(flyer, [FOREVER, Log("loc://x(0)"), FOREVER], wait=True)
        yield from bps.open_run()
        yield from bps.kickoff(flyer, wait=True)
        done = yield from bps.complete(flyer)
        while not done.done:
            yield from skip_command(flyer)
            yield from bps.sleep(0.01)
        yield from bps.unstage(flyer, wait=True)
        yield from bps.close_run()

    RE(plan())
    (info,) = scans.infos()
    assert (info.state, info.performed_work_units) == ("Finished", 3)


def test_a_scan_is_moved_in_the_queue(RE, flyer, scans):
    running, other = scans.submit([FOREVER]), scans.submit([FOREVER])

    def plan():
        yield from bps.stage(flyer, wait=True)
        yield from bps.prepare(flyer, [Delay(0)], wait=True)
        yield from bps.open_run()
        # it is not even submitted yet
        yield from bps.kickoff(flyer, group="scan")
        yield from move_scan(flyer, -1)
        order.extend(info.id for info in scans.infos())
        scans.control("abort", running)
        yield from bps.wait("scan")
        yield from bps.complete(flyer, wait=True)
        yield from bps.unstage(flyer, wait=True)
        yield from bps.close_run()

    order: list[int] = []
    RE(plan())
    assert order == [other, other + 1, running]


@pytest.mark.parametrize("stub", [skip_command, lambda flyer: move_scan(flyer, 1)])
def test_there_has_to_be_a_scan(RE, flyer, stub):
    with pytest.raises(BadValue, match="scan was not kicked off; there is no scan"):
        RE(stub(flyer))


def test_an_abridged_scan_goes_to_the_ends_of_loops():
    scan = [
        Loop("x", 1, 9, 0.5, Loop("y", 5, 1, 0.1, Log("x"))),
        Parallel(Loop("z", 3, 3, 0.1), Loop("w", 0, -1, -0.25)),
    ]
    short = read_commands(abridged(CommandSequence(scan).genSCN()))
    assert (
        CommandSequence(short).format()
        == CommandSequence(
            Loop("x", 1, 9, 8, Loop("y", 5, 1, 4, Log("x"))),
            Parallel(Loop("z", 3, 3, 0.1), Loop("w", 0, -1, -1)),
        ).format()
    )


def test_values_out_of_limits_are_found_before(RE):
    limited = PVConfig("loc://x(0)", minimum="loc://low(0)", maximum="loc://high(3)")
    with scan_server(pvs=[limited]) as scans:
        with init_devices():
            flyer = ScanServerFlyer("127.0.0.1", scans.port, name="scan")

        def plan():
            yield from bps.stage(flyer, wait=True)
            yield from bps.prepare(flyer, [Loop("loc://x(0)", 0, 3, 1e-6)], wait=True)
            loop = Loop("loc://x(0)", 0, 4, 1e-6)
            yield from bps.prepare(flyer, [loop], wait=True)

        with pytest.raises(Exception) as failed:
            RE(plan())
        error = failed.value.__cause__
        assert isinstance(error, ScanServerError)
        assert str(error) == (
            f"The scan server at 127.0.0.1:{scans.port} says that the scan cannot run: "
            "loc://x(0) = 4.0 is outside of 0.0 ... 3.0; nothing was submitted"
        )
        assert scans.infos() == []


def test_many_reasons_are_not_all_told(RE, flyer):
    log = Log(*(f"BL:{i}" for i in range(9)))
    with pytest.raises(Exception) as failed:
        RE(bps.prepare(flyer, [log], wait=True))
    said = str(failed.value.__cause__)
    assert "PV BL:4: this server has" in said
    assert "BL:5" not in said
    assert said.endswith("; and 4 more; nothing was submitted")
