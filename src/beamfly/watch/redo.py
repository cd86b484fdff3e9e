"""`refly`: a flight that is flown again if something was wrong meanwhile.

```python
beam = suspend_on(RE, ring.current, "< 50", settle=60)
RE(refly(lambda: fly(panda, num=10_000), beam))
```

Each attempt is a run of its own: one that was cut short stays, with the rows that it
has and the reason why it ended.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

import bluesky.plan_stubs as bps
from bluesky.utils import (
    FailedStatus,
    MsgGenerator,
    ensure_generator,  # pyright: ignore[reportUnknownVariableType]
    plan,  # pyright: ignore[reportUnknownVariableType]
)

from beamfly.errors import BadValue, BeamflyError
from beamfly.watch.suspend import Suspender
from beamfly.watch.watching import printed

log = logging.getLogger(__name__)

LANDING_SECONDS = 10.0
"""What flies may take to notice that it was ended."""
FURTHER_LOOKS = 5
"""Messages into which the RunEngine may throw what failed."""


class Held(BeamflyError):
    """A flight was ended because a suspender held it; the message says why."""


@plan
def refly(
    flight: Callable[[], MsgGenerator[Any]],
    *suspenders: Suspender,
    most: int = 100,
) -> MsgGenerator[Any]:
    """Wait until all is fine, fly, and fly again if it was not fine to the end.

    Args:
        flight: Makes the plan, such as `lambda: fly(panda, num=100)`.
        suspenders: What `suspend_on` gave; they leave the flight to this plan.
        most: How often to try.

    Returns:
        What the plan that got to its end gives.

    Raises:
        Held: So many attempts were cut short.
        BadValue: There is no suspender.
    """
    if not suspenders:
        msg = "refly needs what suspend_on gave; nothing was done"
        raise BadValue(msg)
    last: Held | None = None
    for one in suspenders:
        one.delegates += 1
    try:
        for attempt in range(1, most + 1):
            yield from _until_fine(suspenders)
            under_way: list[Any] = []
            try:
                return (yield from _cut_short(flight(), suspenders, under_way))
            except Held as error:
                last = error
                printed(f"Attempt {attempt} was cut short: {error}.")
                yield from _aftermath(under_way)
    finally:
        for one in suspenders:
            one.delegates -= 1
    msg = f"{most} attempts were cut short, and no more were made; the last: {last}"
    raise Held(msg)


def _until_fine(suspenders: tuple[Suspender, ...]) -> MsgGenerator[None]:
    """Wait for all of them at the same time; this may be paused."""
    yield from bps.checkpoint()
    while held := [one for one in suspenders if one.held]:
        yield from bps.wait_for([held[0].fine])


def _cut_short(
    flight: MsgGenerator[Any], suspenders: tuple[Suspender, ...], under_way: list[Any]
) -> MsgGenerator[Any]:
    """Do a plan, but raise Held in it as soon as that is due, once.

    Args:
        flight: The plan.
        suspenders: What decides.
        under_way: Filled with the statuses of what flies.
    """
    flight = cast(MsgGenerator[Any], ensure_generator(flight))
    send: Callable[[Any], Any] = flight.send
    throw: Callable[[BaseException], Any] = flight.throw
    step = send
    answer: Any = None
    raised = False
    while True:
        try:
            message = step(answer)
            why = next((one.why for one in suspenders if one.held), "")
            if why and not raised:
                raised = True
                message = throw(Held(why))
        except StopIteration as end:
            return end.value
        try:
            step, answer = send, (yield message)
            if cast(Any, message).command in ("kickoff", "complete"):
                under_way.append(answer)
        except GeneratorExit:
            flight.close()
            raise
        except BaseException as error:
            step, answer = throw, error


def _aftermath(under_way: list[Any]) -> MsgGenerator[None]:
    """Let what was under way fail: a RunEngine throws that into whatever comes next."""

    async def ended() -> None:
        statuses: list[Awaitable[Any]] = [
            status for status in under_way if isinstance(status, Awaitable)
        ]
        async with asyncio.timeout(LANDING_SECONDS):
            await asyncio.gather(*statuses, return_exceptions=True)

    steps = [partial(bps.wait_for, [ended]), *[bps.null] * FURTHER_LOOKS]
    for step in steps:
        try:
            yield from step()
        except FailedStatus as error:
            log.debug("While it was cut short: %s", error)
