"""The lower half of `epics.ca`: groups, decorators, messages, the cache; and names
under which scripts reach all of it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import beamfly.epics as epics
from beamfly.ca.server_thread import ThreadedServer
from beamfly.epics import ca, dbr, utils
from beamfly.epics.__main__ import main as run_script
from beamfly.epics.compat import epicsPV
from beamfly.epics.exceptions import CASeverityException, ChannelAccessException
from beamfly.epics.stand_in import stand_in
from conftest import until


def test_a_group(served: str) -> None:
    long, slow, text = (
        ca.create_channel(f"T:{name}", connect=True)
        for name in ("long", "slow", "string")
    )
    group = ca.sg_create()
    endless = ca.sg_create()
    assert group.value == int(group) and endless != group
    never = ca.create_channel("T:never", connect=True)
    assert ca.sg_put(endless, never, 1) == dbr.ECA_NORMAL
    with pytest.raises(CASeverityException, match="returned 'IO operations are in"):
        ca.sg_test(endless)
    assert ca.sg_block(endless, 0.01) == dbr.ECA_TIMEOUT
    assert ca.sg_put(group, long, 21) == ca.sg_put(group, slow, 1) == dbr.ECA_NORMAL
    assert ca.sg_block(group, 30) == dbr.ECA_NORMAL
    assert ca.sg_test(group) == dbr.ECA_IODONE
    assert ca.sg_get(group, long) == "21"
    assert ca.sg_get(group, long, as_string=False) == 21
    ca.put(text, "x", wait=True)
    assert ca.sg_get(group, text) == "x"
    ca.sg_put(group, slow, 1)
    assert ca.sg_reset(group) == dbr.ECA_NORMAL
    assert ca.sg_test(group) == dbr.ECA_IODONE, "nothing is waited for any more"
    assert ca.sg_delete(group) == dbr.ECA_NORMAL
    with pytest.raises(CASeverityException, match="Invalid synchronous group"):
        ca.sg_block(group)


def test_a_group_whose_server_goes(server: ThreadedServer) -> None:
    slow = ca.create_channel("T:slow", connect=True)
    group = ca.sg_create()
    ca.sg_put(group, slow, 1)
    server.close()
    assert ca.sg_block(group, 20) == dbr.ECA_NORMAL, "the put is over: it is lost"
    until(lambda: not ca.isConnected(slow))
    with pytest.raises(CASeverityException, match="Virtual circuit disconnect"):
        ca.sg_put(group, slow, 1)
    with pytest.raises(
        ChannelAccessException, match=r"is not connected|did not answer"
    ):
        ca.sg_get(group, slow)
    assert ca.sg_test(group) == dbr.ECA_IODONE


def test_decorators(served: str) -> None:
    @ca.withCHID
    def known(chid: Any) -> Any:
        return chid

    @ca.withConnectedCHID
    def connected(chid: Any, timeout: float = 1) -> bool:
        return ca.isConnected(chid)

    @ca.withMaybeConnectedCHID
    def sought(chid: Any, timeout: float = 1) -> bool:
        return ca.isConnected(chid)

    @ca.withSEVCHK
    def status(value: int) -> int:
        return value

    @ca.withCA
    def started() -> Any:
        return ca.current_context()

    assert started() is ca.withInitialContext(started)()
    chid = ca.create_channel("T:ao")
    assert known(chid) == chid and connected(chid, timeout=30) and sought(chid)
    with pytest.raises(ChannelAccessException, match="'x' is no number of a channel"):
        known("x")
    with pytest.raises(ChannelAccessException, match="there is no channel 999"):
        known(999)
    absent = ca.create_channel("T:none")
    assert sought(absent, timeout=0.01) is False
    with pytest.raises(ChannelAccessException, match=r"T:none was not found within 0"):
        connected(absent, timeout=0.01)
    assert status(dbr.ECA_NORMAL) == dbr.ECA_NORMAL
    with pytest.raises(CASeverityException, match="status returned 'User specified"):
        status(dbr.ECA_TIMEOUT)
    assert ca.PySEVCHK("x", 80, expected=80) == 80


def test_the_cache_is_shown(
    server: ThreadedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    chid = ca.create_channel("T:ao", connect=True)
    entry = ca.get_cache("T:ao")
    assert entry is not None and ca.get_cache("T:none") is None
    assert (entry.pvname, entry["chid"], entry.conn) == ("T:ao", chid, True)
    assert repr(entry) == f"<channel {int(chid)}: 'T:ao' connected>"
    ca.show_cache()
    text = ca.show_cache(print_out=False)
    assert capsys.readouterr().out == f"{text}\n"
    assert str(text).splitlines()[-1].startswith(" T:ao            1/<Context")
    assert str(text).endswith("True")
    ca.client_status(ca.current_context(), 1)
    shown = capsys.readouterr().err
    assert shown.startswith("<Context: 1 channels>: 1 of 1 channels are connected")
    assert f"  T:ao 127.0.0.1:{server.port}" in shown


def test_messages_and_versions(capsys: pytest.CaptureFixture[str]) -> None:
    import logging

    said: list[str] = []
    ca.replace_printf_handler(said.append)
    logging.getLogger("beamfly.ca").warning("one")
    ca.enable_ca_messages()
    logging.getLogger("beamfly.ca").warning("two")
    ca.disable_ca_messages()
    logging.getLogger("beamfly.ca").warning("three")
    assert said == ["one\n"] and capsys.readouterr().err == "two\n"
    assert not logging.getLogger("beamfly.ca").handlers
    ca.enable_ca_messages(said.append)
    ca.replace_printf_handler(None)
    with pytest.raises(ChannelAccessException, match="neither stderr nor stdout"):
        ca.enable_ca_messages("syslog")
    with pytest.raises(ChannelAccessException, match="5 is no function"):
        ca.replace_printf_handler(5)  # type: ignore[arg-type]
    assert ca.message(80) == "User specified timeout on IO operation expired"
    assert ca.version() == "4.13" and ca.libca is None
    assert ca.find_libca() == ca.find_libCom() == str(Path(ca.find_lib()))
    assert ca.promote_fieldtype(dbr.DOUBLE, use_ctrl=True) == dbr.CTRL_DOUBLE
    assert dbr.chid_t(5).value == 5
    stamp = type("Stamp", (), {"secs": 1, "nsec": 500_000_000})
    assert dbr.make_unixtime(stamp) == 631152001.5


def test_clearing_calls_back() -> None:
    calls: list[int] = []

    def told() -> None:
        calls.append(1)

    ca.register_clear_cache(told)
    ca.register_clear_cache(told)
    ca.register_clear_cache(None)
    ca.clear_cache()
    assert calls == [1]
    with pytest.raises(ChannelAccessException, match="cannot call 5"):
        ca.register_clear_cache(5)  # type: ignore[arg-type]


def test_io_that_is_not_over(served: str) -> None:
    chid = ca.create_channel("T:ao", connect=True)
    assert ca.test_io()
    ca.get(chid, wait=False)
    assert ca.get_complete(chid) is not None and ca.test_io()


def test_bytes_and_text() -> None:
    assert utils.str2bytes("µ") == utils.str2bytes("µ".encode()) == b"\xc2\xb5"
    assert utils.bytes2str(b"\xc2\xb5") == utils.bytes2str(b"\xb5") == "µ"
    assert utils.bytes2str(5) == "5" and utils.clib_search_path("ca") is None
    assert utils.strjoin(b", ", ["a", "b"]) == "a, b"
    assert utils.strjoin("", [b"a", b"b", b"\0", b"c"]) == "ab"
    assert utils.strjoin("x", []) == ""


def test_a_pv_of_old(served: str) -> None:
    pv = epicsPV("T:ao")
    assert pv.connected
    pv.putWait(1.5)
    until(lambda: pv.getValue() == 1.5)
    pv.setMonitor()
    assert pv.checkMonitor() in (True, False)
    pv.putw(2.5, wait=True)
    until(pv.checkMonitor)
    assert not pv.checkMonitor()
    until(lambda: pv.getw() == pv.array_get() == 2.5)
    assert pv.getControl()["units"] == "mm"
    pv.clearMonitor()
    assert pv.callbacks == {}


SCRIPT = """
import epics, sys
import epics.devices.ad_image
from epics import ca, PV
from epics.autosave import save_restore
from epics.devices.ai import ai
assert epics.__name__ == "beamfly.epics" == epics.__spec__.name, epics
assert epics.devices.ai is ai and epics.devices.ad_image.AD_ImagePlugin
print(sys.argv[1:], __name__, epics.__version__, epics.caget("T:ao"))
try:
    import epics.wx
except ImportError as error:
    print(error)
try:
    from epics.qt import pvprobe_qt
except ImportError as error:
    print(error)
from epics.compat import epicsPV
"""


def test_a_script_runs_as_it_is(server: ThreadedServer, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    result = subprocess.run(
        [sys.executable, "-W", "error", "-m", "beamfly.epics", str(script), "a", "-b"],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "['a', '-b'] __main__ 3.5.10 1.5"
    assert lines[1].startswith("beamfly.epics has no wx widgets; ")
    assert lines[2].startswith("beamfly.epics has no Qt widgets; ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "usage: python -m beamfly.epics script.py"),
        (["-h"], "usage: "),
        (["none.py"], "none.py is no file; nothing was run"),
    ],
)
def test_a_script_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["beamfly.epics", *arguments])
    with pytest.raises(SystemExit) as caught:
        run_script()
    assert str(caught.value).startswith(message)


@pytest.mark.peer
def test_pyepics_that_is_there_already_is_left_alone() -> None:
    import epics as theirs

    assert theirs.__name__ == "epics" != epics.__name__
    with pytest.raises(ChannelAccessException, match=r"call stand_in\(\) before"):
        stand_in()
