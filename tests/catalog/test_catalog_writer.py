"""The callback that stores runs: every line at once, wholly or not at all."""

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from catalog_runs import T0, Documents, fly_scan, names, step_scan, store

from beamfly.catalog import RunWriter
from beamfly.catalog.jsonl import LineReader, plain
from beamfly.errors import CatalogError


def files(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*.jsonl"))


def stored(path: Path) -> Documents:
    return [(line.name, line.doc) for line in LineReader(path).read()]


def test_a_run_is_a_file_of_its_documents(tmp_path: Path) -> None:
    documents = step_scan(3)
    with RunWriter(tmp_path / "new" / "data") as writer:
        store(writer, documents)
        assert writer.open_runs == []
    (path,) = files(tmp_path)
    uid = documents[0][1]["uid"]
    assert path.parent.name == "2023-11-14"
    assert path.name == f"20231114T221320.000000Z_{uid}.jsonl"
    assert stored(path) == [(name, plain(doc)) for name, doc in documents]


def test_each_document_is_in_the_file_at_once(tmp_path: Path) -> None:
    with RunWriter(tmp_path) as writer:
        for number, (name, doc) in enumerate(step_scan(3), 1):
            writer(name, doc)
            assert len(stored(files(tmp_path)[0])) == number


def test_runs_that_overlap_are_kept_apart(tmp_path: Path) -> None:
    one, other = fly_scan(tmp_path / "a.h5"), fly_scan(tmp_path / "b.h5", time=T0 + 9)
    with RunWriter(tmp_path) as writer:
        for pair in zip(one, other, strict=True):
            store(writer, pair)
    for path, documents in zip(files(tmp_path), (one, other), strict=True):
        assert list(names(stored(path))) == list(names(documents))


def test_a_data_file_is_also_named_from_where_the_run_is(tmp_path: Path) -> None:
    with RunWriter(tmp_path / "catalog") as writer:
        store(writer, fly_scan(tmp_path / "raw data" / "panda.h5"))
    (path,) = files(tmp_path)
    lines = [li for li in LineReader(path).read() if li.name == "stream_resource"]
    assert [line.beside for line in lines] == ["../../raw data/panda.h5"] * 3


def test_what_belongs_to_no_open_run_is_refused(tmp_path: Path) -> None:
    documents = fly_scan(tmp_path / "a.h5")
    with RunWriter(tmp_path) as writer:
        for name, doc in documents[1:]:
            with pytest.raises(CatalogError, match=f"A {name} document was not stored"):
                writer(name, doc)
        store(writer, documents)
        with pytest.raises(CatalogError, match="has stopped already"):
            writer(*documents[-1])
    assert len(files(tmp_path)) == 1


def test_old_style_documents_go_to_their_run(tmp_path: Path) -> None:
    (start, descriptor), stop = step_scan(0)[:2], step_scan(0)[-1]
    stop = ("stop", {**stop[1], "run_start": start[1]["uid"]})
    old: Documents = [
        ("resource", {"uid": "r", "run_start": start[1]["uid"], "spec": "AD_HDF5"}),
        ("datum", {"resource": "r", "datum_id": "r/0"}),
        ("datum_page", {"resource": "r", "datum_id": ["r/1"]}),
    ]
    with RunWriter(tmp_path) as writer:
        store(writer, [start, descriptor, *old, stop])
    assert stored(files(tmp_path)[0])[2:5] == old


def test_a_run_is_not_stored_twice(tmp_path: Path) -> None:
    documents = step_scan()
    with RunWriter(tmp_path) as writer, RunWriter(tmp_path) as second:
        writer(*documents[0])
        with pytest.raises(CatalogError, match=r"already stored .* subscribed twice"):
            second(*documents[0])
        store(writer, documents[1:])
    assert len(stored(files(tmp_path)[0])) == len(documents)


def test_a_start_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    start = {"uid": "abcdef", "time": T0, "sample": object()}
    with RunWriter(tmp_path) as writer:
        with pytest.raises(CatalogError, match=r"start\.sample"):
            writer("start", start)
        assert writer.open_runs == []
    assert files(tmp_path) == []


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with RunWriter(tmp_path / "file") as writer:
        with pytest.raises(CatalogError, match=r"cannot be stored in .*file"):
            writer(*step_scan()[0])


def full_disk(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """Let `os.write` take so many bytes more, then find the disk full."""
    write = os.write
    left = [room]

    def limited(descriptor: int, data: Any) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = write(descriptor, data[: left[0]])
        left[0] -= done
        return done

    monkeypatch.setattr(os, "write", limited)


@pytest.mark.parametrize("room", [0, 1, 200])
def test_a_full_disk_is_told_and_leaves_whole_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    documents = step_scan(2)
    with RunWriter(tmp_path) as writer:
        store(writer, documents[:2])
        with monkeypatch.context() as patch:
            full_disk(patch, room)
            with pytest.raises(CatalogError, match=r"No space left.*The document is"):
                writer(*documents[2])
        writer(*documents[-1])  # room again: the run can still end properly
    assert list(names(stored(files(tmp_path)[0]))) == ["start", "descriptor", "stop"]


def test_a_full_disk_at_the_start_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunWriter(tmp_path) as writer:
        with monkeypatch.context() as patch:
            full_disk(patch, 10)
            with pytest.raises(CatalogError, match="No space left"):
                writer(*step_scan()[0])
        assert files(tmp_path) == []
        assert writer.open_runs == []


def test_a_write_in_pieces_makes_whole_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
    documents = step_scan(2)
    with RunWriter(tmp_path) as writer:
        store(writer, documents)
    assert list(names(stored(files(tmp_path)[0]))) == list(names(documents))


def test_several_threads_may_write(tmp_path: Path) -> None:
    runs = [step_scan(50, time=T0 + n) for n in range(4)]
    with RunWriter(tmp_path) as writer:
        threads = [threading.Thread(target=store, args=(writer, run)) for run in runs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for path, run in zip(files(tmp_path), runs, strict=True):
        assert stored(path) == [(name, plain(doc)) for name, doc in run]


def test_closing_leaves_an_unfinished_run_readable(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path)
    store(writer, step_scan(2)[:-1])
    assert len(writer.open_runs) == 1
    assert "open=1" in repr(writer)
    writer.close()
    writer.close()
    assert writer.open_runs == []
    assert len(stored(files(tmp_path)[0])) == 4


KILLED = """
import sys, os, signal
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from catalog_runs import step_scan
from beamfly.catalog import RunWriter
writer = RunWriter(Path(sys.argv[1]))
for name, doc in step_scan(100)[:60]:
    writer(name, doc)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_loses_nothing_it_wrote(tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), here])
    assert killed.returncode == -signal.SIGKILL
    assert len(stored(files(tmp_path)[0])) == 60


def test_dask_is_not_imported_by_a_document(tmp_path: Path) -> None:
    """It takes a second, during which the devices' event loop would stand still."""
    script = (
        "import sys, numpy, pathlib, beamfly.catalog as c\n"
        "w = c.RunWriter(pathlib.Path(sys.argv[1]))\n"
        "w('start', {'uid': 'abcdef', 'time': 1.0, 'v': numpy.float32(1)})\n"
        "w.close()\n"
        "heavy = {'dask', 'databroker', 'tiled', 'pandas', 'xarray'}\n"
        "print(heavy & set(sys.modules))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("set()\n", "")


def test_numpy_values_are_stored(tmp_path: Path) -> None:
    with RunWriter(tmp_path) as writer:
        writer("start", {"uid": "abcdef", "time": np.float64(T0), "n": np.int16(3)})
    assert stored(files(tmp_path)[0])[0][1]["n"] == 3
