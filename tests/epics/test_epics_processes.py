"""PVs in other processes."""

import multiprocessing
from typing import Any

import beamfly.epics as epics


def read(name: str) -> Any:
    return epics.caget(name)


def told(queue: Any) -> None:
    queue.put(epics.caget("T:long"))


def test_a_process_and_a_pool(served: str) -> None:
    assert epics.caput_many(["T:ao", "T:long"], [1.5, 7], wait="all") == [1, 1]
    queue: Any = multiprocessing.SimpleQueue()
    process = epics.CAProcess(target=told, args=(queue,))
    process.start()
    process.join(30)
    assert process.exitcode == 0 and queue.get() == 7
    queue.close()
    with epics.CAPool(2) as pool:
        assert pool.map(read, ["T:ao", "T:long", "T:ao"]) == [1.5, 7, 1.5]
        pool.close()
        pool.join()
    assert epics.caget("T:ao", use_monitor=False) == 1.5
