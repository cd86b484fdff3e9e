"""`beamfly panda`: talk to a PandA from a terminal."""

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import click

from beamfly.panda.blocking import BlockingClient
from beamfly.panda.commands import (
    Get,
    GetBlockInfo,
    GetLine,
    GetMultiline,
    GetState,
    Identify,
    SetState,
)
from beamfly.panda.state import split_commands

__all__ = ["panda"]

F = TypeVar("F", bound=Callable[..., Any])
PORT = click.IntRange(1, 65535)


class _Echo(logging.Handler):
    """Log messages as lines on the terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one."""
        click.echo(f"{record.levelname}: {record.getMessage()}", err=True)


@contextmanager
def _logged(level: str) -> Generator[None, None, None]:
    log, handler = logging.getLogger("beamfly"), _Echo()
    before = log.level
    log.addHandler(handler)
    log.setLevel(level)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


@click.group()
@click.option(
    "--log-level",
    default="WARNING",
    show_default=True,
    type=click.Choice(
        ["CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG"], case_sensitive=False
    ),
    help="What to report on the way.",
)
@click.pass_context
def panda(ctx: click.Context, log_level: str) -> None:
    """Talk to a PandA: HOST is its name or address."""
    ctx.with_resource(_logged(log_level.upper()))


def _host(function: F) -> F:
    """HOST, and the port for commands."""
    port = click.option(
        "--port",
        default=8888,
        show_default=True,
        type=PORT,
        help="TCP port for commands.",
    )
    return port(click.argument("host")(function))


def _data_port(function: F) -> F:
    return click.option(
        "--data-port",
        default=8889,
        show_default=True,
        type=PORT,
        help="TCP port for data.",
    )(function)


@panda.command()
@_host
@click.option("--prompt", default="< ", show_default=True, help="Shown for each line.")
@click.option("--no-readline", is_flag=True, help="No history and no completion.")
def control(host: str, port: int, prompt: str, no_readline: bool) -> None:
    """Open a console on HOST: type commands, read replies.

    Tab completes, the up arrow recalls, Ctrl-D ends. What is piped in is sent line
    by line. A table ends with an empty line.
    """
    from beamfly.cli.panda_console import converse

    with BlockingClient(host, port) as client:
        converse(client, prompt, not no_readline)


@panda.command()
@_host
@click.argument("outfile", type=click.Path(dir_okay=False, allow_dash=True))
def save(host: str, port: int, outfile: str) -> None:
    """Save the settings of HOST to OUTFILE; - writes them to the terminal."""
    with BlockingClient(host, port) as client:
        state = client.send(GetState(), 30)
    try:
        with click.open_file(outfile, "w", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in state))
    except OSError as error:
        msg = f"The settings of {host} cannot be written to {outfile}: {error.strerror}"
        raise click.ClickException(msg) from error


@panda.command()
@_host
@click.argument(
    "infile", type=click.File("r", encoding="utf-8"), required=False, metavar="[INFILE]"
)
@click.option("--tutorial", is_flag=True, help="Load the settings of the tutorial.")
def load(host: str, port: int, infile: Any, tutorial: bool) -> None:
    """Restore the settings in INFILE to HOST; - reads them from the terminal.

    What the PandA refuses is listed; all else is restored.
    """
    if tutorial == (infile is not None):
        raise click.UsageError("Give either INFILE or --tutorial.")
    if tutorial:
        text = (files("beamfly.panda") / "saves" / "tutorial.sav").read_text("utf-8")
    else:
        try:
            text = infile.read()
        except UnicodeDecodeError as error:
            msg = f"{infile.name} is not a file of settings: {error}; nothing was sent"
            raise click.ClickException(msg) from error
    lines = text.splitlines()
    count = len(split_commands(lines))
    if not count:
        msg = f"{infile.name} holds no settings; nothing was sent"
        raise click.ClickException(msg)
    with BlockingClient(host, port) as client:
        failures = client.send(SetState(lines), 30)
    if failures:
        rest = count - len(failures)
        restored = f"the other {rest} restored" if rest else "nothing was restored"
        msg = f"{host} refused {len(failures)} of {count} settings; {restored}"
        raise click.ClickException(msg)


@panda.command()
@_host
def info(host: str, port: int) -> None:
    """Show what HOST is, what it captures, and what blocks it has."""
    with BlockingClient(host, port) as client:
        identity, status, completion, captured, capture, who, blocks = client.send(
            [
                Identify(),
                GetLine("*PCAP.STATUS"),
                GetLine("*PCAP.COMPLETION"),
                GetLine("*PCAP.CAPTURED"),
                GetMultiline("*CAPTURE"),
                Get("*WHO"),
                GetBlockInfo(),
            ],
            10,
        )
    state, readers, taking = (*status.split(), "?", "?")[:3]
    rows = [
        ("Server", identity.software),
        ("Firmware", identity.fpga),
        ("System", identity.rootfs),
        ("PCAP", f"{state}, {captured} samples captured, {completion}"),
        ("Clients", f"{sum(' config ' in line for line in who)} for control"),
        ("", f"{readers} for data, {taking} of them taking it"),
        *_titled("Captured", capture or ["nothing"]),
        *_titled(
            "Blocks",
            [f"{n:<14}{b.number:>3}  {b.description or ''}" for n, b in blocks.items()],
        ),
    ]
    for title, text in rows:
        click.echo(f"{title:<10}{text}".rstrip())


def _titled(title: str, lines: list[str]) -> list[tuple[str, str]]:
    return list(zip([title, *[""] * len(lines)], lines, strict=False))


@panda.command()
@_host
@_data_port
@click.argument("scheme")
@click.option(
    "--num",
    default=1,
    show_default=True,
    type=click.IntRange(min=0),
    help="How many acquisitions; 0 for no end.",
)
@click.option(
    "--arm", is_flag=True, help="Arm PCAP at the start and after each acquisition."
)
@click.option(
    "--rows", type=int, help="Rows in each acquisition, to show the time left."
)
def hdf(
    host: str,
    port: int,
    data_port: int,
    scheme: str,
    num: int,
    arm: bool,
    rows: int | None,
) -> None:
    """Write each acquisition of HOST to an HDF5 file named by SCHEME.

    SCHEME holds %d, which counts from 1: /data/scan%d.h5. Files that exist are
    replaced. Ctrl-C ends with all rows received so far written.
    """
    name_of = check_scheme(scheme, num)
    from beamfly.cli.panda_hdf import write_files
    from beamfly.panda.asyncio import AsyncioClient

    write_files(AsyncioClient(host, port, data_port), name_of, num, arm, rows)


def check_scheme(scheme: str, num: int) -> Callable[[int], Path]:
    """File name by number; UsageError if the scheme gives one name to several."""
    try:
        distinct = scheme % 1 != scheme % 2
    except (TypeError, ValueError):
        if num == 1 and "%" not in scheme:
            return lambda number: Path(scheme)
        msg = f"SCHEME {scheme!r} needs one %d, for the number of the file."
        raise click.UsageError(msg) from None
    if not distinct:
        raise click.UsageError(f"SCHEME {scheme!r} gives all files the same name.")
    return lambda number: Path(scheme % number)
