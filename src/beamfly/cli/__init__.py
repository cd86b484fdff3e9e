"""The `beamfly` command.

The tools that read and write PVs start without click, whose import takes longer than
what they do; all other subcommands, help and mistakes are in `beamfly.cli.group`.
"""

import gc
import io
import os
import sys
from collections.abc import Sequence

TOOLS = ("caget", "cainfo", "camonitor", "caput")
"""Subcommands that start without click; `caget` is `ca get` as well, and so on."""


def main(words: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        words: What follows `beamfly`, None for the arguments of this process.
    """
    given = sys.argv[1:] if words is None else words
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # a terminal that knows no letters but ASCII still shows what there is
            stream.reconfigure(errors="backslashreplace")
    name, rest = "".join(given[:1]), given[1:]
    if name == "ca":
        # `ca get` is `caget`
        name, rest = "".join(given[:2]), given[2:]
    if name not in TOOLS or not _use_tool(name, rest):
        from beamfly.cli.group import main as group

        # None: click expands wildcards where the shell does not
        group(words)


def _use_tool(name: str, words: Sequence[str]) -> bool:
    """Run a tool; False, and nothing is done, if click is to answer."""
    # nothing that is imported is garbage: to look through it, now and when the process
    # ends, would take a tenth of the time of one read
    gc.disable()
    from beamfly.cli import ca_tools
    from beamfly.cli.tool_options import parse
    from beamfly.errors import BeamflyError

    gc.freeze()
    gc.enable()
    tool = ca_tools.TOOLS[name]
    arguments = parse(tool, words)
    if arguments is None:
        return False
    try:
        tool.run(**arguments)
    except BeamflyError as error:
        sys.exit(f"Error: {error}")
    except KeyboardInterrupt:
        sys.exit("\nAborted!")
    except OSError as error:
        # whoever read has gone, as `head` does, or the disk is full: what is left
        # cannot be printed either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1 if isinstance(error, BrokenPipeError) else f"Error: {error}")
    return True
