"""Profiles, as IPython starts them."""

import shutil
import subprocess
import sys
from pathlib import Path

PROFILES = Path(__file__).parent.parent / "profiles"
SESSION = """
RE(fly_map(devices, shape=(2, 20)))
assert len(db[-1].table(fill=True)) == 40
print("flown by", panda.name)
"""


def test_the_simulated_beamline_is_there_at_the_prompt(tmp_path: Path) -> None:
    # IPython writes into a profile's directory
    profile = shutil.copytree(PROFILES / "profile_sim", tmp_path / "profile_sim")
    command = [sys.executable, "-m", "IPython", f"--profile-dir={profile}"]
    result = subprocess.run(
        [*command, "-c", SESSION],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "40 of 40 frames" in result.stdout
    assert "flown by panda" in result.stdout
    assert list((tmp_path / "data").glob("*.h5"))
