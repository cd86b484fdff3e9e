"""A simulated PandA on the bench: the core with one client, and time moved by hand."""

import re

from beamfly.panda.simulator.core import PandaCore
from beamfly.panda.simulator.data_port import DataSession

GOLDEN_SETUP = """*CAPTURE=
COUNTER1.ENABLE=ONE
COUNTER2.ENABLE=ONE
COUNTER3.ENABLE=ONE
COUNTER1.TRIG=SEQ1.OUTA
COUNTER2.TRIG=SEQ1.OUTA
COUNTER3.TRIG=SEQ1.OUTA
COUNTER2.STEP=3
COUNTER2.OUT.SCALE=0.5
COUNTER2.OUT.OFFSET=10
COUNTER2.OUT.UNITS=mm "x" <&>
COUNTER3.OUT.UNITS=deg
PCAP.ENABLE=SEQ1.ACTIVE
PCAP.GATE=SEQ1.OUTA
PCAP.TRIG=SEQ1.OUTA
PCAP.TRIG_EDGE=Falling
SEQ1.PRESCALE.UNITS=us
SEQ1.PRESCALE=100
SEQ1.REPEATS=1
SEQ1.ENABLE=BITS.OUTA
SEQ1.TABLE<
1048581 0 5 5

"""
"""Five pulses, 5 units of 100 us high and 5 low, which gate and trigger."""

GOLDEN_CAPTURES = """COUNTER1.OUT.CAPTURE=Value
COUNTER2.OUT.CAPTURE=Min Max Mean
COUNTER3.OUT.CAPTURE=Sum Diff
PCAP.TS_TRIG.CAPTURE=Value
PCAP.BITS0.CAPTURE=Value
"""
"""What most of the recordings captured."""


class Bench:
    """A PandA, a control connection to it, and the time."""

    def __init__(self, **options):
        self.core = PandaCore(epoch_ns=1_795_155_000 * 10**9, **options)
        self.control = self.core.open_control("127.0.0.1:1")
        self.now = 0.0

    def ask(self, *lines: str) -> list[str]:
        """Replies to some lines; only those that are errors or values."""
        request = "".join(f"{line}\n" for line in lines)
        return self.control.receive(request.encode()).decode().splitlines()

    def put(self, text: str) -> None:
        """Send lines that all have to be accepted."""
        for reply in self.ask(*text.split("\n")[:-1]):
            assert reply == "OK", reply

    def get(self, name: str) -> str:
        """A value."""
        (reply,) = self.ask(f"{name}?")
        assert reply.startswith("OK ="), reply
        return reply[4:]

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.core.advance(self.now)

    def data(self, options: str) -> DataSession:
        """A data connection."""
        session = self.core.open_data("127.0.0.1:2")
        session.receive(f"{options}\n".encode())
        return session


def everything(session: DataSession) -> bytes:
    """All that a data connection has to send now."""
    chunks = []
    while (chunk := session.next_chunk()) is not None:
        chunks.append(chunk)
    return b"".join(chunks)


def without_times(stream: bytes) -> bytes:
    """A stream without the times in its headers."""
    return re.sub(rb"(arm|start)_time(=\"[^\"]*\"|: .*\n)", b"", stream)
