"""What a plan can do to a scan that is under way, besides waiting for it.

```
yield from bps.kickoff(flyer, group="scan")     # it waits in the server's queue
yield from move_scan(flyer, -1)                 # not as long, though
yield from bps.wait("scan")
yield from skip_command(flyer)                  # that Wait takes too long
```
"""

from functools import partial
from typing import Any

from bluesky.utils import (
    MsgGenerator,
    plan,  # pyright: ignore[reportUnknownVariableType]
)

from beamfly.devices.scan_flight import ScanFlyer
from beamfly.plans.flight import ask


@plan
def skip_command(flyer: ScanFlyer[Any]) -> MsgGenerator[None]:
    """End the command that a scan is executing; it goes on with the following one.

    Delay, Wait, Set, Script and the move of a Loop can be ended; a scan that is paused
    or waits in the queue is left alone.

    Args:
        flyer: That was kicked off.

    Raises:
        BadValue: It was not.
    """
    yield from ask(flyer.next)


@plan
def move_scan(flyer: ScanFlyer[Any], steps: int) -> MsgGenerator[None]:
    """Move a scan that waits in the server's queue; one that has started stays.

    Args:
        flyer: That was kicked off.
        steps: Below 0 is earlier, above 0 later; all the way or not at all.

    Raises:
        BadValue: It was not.
    """
    yield from ask(partial(flyer.move, steps))
