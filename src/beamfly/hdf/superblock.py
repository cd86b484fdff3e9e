"""The first 48 bytes of an HDF5 file, and what a killed writer leaves in them.

A writer that dies leaves the marks "open for writing" and an end of file that may lie
beyond the last byte. `recover` clears the one and corrects the other, which is all that
h5clear would do. What was flushed is then readable, and writable, by any program.
`read_mark` only looks.
"""

import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from beamfly.errors import HdfError

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SIZE = 48
_HEAD = struct.Struct("<8sBBBBQQQQI")
QUIET_SECONDS = 5.0
"""A file that was written to more recently may still have its writer."""
_END_AT = {0: 40, 1: 44, 2: 28, 3: 28}
"""Where the end of file stands, by version of the superblock."""


@dataclass(frozen=True)
class Mark:
    """What the first bytes of a file say about it."""

    head: bytes
    """Those bytes."""

    version: int
    """Of the superblock; 3 for files that can be read while they are written."""
    writing: bool
    """Whether it is marked as open for writing: it has a writer, or had one."""
    end: int
    """Bytes that it should have; 0 while that is not known."""
    size: int
    """Bytes that it has."""

    @property
    def cut_off(self) -> bool:
        """Whether its end is missing."""
        return not self.writing and self.end > self.size

    @property
    def closed_head(self) -> bytes:
        """The first bytes as they would be if the file had been closed."""
        return _closed(self.head, self.size) if self.writing else self.head


def read_mark(path: str | os.PathLike[str]) -> Mark:
    """Look at the first bytes of a file.

    Raises:
        HdfError: It cannot be read, or is no HDF5 file.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_SIZE).ljust(_SIZE, b"\0")
    except FileNotFoundError:
        raise HdfError(f"there is no file {path}") from None
    except OSError as exc:
        raise HdfError(f"cannot read {path}: {exc.strerror or exc}") from exc
    if not size:
        raise HdfError(f"{path} is empty; it is not an HDF5 file")
    if not head.startswith(_SIGNATURE):
        raise HdfError(f"{path} is not an HDF5 file")
    if size < _SIZE:
        raise HdfError(f"{path} is cut off: it has {size} bytes only")
    version = head[8]
    place = _END_AT.get(version)
    offset_bytes = head[13 if version < 2 else 9]
    if place is None or offset_bytes != 8:
        return Mark(head, version, False, 0, size)
    writing = version == 3 and bool(head[11])
    (end,) = struct.unpack_from("<Q", head, place)
    return Mark(head, version, writing, 0 if writing else end, size)


def recover(path: str | os.PathLike[str], *, force: bool = False) -> bool:
    """Make a file whose writer was killed readable and writable by any program.

    It keeps all rows that were flushed. Nobody may have it open for writing.

    Args:
        path: The file.
        force: Whether to do it although the file changed in the last 5 seconds.

    Returns:
        Whether there was anything to mend.

    Raises:
        HdfError: The file cannot be read or written, is no HDF5 file of the kind that
            beamfly writes, is damaged, or may still have a writer. It is unchanged.
    """
    path = Path(path)
    try:
        status = path.stat()
        age = time.time() - status.st_mtime
        with path.open("rb") as file:
            head = file.read(_SIZE)
        mended = _mended(path, head, status.st_size)
        if mended == head:
            return False
        if age < QUIET_SECONDS and not force:
            msg = (
                f"{path} was written to {max(age, 0):.1f} s ago, so its writer may "
                "still be running; it was not touched"
            )
            raise HdfError(msg)
        with path.open("r+b") as file:
            file.write(mended)
    except HdfError:
        raise
    except OSError as exc:
        msg = f"cannot recover {path}: {exc.strerror or exc}"
        raise HdfError(msg) from exc
    return True


def _mended(path: Path, head: bytes, size: int) -> bytes:
    """The superblock as it ought to be."""
    if len(head) < _SIZE or not head.startswith(_SIGNATURE):
        raise HdfError(f"{path} is not an HDF5 file; it was not touched")
    parts = _HEAD.unpack(head)
    version, offset_bytes = parts[1], parts[2]
    if version != 3 or offset_bytes != 8:
        msg = (
            f"{path} has superblock version {version}, which cannot be mended; only "
            "files written for SWMR (version 3) can; it was not touched"
        )
        raise HdfError(msg)
    if lookup3(head[:-4]) != parts[9]:
        raise HdfError(f"{path} is damaged in its first bytes; it was not touched")
    flags, end = parts[4], parts[7]
    if flags == 0 and end <= size:
        return head
    return _closed(head, size)


def _closed(head: bytes, size: int) -> bytes:
    """A superblock of version 3 without marks and with this end of file."""
    parts = list(_HEAD.unpack(head))
    parts[4], parts[7] = 0, size
    body = _HEAD.pack(*parts)[:-4]
    return body + struct.pack("<I", lookup3(body))


_MASK = 0xFFFFFFFF


def _rotated(value: int, bits: int) -> int:
    return (value << bits | value >> (32 - bits)) & _MASK


def lookup3(data: bytes) -> int:
    """Bob Jenkins' lookup3 hash (hashlittle, initial value 0), as HDF5 checksums."""
    a = b = c = (0xDEADBEEF + len(data)) & _MASK
    # the last block, even a full one, is mixed differently
    cut = max(0, (len(data) - 1) // 12) * 12
    for first in range(0, cut, 12):
        x, y, z = struct.unpack_from("<3I", data, first)
        a, b, c = a + x & _MASK, b + y & _MASK, c + z & _MASK
        a = (a - c & _MASK) ^ _rotated(c, 4)
        c = c + b & _MASK
        b = (b - a & _MASK) ^ _rotated(a, 6)
        a = a + c & _MASK
        c = (c - b & _MASK) ^ _rotated(b, 8)
        b = b + a & _MASK
        a = (a - c & _MASK) ^ _rotated(c, 16)
        c = c + b & _MASK
        b = (b - a & _MASK) ^ _rotated(a, 19)
        a = a + c & _MASK
        c = (c - b & _MASK) ^ _rotated(b, 4)
        b = b + a & _MASK
    if not data:
        return c
    x, y, z = struct.unpack("<3I", data[cut:].ljust(12, b"\0"))
    a, b, c = a + x & _MASK, b + y & _MASK, c + z & _MASK
    c = (c ^ b) - _rotated(b, 14) & _MASK
    a = (a ^ c) - _rotated(c, 11) & _MASK
    b = (b ^ a) - _rotated(a, 25) & _MASK
    c = (c ^ b) - _rotated(b, 16) & _MASK
    a = (a ^ c) - _rotated(c, 4) & _MASK
    b = (b ^ a) - _rotated(a, 14) & _MASK
    return (c ^ b) - _rotated(b, 24) & _MASK
