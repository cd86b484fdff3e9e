"""read, write, subscribe, block for scripts: each call stands for itself.

```python
response = read("BL:TEMPERATURE", data_type="time")
print(response.data, response.metadata.timestamp)
write("BL:MOTOR", 3.5, notify=True, timeout=60)
subscription = subscribe("BL:TEMPERATURE")
subscription.add_callback(lambda sub, response: print(response.data))
subscription.block(duration=10)
```

Every call looks for its PV and makes a connection of its own. To use connections many
times there is `Client`, re-exported here from `beamfly.ca.blocking_client`. What is
re-exported is imported when it is first used.
"""

from typing import TYPE_CHECKING, Any

from beamfly.errors import BadValue
from beamfly.lazy import lazily

if TYPE_CHECKING:
    from beamfly.ca.blocking_client import Channel, Client
    from beamfly.ca.blocking_monitor import Subscription, block, interrupt, subscribe
    from beamfly.ca.channel_type import (
        AlarmSeverity,
        AlarmStatus,
        ChannelType,
        SubscriptionType,
    )
    from beamfly.ca.responses import (
        EventAddResponse,
        ReadNotifyResponse,
        ReadResponse,
        WriteNotifyResponse,
    )

DEFAULT_TIMEOUT = 2.0
"""Seconds for each step: find, read, write."""
_HOMES = {
    "blocking_client": ("Channel", "Client"),
    "blocking_monitor": ("Subscription", "block", "interrupt", "subscribe"),
    "channel_type": (
        *("AlarmSeverity", "AlarmStatus", "ChannelType", "SubscriptionType"),
    ),
    "responses": (
        *("EventAddResponse", "ReadNotifyResponse"),
        *("ReadResponse", "WriteNotifyResponse"),
    ),
}
_HOME = {name: f"beamfly.ca.{home}" for home, names in _HOMES.items() for name in names}
__all__ = [
    "DEFAULT_TIMEOUT",
    "AlarmSeverity",
    "AlarmStatus",
    "Channel",
    "ChannelType",
    "Client",
    "EventAddResponse",
    "ReadNotifyResponse",
    "ReadResponse",
    "Subscription",
    "SubscriptionType",
    "WriteNotifyResponse",
    "block",
    "interrupt",
    "read",
    "read_write_read",
    "subscribe",
    "write",
]


def read(
    pv_name: str,
    *,
    data_type: Any = None,
    data_count: int | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    priority: int = 0,
    notify: bool = True,
    force_int_enums: bool = False,
    repeater: bool = True,
) -> "ReadNotifyResponse | ReadResponse":
    """Read a PV.

    Args:
        pv_name: Its name.
        data_type: native, status, time, graphic or control; a ChannelType or its
            number; None: native, but enums as strings.
        data_count: Elements, None: as many as there are.
        timeout: Seconds to find it, and again to read it; then CATimeout.
        priority: Of the circuit, 0 to 99.
        notify: Whether to use READ_NOTIFY, as all clients do since 3.14.
        force_int_enums: Whether enums come as numbers.
        repeater: Accepted for compatibility; no repeater is started.

    Returns:
        The answer: data, metadata, status and more.
    """
    from beamfly.ca.session import Session

    with Session(timeout) as session:
        (channel,) = session.connect((pv_name, priority))
        return session.read(channel, data_type, data_count, notify, force_int_enums)


def write(
    pv_name: str,
    data: Any,
    *,
    notify: bool = False,
    data_type: Any = None,
    metadata: Any = None,
    timeout: float = DEFAULT_TIMEOUT,
    priority: int = 0,
    repeater: bool = True,
) -> "WriteNotifyResponse | None":
    """Write a PV.

    Args:
        pv_name: Its name.
        data: Number, text, bytes, sequence or array of one dimension.
        notify: Whether to wait until the record has been processed; else only until
            the server has taken the value.
        data_type: A ChannelType, None: text for an enum as text, else the native type.
            Text for characters is written as it is, as UTF-8.
        metadata: Servers take none: BadValue unless it is None.
        timeout: Seconds to find it, and again to write it; then CATimeout.
        priority: Of the circuit, 0 to 99.
        repeater: Accepted for compatibility; no repeater is started.

    Returns:
        With notify the answer, whose status says whether it was refused; else None.
    """
    from beamfly.ca.session import Session

    _no_metadata(metadata)
    with Session(timeout) as session:
        (channel,) = session.connect((pv_name, priority))
        return session.write(channel, data, data_type, notify)


def read_write_read(
    pv_name: str,
    data: Any,
    *,
    notify: bool = False,
    read_data_type: Any = None,
    write_data_type: Any = None,
    metadata: Any = None,
    timeout: float = DEFAULT_TIMEOUT,
    priority: int = 0,
    force_int_enums: bool = False,
    repeater: bool = True,
) -> "tuple[Any, WriteNotifyResponse | None, Any]":
    """Read, write, and read again on one connection; arguments as `read` and `write`.

    Returns:
        First value, answer to the write (None without notify), last value.
    """
    from beamfly.ca.session import Session

    _no_metadata(metadata)
    with Session(timeout) as session:
        (channel,) = session.connect((pv_name, priority))
        first = session.read(channel, read_data_type, None, True, force_int_enums)
        answer = session.write(channel, data, write_data_type, notify)
        last = session.read(channel, read_data_type, None, True, force_int_enums)
        return first, answer, last


def _no_metadata(metadata: Any) -> None:
    if metadata is not None:
        msg = "servers take no metadata with a value; nothing was written"
        raise BadValue(msg)


__getattr__, __dir__ = lazily(__name__, _HOME)
