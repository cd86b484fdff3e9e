"""When a poller asks, and when a lost connection is tried again: time is given."""

from beamfly.devices.panda_link import Backoff
from beamfly.devices.panda_poller import PERIODS, PollSchedule
from beamfly.panda.commands import ChangeGroup

BITS, READ, CONFIG = ChangeGroup.BITS, ChangeGroup.READ, ChangeGroup.CONFIG


def test_nobody_listens_nobody_asks():
    schedule = PollSchedule()
    assert schedule.wait(0.0) is None
    assert schedule.take_due(0.0) == []
    schedule.watch((BITS,))
    schedule.unwatch((BITS,))
    assert schedule.wait(0.0) is None


def test_a_group_is_asked_at_once_and_then_ten_times_a_second():
    schedule = PollSchedule()
    schedule.watch((BITS,))
    assert schedule.wait(5.0) == 0.0
    assert schedule.take_due(5.0) == [BITS]
    assert schedule.take_due(5.05) == []
    assert abs(schedule.wait(5.05) - 0.05) < 1e-9
    assert schedule.take_due(5.11) == [BITS]


def test_only_groups_with_listeners_are_asked():
    schedule = PollSchedule()
    schedule.watch((BITS, CONFIG))
    schedule.watch((BITS,))
    assert set(schedule.take_due(0.0)) == {BITS, CONFIG}
    schedule.unwatch((BITS, CONFIG))
    assert schedule.take_due(1.0) == [BITS]


def test_after_a_write_it_looks_soon_and_often_for_a_second():
    schedule = PollSchedule()
    schedule.watch((BITS,))
    schedule.take_due(0.0)
    schedule.poke(0.05)
    busy = PERIODS[BITS][1]
    assert schedule.take_due(0.05) == [BITS]
    assert schedule.take_due(0.05 + busy / 2) == []
    assert schedule.take_due(0.05 + busy) == [BITS]
    schedule.take_due(1.06)
    assert abs(schedule.wait(1.06) - PERIODS[BITS][0]) < 1e-9


def test_while_held_it_is_fast_for_as_long_as_it_takes():
    schedule = PollSchedule()
    schedule.watch((READ,))
    schedule.hold(True)
    schedule.take_due(0.0)
    assert abs(schedule.wait(100.0)) < 1e-9
    schedule.take_due(100.0)
    assert abs(schedule.wait(100.0) - PERIODS[READ][1]) < 1e-9
    schedule.hold(False)
    assert abs(schedule.wait(100.0) - PERIODS[READ][0]) < 1e-9


def test_attempts_to_reconnect_get_rarer_but_never_stop():
    backoff = Backoff(first=0.1, longest=1.0)
    assert backoff.wait(0.0) == 0.0
    waits = []
    now = 0.0
    for _ in range(6):
        backoff.failed(now)
        waits.append(round(backoff.wait(now), 3))
        now += waits[-1]
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert backoff.wait(now) == 0.0
    backoff.succeeded()
    backoff.failed(now)
    assert abs(backoff.wait(now) - 0.1) < 1e-9
