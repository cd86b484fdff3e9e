"""IPv4 addresses as they stand in messages, and as people write them."""

from functools import lru_cache

Address = tuple[str, int]
"""Host and port."""
ANY_ADDRESS = 0xFFFFFFFF
"""In a search reply: the server is where the reply came from."""


def host_of(number: int, source: str) -> str:
    """Where a server is, by what its reply says and where that came from."""
    return source if number == ANY_ADDRESS else dotted(number)


@lru_cache(maxsize=1024)
def dotted(address: int) -> str:
    """The usual spelling of an IPv4 address."""
    return ".".join(str(address >> shift & 255) for shift in (24, 16, 8, 0))


def number_of(address: str) -> int:
    """An IPv4 address as a number; 0 when it is none."""
    try:
        parts = [int(part) for part in address.split(".")]
    except ValueError:
        return 0
    if len(parts) != 4 or any(not 0 <= part < 256 for part in parts):
        return 0
    return parts[0] << 24 | parts[1] << 16 | parts[2] << 8 | parts[3]
