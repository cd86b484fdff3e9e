"""How fast a catalog of many runs is: `python benchmarks/catalog.py [runs]`.

Prints the time to find a run in every way, with 50 000 runs unless told otherwise,
and what storing a document costs the RunEngine's loop. Takes about a minute.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import event_model
import numpy as np
from tiled.queries import FullText, Key

from beamfly.catalog import Catalog, make_db
from beamfly.catalog.jsonl import Line, encode
from beamfly.catalog.layout import run_place
from beamfly.hdf import Column, ColumnWriter, Run

RUNS_PER_DAY = 100
T0 = 1_700_000_000.0


def make_runs(directory: Path, count: int) -> list[str]:
    """Write runs of a start and a stop document; give their uids."""
    uids: list[str] = []
    for number in range(count):
        uid = str(uuid.uuid4())
        start = {
            "uid": uid,
            "time": T0 + number * 86400 / RUNS_PER_DAY,
            "scan_id": number + 1,
            "plan_name": "fly" if number % 3 else "count",
            "plan_args": {"detectors": ["panda", "eiger"], "num": number},
            "detectors": ["panda", "eiger"],
            "sample": {"name": f"sample {number % 500}", "temperature": number % 77},
            "comment": "needle" if number == count // 2 else "hay " * 10,
            "versions": {"bluesky": "1.15.1", "ophyd_async": "0.21.3"},
        }
        stop = {"uid": str(uuid.uuid4()), "run_start": uid, "exit_status": "success"}
        path = run_place(start).path(directory)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(Line("start", start)) + encode(Line("stop", stop)))
        uids.append(uid)
    return uids


def timed(what: str, call: Callable[[], Any], repeat: int = 20) -> Any:
    """Print the first time and the median of the next ones."""
    times: list[float] = []
    result = None
    for _ in range(repeat + 1):
        begun = time.perf_counter()
        result = call()
        times.append((time.perf_counter() - begun) * 1e3)
    rest = f"  then {statistics.median(times[1:]):8.2f} ms" if repeat else ""
    print(f"{what:44} first {times[0]:9.2f} ms{rest}")
    return result


def finding(directory: Path, uids: list[str]) -> None:
    middle = len(uids) // 2
    catalog = Catalog(directory)
    print(f"\n{len(uids)} runs on {len(uids) // RUNS_PER_DAY} days, no index yet")
    timed("catalog[-1]", lambda: catalog[-1].start)
    timed("index them all", lambda: len(catalog), repeat=0)
    catalog.close()
    size = (directory / ".runs.sqlite").stat().st_size / 1e6
    print(f"the index takes {size:.0f} MB")

    print("\na new process, index there")
    timed("Catalog(directory)", lambda: Catalog(directory))
    timed("make_db(directory), importing databroker", lambda: make_db(directory))
    db = make_db(directory)
    timed("db[-1]", lambda: db[-1].start)
    timed("db[-3:]", lambda: db[-3:])
    timed("db[uid]", lambda: db[uids[middle]].start)
    timed("db[partial uid]", lambda: db[uids[middle][:8]].start)
    timed("db[scan_id]", lambda: db[middle].start)
    timed("len(catalog)", lambda: len(db.v2))

    print("\nsearches, all results listed (not read)")
    searches: dict[str, Any] = {
        "plan_name == 'count' (a third of them)": Key("plan_name") == "count",
        "scan_id == 7": Key("scan_id") == 7,
        "sample.name == 'sample 7'": Key("sample.name") == "sample 7",
        "sample.temperature == 7": Key("sample.temperature") == 7,
        "free text 'needle'": FullText("needle"),
        "free text 'hay' (all but one)": FullText("hay"),
    }
    for what, query in searches.items():
        found = timed(what, lambda q=query: db.v2.search(q).keys(), repeat=3)
        print(f"{'':44}       {len(found)} runs")
    since = time.strftime("%Y-%m-%d", time.gmtime(T0 + 100 * 86400))
    until = time.strftime("%Y-%m-%d", time.gmtime(T0 + 102 * 86400))
    timed(
        f"list(db(since={since}, until={until}))",
        lambda: list(db(since=since, until=until)),
        3,
    )
    db.v2.close()


def storing(directory: Path) -> None:
    """Append documents in an event loop, and look how long it stands still."""
    catalog = Catalog(directory)
    uid = str(uuid.uuid4())
    fields = {f"field-{number}": number / 7 for number in range(40)}
    event = {"descriptor": "d", "uid": uid, "time": T0, "seq_num": 1, "data": fields}
    event["timestamps"] = dict.fromkeys(fields, T0)
    event["filled"] = {}
    costs: list[float] = []
    gaps: list[float] = []

    async def beat() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            gaps.append(now - last - 0.001)
            last = now

    async def store() -> None:
        writer = catalog.writer()
        beating = asyncio.create_task(beat())
        start = {"uid": uid, "time": T0 + 1e9, "plan_name": "count"}
        documents = [("start", start), ("descriptor", {"uid": "d", "run_start": uid})]
        documents += [("event", event)] * 5000
        for name, doc in [*documents, ("stop", {"run_start": uid})]:
            begun = time.perf_counter()
            writer(name, doc)
            costs.append(time.perf_counter() - begun)
            await asyncio.sleep(0)
        beating.cancel()

    asyncio.run(store())
    costs.sort()
    print("\nstoring events of 40 fields", json.dumps(event).__len__(), "bytes each")
    print(
        f"per document: median {statistics.median(costs) * 1e6:.0f} us, "
        f"99 % {costs[len(costs) * 99 // 100] * 1e6:.0f} us, "
        f"longest {costs[-1] * 1e3:.2f} ms; longest wait of the loop "
        f"{max(gaps) * 1e3:.1f} ms"
    )
    catalog.close()


def reading(directory: Path) -> None:
    """Read flyscans back, through databroker and from the column itself."""
    db = make_db(directory)
    for rows, fields, flushes in (
        (20_000, 3, 20),
        (20_000, 40, 20),
        (2_000_000, 1, 1),
        (1000, 40, 3600),
    ):
        store_flyscan(db, directory / f"{rows}-{fields}.h5", rows, fields, flushes)
        documents = 3 + fields + fields * flushes
        print(f"\n{fields} fields of {rows} rows, {documents} documents")
        uid = db[-1].uid
        timed("parse the documents", lambda: Catalog(directory)[-1].stop, 3)
        timed("db[uid].table(fill=True)", lambda u=uid: db[u].table(fill=True), 3)
        timed("db[uid].xarray()", lambda u=uid: db[u].xarray(), 3)
        column = db[uid].v2.primary["data"]["f0"]
        timed("column[100:110]", lambda c=column: c[100:110], 3)
    db.v2.close()


def store_flyscan(db: Any, path: Path, rows: int, fields: int, flushes: int) -> None:
    names = [f"f{number}" for number in range(fields)]
    with ColumnWriter(path) as writer:
        writer.define([Column(name, np.dtype("<f8")) for name in names])
        writer.start_run(Run())
        writer.append([np.arange(rows, dtype=float)] * fields)
        writer.flush()
    begun = time.time()
    run = event_model.compose_run(time=begun, metadata={"plan_name": "fly"})
    key = {"source": "x", "dtype": "number", "shape": [], "external": "STREAM:"}
    stream = run.compose_descriptor(name="primary", data_keys=dict.fromkeys(names, key))
    db.insert("start", run.start_doc)
    db.insert("descriptor", stream.descriptor_doc)
    bundles: list[Any] = []
    for name in names:
        bundles.append(
            run.compose_stream_resource(
                mimetype="application/x-hdf5",
                uri=f"file://localhost{path}",
                data_key=name,
                parameters={"dataset": f"/{name}"},
            )
        )
        db.insert("stream_resource", bundles[-1].stream_resource_doc)
    edges = [rows * number // flushes for number in range(flushes + 1)]
    for start, stop in pairwise(edges):
        numbers = {"start": start + 1, "stop": stop + 1}
        for bundle in bundles:
            datum = bundle.compose_stream_datum(
                {"start": start, "stop": stop}, numbers, stream.descriptor_doc, False
            )
            db.insert("stream_datum", datum)
    db.insert("stop", run.compose_stop())


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        begun = time.perf_counter()
        uids = make_runs(directory, count)
        print(f"made {count} runs in {time.perf_counter() - begun:.1f} s")
        finding(directory, uids)
        storing(directory)
    with tempfile.TemporaryDirectory() as place:
        reading(Path(place))


if __name__ == "__main__":
    main()
