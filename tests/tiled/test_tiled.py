"""A real Tiled, as users meet it: in processes of its own, on files of a test."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from beamfly.catalog import RunWriter
from beamfly.errors import BadValue, CatalogError
from beamfly.tiled import TiledFollower, TiledStore
from catalog.catalog_runs import DAY, T0, FlyScan, SwmrFile, key, step_scan

pytestmark = [
    pytest.mark.peer,
    # opening a database takes Tiled seconds
    pytest.mark.timeout(600),
]
READ_BACK = """
import sys, warnings
warnings.simplefilter("ignore")
from databroker import Broker
db = Broker.named("test")
for uid in sys.argv[1:]:
    h = db[uid]
    table = h.table(fill=True)
    print("row", h.start["plan_name"], (h.stop or {}).get("exit_status"), len(table))
    print("row", [round(float(v), 3) for v in table["x"]])
print("row", db[-1].start["uid"])
"""


def beamfly(*arguments: str, profiles: Path) -> subprocess.CompletedProcess[str]:
    """Run `beamfly tiled ...`, as in a shell."""
    return subprocess.run(
        [sys.executable, "-m", "beamfly", "tiled", *arguments],
        env={**os.environ, "TILED_PROFILES": str(profiles)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def read_back(profiles: Path, *uids: str) -> list[str]:
    """What `Broker.named` has to say of these runs, in another process."""
    done = subprocess.run(
        [sys.executable, "-c", READ_BACK, *uids],
        env={**os.environ, "TILED_PROFILES": str(profiles)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # Tiled prints lines of its own
    rows = [row for row in done.stdout.splitlines() if row.startswith("row ")]
    return [row.removeprefix("row ") for row in rows]


def store_all(directory: Path, documents: list) -> None:
    with RunWriter(directory) as write:
        for name, doc in documents:
            write(name, doc)


def test_runs_are_in_tiled_while_they_are_taken_and_again_after_it_was_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The life of a database: made, followed, outdated, made again."""
    profiles, data = tmp_path / "profiles", tmp_path / "data"
    old = step_scan(3)
    store_all(data, old)
    made = beamfly("init", str(data), "--name", "test", profiles=profiles)
    assert made.returncode == 0, made.stderr
    assert f"1 of 1 runs of {data} are in Tiled" in made.stdout
    assert "databroker.Broker.named('test')" in made.stdout

    with (
        TiledFollower(data) as follower,
        RunWriter(data) as write,
        SwmrFile(data / "fly.h5", x=("<f8", ())) as file,
    ):
        flight = FlyScan({"x": key(dtype_numpy="<f8", shape=[1])}, time=T0 + DAY)
        flight.resource("x", file.uri)
        sent = 0
        for first in range(0, 40, 8):
            file.append(x=np.arange(first, first + 8) / 2)
            flight.announce(first, first + 8)
            for name, doc in flight.documents[sent:]:
                write(name, doc)
            sent = len(flight.documents)
            if first == 16:
                follower.wait(200)
                uid = flight.run.start_doc["uid"]
                rows = [row / 2 for row in range(first + 8)]
                assert read_back(profiles, uid)[:2] == [
                    f"fly None {len(rows)}",
                    f"{rows}",
                ]
        stop = flight.run.compose_stop(time=T0 + DAY + 9)
        write("stop", stop)
        follower.wait(200)
        assert follower.stored == 1

        # a run that Tiled cannot take does not keep the next one from it
        broken = step_scan(2, time=T0 + 2 * DAY)
        broken[1][1]["data_keys"]["x"]["dtype"] = "no type"
        good = step_scan(4, time=T0 + 3 * DAY)
        store_all(data, broken)
        store_all(data, good)
        with pytest.raises(CatalogError, match=f"run {broken[0][1]['uid']} is not in"):
            follower.wait(200)
        assert broken[0][1]["uid"] in caplog.text
        follower.wait(200)

    outdate(data / "tiled" / "catalog.db")
    with TiledFollower(data) as follower, pytest.raises(CatalogError) as refused:
        follower.wait(200)
    assert "made by an older version of Tiled and was not opened" in str(refused.value)
    assert f"`beamfly tiled rebuild {data}` makes it anew" in str(refused.value)
    again = beamfly("rebuild", str(data), profiles=profiles)
    # what was broken is still broken
    assert again.returncode == 1
    assert f"3 of 4 runs of {data} are in Tiled" in again.stdout
    uids = [old[0][1]["uid"], good[0][1]["uid"]]
    expected = ["scan success 3", "[0.0, 0.5, 1.0]", "scan success 4"]
    found = read_back(profiles, *uids)
    assert (found[:3], found[-1]) == (expected, uids[-1])


def outdate(database: Path) -> None:
    """Have it look as if an earlier release had made it."""
    from tiled.catalog.core import ALL_REVISIONS

    with sqlite3.connect(database) as connection:
        connection.execute(
            "UPDATE alembic_version SET version_num = ?", ALL_REVISIONS[-1:]
        )
    connection.close()


def test_no_database(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"has no Tiled database yet: run `beamfly"):
        TiledFollower(tmp_path)


def test_an_address_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match=r"is postgresql://\.\.\., not mysql"):
        TiledStore(tmp_path).create("mysql://x")
    assert not (tmp_path / "tiled").exists()


def test_a_configuration_that_cannot_be_read(tmp_path: Path) -> None:
    store = TiledStore(tmp_path)
    store.folder.mkdir()
    store.server_file.write_text("a: [")
    with pytest.raises(CatalogError, match=r"server.yml cannot be read"):
        store.config()
