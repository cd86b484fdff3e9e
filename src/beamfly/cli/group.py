"""The `beamfly` command as click knows it: a group of subcommands.

Each subcommand lives in a module of its own and is imported only when it is called,
so that `beamfly --help` and short-lived commands start at once.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import cast

import click

from beamfly.errors import BeamflyError

COMMANDS: Mapping[str, tuple[str, str]] = {
    "ca": ("beamfly.cli.ca:ca", "EPICS PVs: get, put, info, monitor, doctor, serve."),
    "caget": ("beamfly.cli.ca:caget", "Read PVs, as the tool of EPICS base does."),
    "cainfo": ("beamfly.cli.ca:cainfo", "Say what PVs are and who serves them."),
    "camonitor": ("beamfly.cli.ca:camonitor", "Print PVs as they change."),
    "caput": ("beamfly.cli.ca:caput", "Write a PV."),
    "panda": ("beamfly.cli.panda:panda", "Talk to a PandA: control, save, load, hdf."),
    "demo": ("beamfly.cli.demo:demo", "Fly-scan a simulated beamline, end to end."),
    "hdf": ("beamfly.cli.hdf:hdf", "HDF5 files: info, verify, recover."),
    "scan": ("beamfly.cli.scan:scan", "Serve scans."),
    "tiled": ("beamfly.cli.tiled:tiled", "Keep a Tiled database beside a catalog."),
    "shell": ("beamfly.cli.shell:shell", "IPython with a beamline in it."),
    "sim": ("beamfly.cli.sim:sim", "Serve a simulated beamline."),
}
"""Subcommand name -> `module:attribute` of its click command, and one line of help."""


class LazyGroup(click.Group):
    """A group that imports a subcommand when it is first needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all subcommands, sorted."""
        return sorted({*COMMANDS, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now; None when there is none."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        return cast(click.Command, getattr(import_module(module), attribute))

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """List the subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in sorted(COMMANDS)])

    def invoke(self, ctx: click.Context) -> object:
        """Run, turning documented errors into one line and exit code 1."""
        try:
            return super().invoke(ctx)
        except BeamflyError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="beamfly")
def main() -> None:
    """Fly-scan a PandA, move EPICS motors and run scans, natively in Python."""
