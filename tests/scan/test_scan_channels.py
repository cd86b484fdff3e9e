"""The sources of PVs that are here, against what the engine needs of any."""

from collections.abc import Callable
from typing import Any

import pytest
from scan_channel_contract import ChannelContract
from scan_rig import START, FakeIOC

from beamfly.errors import BadValue
from beamfly.scan.channels import Channels, ChannelTable, NoChannels
from beamfly.scan.local import LocalChannels


class OnVirtualTime(ChannelContract):
    def until(self, source: Channels, what: Callable[[], Any]) -> None:
        now = START
        source.advance(now)
        while not what():
            due = source.next_wakeup()
            assert due is not None, "nothing will ever happen"
            now = max(now, due)
            source.advance(now)


class TestLocal(OnVirtualTime):
    number = "loc://n(3)"
    text = 'loc://t("abc")'
    impossible = "loc://"

    def channels(self) -> Channels:
        return LocalChannels(START)


class TestTable(OnVirtualTime):
    number = "loc://n(3)"
    text = "stext"
    impossible = "sim://what"

    def channels(self) -> Channels:
        local = LocalChannels(START)
        ioc = FakeIOC(START)
        ioc.pvs["stext"].post("abc")
        return ChannelTable({"loc://": local, "sim://": local}, ioc)


class TestIOC(OnVirtualTime):
    number = "motor_x"
    text = "stext"

    def channels(self) -> Channels:
        ioc = FakeIOC(START)
        ioc.pvs["motor_x"].post(3.0)
        ioc.pvs["stext"].post("abc")
        return ioc


def test_local_pvs_are_forgotten_with_their_last_user():
    source = LocalChannels(START)
    first = source.open("loc://x(1)", lambda: None)
    second = source.open("loc://x(2)", lambda: None)
    first.write(5, None)
    first.close()
    first.close()
    assert second.reading is not None and second.reading.number == 5
    second.close()
    third = source.open("loc://x(2)", lambda: None)
    assert third.reading is not None and third.reading.number == 2


def test_simulated_pvs_keep_up_with_the_clock():
    source = LocalChannels(START)
    changes: list[float] = []
    ramp = source.open("sim://ramp(0, 2, 1, 0.5)", lambda: changes.append(source.now))
    seen: list[float] = []
    for step in range(9):
        source.advance(START + step * 0.25)
        assert ramp.reading is not None
        seen.append(ramp.reading.number)
    assert seen == [0, 0, 1, 1, 2, 2, 0, 0, 1]
    assert len(changes) == 4
    source.advance(START + 1000)
    assert source.next_wakeup() == pytest.approx(START + 1000.5)
    ramp.close()
    assert source.next_wakeup() is None


def test_noise_is_in_range_and_the_same_every_time():
    def values() -> list[float]:
        source = LocalChannels(START)
        noise = source.open("sim://noise(-2, 3, 1)", lambda: None)
        found: list[float] = []
        for step in range(200):
            source.advance(START + step)
            assert noise.reading is not None
            found.append(noise.reading.number)
        return found

    first = values()
    assert first == values()
    assert min(first) >= -2 and max(first) < 3
    assert max(first) - min(first) > 4


def test_without_a_control_system():
    with pytest.raises(BadValue, match="loc:// and sim:// PVs only"):
        NoChannels().open("motor", lambda: None)
