"""PVs to files and back, from either server; request files with all they can have."""

from pathlib import Path

import pytest

import beamfly.epics as epics
from beamfly.ca.server_thread import ThreadedServer
from beamfly.epics import autosave
from beamfly.epics.autosave.request_files import names_in
from beamfly.errors import BadValue
from conftest import until


def request(folder: Path, *names: str) -> Path:
    path = folder / "t.req"
    path.write_text("\n".join(f"T:{name}" for name in names) + "\n")
    return path


def test_values_go_there_and_back(
    served: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {
        "ao": 0.1 + 0.2,
        "long": -12,
        "string": "two words",
        "enum": 2,
        "longs": [1, 2, 3],
        "float": [0.5, 1.5],
        "char": "a path/with µ",
        "strings": ["a", "b c"],
    }
    for name, value in values.items():
        epics.caput(f"T:{name}", value, wait=True)
    save = tmp_path / "t.sav"
    autosave.save_pvs(request(tmp_path, *values), save, debug=True)
    shown = capsys.readouterr().out
    assert "PV T:long = -12\n" in shown and shown.endswith(f"wrote {save}\n")
    lines = save.read_text("utf-8").splitlines()
    assert lines[2:6] == [
        *("T:ao 0.30000000000000004", "T:long -12", "T:string two words", "T:enum 2")
    ]
    assert lines[6] == "T:longs @array@ [1, 2, 3]" and lines[-1] == "<END>"
    assert lines[8] == "T:char a path/with µ"
    nothing = {"string": "", "char": "", "longs": [9], "float": [9], "strings": ["z"]}
    for name in values:
        epics.caput(f"T:{name}", nothing.get(name, 0), wait=True)
    assert autosave.restore_pvs(save, debug=True)
    assert "Setting T:ao to 0.30000000000000004" in capsys.readouterr().out
    for name, value in values.items():
        text = name == "char"
        want = value if not isinstance(value, list) else value[:2]
        pv = epics.get_pv(f"T:{name}")

        def now(pv: epics.PV = pv, text: bool = text, want: object = want) -> bool:
            got = pv.get(as_string=text, as_numpy=False, use_monitor=False)
            return (got[:2] if isinstance(want, list) else got) == want

        until(now)


def test_what_iocs_write(server: ThreadedServer, tmp_path: Path) -> None:
    save = tmp_path / "ioc.sav"
    save.write_text(
        '# autosave R5\nT:longs @array@ { "4" "0x10" }\nT:ao 2.5\n'
        'T:strings @array@ { "a \\"b\\"" "c" }\nT:float @array@ {[1.5]}\n'
        "T:string \n<END>\n"
    )
    assert autosave.restore_pvs(save)
    until(lambda: server.value("T:ao") == 2.5 and server.value("T:string") == "")
    assert epics.caget("T:longs", use_monitor=False).tolist() == [4, 16]
    assert epics.caget("T:strings", use_monitor=False)[:2].tolist() == ['a "b"', "c"]
    assert epics.caget("T:float", use_monitor=False).tolist() == [1.5]


def test_what_cannot_be_restored(
    server: ThreadedServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(epics.ca, "DEFAULT_CONNECTION_TIMEOUT", 0.3)
    save = tmp_path / "t.sav"
    save.write_text(
        "T:none 1\nT:readonly 2\nT:long many\nT:longs @array@ [1,\nT:ao 3\n"
    )
    assert not autosave.restore_pvs(save)
    assert capsys.readouterr().out.splitlines()[:3] == [
        "Cannot connect to T:none",
        "No write access to T:readonly",
        "Error restoring T:long to many: 'many' is no value of T:long, a PV of type "
        "long; nothing was sent",
    ]
    until(lambda: server.value("T:ao") == 3)
    saver = autosave.AutoSaver(request(tmp_path, "none", "ao"))
    saver.save()
    (found,) = tmp_path.glob("t_*.sav")
    assert found.read_text().splitlines()[2:] == [
        *("# T:none not connected", "T:ao 3.0", "<END>")
    ]
    saver.read_request_file()
    assert [pv.pvname for pv in saver.pvs] == ["T:none", "T:ao"]
    with pytest.raises(BadValue, match=r"none\.sav cannot be read"):
        autosave.restore_pvs(tmp_path / "none.sav")
    with pytest.raises(BadValue, match="no request file"):
        autosave.AutoSaver().read_request_file()


def test_request_files(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.req").write_text(
        "# comment\n\nT:x.VAL  # another\n$(Q=T:)y\n"
        'file sub/b.req P=T:,M=m1\nfile "sub/b.req", P=T:; M="m2"\n'
    )
    (tmp_path / "sub" / "b.req").write_text("$(P)$(M).VAL\nfile c.req R=$(P)$(M)\n")
    (tmp_path / "sub" / "c.req").write_text("${R}.OFF\n$(P)all\n")
    assert list(names_in(tmp_path / "a.req")) == [
        *("T:x.VAL", "T:y", "T:m1.VAL", "T:m1.OFF", "T:all"),
        *("T:m2.VAL", "T:m2.OFF", "T:all"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("$(P)m1", r"a\.req, line 1: macro P has no value"),
        ("\nT:a T:b", r"a\.req, line 2: 'T:a T:b' is no PV"),
        ("file none.req", r"none\.req cannot be read"),
        ("file a.req", r"a\.req includes itself"),
        ("file a.req P", r"line 1: 'P' is no macro"),
    ],
)
def test_request_files_that_are_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.req").write_text(text)
    with pytest.raises(BadValue, match=message):
        list(names_in(tmp_path / "a.req"))
