"""What other threads want done in the client's thread, and what that wants sent.

Requests run in the order in which they were handed over. What several of them have to
send on one connection goes together, when all that are there have run.
"""

import contextlib
import logging
import socket
from collections import deque
from collections.abc import Callable

from beamfly.ca.asyncio import Client
from beamfly.ca.client_circuit import ClientCircuit
from beamfly.ca.pending import NEVER
from beamfly.errors import CADisconnected

log = logging.getLogger("beamfly.epics")
Call = Callable[[], object]


class Handover:
    """Calls from any thread to one thread with an event loop."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque()
        self._due = False
        self._running = False
        self._unsent: dict[ClientCircuit, float] = {}
        self._after: deque[Call] = deque()
        self._client: Client | None = None
        # what is handed over is announced here, with less work than asyncio's own way
        self._bell, self._ear = socket.socketpair()
        self._bell.setblocking(False)
        self._ear.setblocking(False)

    # ---- in any thread

    def put(self, call: Call) -> None:
        """Have something run.

        Raises:
            CADisconnected: The client's thread has ended.
        """
        self._calls.append(call)
        if self._due:
            return
        try:
            self._due = True
            self._bell.send(b"!")
        except OSError:
            # those who have handed something over meanwhile wait for it, too
            self.run()
            msg = "the Channel Access context is closed; nothing was sent"
            raise CADisconnected(msg, status=192) from None
        except BaseException:
            # Ctrl-C at this very place: the next one has to announce both
            self._due = False
            raise

    # ---- in the client's thread

    def begin(self, client: Client) -> None:
        """Listen from now on."""
        self._client = client
        client.loop.add_reader(self._ear.fileno(), self._hear)

    def end(self) -> None:
        """Listen no more; before the loop is closed."""
        if self._client is not None:
            self._client.loop.remove_reader(self._ear.fileno())

    def close(self) -> None:
        """Refuse what comes, and run what has come too late: it finds all closed."""
        self._bell.close()
        self._ear.close()
        self.run()

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._ear.recv(64)
        self.run()

    def run(self) -> None:
        """Run what has been handed over, and send what it wants sent."""
        self._due = False
        self._running = True
        while self._calls:
            try:
                self._calls.popleft()()
            except Exception:
                log.exception("a request failed")
        self._running = False
        while self._unsent and self._client is not None:
            circuit, deadline = self._unsent.popitem()
            self._client.sent_all(circuit, deadline)
        while self._after:
            self._after.popleft()()

    def send(
        self, circuit: ClientCircuit, deadline: float, after: Call | None = None
    ) -> None:
        """Send what a circuit has queued, once all that was handed over has run.

        Args:
            circuit: It has something to send.
            deadline: When it has to be answered, on the loop's clock.
            after: Called once it is sent.
        """
        if after is not None:
            self._after.append(after)
        if self._running:
            known = self._unsent.get(circuit, NEVER)
            self._unsent[circuit] = min(known, deadline)
        elif self._client is not None:
            self._client.sent(circuit, deadline)
