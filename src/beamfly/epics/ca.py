"""The level below `PV`: channels by number, and the settings that scripts change.

    chid = create_channel("BL:m1")
    connect_channel(chid)
    put(chid, 3.5, wait=True)
    print(get(chid))

There is no C library and one context for all threads, so that much of what PyEpics
needs here has nothing to do: those functions are there, and say so.
"""

import sys

from beamfly.epics import dbr
from beamfly.epics.ca_session import (
    CAThread,
    attach_context,
    clear_cache,
    client_status,
    context_create,
    context_destroy,
    create_context,
    current_context,
    destroy_context,
    detach_context,
    disable_ca_messages,
    enable_ca_messages,
    finalize_libca,
    find_lib,
    find_libca,
    find_libCom,
    flush_io,
    initialize_libca,
    pend_event,
    pend_io,
    poll,
    register_clear_cache,
    replace_printf_handler,
    test_io,
    use_initial_context,
    version,
)
from beamfly.epics.channel_calls import (
    clear_subscription,
    connect_channel,
    create_channel,
    create_subscription,
    get,
    get_complete,
    get_complete_with_metadata,
    get_ctrlvars,
    get_enum_strings,
    get_precision,
    get_severity,
    get_timestamp,
    get_timevars,
    get_with_metadata,
    put,
)
from beamfly.epics.channel_ids import (
    access,
    clear_channel,
    element_count,
    field_type,
    get_cache,
    host_name,
    isConnected,
    name,
    promote_fieldtype,
    promote_type,
    read_access,
    replace_access_rights_event,
    show_cache,
    state,
    write_access,
)
from beamfly.epics.encoding import (
    IOENCODING,
    bytes2str,
    clib_search_path,
    str2bytes,
    strjoin,
)
from beamfly.epics.exceptions import (
    CASeverityException,
    ChannelAccessException,
    ChannelAccessGetFailure,
)
from beamfly.epics.groups import (
    sg_block,
    sg_create,
    sg_delete,
    sg_get,
    sg_put,
    sg_reset,
    sg_test,
)
from beamfly.epics.guards import (
    PySEVCHK,
    message,
    withCA,
    withCHID,
    withConnectedCHID,
    withInitialContext,
    withMaybeConnectedCHID,
    withSEVCHK,
)

__all__ = [
    "IOENCODING",
    "CASeverityException",
    "CAThread",
    "ChannelAccessException",
    "ChannelAccessGetFailure",
    "PySEVCHK",
    "access",
    "attach_context",
    "bytes2str",
    "clear_cache",
    "clear_channel",
    "clear_subscription",
    "clib_search_path",
    "client_status",
    "connect_channel",
    "context_create",
    "context_destroy",
    "create_channel",
    "create_context",
    "create_subscription",
    "current_context",
    "destroy_context",
    "detach_context",
    "disable_ca_messages",
    "element_count",
    "enable_ca_messages",
    "field_type",
    "finalize_libca",
    "find_lib",
    "find_libCom",
    "find_libca",
    "flush_io",
    "get",
    "get_cache",
    "get_complete",
    "get_complete_with_metadata",
    "get_ctrlvars",
    "get_enum_strings",
    "get_precision",
    "get_severity",
    "get_timestamp",
    "get_timevars",
    "get_with_metadata",
    "host_name",
    "initialize_libca",
    "isConnected",
    "message",
    "name",
    "pend_event",
    "pend_io",
    "poll",
    "promote_fieldtype",
    "promote_type",
    "put",
    "read_access",
    "register_clear_cache",
    "replace_access_rights_event",
    "replace_printf_handler",
    "sg_block",
    "sg_create",
    "sg_delete",
    "sg_get",
    "sg_put",
    "sg_reset",
    "sg_test",
    "show_cache",
    "state",
    "str2bytes",
    "strjoin",
    "test_io",
    "use_initial_context",
    "version",
    "withCA",
    "withCHID",
    "withConnectedCHID",
    "withInitialContext",
    "withMaybeConnectedCHID",
    "withSEVCHK",
    "write",
    "write_access",
]
HAS_NUMPY = True
PREEMPTIVE_CALLBACK = True
AUTOMONITOR_MAXLENGTH = 65536
"""Elements from which on arrays are not subscribed to by themselves."""
DEFAULT_CONNECTION_TIMEOUT = 2.0
"""Seconds that operations wait for a PV to connect."""
DEFAULT_SUBSCRIPTION_MASK = dbr.DBE_VALUE | dbr.DBE_ALARM
AUTO_CLEANUP = True
WITH_CA_MESSAGES = False
libca = None
"""There is none; scripts that start it while it is None may do so."""
initial_context = None
ca_printf = ""


def write(msg: str, newline: bool = True, flush: bool = True) -> None:
    """Write a line to stdout."""
    sys.stdout.write(msg + "\n" if newline else msg)
    if flush:
        sys.stdout.flush()
