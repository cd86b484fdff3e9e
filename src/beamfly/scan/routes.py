"""What a scan server answers: HTTP requests in, replies out, no sockets.

Paths, documents and status codes are those of the scan server of CS-Studio, so that
its display clients work. What is new has new names: JSON under `/api`, and `after` in
the query of `/scan/<id>/data`.
"""

import re
from collections.abc import Callable
from datetime import datetime
from urllib.parse import unquote

from beamfly.errors import BadValue, BeamflyError, UnknownScan
from beamfly.scan import documents as docs
from beamfly.scan.call import HttpReply, HttpRequest
from beamfly.scan.engine import Engine
from beamfly.scan.info import ServerInfo
from beamfly.scan.rest import NO_DEADLINE
from beamfly.scan.xmltext import child_text, parse_xml

Reply = Callable[[HttpReply], None]

_INTEGER = re.compile(r"[+-]?\d{1,18}")
SERVER_ERROR = 500
BAD_REQUEST = 400


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise Refused(BAD_REQUEST, f"Cannot parse path element '{text}'")
    return int(text)


class Routes:
    """Answers requests with an engine.

    Args:
        engine: that executes scans.
        server_info: what the server tells of itself.
        shutdown: called when a client asks for the end of the server.
    """

    def __init__(
        self,
        engine: Engine,
        server_info: Callable[[], ServerInfo],
        shutdown: Callable[[], None],
    ):
        self._engine = engine
        self._server_info = server_info
        self._shutdown = shutdown

    def handle(self, request: HttpRequest, now: float, peer: str, reply: Reply) -> None:
        """Answer one request, at once or, for a simulation, when it is done.

        Args:
            request: what came in.
            now: seconds since 1970.
            peer: address of the client.
            reply: called with the answer, once.
        """
        parts = [unquote(part) for part in request.path.split("/")[1:]]
        methods = {
            "GET": lambda: self._get(request, parts),
            "HEAD": lambda: self._get(request, parts),
            "PUT": lambda: self._put(request, parts, now),
            "DELETE": lambda: self._delete(parts),
        }
        try:
            if request.method == "POST" and parts[0] in ("scan", "simulate"):
                self._post(request, parts, now, peer, reply)
                return
            if request.method not in methods:
                raise Refused(405, _not_supported(request))
            answer = methods[request.method]()
        except Refused as refused:
            answer = docs.refused(request, refused.status, str(refused))
        except BeamflyError as error:
            get = request.method in ("GET", "HEAD")
            status = SERVER_ERROR if get else BAD_REQUEST
            answer = docs.refused(request, status, str(error))
        reply(answer)

    # GET

    def _get(self, request: HttpRequest, parts: list[str]) -> HttpReply:
        top, *rest = parts
        if top == "scans":
            return docs.xml_reply(docs.scans_document(self._engine.infos()))
        if top == "scan":
            return self._get_scan(request, rest)
        if top == "server":
            return self._get_server(request, rest)
        if top == "api":
            return self._get_json(request, rest)
        if top in ("", "index.html"):
            return docs.index_page(self._server_info(), self._engine.infos())
        if top == "simulate":
            raise Refused(405, _not_supported(request))
        raise Refused(404, "Not Found")

    def _get_server(self, request: HttpRequest, rest: list[str]) -> HttpReply:
        if not rest or not rest[0]:
            raise Refused(BAD_REQUEST, "Missing '/server/*' request detail")
        if rest[0] == "info":
            return docs.xml_reply(docs.server_info_document(self._server_info()))
        if rest[0] == "shutdown":
            self._shutdown()
            return docs.xml_reply("<bye/>\n")
        raise Refused(BAD_REQUEST, f"Invalid request {request.path}")

    def _get_scan(self, request: HttpRequest, rest: list[str]) -> HttpReply:
        if not rest or not rest[0]:
            raise Refused(BAD_REQUEST, "Missing scan ID")
        scan = _integer(rest[0])
        engine = self._engine
        what = rest[1] if len(rest) > 1 else ""
        if what == "data":
            return self._get_data(request, scan)
        questions: dict[str, Callable[[], str]] = {
            "": lambda: docs.scan_document(engine.info(scan)),
            "commands": lambda: engine.commands(scan),
            "last_serial": lambda: docs.serial_document(engine.last_serial(scan)),
            "devices": lambda: docs.devices_document(engine.devices(scan)),
        }
        if what not in questions:
            raise Refused(SERVER_ERROR, f"Unknown request object {what}")
        return docs.xml_reply(questions[what]())

    def _get_data(self, request: HttpRequest, scan: int) -> HttpReply:
        after = _integer(request.query.get("after", "-1"))
        try:
            batches = self._engine.batches(scan, after)
        except UnknownScan:
            raise Refused(SERVER_ERROR, "Error retrieving log data") from None
        return docs.in_pieces(docs.data_document(batches), docs.XML)

    def _get_json(self, request: HttpRequest, rest: list[str]) -> HttpReply:
        """`/api/scans`, `/api/scan/<id>`, `/api/scan/<id>/data?after=<serial>`."""
        engine = self._engine
        if rest[:1] == ["scans"]:
            state = request.query.get("state")
            infos = [i for i in engine.infos() if state in (None, i.state)]
            if "limit" in request.query:
                infos = infos[: max(0, _integer(request.query["limit"]))]
            return docs.json_reply([docs.info_json(info) for info in infos])
        if rest[:1] != ["scan"] or len(rest) < 2 or rest[2:] not in ([], ["data"]):
            raise Refused(404, "Not Found")
        scan = _integer(rest[1])
        try:
            if rest[2:] == ["data"]:
                after = _integer(request.query.get("after", "-1"))
                pieces = docs.data_json_document(engine.batches(scan, after))
                return docs.in_pieces(pieces, docs.JSON)
            return docs.json_reply(docs.info_json(engine.info(scan)))
        except UnknownScan as error:
            raise Refused(404, str(error)) from None

    # POST

    def _post(
        self,
        request: HttpRequest,
        parts: list[str],
        now: float,
        peer: str,
        reply: Reply,
    ) -> None:
        if "/xml" not in request.content_type:
            kind = request.content_type
            msg = f"Expecting XML content with scan, got format '{kind}'"
            raise Refused(BAD_REQUEST, msg)
        body = request.body or b""
        if parts[0] == "scan":
            reply(self._submit(request, parts[1:], body, now, peer))
            return

        try:
            self._engine.simulate(
                body,
                now,
                lambda simulated: reply(
                    docs.xml_reply(
                        docs.simulation_document(simulated), kind=docs.XML_UTF8
                    )
                ),
            )
        except BeamflyError as error:
            reply(_refused_submission("Failed to simulate", error))

    def _submit(
        self, request: HttpRequest, rest: list[str], body: bytes, now: float, peer: str
    ) -> HttpReply:
        name = "/".join(rest) if rest else f"Scan from {peer}"
        query = request.query
        try:
            timeout = _timeout(query.get("timeout"))
            deadline = _deadline(query.get("deadline"))
            number = self._engine.submit(
                body,
                now,
                name,
                query.get("queue", "true").lower() != "false",
                timeout,
                deadline,
                query.get("pre_post", "true").lower() != "false",
            )
        except BeamflyError as error:
            return _refused_submission(f"{name} failed to submit", error)
        return docs.xml_reply(docs.id_document(number), kind=docs.XML_UTF8)

    # PUT and DELETE

    def _put(self, request: HttpRequest, parts: list[str], now: float) -> HttpReply:
        if parts[0] != "scan":
            raise Refused(405, _not_supported(request))
        if len(parts) < 3:
            raise Refused(BAD_REQUEST, "Missing scan ID or what to do with it")
        scan, verb = _integer(parts[1]), parts[2]
        engine = self._engine
        controls: dict[str, Callable[[], None]] = {
            "pause": lambda: engine.pause(scan, now),
            "resume": lambda: engine.resume(scan, now),
            "abort": lambda: engine.abort(scan, now),
            "next": lambda: engine.next(scan, now),
            "move": lambda: engine.move(scan, _integer("".join(parts[3:4]))),
            "patch": lambda: self._patch(scan, request.body or b""),
        }
        if verb not in controls:
            raise Refused(BAD_REQUEST, f"Unknown request {verb}")
        controls[verb]()
        return HttpReply(200, b"", "")

    def _patch(self, scan: int, body: bytes) -> None:
        root = parse_xml(body)
        if root.tag != "patch":
            raise BadValue(f"<patch> is needed, not <{root.tag}>")
        address = _integer((child_text(root, "address") or "").strip())
        name = (child_text(root, "property") or "").strip()
        self._engine.patch(scan, address, name, child_text(root, "value") or "")

    def _delete(self, parts: list[str]) -> HttpReply:
        if parts[0] == "scans" and parts[1:] == ["completed"]:
            self._engine.clear()
        elif parts[0] == "scan" and len(parts) > 1:
            self._engine.delete(_integer(parts[1]))
        else:
            raise Refused(BAD_REQUEST, "Nothing of that name can be deleted")
        return HttpReply(200, b"", "")


def _not_supported(request: HttpRequest) -> str:
    return f"HTTP method {request.method} is not supported by this URL"


def _refused_submission(message: str, error: BeamflyError) -> HttpReply:
    text = docs.error_document(message, str(error))
    return docs.xml_reply(text, BAD_REQUEST, docs.XML_UTF8)


def _timeout(text: str | None) -> float:
    if text is None:
        return 0.0
    if not _INTEGER.fullmatch(text) or int(text) < 0:
        raise BadValue(f"Invalid timeout '{text}'")
    return float(text)


def _deadline(text: str | None) -> float | None:
    if text is None or text == NO_DEADLINE:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").timestamp()
    except (ValueError, OverflowError):
        msg = f"Invalid deadline '{text}': yyyy-mm-dd HH:MM:SS is needed"
        raise BadValue(msg) from None
