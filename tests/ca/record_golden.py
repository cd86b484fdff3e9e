"""Writes tests/golden/ca/rsrv_reads.json: what a C IOC answers to reads of every type.

Run by hand, `python -m ca.record_golden` in tests/, when the list of PVs changes. The
tests only read the file.
"""

import json
import socket
import struct
import tempfile
from pathlib import Path

from .c_ioc import running

GOLDEN = Path(__file__).parent.parent / "golden" / "ca" / "rsrv_reads.json"
PVS = {
    "T:ao": "7.25",
    "T:long": "-18",
    "T:string": "hello",
    "T:enum": "one",
    "T:longs": None,
}
HEADER = struct.Struct(">HHHHII")


class Peer:
    """Just enough protocol to ask, without any code of the package."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 5)
        self.send(0, b"", 0, 13, 0, 0)
        self.send(20, b"me\0\0\0\0\0\0", 0, 0, 0, 0)
        self.send(21, b"here\0\0\0\0", 0, 0, 0, 0)
        self.receive()

    def send(
        self, command: int, payload: bytes, code: int, count: int, p1: int, p2: int
    ) -> None:
        head = HEADER.pack(command, len(payload), code, count, p1, p2)
        self._socket.sendall(head + payload)

    def receive(self) -> tuple[tuple[int, ...], bytes]:
        head = HEADER.unpack(self._exactly(16))
        return head, self._exactly(head[1])

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            assert piece
            data += piece
        return data

    def close(self) -> None:
        self._socket.close()


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as ioc:
        peer = Peer(ioc.port)
        for cid, (name, text) in enumerate(PVS.items()):
            raw = name.encode().ljust(16, b"\0")
            peer.send(18, raw, 0, 0, cid, 13)
            peer.receive()
            created, _ = peer.receive()
            native, count, sid = created[2], created[3], created[5]
            if text is None:
                peer.send(19, struct.pack(">3i4x", 1, 2, 3), 5, 3, sid, 0)
            else:
                peer.send(19, text.encode().ljust(40, b"\0"), 0, 1, sid, 0)
            assert peer.receive()[0][4] == 1
            for code in (*range(35), 37, 38):
                peer.send(15, b"", code, 0, sid, code)
                head, payload = peer.receive()
                rows.append(
                    {
                        **{"pv": name, "native": native, "native_count": count},
                        **{"code": code, "count": head[3], "status": head[4]},
                        "payload": payload.hex(),
                    }
                )
        peer.close()
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    GOLDEN.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
