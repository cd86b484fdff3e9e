"""A flight in a notebook, through a kernel: one output, which is updated in place."""

import base64
import io
import re
from collections import Counter
from typing import Any

import nbclient
import nbformat
import numpy as np
import pytest
from PIL import Image

SESSION = """
import tempfile
import time
import bluesky.plans as bp
from bluesky import RunEngine
from ophyd_async.core import StaticPathProvider, UUIDFilenameProvider, init_devices
from ophyd_async.sim import PatternGenerator, SimBlobDetector
from beamfly.live import LiveFlight

RE = RunEngine()
live = LiveFlight()
RE.subscribe(live)
where = StaticPathProvider(UUIDFilenameProvider(), tempfile.mkdtemp())
with init_devices():
    blob = SimBlobDetector(where, PatternGenerator())

def seen():
    return "blob" in live.stats and live.stats["blob"].frames == 5

def wait_to_be_seen(msg):
    deadline = time.monotonic() + 60
    while msg.command == "close_run" and not seen():
        assert time.monotonic() < deadline
        time.sleep(0.01)

RE.msg_hook = wait_to_be_seen
"""


class Client(nbclient.NotebookClient):
    """Counts what a front end would have been told."""

    told: Counter[str]

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        self.told[msg["msg_type"]] += 1
        return super().process_message(msg, cell, cell_index)


@pytest.mark.timeout(240)  # a kernel that starts on a busy machine takes its time
@pytest.mark.filterwarnings("default")
def test_a_run_is_one_output_of_the_cell_that_takes_it() -> None:
    cells = [SESSION, "RE(bp.count([blob], 5));"]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(text) for text in cells]
    )
    client = Client(notebook, timeout=110, startup_timeout=110)
    client.told = Counter()
    client.execute()
    session, run = notebook.cells
    assert not session.outputs
    assert client.told["display_data"] == 1
    assert client.told["update_display_data"] >= 1
    (output,) = run.outputs
    page, text = output.data["text/html"], output.data["text/plain"]
    # what is left is the end of it, picture included
    assert text.startswith("blob: 5 of 5 rows")
    assert "blob: 5 of 5 rows" in page
    assert "<td>4</td>" in page
    (picture,) = re.findall(r"base64,([^\"]*)\"", page)
    image = Image.open(io.BytesIO(base64.b64decode(picture)))
    assert len(np.unique(np.asarray(image))) > 10
