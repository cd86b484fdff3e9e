"""The Channel Access tools as click knows them, `ca doctor` and `ca serve`.

click has the last word on every command line that `beamfly.cli.tool_options.parse` does
not read: help, and what is wrong.
"""

import click

from beamfly.cli.ca_doctor import doctor
from beamfly.cli.ca_tools import TOOLS
from beamfly.cli.tool_options import Option, Tool


def _option(option: Option) -> click.Option:
    """An option of a tool."""
    kind = (
        click.IntRange(0, int(option.most))
        if option.most < float("inf")
        else option.kind
    )
    return click.Option(
        [option.flag, option.name],
        is_flag=option.kind is bool,
        type=None if option.kind is bool else kind,
        default=option.default,
        help=option.help,
    )


def command(name: str, tool: Tool) -> click.Command:
    """A tool as a command."""
    *single, several = tool.arguments
    return click.Command(
        name,
        callback=tool.run,
        help=tool.run.__doc__,
        params=[
            *(click.Argument([argument]) for argument in single),
            click.Argument([several], nargs=-1, required=True),
            *map(_option, tool.options),
        ],
        context_settings={"allow_interspersed_args": not tool.options_first},
    )


caget, cainfo, camonitor, caput = (
    command(name, TOOLS[name]) for name in ("caget", "cainfo", "camonitor", "caput")
)


class _Parts(click.Group):
    """Adds `serve`, imported when it is called: it brings the server along."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All subcommands, sorted."""
        return sorted({*super().list_commands(ctx), "serve"})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; None when there is none."""
        if cmd_name == "serve":
            from beamfly.cli.ca_serve import serve

            return serve
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Parts)
def ca() -> None:
    """EPICS Channel Access: get, put, info, monitor, doctor, serve."""


ca.add_command(caget, "get")
ca.add_command(caput, "put")
ca.add_command(cainfo, "info")
ca.add_command(camonitor, "monitor")
ca.add_command(doctor, "doctor")
