"""All commands of a scan, as a script writes them.

Two commands are equal when a scan server takes them for the same. `read_commands`
gets them back from XML, `CommandSequence` writes them.
"""

from beamfly.scan.actions import Comment, ConfigLog, Delay, Include, Log, Script
from beamfly.scan.command import COMMANDS, COMPARISONS, Command, XmlCommand
from beamfly.scan.containers import If, Loop, Parallel, Sequence
from beamfly.scan.moves import Set, Wait
from beamfly.scan.sequence import CommandSequence, read_commands

__all__ = [
    "COMMANDS",
    "COMPARISONS",
    "Command",
    "CommandSequence",
    "Comment",
    "ConfigLog",
    "Delay",
    "If",
    "Include",
    "Log",
    "Loop",
    "Parallel",
    "Script",
    "Sequence",
    "Set",
    "Wait",
    "XmlCommand",
    "read_commands",
]
