"""ECA status codes: what a Channel Access server or client says of an operation.

A code is `number << 3 | severity`. Servers may send codes that are not in the table;
`status()` gives those a description too, so no code ever raises.
"""

from enum import IntEnum
from functools import cache
from typing import NamedTuple


class StatusSeverity(IntEnum):
    """The lowest three bits of a status code."""

    WARNING = 0
    """Not done, harmless."""
    SUCCESS = 1
    """Done."""
    ERROR = 2
    """Not done."""
    INFO = 3
    """Done, with something worth knowing."""
    SEVERE = 4
    """Not done, and the peer may be in a bad state."""
    FATAL = 6
    """The peer gave up."""


class Status(NamedTuple):
    """One status code with everything that is known of it."""

    name: str
    """Such as ECA_TIMEOUT."""
    code: int
    """The number without its severity."""
    code_with_severity: int
    """As it is sent."""
    severity: StatusSeverity
    """How bad."""
    success: int
    """1 when the lowest bit says success, else 0."""
    defunct: bool
    """Whether only servers of old send it."""
    description: str
    """EPICS' own wording."""


_NAMES = """
1 NORMAL + Normal successful completion
10 MAXIOC - Maximum simultaneous IOC connections exceeded
18 UKNHOST - Unknown internet host
26 UKNSERV - Unknown internet service
34 SOCK - Unable to allocate a new socket
40 CONN - Unable to connect to internet host or service
48 ALLOCMEM + Unable to allocate additional dynamic memory
56 UKNCHAN - Unknown IO channel
64 UKNFIELD - Record field specified inappropriate for channel specified
72 TOLARGE + The requested data transfer is greater than available memory or \
EPICS_CA_MAX_ARRAY_BYTES
80 TIMEOUT + User specified timeout on IO operation expired
88 NOSUPPORT - Sorry, that feature is planned but not supported at this time
96 STRTOBIG - The supplied string is unusually large
106 DISCONNCHID - The request was ignored because the specified channel is disconnected
114 BADTYPE + The data type specified is invalid
123 CHIDNOTFND - Remote Channel not found
131 CHIDRETRY - Unable to locate all user specified channels
142 INTERNAL + Channel Access Internal Failure
144 DBLCLFAIL - The requested local DB operation failed
152 GETFAIL + Channel read request failed
160 PUTFAIL + Channel write request failed
168 ADDFAIL - Channel subscription request failed
176 BADCOUNT + Invalid element count requested
186 BADSTR + Invalid string
192 DISCONN + Virtual circuit disconnect
200 DBLCHNL + Identical process variable names on multiple servers
210 EVDISALLOW + Request inappropriate within subscription (monitor) update callback
216 BUILDGET - Database value get for that channel failed during channel search
224 NEEDSFP - Unable to initialize without the vxWorks VX_FP_TASK task option set
232 OVEVFAIL - Event queue overflow has prevented first pass event after event add
242 BADMONID + Bad event subscription (monitor) identifier
248 NEWADDR - Remote channel has new network address
259 NEWCONN - New or resumed network connection
264 NOCACTX - Specified task isn't a member of a CA context
278 DEFUNCT - Attempt to use defunct CA feature failed
280 EMPTYSTR - The supplied string is empty
288 NOREPEATER - Unable to spawn the CA repeater thread- auto reconnect will fail
296 NOCHANMSG - No channel id match for search reply- search reply ignored
304 DLCKREST - Resetting dead connection- will try to reconnect
312 SERVBEHIND - Server (IOC) has fallen behind or is not responding- still waiting
320 NOCAST - No internet interface with broadcast available
330 BADMASK + Invalid event selection mask
339 IODONE + IO operations have completed
347 IOINPROGRESS + IO operations are in progress
354 BADSYNCGRP + Invalid synchronous group identifier
362 PUTCBINPROG + Put callback timed out
368 NORDACCESS + Read access denied
376 NOWTACCESS + Write access denied
386 ANACHRONISM + Requested feature is no longer supported
392 NOSEARCHADDR + Empty PV search address list
400 NOCONVERT + No reasonable data conversion between client and server types
410 BADCHID + Invalid channel identifier
418 BADFUNCPTR + Invalid function pointer
424 ISATTACHED + Thread is already attached to a client context
432 UNAVAILINSERV + Not supported by attached service
440 CHANDESTROY + User destroyed channel
450 BADPRIORITY + Invalid channel priority
458 NOTTHREADED + Preemptive callback not enabled - \
additional threads may not join context
464 16KARRAYCLIENT + Client's protocol revision does not support \
transfers exceeding 16k bytes
472 CONNSEQTMO + Virtual circuit connection sequence aborted
480 UNRESPTMO + Virtual circuit unresponsive
"""


@cache
def _table() -> dict[int, Status]:
    """Every status that EPICS defines, by its code with severity.

    The text above has code, name, + for current and - for defunct, description.
    """
    table: dict[int, Status] = {}
    for line in _NAMES.strip().splitlines():
        text, name, current, description = line.split(" ", 3)
        code = int(text)
        table[code] = Status(
            f"ECA_{name}",
            code >> 3,
            code,
            StatusSeverity(code & 7),
            code & 1,
            current == "-",
            description,
        )
    return table


@cache
def status(code: int) -> Status:
    """What is known of a code; unknown ones are named ECA_<code>."""
    known = _table().get(code)
    if known is not None:
        return known
    text = "Channel Access status that is not known here"
    for entry in _table().values():
        if entry.code == code >> 3:
            text = entry.description
    try:
        severity = StatusSeverity(code & 7)
    except ValueError:
        severity = StatusSeverity.ERROR
    return Status(f"ECA_{code}", code >> 3, code, severity, code & 1, False, text)


def message(code: int) -> str:
    """EPICS' wording for a status code."""
    return status(code).description


ECA_NORMAL = 1
ECA_ALLOCMEM = 48
ECA_TOLARGE = 72
ECA_TIMEOUT = 80
ECA_BADTYPE = 114
ECA_INTERNAL = 142
ECA_GETFAIL = 152
ECA_PUTFAIL = 160
ECA_BADCOUNT = 176
ECA_BADSTR = 186
ECA_DISCONN = 192
ECA_DBLCHNL = 200
ECA_EVDISALLOW = 210
ECA_BADMONID = 242
ECA_BADMASK = 330
ECA_IODONE = 339
ECA_IOINPROGRESS = 347
ECA_BADSYNCGRP = 354
ECA_PUTCBINPROG = 362
ECA_NORDACCESS = 368
ECA_NOWTACCESS = 376
ECA_ANACHRONISM = 386
ECA_NOSEARCHADDR = 392
ECA_NOCONVERT = 400
ECA_BADCHID = 410
ECA_BADFUNCPTR = 418
ECA_ISATTACHED = 424
ECA_UNAVAILINSERV = 432
ECA_CHANDESTROY = 440
ECA_BADPRIORITY = 450
ECA_NOTTHREADED = 458
ECA_CONNSEQTMO = 472
ECA_UNRESPTMO = 480
ECA_16KARRAYCLIENT = 464
