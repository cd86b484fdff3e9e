"""Processes that use PVs: each gets a context of its own."""

import multiprocessing
from multiprocessing.pool import Pool
from typing import Any

from beamfly.epics.context import forget_context


class CAProcess(multiprocessing.Process):
    """A process that may use PVs; those of the parent are not to be used in it."""

    def run(self) -> None:
        """Run the target."""
        forget_context()
        super().run()


class CAPool(Pool):
    """A pool of processes that may use PVs."""

    def __init__(
        self,
        processes: int | None = None,
        initializer: Any = None,
        initargs: Any = (),
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Arguments are those of `multiprocessing.pool.Pool`."""
        super().__init__(processes, _start, (initializer, initargs), *args, **kwargs)


def _start(initializer: Any, arguments: Any) -> None:
    """In each worker, before all else."""
    forget_context()
    if initializer is not None:
        initializer(*arguments)
