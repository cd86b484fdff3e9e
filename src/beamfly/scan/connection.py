"""What the clients of a scan server share: where it is, what failures read like."""

import re
import ssl
from typing import Any

import httpx

from beamfly.errors import BadValue, ScanServerDisconnected, ScanTimeout
from beamfly.scan import rest
from beamfly.scan.call import Call
from beamfly.scan.sequence import submission

UNREACHED = (ScanServerDisconnected, ScanTimeout)
"""Errors that may go away by themselves."""


_ERRNO = re.compile(r"^\[Errno -?\d+\] ")


def http_options() -> dict[str, Any]:
    """Arguments of an httpx client that suit a scan server."""
    # proxies are for the outside world, a scan server is on the beamline; it speaks no
    # TLS, and reading the certificates that httpx would provide takes 0.1 s
    return {"trust_env": False, "verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)}


def submit_call(
    cmds: Any,
    name: str,
    queue: bool,
    timeout: float,
    deadline: str | None,
    pre_post: bool,
) -> rest.Submit:
    """The call that submits a scan; BadValue if it cannot be meant."""
    if timeout < 0 or timeout != int(timeout):
        raise BadValue(f"timeout={timeout}: whole seconds are needed, 0 for none")
    if timeout and deadline and deadline != rest.NO_DEADLINE:
        raise BadValue("Give a scan a timeout or a deadline, not both")
    commands = submission(cmds)
    return rest.Submit(commands, name, queue, int(timeout), deadline, pre_post)


class Connection:
    """Where the server is, and how failures to reach it read."""

    def __init__(self, host: str, port: int, timeout: float) -> None:
        self.host = host
        self.port = port
        self.url = f"http://{host}:{port}"
        self.timeout = timeout

    def arguments(self, call: Call[Any], timeout: float | None) -> dict[str, Any]:
        """The call as arguments of an httpx client."""
        said = call.request()
        headers = {"Content-Type": said.content_type} if said.content_type else {}
        return {
            "method": said.method,
            "url": self.url + said.target,
            "content": said.body,
            "headers": headers,
            "timeout": self.timeout if timeout is None else timeout,
        }

    def error(
        self, call: Call[Any], error: httpx.HTTPError, timeout: float | None
    ) -> Exception:
        """An httpx error as one of ours."""
        said = call.request()
        what = f"{said.method} {said.path}"
        seconds = self.timeout if timeout is None else timeout
        reached = not isinstance(error, (httpx.ConnectTimeout, httpx.PoolTimeout))
        if isinstance(error, httpx.TimeoutException) and reached:
            msg = (
                f"The scan server at {self.url} did not answer {what} in {seconds:g} s"
            )
            return ScanTimeout(msg)
        why = _ERRNO.sub("", str(error)) or type(error).__name__
        if isinstance(error, httpx.ConnectError):
            why += "; is it running?"
        msg = f"Failed to reach scan server at {self.url} for {what}: {why}"
        return ScanServerDisconnected(msg)
