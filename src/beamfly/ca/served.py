"""A channel as the server has it, and how much of what a client may have."""

from beamfly.ca.answers import Answer, update_of, zeros
from beamfly.ca.filters import NO_FILTERS, FilteredSubscription, Filters, View
from beamfly.ca.message import Access
from beamfly.ca.pv import PV
from beamfly.ca.status import ECA_NORDACCESS
from beamfly.ca.subscription import NumberSubscription, Sink, Subscription

HIGH_WATER = 256 * 1024
"""Unsent bytes from which on requests wait and updates are merged."""
SEPARATE = 4 * 1024
"""Payloads from here on are not copied behind their header."""
CHANNELS = 200_000
"""Most channels of one client."""
# operations of flags would take half of the time that a channel takes
_READ, _WRITE = int(Access.READ), int(Access.WRITE)


class Served:
    """A channel: one client's view of a PV."""

    __slots__ = (
        *("cid", "filters", "name", "pv", "readable", "rights", "sid"),
        *("subscriptions", "view", "writable"),
    )

    def __init__(
        self,
        name: str,
        pv: PV,
        cid: int,
        sid: int,
        rights: int,
        filters: Filters = NO_FILTERS,
    ) -> None:
        self.name = name
        """As the client wrote it."""
        self.pv = pv
        """Where puts go, and who tells of changes."""
        self.filters = filters
        self.view: PV | View = pv if filters is NO_FILTERS else filters.view(pv)
        """What is read."""
        self.cid = cid
        """The client's number."""
        self.sid = sid
        """Our number."""
        self.rights = 0
        """Bits of Access."""
        self.readable = False
        self.writable = False
        self.allow(rights)
        self.subscriptions: dict[int, Subscription] = {}

    def allow(self, rights: int) -> None:
        """What the client may do from here on, bits of Access."""
        self.rights = rights
        self.readable = bool(rights & _READ)
        self.writable = bool(rights & _WRITE)

    def answer(self, code: int, count: int) -> Answer:
        """The value, or zeros if it must not be read."""
        if self.readable:
            return self.view.answer(code, count)
        return zeros(code, count, ECA_NORDACCESS)

    def listen(self, sink: Sink, number: int, code: int, count: int, mask: int) -> None:
        """Make a subscription, and queue its first update.

        Args:
            sink: Where updates go.
            number: The client's.
            code: DBR type of the updates.
            count: Elements of them; 0: as many as there are.
            mask: Bits of EventMask.
        """
        what = sink, self, number, code, count, mask
        pack = update_of(self.pv, code, count)
        made: Subscription
        if self.filters is not NO_FILTERS:
            made = FilteredSubscription(self.filters, self.view, *what)
        elif pack is not None:
            made = NumberSubscription(pack, *what)
        else:
            made = Subscription(*what)
        self.subscriptions[number] = made
        self.pv.listeners[made] = None
        made.changed(self.view)

    def close(self) -> None:
        """Nobody listens any more."""
        for subscription in self.subscriptions.values():
            self.pv.listeners.pop(subscription, None)
        self.subscriptions.clear()
