"""At the prompt of a real IPython: looking, completing, interrupting, leaving."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from beamfly.ca import pv as served_pv
from beamfly.ca.puts import Put
from beamfly.ca.server_thread import ThreadedServer, serve_in_thread
from beamfly.epics.context import close_context
from ca.c_ioc import free_port
from conftest import environment, records, until
from devices.ca.motor_record import MotorRecord

pexpect = pytest.importorskip("pexpect")
SECONDS = 30
OPTIONS = (
    *("--simple-prompt", "--no-banner", "--no-confirm-exit", "--colors=NoColor"),
    "--HistoryManager.enabled=False",
)

COMPLETE = (
    "import warnings; warnings.simplefilter('ignore'); "
    "c = get_ipython().Completer.completions; "
    "complete = lambda text: [one.text for one in c(text, len(text))]"
)
"""What the TAB key asks for."""


class Prompt:
    """IPython in a terminal of its own."""

    def __init__(self, folder: Path) -> None:
        self._count = 0
        self.child: Any = pexpect.spawn(
            sys.executable,
            ["-W", "error::ResourceWarning", "-m", "IPython", *OPTIONS],
            encoding="utf-8",
            timeout=SECONDS,
            dimensions=(50, 200),
            echo=False,
            # a shell that runs the tests in the background has them ignore Ctrl-C
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            env={**_clean_environment(), "IPYTHONDIR": str(folder), "TERM": "dumb"},
        )
        self.answer()

    def answer(self) -> str:
        """What is printed up to the next prompt."""
        self._count += 1
        self.child.expect_exact(f"In [{self._count}]: ")
        return str(self.child.before).replace("\r\n", "\n")

    def __call__(self, line: str) -> str:
        """What a line prints."""
        self.child.sendline(line)
        return self.answer()

    def interrupted(self, line: str, at: str) -> str:
        """What a line prints that Ctrl-C ends, once it has printed `at`."""
        self.child.sendline(line)
        self.child.expect_exact(at)
        self.child.sendintr()
        return self.answer()


def _clean_environment() -> dict[str, str]:
    import os

    return {key: value for key, value in os.environ.items() if key != "PYTHONSTARTUP"}


@pytest.fixture
def beamline(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadedServer]:
    """Records, a motor that never arrives, and a put that never ends."""
    motor = MotorRecord(low=-10, high=10)
    motor.stuck = True

    def never(put: Put) -> None:
        put.hold()

    pvs: dict[str, Any] = {
        **records(),
        "T:never": served_pv.PV(0, on_put=never),
        "T:m1": motor.record,
        "T:m1_able": served_pv.PV(0, states=("Enable", "Disable")),
    }
    with serve_in_thread(pvs, port=0) as server:
        for name, value in environment(server.port, free_port()).items():
            monkeypatch.setenv(name, value)
        yield server
        close_context()


@pytest.fixture
def prompt(beamline: ThreadedServer, tmp_path: Path) -> Iterator[Prompt]:
    prompt = Prompt(tmp_path)
    yield prompt
    prompt.child.close(force=True)


@pytest.mark.timeout(180)
def test_at_the_prompt(beamline: ThreadedServer, prompt: Prompt) -> None:
    prompt("import beamfly.epics as epics")
    prompt("pv = epics.PV('T:ao', callback=lambda value, **kw: told.append(value))")
    prompt("told = []; ok = pv.wait_for_connection(30)")
    answer = prompt("pv")
    assert "<PV 'T:ao', count=1, type=time_double, access=read/write>" in answer
    assert "'mm'" in prompt("pv.units")

    prompt("m = epics.Motor('T:m1', timeout=30)")
    assert "<epics.Motor: T:m1: 'sample, horizontal'>" in prompt("m")
    prompt("import time; start = time.monotonic()")
    prompt(COMPLETE)
    assert "['slew_speed']" in prompt("complete('m.slew')")
    assert "['description']" in prompt("complete('m.desc')")
    prompt("d = epics.Device('T:', ['ao', 'long'], aliases={'place': 'ao'})")
    answer = prompt("complete('d.')")
    assert all(name in answer for name in ("ao", "long", "place", "save_state"))
    assert "<Device 'T:', 2 attributes>" in prompt("d"), "nothing was looked for"
    assert "True" in prompt("time.monotonic() - start < 40")

    # Ctrl-C in a put that never ends, a move, a search
    slow = "print('put', 'ting', sep=''); epics.caput('T:never', 1, wait=True)"
    assert "KeyboardInterrupt" in prompt.interrupted(slow, "putting")
    answer = prompt("(pv.put(2.5, wait=True), pv.get(use_monitor=False, timeout=20))")
    assert "(1, 2.5)" in answer
    moves = "print('mov', 'ing', sep=''); m.move(5, wait=True)"
    assert "KeyboardInterrupt" in prompt.interrupted(moves, "moving")
    prompt("m.stop()")
    until(lambda: beamline.value("T:m1.DMOV") == 1, SECONDS)
    get = "print('look', 'ing', sep=''); epics.caget('T:no', connection_timeout=99)"
    assert "KeyboardInterrupt" in prompt.interrupted(get, "looking")
    waits = "print('sle', 'eping', sep=''); epics.poll(evt=99)"
    assert "KeyboardInterrupt" in prompt.interrupted(waits, "sleeping")
    assert "2.5" in prompt("epics.caget('T:ao', use_monitor=False)")
    assert "1" in prompt("epics.caput('T:long', 44, wait=True)")
    assert beamline.value("T:long") == 44
    beamline.post("T:ao", 3.5)
    prompt("start = time.monotonic()")
    prompt(
        "while told[-1] != 3.5 and time.monotonic() < start + 25: time.sleep(0.01)\n"
    )
    assert "3.5" in prompt("told[-1]"), "callbacks go on"

    # a callback that prints does so while the prompt waits
    prompt("index = pv.add_callback(lambda value, **kw: print('now', value))")
    beamline.post("T:ao", 4.5)
    prompt.child.expect_exact("now 4.5")

    # leaving with a put that has not ended and a callback that takes its time
    prompt.child.sendline("ok = epics.get_pv('T:never').put(1, callback=print)")
    prompt.answer()
    prompt.child.sendline("exit")
    prompt.child.expect(pexpect.EOF)
    prompt.child.wait()
    assert (prompt.child.exitstatus, prompt.child.signalstatus) == (0, None)
    assert "Traceback" not in prompt.child.before
