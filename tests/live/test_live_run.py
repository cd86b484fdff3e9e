"""A flight shown from its documents: files that grow, that lack, that are not there."""

import io
import logging
import re
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_documents import GrowingFile, datum, descriptor, key, resource, start
from PIL import Image

from beamfly.live import FlyStats, LiveFlight, StreamEvents

CLOCK = "panda://h/PCAP.TS_TRIG.Value"
X = "panda://h/INENC1.VAL.Mean"
KEYS = {"x": key(X, units="mm"), "counts": key(), "ts": key(CLOCK)}


class Flight:
    """The documents of a made-up flight, given to a callback as a RunEngine would."""

    def __init__(self, callback: Any, path: Path, missed: int = 0, **more: Any) -> None:
        self.callback = callback
        self.file = GrowingFile(path, *KEYS, missed=missed)
        self.path, self.rows = path, 0
        callback("start", start(**more))
        callback("descriptor", descriptor(KEYS))

    def take(self, count: int, times: Any = None) -> None:
        """Write rows, then announce them."""
        rows = np.arange(self.rows, self.rows + count)
        self.file.append(rows / 10, rows**2, rows / 100 if times is None else times)
        self.announce(count)

    def announce(self, count: int) -> None:
        if not self.rows:
            for name in KEYS:
                self.callback("stream_resource", resource(name, self.path))
        for name in KEYS:
            self.callback("stream_datum", datum(name, self.rows, self.rows + count))
        self.rows += count

    def stop(self, **more: Any) -> None:
        self.file.close()
        self.callback("stop", {"uid": "s", "run_start": "run", "time": 1.0, **more})


class Recorder:
    """A callback that keeps what it is given."""

    def __init__(self, raises: str = "") -> None:
        self.docs: list[tuple[str, Any]] = []
        self.threads: set[str] = set()
        self._raises = raises

    def __call__(self, name: str, doc: Any) -> None:
        self.docs.append((name, doc))
        self.threads.add(threading.current_thread().name)
        if name == self._raises:
            raise RuntimeError("no pen")

    def __getitem__(self, name: str) -> list[Any]:
        return [doc for kind, doc in self.docs if kind == name]


def until(condition: Any) -> None:
    """Wait for the thread of the run."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def test_figures_follow_the_rows(tmp_path: Path) -> None:
    live = LiveFlight()
    flight = Flight(live, tmp_path / "f.h5", num_events=100)
    flight.take(40)
    until(lambda: live.stats and live.stats["det"].backlog_s is not None)
    stats = live.stats["det"]
    assert (stats.frames, stats.expected) == (40, 100)
    assert stats.rate_now == pytest.approx(100)
    assert stats.eta_s == pytest.approx(0.6)
    flight.take(60)
    flight.stop()
    assert live.wait(30)
    stats = live.stats["det"]
    assert (stats.frames, stats.missed) == (100, 0)
    assert stats.seconds == pytest.approx(1.0)
    assert stats.end_reason == "Ok"
    assert stats.bytes == 100 * 24
    assert stats.path == str(tmp_path / "f.h5")


def test_missing_rows_are_told_by_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live = LiveFlight()
    path = tmp_path / "f.h5"
    flight = Flight(live, path, missed=2, num_events=50, trigger_period=0.01)
    flight.take(40, np.delete(np.arange(43), [17, 18, 30]) / 100)
    flight.stop(exit_status="abort", reason="Ctrl-C")
    assert live.wait(30)
    stats = live.stats["det"]
    assert stats.missed_by["gaps in time"] == 3
    assert stats.missed_by["not taken"] == 10
    assert stats.missed_by["before the start"] == 2
    out = capsys.readouterr().out
    assert "2 before row 17, 1 before row 28" in out
    assert "scan 7 (fly) ended with abort: Ctrl-C, uid run" in out


def test_in_a_log_there_is_a_line_for_every_tenth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live = LiveFlight()
    flight = Flight(live, tmp_path / "f.h5", num_events=100)
    told = ""
    for count in (5, 6, 2, 37, 50):
        flight.take(count)
        rows = flight.rows
        until(lambda rows=rows: live.stats and live.stats["det"].frames == rows)
        deadline = time.monotonic() + 30
        while rows in (11, 50, 100) and f"{rows}/100" not in told:
            told += capsys.readouterr().out
            assert time.monotonic() < deadline
            time.sleep(0.01)
    flight.stop()
    assert live.wait(30)
    told += capsys.readouterr().out
    lines = told.splitlines()
    assert [line.split()[1] for line in lines[:3]] == ["11/100", "50/100", "100/100"]
    assert lines[0].startswith("det  11/100  11 %  100 Hz  missed 0  0.9 s left  ")
    assert lines[3].startswith("det: 100 of 100 rows in 1 s (100 Hz), missed 0, /")
    assert lines[4] == "scan 7 (fly), uid run"
    assert len(lines) == 5


class Terminal(io.StringIO):
    """Standard output that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_in_a_terminal_one_line_is_rewritten_under_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    live = LiveFlight()
    flight = Flight(live, tmp_path / "f.h5", num_events=100)
    until(lambda: "waiting for the first row" in terminal.getvalue())
    flight.take(40)
    until(lambda: "40/100  40 % 100 Hz  missed 0  0.6 s left" in terminal.getvalue())
    flight.take(60)
    flight.stop()
    assert live.wait(30)
    assert sys.stdout is terminal
    text = terminal.getvalue()
    erase = "\x1b[2K"
    progress = [part for part in text.split(erase) if "det \x1b" in part]
    assert len(progress) >= 2
    # each but the last one is taken away before anything else is written
    assert all(part.rpartition("\n")[2].startswith("det") for part in progress[:-1])
    assert "|   seq_num |       time |          x |     counts |" in text
    assert "|         1 | " in text
    assert "|       100 | " in text
    shown = text.rpartition(erase)[2]
    assert shown.startswith("det: 100 of 100 rows in 1 s (100 Hz), missed 0, ")
    assert shown.endswith("scan 7 (fly), uid run\n")
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_a_narrow_terminal_gets_what_matters_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    live = LiveFlight(table=False)
    flight = Flight(live, tmp_path / "f.h5", num_events=100)
    flight.take(40)
    until(lambda: "40/100  40 % 100 Hz  missed 0" in terminal.getvalue())
    flight.stop()
    assert live.wait(30)
    lines = re.sub(r"\x1b\[[?\d;]*[a-zA-Z]", "\n", terminal.getvalue())
    assert "left" not in "".join(lines.splitlines())
    assert "…" not in lines


def test_a_picture_file_has_the_last_picture(tmp_path: Path) -> None:
    live = LiveFlight(picture=tmp_path / "live.png")
    flight = Flight(live, tmp_path / "f.h5", num_events=100)
    flight.take(40)
    until((tmp_path / "live.png").exists)
    before = np.asarray(Image.open(tmp_path / "live.png"))
    flight.take(60)
    flight.stop()
    assert live.wait(30)
    after = np.asarray(Image.open(tmp_path / "live.png"))
    assert before.shape == after.shape
    assert (before != after).any()
    assert [path.name for path in tmp_path.glob("*.p*")] == ["live.png"]


def test_a_callback_that_raises_is_called_no_more_and_stops_nothing(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken, whole = Recorder(raises="event"), Recorder()
    live = LiveFlight(callbacks=[broken, whole], points_per_second=1000)
    flight = Flight(live, tmp_path / "f.h5", num_events=100)
    flight.take(100)
    flight.stop()
    assert live.wait(30)
    out = capsys.readouterr().out
    told = "Recorder (a callback) of scan 7 (fly) is not shown any more "
    assert out.count(told + "(RuntimeError: no pen); the scan goes on") == 1
    assert "While showing Recorder (a callback) of scan 7 (fly)" in caplog.text
    assert len(broken["event"]) == 1
    assert not broken["stop"]
    assert len(whole["event"]) > 1
    assert whole["stop"]
    assert "det: 100 of 100 rows" in out


def test_a_plot_that_raises_is_told_with_what_it_draws(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    live = LiveFlight(picture=tmp_path / "no" / "such" / "place.png")
    flight = Flight(live, tmp_path / "f.h5")
    flight.take(100)
    flight.stop()
    assert live.wait(30)
    out = capsys.readouterr().out
    assert out.count("the plot of counts in stream primary of scan 7 (fly)") == 1
    assert "FileNotFoundError" in out
    assert caplog.records[0].levelno == logging.ERROR
    assert "det: 100 rows" in out


def test_documents_that_make_no_sense_stop_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    live = LiveFlight()
    live("start", start())
    live("descriptor", {"run_start": "run", "data_keys": KEYS})  # has no uid
    live("event", {"descriptor": "d"})
    live("stop", {"run_start": "run"})
    live("nonsense", {})
    assert capsys.readouterr().out.count("the live view of scan 7 (fly)") == 1


def test_events_are_thinned_and_have_the_time_of_the_hardware(tmp_path: Path) -> None:
    seen = Recorder()
    events = StreamEvents(seen, points_per_second=1)
    flight = Flight(events, tmp_path / "f.h5")
    flight.take(3000)
    until(lambda: seen["event"])
    flight.take(3000)
    flight.stop()
    assert events.wait(30)
    names = [name for name, _ in seen.docs]
    assert names[:2] == ["start", "descriptor"]
    assert set(names[2:-1]) == {"event"}
    assert names[-1] == "stop"
    rows = [event["seq_num"] for event in seen["event"]]
    assert rows == sorted(set(rows))
    assert (rows[0], rows[-1]) == (1, 6000)
    assert len(rows) < 60
    zero = np.datetime64("2026-11-20T12:00:00").astype(float)
    for event in seen["event"]:
        row = event["seq_num"] - 1
        assert event["data"] == {"x": row / 10, "counts": float(row) ** 2}
        assert event["time"] == pytest.approx(zero + row / 100, abs=1e-6)
    keys = seen["descriptor"][0]["data_keys"]
    assert set(keys) == {"x", "counts"}
    assert keys["x"] == {
        "dtype": "number",
        "shape": [],
        "dtype_numpy": "<f8",
        "source": X,
        "units": "mm",
    }


def test_runs_that_do_not_fly_are_passed_on_as_they_are() -> None:
    seen = Recorder()
    events, live = StreamEvents(seen), LiveFlight(callbacks=[seen])
    step = {"uid": "d", "run_start": "run", "name": "primary", "data_keys": {"a": {}}}
    for callback in (events, live):
        seen.docs.clear()
        callback("start", start())
        callback("descriptor", step)
        callback("event", {"descriptor": "d", "seq_num": 1, "data": {"a": 1}})
        callback("stop", {"run_start": "run"})
        assert [n for n, _ in seen.docs] == ["start", "descriptor", "event", "stop"]
        assert seen.threads == {threading.current_thread().name}
        assert not callback.stats


def test_a_file_that_is_not_here_is_told_once_and_rows_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live = LiveFlight()
    flight = Flight(live, tmp_path / "f.h5", num_events=20)
    flight.path = Path("/elsewhere/f.h5")
    flight.take(5)
    until(lambda: live.stats and live.stats["det"].frames == 5)
    flight.take(15)
    flight.stop()
    assert live.wait(30)
    out = capsys.readouterr().out
    assert out.count("/elsewhere/f.h5") == 2  # the notice and the summary
    assert out.count("showing counts only") == 1
    assert "det: 20 of 20 rows" in out


def test_directories_that_are_elsewhere_here_are_mapped(tmp_path: Path) -> None:
    live = LiveFlight(root_map={"/elsewhere": tmp_path})
    flight = Flight(live, tmp_path / "f.h5")
    flight.path = Path("/elsewhere/f.h5")
    flight.take(20)
    flight.stop()
    assert live.wait(30)
    assert live.stats["det"].hardware_time


def test_a_file_that_lacks_rows_gets_another_chance(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live = LiveFlight()
    flight = Flight(live, tmp_path / "f.h5")
    flight.announce(10)
    rows = np.arange(10.0)
    flight.file.append(rows, rows, rows / 100)
    until(lambda: live.stats and live.stats["det"].hardware_time)
    flight.announce(10)
    until(lambda: "showing counts only" in capsys.readouterr().out)
    flight.stop()
    assert live.wait(30)
    assert live.stats["det"].frames == 20


def test_other_kinds_of_files_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live = LiveFlight()
    live("start", start())
    live("descriptor", descriptor({"a": key()}))
    tiff = {**resource("a", tmp_path / "a"), "mimetype": "multipart/related;type=tiff"}
    live("stream_resource", tiff)
    live("stream_datum", datum("a", 0, 9))
    live("stop", {"run_start": "run"})
    assert live.wait(30)
    out = capsys.readouterr().out
    assert "in a way not known (multipart/related;type=tiff)" in out
    assert "det: 9 rows" in out


def test_a_run_that_never_stops_ends_with_the_callback(tmp_path: Path) -> None:
    live = LiveFlight()
    flight = Flight(live, tmp_path / "f.h5")
    flight.take(10)
    until(lambda: live.stats)
    live.close()
    assert live.wait(0)
    flight.file.close()


def test_a_flight_of_no_row_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = Recorder()
    live = LiveFlight(callbacks=[seen])
    flight = Flight(live, tmp_path / "f.h5", num_events=5)
    flight.stop(exit_status="fail", reason="no trigger came")
    assert live.wait(30)
    out = capsys.readouterr().out
    assert "det: 0 of 5 rows, missed 5 (5 not taken), no file" in out
    assert "ended with fail: no trigger came" in out
    assert [name for name, _ in seen.docs] == ["start", "descriptor", "stop"]


def test_two_runs_at_a_time_do_not_mix(tmp_path: Path) -> None:
    live = LiveFlight()
    flight = Flight(live, tmp_path / "f.h5")
    flight.take(10)
    live("start", {**start(), "uid": "inner"})
    live("descriptor", {**descriptor({"a": {}}, uid="e"), "run_start": "inner"})
    live("stop", {"run_start": "inner"})
    flight.take(10)
    flight.stop()
    assert live.wait(30)
    assert live.stats["det"].frames == 20


def test_a_camera_that_counts_tells_of_frames_that_were_dropped(tmp_path: Path) -> None:
    import h5py

    from beamfly.live.rows import UNIQUE_ID

    path = tmp_path / "camera.h5"
    with h5py.File(path, "w") as file:
        file["sum"] = np.arange(10.0)
        file[UNIQUE_ID] = np.array([1, 2, 3, 6, 7, 8, 9, 10, 11, 13])
    live = LiveFlight()
    live("start", start(num_events=10))
    live("descriptor", descriptor({"sum": key()}))
    live("stream_resource", resource("sum", path))
    live("stream_datum", datum("sum", 0, 10))
    live("stop", {"run_start": "run"})
    assert live.wait(30)
    stats: FlyStats = live.stats["det"]
    assert stats.missed_by == {"frame numbers": 3}
    assert stats.places == "2 before row 3, 1 before row 9"


def test_several_frames_per_event_are_one_row(tmp_path: Path) -> None:
    import h5py

    path = tmp_path / "many.h5"
    with h5py.File(path, "w") as file:
        file["v"] = np.arange(12.0)
    seen = Recorder()
    live = StreamEvents(seen, points_per_second=1000)
    live("start", start())
    live("descriptor", descriptor({"v": key(shape=[3], dtype="array")}))
    live("stream_resource", resource("v", path))
    live("stream_datum", datum("v", 0, 4))
    live("stop", {"run_start": "run"})
    assert live.wait(30)
    first, last = seen["event"][0], seen["event"][-1]
    assert (first["seq_num"], first["data"]["v"]) == (1, 1.0)
    assert (last["seq_num"], last["data"]["v"]) == (4, 10.0)
