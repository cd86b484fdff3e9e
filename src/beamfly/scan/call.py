"""What all calls to a scan server share: HTTP in and out, and why one was refused."""

import html
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, NoReturn, TypeVar
from urllib.parse import quote, urlencode

from beamfly.errors import (
    BadValue,
    RemoteProtocolError,
    ScanServerError,
    UnknownScan,
)
from beamfly.scan.xmltext import child_text, parse_xml

T = TypeVar("T")


@dataclass(frozen=True)
class HttpRequest:
    """A request, apart from where it goes."""

    method: str
    path: str
    """Quoted as on the wire, without query."""
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes | None = None
    content_type: str = ""

    @property
    def target(self) -> str:
        """Path and query as they stand on the wire."""
        return f"{self.path}?{urlencode(self.query, quote_via=quote)}".rstrip("?")


@dataclass(frozen=True)
class HttpReply:
    """A reply, apart from what HTTP itself needs."""

    status: int
    body: bytes = b""
    content_type: str = "text/xml"
    more: Iterator[bytes] | None = None
    """What follows the body, made as it is sent; empty pieces are for others' turns."""


class Call(ABC, Generic[T]):
    """Something that can be asked of a scan server."""

    @abstractmethod
    def request(self) -> HttpRequest:
        """The call as HTTP."""

    @abstractmethod
    def read(self, body: bytes) -> T:
        """The answer in the body of a successful reply."""

    @property
    def scan(self) -> int | None:
        """Id of the scan that is asked about, None if it is not about one scan."""
        return None

    def answer(self, reply: HttpReply) -> T:
        """The answer.

        Raises:
            UnknownScan: there is no such scan.
            ScanServerError: the server refused, with its own reason.
            RemoteProtocolError: the answer makes no sense.
        """
        if not 200 <= reply.status < 300:
            self._refuse(reply)
        try:
            return self.read(reply.body)
        except BadValue as error:
            what = self.request()
            msg = f"The answer to {what.method} {what.path} is not understood: {error}"
            raise RemoteProtocolError(msg) from error

    def _refuse(self, reply: HttpReply) -> NoReturn:
        what = self.request()
        asked = f"{what.method} {what.path}"
        reason = refusal_reason(reply.body)
        if "Unknown scan ID" in reason or reply.status == 404:
            whom = "no such scan" if self.scan is None else f"no scan {self.scan}"
            msg = f"The scan server has {whom}: it refused {asked}"
            raise UnknownScan(msg, reply.status, reason)
        said = reason or "it gave no reason"
        if reason in _SAYS_NOTHING and self.scan is not None:
            said += f"; is there a scan {self.scan}, and can this be done to it?"
        msg = f"The scan server refused {asked} (status {reply.status}): {said}"
        raise ScanServerError(msg, reply.status, reason)


_SAYS_NOTHING = ("", "Error retrieving log data")
_TITLE = re.compile(r"<title>\s*(?:Error\s+\d+\s*)?(.*?)\s*</title>", re.S | re.I)
_JAVA_CLASS = re.compile(r"^(?:[a-z]\w*\.)+\w*(?:Exception|Error):\s*")


def refusal_reason(body: bytes) -> str:
    """Why a request was refused, out of the page or document that came; maybe ""."""
    text = body.decode("utf-8", "replace").strip()
    if text.startswith('{"error": '):
        try:
            return str(json.loads(text)["error"])
        except ValueError:
            return text[:200]
    if text.startswith("<error"):
        try:
            root = parse_xml(text)
        except BadValue:
            return text[:200]
        message = (child_text(root, "message") or "").strip()
        trace = (child_text(root, "trace") or "").strip().partition("\n")[0].strip()
        trace = _JAVA_CLASS.sub("", trace)
        # the message says what was asked for, the trace begins with why not
        return trace or message
    title = _TITLE.search(text)
    return html.unescape(title[1]) if title else text[:200]
