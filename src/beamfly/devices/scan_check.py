"""Whether a scan can run: the server is asked before the scan is submitted.

Servers go through every step of every loop when they simulate, and write a line for
each. Both ends of a loop tell as much: whether PVs are there, and values in limits.
"""

from beamfly.errors import ScanServerError, ScanTimeout
from beamfly.scan.aioclient import AsyncScanClient
from beamfly.scan.containers import Container, Loop
from beamfly.scan.sequence import CommandSequence, read_commands

TIMEOUT = 60.0
"""Seconds for the server's answer; it waits for PVs before it says that one is gone."""
MOST_REASONS = 5
"""Errors to name when there are many."""
_ERROR = "ERROR: "


def abridged(xml: bytes) -> bytes:
    """The same scan with nothing but the ends of each loop."""
    commands = read_commands(xml)
    pending: list[object] = [*commands]
    while pending:
        command = pending.pop()
        if isinstance(command, Loop) and command.start != command.end:
            # its sign tells where the loop begins
            size = abs(command.end - command.start)
            command.step = size if command.step > 0 else -size
        if isinstance(command, Container):
            pending += command.body
    return CommandSequence(commands).genSCN()


async def check_with_server(host: str, port: int, xml: bytes) -> None:
    """Have the server simulate a scan.

    Raises:
        ScanServerError: The scan cannot run, in the server's own words.
        ScanServerDisconnected: The server is not there.
        ScanTimeout: It did not answer.
    """
    where = f"The scan server at {host}:{port}"
    try:
        async with AsyncScanClient(host, port) as client:
            told = await client.simulate(abridged(xml), TIMEOUT)
    except ScanServerError as error:
        raise _cannot_run(where, error.status, error.reason) from error
    except ScanTimeout as error:
        msg = (
            f"{error}; nothing was submitted (ScanPlan(..., check=False) does not ask)"
        )
        raise ScanTimeout(msg) from error
    lines = str(told["simulation"]).splitlines()
    errors = [line.removeprefix(_ERROR) for line in lines if line.startswith(_ERROR)]
    if errors:
        different = list(dict.fromkeys(errors))
        reason = "; ".join(different[:MOST_REASONS])
        if len(different) > MOST_REASONS:
            reason += f"; and {len(different) - MOST_REASONS} more"
        raise _cannot_run(where, 200, reason)


def _cannot_run(where: str, status: int, reason: str) -> ScanServerError:
    msg = f"{where} says that the scan cannot run: {reason}; nothing was submitted"
    return ScanServerError(msg, status, reason)
