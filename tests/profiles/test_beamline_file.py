"""The TOML file of a beamline: what it makes, and a sentence for each mistake."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.errors import BadValue
from beamfly.ipython import read_config
from beamfly.ipython.config import PandaPlace, ScanServerPlace, parse_config
from beamfly.ipython.paths import TemplatePaths, check_template

PROFILES = Path(__file__).parent.parent.parent / "profiles"
GOOD = """
name = "BL99"
[data]
catalog = "runs"
files = "{catalog}/{year}/{scan_id:05}_{device}_{uid}.h5"
tiled = true
[metadata]
proposal = "2026-17"
[epics]
address_list = "10.0.0.255"
auto_address_list = false
port = 5066
[connect]
timeout = 2
[pandas.panda]
host = "panda.example"
[pandas.other]
host = "10.0.0.7"
control_port = 9000
data_port = 9001
class = "Panda"
[devices.theta]
class = "Motor"
pv = "BL99:M1"
[devices.ring]
class = "Signal"
pv = "SR:I"
type = "float"
[devices.own]
class = "ophyd_async.sim:SimMotor"
instant = true
[scan_server]
url = "http://scans.example"
"""
PLACE = Path("/etc/beamline.toml")


def test_a_good_file(tmp_path: Path) -> None:
    path = tmp_path / "beamline.toml"
    path.write_text(GOOD)
    found = read_config(path)
    assert (found.name, found.timeout) == ("BL99", 2.0)
    assert found.catalog == tmp_path / "runs"
    assert found.tiled
    assert found.metadata == {"proposal": "2026-17"}
    assert found.epics == {
        "EPICS_CA_ADDR_LIST": "10.0.0.255",
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        "EPICS_CA_SERVER_PORT": "5066",
    }
    assert found.pandas == (
        PandaPlace("panda", "panda.example"),
        PandaPlace("other", "10.0.0.7", 9000, 9001, "Panda"),
    )
    assert found.scan_server == ScanServerPlace("scan", "scans.example", 4810)
    theta, ring, own = found.devices
    assert (theta.name, theta.place) == ("theta", "BL99:M1")
    made = [each.device_class(each.name, **each.arguments) for each in found.devices]
    assert [type(each).__name__ for each in made] == ["Motor", "SignalR", "SimMotor"]
    assert [each.name for each in made] == ["theta", "ring", "own"]
    assert made[1].source == "ca://SR:I"
    assert ring.place == "SR:I"
    assert own.place == "instant True"


def test_the_profile_in_this_repository_is_right() -> None:
    found = read_config(PROFILES / "profile_beamline" / "beamline.toml")
    assert [panda.name for panda in found.pandas] == ["panda"]


DATA = '[data]\ncatalog = "/data"\n'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name = 5x", "is not TOML: Expected newline or end of document"),
        ("", "no [data]"),
        ("data = 5", '"data" has to be a table, not 5'),
        ("[data]", '[data]: there is no "catalog"'),
        (DATA + "file = 3", '[data]: "file" is unknown; did you mean "files"?'),
        (DATA + "zzz = 3", '[data]: "zzz" is unknown; known are catalog, files, '),
        (DATA + "tiled = 1", '[data]: "tiled" has to be true or false, not 1'),
        ("nmae = 'x'\n" + DATA, '"nmae" is unknown; did you mean "name"?'),
        (DATA + "files = '{catalog}/x'", '[data]: "files" lacks {uid}, without'),
        (DATA + "files = '{uid}'", '[data]: "files" has to begin with {catalog}, ~'),
        (DATA + "files = '{catlog}{uid}'", '{catlog} of "files" is unknown; did you '),
        (DATA + "files = '{catalog'", '"files" has a brace too few or too many: '),
        (DATA + "[pandas.p]", '[pandas.p]: there is no "host"'),
        (DATA + "[pandas]\np = 'x'", "pandas.p has to be a table [pandas.p]"),
        (
            DATA + "[pandas.p]\nhost='x'\ndata_port=0",
            '[pandas.p]: "data_port" has to be a whole number from 1 to 65535, not 0',
        ),
        (
            DATA + "[pandas.p]\nhost='x'\nclass='PandA'",
            "\"class\" has to be HDFPanda or Panda, not 'PandA'",
        ),
        (DATA + "[pandas.2p]\nhost='x'", "[pandas.2p]: '2p' is no name that can be"),
        (DATA + "[pandas.RE]\nhost='x'", "[pandas.RE]: 'RE' cannot be the name of a"),
        (
            DATA + "[pandas.p]\nhost='x'\n[devices.p]\nclass='Motor'\npv='x'",
            "[devices.p]: 'p' is the name of [pandas.p] already",
        ),
        (DATA + "[devices.d]\npv='x'", '[devices.d]: there is no "class", such as'),
        (
            DATA + "[devices.d]\nclass='Moter'",
            "[devices.d]: \"class\" 'Moter' is unknown; did you mean 'Motor'",
        ),
        (
            DATA + "[devices.d]\nclass='Motor'\npvv='x'",
            '[devices.d]: "pvv" is unknown; did you mean "pv"?',
        ),
        (DATA + "[devices.d]\nclass='Motor'", '[devices.d]: there is no "pv"'),
        (
            DATA + "[devices.d]\nclass='no.such:Thing'",
            "No module named 'no'",
        ),
        (
            DATA + "[devices.d]\nclass='math:Thing'",
            "\"class\" 'math:Thing': math has no class 'Thing'",
        ),
        (
            DATA + "[devices.d]\nclass='math:hypot'",
            "\"class\" 'math:hypot' takes no name, so it is no device",
        ),
        (
            DATA + "[scan_server]\nurl='scans.example'",
            '[scan_server]: "url" has to be a URL such as http://scans.example:4810',
        ),
        (DATA + "[connect]\ntimeout=-1", '"timeout" has to be a number of seconds'),
        (DATA + "[epics]\nauto_address_list='no'", "has to be true or false, not 'no'"),
    ],
)
def test_a_mistake_has_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(BadValue) as caught:
        parse_config(text, PLACE)
    assert sentence in str(caught.value)
    assert all(line.startswith(f"{PLACE}") for line in str(caught.value).splitlines())


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(BadValue) as caught:
        parse_config("nmae = 'x'\n[pandas.p]\nhots = 'x'\n", PLACE)
    assert len(str(caught.value).splitlines()) == 4


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match=r"none\.toml cannot be read: No such file"):
        read_config(tmp_path / "none.toml")


@settings(deadline=None, max_examples=60)
@given(
    st.text()
    | st.sampled_from(GOOD.splitlines()).flatmap(
        lambda line: st.just(GOOD.replace(line, "")) | st.just(GOOD + "\n" + line)
    )
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_config(text, PLACE)
    except BadValue as error:
        assert str(PLACE) in str(error)


def test_paths_are_filled_in(tmp_path: Path) -> None:
    paths = TemplatePaths(
        "{catalog}/{date}/{device}_{scan_id:05}_{uid}.h5", tmp_path, lambda: 42
    )
    first, second = paths("panda"), paths("panda")
    assert first.filename != second.filename
    assert first.filename.startswith("panda_00042_")
    assert not first.filename.endswith(".h5")
    assert Path(first.directory_path).parent == tmp_path
    with pytest.raises(BadValue, match="lacks"):
        TemplatePaths("{catalog}/x", tmp_path, lambda: 1)
    (mistake,) = check_template("files", "{catalog}/{device:d}_{uid}")
    assert mistake.startswith('"files" cannot be filled in: ')
