"""What becomes of a device when its PandA goes away, and comes back."""

import asyncio

import pytest
from ophyd_async.core import Device

from beamfly.devices.panda_backend import PandaSession
from beamfly.devices.panda_connector import PandaConnector
from beamfly.devices.panda_link import PandaLink
from beamfly.errors import PandaDisconnected
from beamfly.panda.commands import Get, Put
from beamfly.panda.simulator.server import serve_in_thread


def hang_up(sim):
    """The PandA closes all control connections, but goes on listening."""
    sim.run(lambda: [connection.abort() for connection in list(sim._control)])


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_lost_connection_is_made_again_for_the_next_operation(sim, own_blocks):
    width = own_blocks.pulse[1].width
    await width.set(0.25)
    hang_up(sim)
    await until(lambda: not own_blocks.link.connected)
    assert await width.get_value() == 0.25
    await width.set(0.5)
    assert await width.get_value() == 0.5


async def test_what_is_under_way_fails_with_the_address(sim, own_blocks):
    reading = asyncio.ensure_future(own_blocks.link.send(Get("*CHANGES")))
    await asyncio.sleep(0)
    hang_up(sim)
    with pytest.raises(PandaDisconnected, match=f"127.0.0.1:{sim.control_port}"):
        # the answer may have been quicker than the end
        while await reading:
            await asyncio.sleep(0)
            reading = asyncio.ensure_future(own_blocks.link.send(Get("*IDN")))
            hang_up(sim)


async def test_a_panda_that_is_gone_fails_fast_and_works_when_it_is_back():
    with serve_in_thread() as sim:
        ports = {"control_port": sim.control_port, "data_port": sim.data_port}
        link = PandaLink("127.0.0.1", sim.control_port, sim.data_port)
        device = Device("panda", PandaConnector(PandaSession(link)))
        await device.connect()
        term = device.ttlin[1].term
        assert await term.get_value() == "High-Z"
    address = f"127.0.0.1:{ports['control_port']}"
    await until(lambda: not link.connected)
    with pytest.raises(PandaDisconnected, match=address):
        await term.get_value()
    # the second one does not even try, and says so
    with pytest.raises(PandaDisconnected, match="next attempt is due in"):
        await term.set("50-Ohm")
    with serve_in_thread(**ports):
        async with asyncio.timeout(30):
            while True:
                try:
                    assert await term.get_value() == "High-Z"
                    break
                except PandaDisconnected:
                    await asyncio.sleep(0.01)
        await device.connect(force_reconnect=True)
        assert await term.get_value() == "High-Z"
        await link.close()
    with pytest.raises(PandaDisconnected, match="connect the device first"):
        await term.get_value()


async def test_listeners_hear_that_it_is_gone_and_that_it_is_back():
    with serve_in_thread() as sim:
        ports = {"control_port": sim.control_port, "data_port": sim.data_port}
        link = PandaLink("127.0.0.1", sim.control_port, sim.data_port)
        device = Device("panda", PandaConnector(PandaSession(link)))
        await device.connect()
        term = device.ttlin[1].term
        await term.set("50-Ohm")
        readings = []
        term.subscribe_reading(lambda reading: readings.append(reading[term.name]))
        await until(lambda: readings)
    await until(lambda: len(readings) == 2)
    assert [reading["alarm_severity"] for reading in readings] == [0, 3]
    assert readings[1]["value"] == "50-Ohm"
    assert f"127.0.0.1:{ports['control_port']}" in readings[1]["message"]
    with serve_in_thread(**ports):
        await until(lambda: len(readings) == 3)
        assert readings[2]["value"] == "High-Z"
        assert readings[2]["alarm_severity"] == 0
        await term.set("50-Ohm")
        await until(lambda: readings[-1]["value"] == "50-Ohm")
        term.clear_sub(term._cache._listeners.copy().pop())
        await link.close()


async def test_a_listener_that_stumbles_does_not_silence_the_others(own_blocks, caplog):
    width = own_blocks.pulse[1].width
    delay = own_blocks.pulse[1].delay
    heard = []

    def stumble(_):
        raise RuntimeError("over my own feet")

    def listen(reading):
        heard.append(reading[delay.name]["value"])

    width.subscribe_reading(stumble)
    delay.subscribe_reading(listen)
    await until(lambda: heard)
    await delay.set(0.5)
    await until(lambda: 0.5 in heard)
    assert "A listener to PULSE1.WIDTH failed" in caplog.text
    width.clear_sub(stumble)
    delay.clear_sub(listen)


async def test_a_panda_that_freezes_counts_as_gone_and_comes_back():
    with serve_in_thread() as sim:
        link = PandaLink(sim.host, sim.control_port, sim.data_port)
        device = Device("panda", PandaConnector(PandaSession(link)))
        await device.connect(timeout=0.2)
        term = device.ttlin[1].term
        link.answer_timeout = 0.05
        sim.faults.silent = True
        with pytest.raises(PandaDisconnected, match=r"did not answer .* in 0.05 s"):
            await term.get_value()
        assert not link.connected
        # nor is it waited for long when it is tried again
        await until(lambda: link.retry_in == 0)
        with pytest.raises(PandaDisconnected, match=r"did not answer Identify\(\)"):
            await term.get_value()
        sim.faults.silent = False
        link.answer_timeout = 5.0
        await until(lambda: link.retry_in == 0)
        assert await term.get_value() == "High-Z"
        await link.close()


async def test_another_event_loop_is_told_apart(own_blocks):
    def elsewhere():
        return asyncio.run(own_blocks.pulse[1].width.get_value())

    with pytest.raises(PandaDisconnected, match="another event loop"):
        await asyncio.to_thread(elsewhere)


async def test_a_bit_that_went_there_and_back_is_not_overlooked(sim, own_blocks):
    """A pulse of 8 us, much shorter than the time between two questions."""
    bit = own_blocks.pulse[2].out
    send = own_blocks.link.send_each
    await send(
        Put("PULSE2.ENABLE", "ONE"),
        Put("PULSE2.TRIG", "BITS.OUTC"),
        Put("PULSE2.WIDTH", 8e-6),
    )
    seen = []
    bit.subscribe_reading(lambda reading: seen.append(reading[bit.name]["value"]))
    await until(lambda: seen == [False])
    poller = own_blocks.session.poller
    await until(lambda: "PULSE2.OUT" in poller._seen)
    await send(Put("BITS.C", 1), Put("BITS.C", 0))
    await until(lambda: len(seen) >= 3)
    assert seen == [False, True, False]
    bit.clear_sub(bit._cache._listeners.copy().pop())


async def test_monitors_go_on_after_connecting_again(sim, own_blocks):
    width = own_blocks.pulse[1].width
    seen = []

    def listen(reading):
        seen.append(reading[width.name])

    width.subscribe_reading(listen)
    await until(lambda: seen)
    await own_blocks.link.close()
    await own_blocks.connect(force_reconnect=True)
    await width.set(0.125)
    await until(lambda: seen[-1]["value"] == 0.125)
    assert seen[-1]["alarm_severity"] == 0
    width.clear_sub(listen)
