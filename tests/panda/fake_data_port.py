"""A data port that sends what a test tells it to."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class FakeDataPort:
    """Accepts one connection at a time; the test sends through it."""

    def __init__(self, greeting: bytes = b"OK\n") -> None:
        self._greeting = greeting
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.asked: list[bytes] = []
        self._client: socket.socket | None = None
        self._connected = threading.Event()
        self._news = threading.Condition()
        self._greeted = 0
        self._thread = threading.Thread(target=self._accept, name="fake data port")
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            line = b""
            while not line.endswith(b"\n"):
                got = client.recv(100)
                if not got:
                    break
                line += got
            if not line.endswith(b"\n"):
                client.close()
                continue
            self.asked.append(line)
            # nobody may send through the old client, or before the greeting
            self._connected.clear()
            if self._client is not None:
                self._client.close()
            self._client = client
            client.sendall(self._greeting)
            self._connected.set()
            with self._news:
                self._greeted += 1
                self._news.notify_all()

    def wait_greeted(self, count: int) -> None:
        """Wait until so many connections were accepted and greeted."""
        with self._news:
            assert self._news.wait_for(lambda: self._greeted >= count, 5)

    @property
    def client(self) -> socket.socket:
        assert self._connected.wait(30)
        assert self._client is not None
        return self._client

    def send(self, data: bytes) -> None:
        self.client.sendall(data)

    def hang_up(self) -> None:
        self.client.shutdown(socket.SHUT_RDWR)
        self.client.close()

    def reset(self) -> None:
        """Break the connection without a word."""
        linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.client.close()

    def close(self) -> None:
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        self._thread.join(30)
        if self._client is not None:
            self._client.close()


@contextmanager
def fake_data_port(greeting: bytes = b"OK\n") -> Iterator[FakeDataPort]:
    port = FakeDataPort(greeting)
    try:
        yield port
    finally:
        port.close()
