"""The level of channel numbers, from either server."""

import threading
from typing import Any

import pytest

from beamfly.epics import ca, dbr
from beamfly.epics.context import running_context
from beamfly.epics.exceptions import ChannelAccessException
from conftest import until

pytestmark = pytest.mark.usefixtures("served")


def test_a_channel() -> None:
    told: list[Any] = []
    chid = ca.create_channel("T:ao", callback=lambda **kw: told.append(kw))
    assert ca.connect_channel(chid, timeout=30)
    until(lambda: told)
    assert told == [{"pvname": "T:ao", "chid": chid, "conn": True}]
    assert chid.value == chid == ca.create_channel("T:ao", connect=True)
    assert (ca.name(chid), ca.element_count(chid), ca.field_type(chid)) == (
        "T:ao",
        1,
        dbr.DOUBLE,
    )
    assert ca.isConnected(chid) and ca.state(chid) == dbr.CS_CONN
    assert (ca.read_access(chid), ca.write_access(chid)) == (1, 1)
    assert ca.access(chid) == "read/write"
    assert ca.host_name(chid).startswith("127.0.0.1:")
    assert ca.promote_type(chid, use_ctrl=True) == dbr.CTRL_DOUBLE
    assert ca.put(chid, 3.5, wait=True) == 1
    assert ca.get(chid) == 3.5
    assert ca.get(chid, as_string=True) == "3.5"
    assert ca.get(chid, wait=False) is None
    assert ca.get_complete(chid) == 3.5
    with pytest.warns(UserWarning, match="without initial get"):
        assert ca.get_complete(chid) is None
    assert ca.get_precision(chid) == 3 and ca.get_severity(chid) == 0
    assert ca.get_timestamp(chid) > 1e9
    variables = ca.get_ctrlvars(chid)
    assert variables is not None and variables["units"] == "mm"
    assert ca.clear_channel(chid) == dbr.ECA_NORMAL
    with pytest.raises(ChannelAccessException, match="there is no channel"):
        ca.get(chid)


def test_enums_and_arrays() -> None:
    chid = ca.create_channel("T:enum", connect=True)
    ca.put(chid, 2, wait=True)
    assert ca.get(chid, as_string=True) == "two"
    assert ca.get_enum_strings(chid) == ("zero", "one", "two")
    chid = ca.create_channel("T:longs", connect=True)
    ca.put(chid, [1, 2, 3], wait=True)
    assert ca.get(chid).tolist() == ca.get(chid, as_numpy=False) == [1, 2, 3]
    assert ca.get(chid, count=2).tolist() == [1, 2]
    assert ca.get_enum_strings(chid) is None


def test_subscriptions() -> None:
    chid = ca.create_channel("T:ao")
    told: list[dict[str, Any]] = []
    subscription = ca.create_subscription(
        chid, use_time=True, callback=lambda **kw: told.append(kw)
    )
    until(lambda: told)
    ca.put(chid, 6.5, wait=True)
    until(lambda: told[-1]["value"] == 6.5)
    assert told[-1]["pvname"] == "T:ao" and told[-1]["ftype"] == dbr.TIME_DOUBLE
    assert told[-1]["count"] == 1 and told[-1]["severity"] == 0
    assert ca.clear_subscription(subscription[2]) == dbr.ECA_NORMAL


def test_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    chid = ca.create_channel("T:nothing")
    assert not ca.connect_channel(chid, timeout=0.02, verbose=True)
    assert capsys.readouterr().out == "T:nothing was not found within 0.02 s\n"
    assert (ca.state(chid), ca.field_type(chid), ca.element_count(chid)) == (0, -1, 0)
    assert ca.host_name(chid) == "<disconnected>"


def test_contexts() -> None:
    assert running_context() is None
    assert ca.use_initial_context() == ca.create_context() == dbr.ECA_NORMAL
    context = ca.current_context()
    assert context is ca.initialize_libca()
    found: list[Any] = []
    thread = ca.CAThread(target=lambda: found.append(ca.current_context()))
    thread.start()
    thread.join()
    assert found == [context]
    assert ca.attach_context(context) == dbr.ECA_ISATTACHED
    assert ca.detach_context() == ca.pend_io() == ca.flush_io() == ca.poll() == 1
    assert ca.pend_event() == dbr.ECA_TIMEOUT
    worker = threading.Thread(target=ca.destroy_context)
    worker.start()
    worker.join()
    assert not context.closed, "the context belongs to all threads"
    ca.finalize_libca()
    assert context.closed and running_context() is None
    assert ca.create_channel("T:ao", connect=True) == 1
