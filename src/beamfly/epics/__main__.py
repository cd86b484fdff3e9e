"""`python -m beamfly.epics script.py ...`: run a script for PyEpics as it is."""

import runpy
import sys
from pathlib import Path

from beamfly.epics.stand_in import stand_in


def main() -> None:
    """Run the script that is named first; the rest are its arguments."""
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(
            "usage: python -m beamfly.epics script.py [arguments]\n"
            "runs a script for PyEpics: what it imports as epics is beamfly.epics"
        )
    script = Path(sys.argv[1])
    if not script.is_file():
        sys.exit(f"{script} is no file; nothing was run")
    del sys.argv[0]
    stand_in()
    # as `python script.py` has it
    sys.path[0] = str(script.resolve().parent)
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main()
