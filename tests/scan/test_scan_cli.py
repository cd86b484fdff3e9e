"""`beamfly scan serve`, as a user starts it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from beamfly.ca.server_thread import serve_in_thread
from beamfly.cli.scan import scan
from beamfly.scan import Log, ScanClient, Set

SERVE = "from beamfly.cli.scan import scan; scan()"


def test_serve_until_interrupted(tmp_path: Path):
    config = tmp_path / "scan_config.xml"
    config.write_text("<scan_config><macros>A=loc://x(3)</macros></scan_config>")
    arguments = ["serve", "--port", "0", "--config", str(config),
                 "--data-log", str(tmp_path / "log")]  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        port = int(line.rsplit(":", 1)[1])
        with ScanClient("127.0.0.1", port) as client:
            number = client.submit([Log("$(A)")])
            assert client.waitUntilDone(number).state == "Finished"
            assert client.getData(number)["loc://x(3)"]["value"] == [3.0]
            assert "file://" in client.serverInfo()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert "stopped" in process.stdout.read()


def test_pvs_are_found_with_channel_access():
    with (
        serve_in_thread({"BL:X": 2.5}, port=0) as ioc,
        subprocess.Popen(
            [sys.executable, "-c", SERVE, "serve", "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "EPICS_CA_ADDR_LIST": f"127.0.0.1:{ioc.port}"},
        ) as process,
    ):
        assert process.stdout is not None
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        with ScanClient("127.0.0.1", port) as client:
            number = client.submit([Set("BL:X", 4, completion=True), Log("BL:X")])
            assert client.waitUntilDone(number).state == "Finished"
            assert client.getData(number)["BL:X"]["value"] == [4.0]
            client.shutdown()
        assert process.wait(30) == 0
        assert ioc.value("BL:X") == 4.0


def test_a_configuration_that_is_not_there(tmp_path: Path):
    result = CliRunner().invoke(scan, ["serve", "--config", str(tmp_path / "none")])
    assert result.exit_code != 0
    assert "cannot be read" in str(result.exception)


def test_help():
    result = CliRunner().invoke(scan, ["serve", "--help"])
    assert "can move the beamline" in " ".join(result.output.split())
