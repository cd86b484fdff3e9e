"""Errors and status codes, request by request as recorded from a genuine server."""

import re
import xml.etree.ElementTree as ET

from scan_recording import recorded
from scan_rig import Rig

PATCH = "<patch><address>0</address><property>value</property><value>1</value></patch>"
BODIES = [
    ("<commands/>", "application/json"),
    ("not xml", "text/xml"),
    ("<foo/>", "text/xml"),
    ("<commands><bogus/></commands>", "text/xml"),
    ("<commands><log/></commands>", "text/xml"),
    *[("<commands/>", "text/xml")] * 5,
    ("<commands><bogus/></commands>", "text/xml"),
]
"""What was posted, in the order of the recording."""
REASONS = {
    # the first line of the trace, where the parser words it differently
    "Content is not allowed in prolog": "XML cannot be read: syntax error",
    "Wrong document type": "Wrong document type <foo>, <commands> is needed",
    "Missing 'devices'": "Missing 'devices' in <log>",
}


def title(body: bytes) -> str:
    found = re.search(rb"<title>(.*?)</title>", body)
    return found[1].decode().replace("&apos;", "&#x27;") if found else ""


def test_every_request_has_the_recorded_answer():
    rig = Rig()
    rig.wait(rig.submit("<comment><text>x</text></comment>", "x"))
    posts = iter(BODIES)
    seen = 0
    for method, path, status, body in recorded("t1"):
        if path in ("/scan/-1/devices", "/"):
            continue
        text, kind = (PATCH, "text/xml") if path.endswith("patch") else ("", "text/xml")
        if method == "POST":
            text, kind = next(posts)
        reply = rig.request(method, path, text or None, kind)
        assert reply.status == status, (method, path, reply.body)
        if title(body):
            assert title(reply.body) == title(body), (method, path)
        elif body.startswith(b"<error>"):
            check_refusal(body, reply.body)
        elif path.startswith("/scans") and method == "GET":
            ours = [child.tag for child in ET.fromstring(reply.body)[0]]
            tags = re.findall(rb"<(\w+)>", body.split(b"</scan>")[0])
            assert [tag.encode() for tag in ours] == tags[2:]
        seen += 1
    assert seen == len(recorded("t1")) - 2


def check_refusal(recorded_body: bytes, ours: bytes) -> None:
    """The same message, and the reason in the first line of the trace."""
    lines = recorded_body.decode().splitlines()
    mine = ours.decode().splitlines()
    assert mine[:3] == lines[:3]
    reason = lines[3].rsplit("; ", 1)[-1].split("Exception: ")[-1].rstrip(".")
    expected = REASONS.get(reason, reason)
    assert mine[3].startswith(expected.replace("<", "&lt;").replace(">", "&gt;"))
    ET.fromstring(ours)


def test_refusals_of_changes_say_why():
    rig = Rig()
    for method, path in (("PUT", "/scan/9/pause"), ("DELETE", "/scan/9")):
        reply = rig.request(method, path, "")
        assert reply.status == 400
        assert ET.fromstring(reply.body).findtext("message") == "Unknown scan ID 9"


def test_what_nobody_serves():
    rig = Rig()
    for method, path, status in (
        ("GET", "/nothing", 404),
        ("POST", "/nothing", 405),
        ("PUT", "/scans", 405),
        ("PATCH", "/scan/1", 405),
        ("PUT", "/scan/x/pause", 400),
        ("GET", "/scan/1/data?after=x", 400),
        ("PUT", "/scan/99999999999999999999/pause", 400),
    ):
        assert rig.request(method, path, "").status == status, path


def test_a_browser_sees_a_page():
    rig = Rig()
    rig.submit("<comment><text>x</text></comment>", "a<b")
    reply = rig.request("GET", "/")
    assert reply.content_type.startswith("text/html")
    assert b"a&lt;b" in reply.body


def test_shutdown():
    rig = Rig()
    assert rig.request("GET", "/server/shutdown").body == b"<bye/>\n"
    assert rig.ended
