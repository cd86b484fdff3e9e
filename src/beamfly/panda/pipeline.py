"""Threads in a row, each doing one thing to what a data connection yields.

This is for programs that were written for pandablocks: `FrameProcessor` makes columns
of frames, `HDFWriter` writes them, further elements see how many rows were written.
`beamfly.panda.capture` is faster, and the one to use for anything new.

What waits between two elements is bounded: who feeds a slow one has to wait. An element
that fails says so to whoever feeds it next, and to `stop_pipeline`.
"""

import os
import queue
import threading
from collections.abc import Callable, Iterator
from itertools import count, pairwise
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from beamfly.errors import BadValue, HdfError
from beamfly.panda.capture_file import CaptureFile, next_path
from beamfly.panda.columns import ColumnPlan
from beamfly.panda.datasets import Names
from beamfly.panda.responses import EndData, FrameData, StartData

__all__ = [
    "FrameProcessor",
    "HDFWriter",
    "Pipeline",
    "create_default_pipeline",
    "create_pipeline",
    "stop_pipeline",
]

MAX_WAITING = 1 << 27
"""Bytes of samples that may wait in front of an element."""


class _Stop:
    """Put into a queue when nothing more will come."""


_STOP = _Stop()


def _weight(item: object) -> int:
    """Bytes that an item keeps in memory, at least one."""
    if isinstance(item, FrameData):
        return item.data.nbytes + 1
    if isinstance(item, list):
        arrays = cast(list[object], item)
        return 1 + sum(a.nbytes for a in arrays if isinstance(a, np.ndarray))
    return 1


class _BoundedQueue(queue.Queue[Any]):
    """A queue that is full when what waits in it is too large.

    Args:
        owner: Whose queue it is; once that has failed, putting raises its error.
    """

    def __init__(self, owner: "Pipeline") -> None:
        super().__init__(MAX_WAITING)
        self._owner = owner
        self._waiting = 0

    def _qsize(self) -> int:
        return self._waiting

    def _put(self, item: Any) -> None:
        self._waiting += _weight(item)
        super()._put(item)

    def _get(self) -> Any:
        item = super()._get()
        self._waiting -= _weight(item)
        return item

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put an item in; waits while the queue is full."""
        if self._owner.error is not None and item is not _STOP:
            raise self._owner.error
        super().put(item, block, timeout)

    def put_nowait(self, item: Any) -> None:
        """The same: pipelines have always been fed with this, and must not lose."""
        self.put(item)


class Pipeline(threading.Thread):
    """One element: a thread that handles what is put into its queue."""

    what_to_do: dict[type, Callable[[Any], Any]]
    """Handlers by type of item; what one returns goes on downstream, None does not."""
    downstream: "Pipeline | None" = None
    """The next element."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.what_to_do = {}
        self.error: Exception | None = None
        """Why it failed, None if it did not."""
        self.queue: queue.Queue[Any] = _BoundedQueue(self)
        """Where items for this element are put."""

    def run(self) -> None:
        """Handle items until `stop`."""
        while (item := self.queue.get()) is not _STOP:
            # after a failure the rest is only taken out, so that nobody waits for ever
            if self.error is None:
                self._guard(lambda item=item: self._handle(item))
        self._guard(self.finish)

    def _handle(self, item: Any) -> None:
        kind: type[object] = item.__class__
        handler = self.what_to_do.get(kind)
        if handler is not None:
            item = handler(item)
        if self.downstream is not None and item is not None:
            self.downstream.queue.put(item)

    def _guard(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as exc:
            self.error = self.error or exc

    def finish(self) -> None:
        """Called in the thread after the last item, also when it has failed."""

    def stop(self) -> None:
        """End the thread once its queue is empty."""
        self.queue.put(_STOP)


class FrameProcessor(Pipeline):
    """Makes columns in units, a list of arrays, of each FrameData."""

    def __init__(self) -> None:
        super().__init__()
        self._plan: ColumnPlan | None = None
        self.what_to_do = {
            StartData: self.create_processors,
            FrameData: self.scale_data,
        }

    def create_processors(self, data: StartData) -> StartData:
        """Be ready for the frames of an acquisition."""
        self._plan = ColumnPlan(data)
        return data

    def scale_data(self, data: FrameData) -> list[npt.NDArray[Any]]:
        """One array per field, of the dtype of its dataset."""
        if self._plan is None:
            raise BadValue("frames came before the header of an acquisition")
        return self._plan.columns(data.data)


def numbered(scheme: str) -> Iterator[str]:
    """File names from a pattern with %d, which becomes 1, 2, 3, ..."""
    return (scheme % number for number in count(1))


class HDFWriter(Pipeline):
    """Writes a file per acquisition, a 1-D dataset `/<field>.<capture>` per field.

    Args:
        file_names: Full paths, one for each file; or a pattern with %d, which becomes
            1, 2, 3 ... Files that exist are replaced.
        capture_record_hdf_names: Other names for datasets, by field and capture.
    """

    def __init__(
        self,
        file_names: Iterator[str] | str,
        capture_record_hdf_names: Names | None = None,
    ) -> None:
        super().__init__()
        if isinstance(file_names, str):
            file_names = numbered(file_names)
        self.file_names: Iterator[str | os.PathLike[str]] = iter(file_names)
        """Names of files to come."""
        self.capture_record_hdf_names = capture_record_hdf_names
        self.file_path = ""
        """The file that is open, empty if none is."""
        self._file: CaptureFile | None = None
        self._dtypes: list[np.dtype[Any]] = []
        self._files = 0
        self.what_to_do = {
            StartData: self.open_file,
            list: self.write_frame,
            EndData: self.close_file,
        }

    def open_file(self, data: StartData) -> None:
        """Open the next file.

        Raises:
            HdfError: It cannot be created.
            BadValue: There is no name for it.
        """
        self.finish()
        path = next_path(self.file_names, self._files)
        self._files += 1
        self._file = CaptureFile(
            path, names=self.capture_record_hdf_names, overwrite=True
        )
        self.file_path = os.fspath(path)
        plan = ColumnPlan(data)
        self._dtypes = plan.dtypes
        self._file.start(data, plan)

    def _open(self) -> CaptureFile:
        if self._file is None:
            raise HdfError("rows came before the header of an acquisition")
        return self._file

    def write_frame(self, data: list[npt.NDArray[Any]]) -> int:
        """Append rows, make them visible, and pass on how many there are now."""
        file = self._open()
        file.append(
            [
                np.ascontiguousarray(column, dtype.base)
                for column, dtype in zip(data, self._dtypes, strict=True)
            ]
        )
        file.flush()
        return file.rows

    def close_file(self, data: EndData) -> None:
        """Close the file of the acquisition that is over."""
        self._open().end(data.reason)
        self.finish()

    def finish(self) -> None:
        """Close what is open."""
        file, self._file, self.file_path = self._file, None, ""
        if file is not None:
            file.close()


def create_default_pipeline(
    file_names: Iterator[str],
    capture_record_hdf_names: Names,
    *additional_downstream_pipelines: Pipeline,
) -> list[Pipeline]:
    """A FrameProcessor and a HDFWriter, started.

    Args:
        file_names: Full paths, one for each acquisition.
        capture_record_hdf_names: Dataset names by field and capture.
        additional_downstream_pipelines: More elements, which get the number of rows
            each time some were written.
    """
    return create_pipeline(
        FrameProcessor(),
        HDFWriter(file_names, capture_record_hdf_names),
        *additional_downstream_pipelines,
    )


def create_pipeline(*elements: Pipeline) -> list[Pipeline]:
    """Join elements in this order and start them."""
    pipeline = list(elements)
    for upper, lower in pairwise(pipeline):
        upper.downstream = lower
    for element in pipeline:
        element.start()
    return pipeline


def stop_pipeline(pipeline: list[Pipeline]) -> None:
    """Let each element finish what it has, in order, and end it.

    Raises:
        BeamflyError: An element failed; it is the first failure.
    """
    for element in pipeline:
        element.stop()
        element.join()
    for element in reversed(pipeline):
        # what went wrong further down came up as the same error
        if element.error is not None:
            raise element.error
