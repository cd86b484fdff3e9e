"""Bytes and text, under the names that `epics.utils` has for them."""

from collections.abc import Sequence

from beamfly.epics.values import as_text

IOENCODING = "utf-8"
"""Of every file that is written and every text that is put."""


def str2bytes(st1: str | bytes) -> bytes:
    """Text as UTF-8; bytes as they are."""
    return st1 if isinstance(st1, bytes) else st1.encode()


def bytes2str(st1: object) -> str:
    """UTF-8, or else Latin-1; what is no bytes becomes what `str` makes of it."""
    return as_text(st1) if isinstance(st1, bytes) else str(st1)


def strjoin(sep: str | bytes, seq: Sequence[str] | Sequence[bytes]) -> str:
    """Join texts; bytes are joined up to the first NUL.

    Args:
        sep: What stands between them.
        seq: Texts, or bytes.
    """
    texts: list[str] = []
    for item in seq:
        if item == b"\0":
            break
        texts.append(bytes2str(item))
    return bytes2str(sep).join(texts)


def clib_search_path(lib: str) -> None:
    """None: there is no C library, neither `ca` nor `Com`."""
