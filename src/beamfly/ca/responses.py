"""What `beamfly.ca.blocking` returns and hands to callbacks: whole answers."""

from typing import Any, NamedTuple

from beamfly.ca.channel_type import ChannelType, Metadata
from beamfly.ca.dbr import Dbr, layout, value_dtype
from beamfly.ca.header import Header, pack_header
from beamfly.ca.payloads import Value, decode
from beamfly.ca.status import ECA_NORMAL, Status, status


class MessageHeader(NamedTuple):
    """The header of an answer."""

    command: int
    payload_size: int
    data_type: int
    data_count: int
    parameter1: int
    parameter2: int

    def __bytes__(self) -> bytes:
        return pack_header(*self)


class Response:
    """An answer: `bytes(response)` are the bytes that were received."""

    def __init__(self, header: Header, payload: bytes) -> None:
        """Wrap one message."""
        self.header = MessageHeader(*header[:6])
        """What stands before the payload."""
        self._payload = payload

    @property
    def buffers(self) -> tuple[memoryview, ...]:
        """Metadata and elements, as they were received; nothing without a payload."""
        return ()

    @property
    def payload_size(self) -> int:
        """Bytes behind the header."""
        return self.header.payload_size

    @property
    def data_type(self) -> Any:
        """A ChannelType."""
        return ChannelType(self.header.data_type)

    @property
    def data_count(self) -> int:
        """How many elements there are."""
        return self.header.data_count

    def __bytes__(self) -> bytes:
        return bytes(self.header) + self._payload

    def __len__(self) -> int:
        return len(bytes(self))

    def _shown(self) -> dict[str, Any]:
        """What repr shows."""
        return {"data_type": self.data_type, "data_count": self.data_count}

    def __repr__(self) -> str:
        return _text(self, self._shown())


def _text(response: Response, shown: dict[str, Any]) -> str:
    """What repr gives."""
    fields = ", ".join(f"{name}={value!r}" for name, value in shown.items())
    return f"{type(response).__name__}({fields})"


class _Answer(Response):
    """An answer with a status."""

    @property
    def status(self) -> Status:
        """The ECA status with name, code and description."""
        return status(self.header.parameter1)


class _Data(Response):
    """An answer with a value."""

    _value: Value | None = None
    _items: Any = None

    @property
    def buffers(self) -> tuple[memoryview, ...]:
        """Metadata, and elements filled up to 8 bytes, as they were received."""
        payload = memoryview(self._payload)
        offset = layout(self.header.data_type).offset
        return payload[:offset], payload[offset:]

    @property
    def data(self) -> Any:
        """A big-endian array of shape (data_count,), or a list of bytes.

        Empty when the status is no success.
        """
        if self._items is None:
            self._items = self._elements()
        return self._items

    def _elements(self) -> Any:
        """The elements, which users may change."""
        value = self._decoded()
        base = layout(self.header.data_type).base
        if base is Dbr.STRING:
            return [] if value is None else value.strings()
        import numpy

        raw = b"" if value is None else value.raw
        return numpy.frombuffer(bytearray(raw), value_dtype(base, native=False))

    @property
    def metadata(self) -> Metadata | None:
        """Alarm, time stamp, limits and so on.

        None when the type carries none, or the status is no success.
        """
        value = self._decoded()
        if value is None or not layout(value.type).names:
            return None
        return Metadata(value)

    def _decoded(self) -> Value | None:
        """The value, decoded once."""
        if self._value is None and self._ok:
            head = self.header
            self._value = decode(head.data_type, head.data_count, self._payload)
        return self._value

    @property
    def _ok(self) -> bool:
        return self.header.parameter1 == ECA_NORMAL

    def __repr__(self) -> str:
        shown = {"data": self.data, **self._shown(), "metadata": self.metadata}
        return _text(self, shown)


class ReadNotifyResponse(_Data, _Answer):
    """The answer to a read."""

    @property
    def ioid(self) -> int:
        """Number of the request."""
        return self.header.parameter2

    def _shown(self) -> dict[str, Any]:
        return {**super()._shown(), "status": self.status, "ioid": self.ioid}


class ReadResponse(_Data):
    """The answer to a read with notify=False; its header has no status."""

    @property
    def ioid(self) -> int:
        """Number of the request."""
        return self.header.parameter2

    @property
    def _ok(self) -> bool:
        # a failure comes as an error message instead
        return True

    def _shown(self) -> dict[str, Any]:
        return {**super()._shown(), "ioid": self.ioid}


class EventAddResponse(_Data, _Answer):
    """One update of a subscription."""

    @property
    def subscriptionid(self) -> int:
        """Number of the subscription."""
        return self.header.parameter2

    def _shown(self) -> dict[str, Any]:
        shown = super()._shown()
        return {**shown, "status": self.status, "subscriptionid": self.subscriptionid}


class WriteNotifyResponse(_Answer):
    """The answer to a write with notify=True; look at its status."""

    @property
    def ioid(self) -> int:
        """Number of the request."""
        return self.header.parameter2

    def _shown(self) -> dict[str, Any]:
        return {**super()._shown(), "status": self.status, "ioid": self.ioid}
