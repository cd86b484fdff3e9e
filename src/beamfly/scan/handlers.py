"""What happens when a command fails, and the error handlers that every server has."""

from enum import Enum


class Outcome(Enum):
    """What to do after a command failed."""

    ABORT = "abort"
    """Give up the scan, or the container that has a handler."""
    CONTINUE = "continue"
    """Go on with the next command."""
    RETRY = "retry"
    """Try the same command again."""


TRIES = 3
"""How often the retrying handlers try in all."""

HANDLERS: dict[str, tuple[Outcome, Outcome]] = {
    "OnErrorAbort": (Outcome.ABORT, Outcome.ABORT),
    "OnErrorContinue": (Outcome.CONTINUE, Outcome.CONTINUE),
    "OnErrorRetryThenAbort": (Outcome.RETRY, Outcome.ABORT),
    "OnErrorRetryThenContinue": (Outcome.RETRY, Outcome.CONTINUE),
}
"""Name -> what to do at first, and what after `TRIES` attempts."""


def judge(handler: str | None, tries: int) -> Outcome:
    """What to do after a command failed so often."""
    first, last = HANDLERS.get(handler or "", (Outcome.ABORT, Outcome.ABORT))
    return first if tries < TRIES else last


def outcome_of(answer: object) -> Outcome:
    """What a handler of the site's own means: a name, or something that has one.

    Whatever is none of Abort, Continue and Retry is Abort.
    """
    name = str(getattr(answer, "name", answer)).upper()
    return Outcome.__members__.get(name, Outcome.ABORT)
