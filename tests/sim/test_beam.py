"""Ring, shutter, slits: what of the beam there is at what time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.sim.beam import FULL_CURRENT, Beam, Ring


def test_the_current_decays_until_it_is_lost_and_filled() -> None:
    ring = Ring(lifetime=1.0)
    assert ring.current(1e9) == FULL_CURRENT
    ring.set(200.0, 10.0)
    assert ring.current(10.0 + 3600.0) == pytest.approx(200 / np.e)
    ring.set(0.0, 5000.0)
    assert ring.current(5000.0) == 0
    ring.set(100.0, 6000.0)
    ring.live(2.0, 6000.0)
    assert ring.current(6000.0 + 7200.0) == pytest.approx(100 / np.e)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 5000), st.floats(0, 300)), max_size=6),
    st.lists(st.floats(-100, 20000), min_size=1, max_size=20),
)
def test_many_currents_are_those_of_each_time(
    steps: list[tuple[float, float]], when: list[float]
) -> None:
    ring, now = Ring(), 0.0
    for wait, current in steps:
        now += wait
        ring.set(current, now)
    expected = [ring.current(each) for each in when]
    np.testing.assert_allclose(ring.currents(np.array(when)), expected)


def test_a_shutter_cuts_at_once() -> None:
    beam = Beam()
    beam.shutter.set(False, 5.0)
    beam.shutter.set(True, 7.0)
    share = beam.share(np.array([4.9, 5.0, 6.9, 7.0]))
    np.testing.assert_allclose(share, [1, 0, 0, 1], atol=1e-3)


def test_blades_cut_the_beam() -> None:
    beam = Beam()
    drives = beam.blades.drives
    before = beam.revision
    arrives = drives["left"].move(0.0, now=0.0, velocity=10.0)
    assert beam.revision != before
    assert beam.arrives() == arrives
    assert beam.share(np.array([arrives]))[0] == pytest.approx(0.5, abs=1e-3)
    closed = drives["right"].move(-1.0, now=arrives)
    assert beam.share(np.array([closed]))[0] == 0
