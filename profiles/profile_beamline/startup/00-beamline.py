"""The beamline that beamline.toml describes, or the file in BEAMFLY_BEAMLINE."""

from os import environ
from pathlib import Path

from beamfly.ipython import beamline

HERE = Path(__file__).parent.parent
globals().update(beamline(environ.get("BEAMFLY_BEAMLINE", HERE / "beamline.toml")))
