"""`beamfly hdf`: look into HDF5 files, check them, mend them after a crash."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from beamfly.errors import BeamflyError

if TYPE_CHECKING:
    from beamfly.hdf import FileReport, Run
    from beamfly.hdf.inspection import Dataset

FILES = click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."
)


@click.group()
def hdf() -> None:
    """HDF5 files: what is in them, is it right, mend them after a crash."""


@hdf.command()
@FILES
def info(files: tuple[Path, ...]) -> None:
    """Say what each FILE holds: columns, units, what was captured, runs.

    Also while it is being written. Nothing is changed.
    """
    from beamfly.hdf import inspect

    def show(path: Path) -> bool:
        report = inspect(path)
        if path != files[0]:
            click.echo()
        for line in describe(report):
            click.echo(line)
        return True

    _each(files, show)


@hdf.command()
@FILES
def verify(files: tuple[Path, ...]) -> None:
    """Read all of each FILE and say what is wrong; exit with 1 if anything is."""
    from beamfly.hdf import inspect, verify

    def check(path: Path) -> bool:
        with _progress() as tell:
            problems = verify(path, tell)
        for problem in problems:
            click.echo(f"{path}: {problem}")
        if any("open for writing" in problem for problem in problems):
            click.echo(f"If nothing writes to it any more: beamfly hdf recover {path}")
        if not problems:
            report = inspect(path)
            click.echo(f"{path}: right; {_extent(report)}")
        return not problems

    _each(files, check)


@hdf.command()
@FILES
@click.option(
    "--force", is_flag=True, help="Also if the file changed in the last 5 seconds."
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Mend a copy of this name, and leave FILE as it is.",
)
def recover(files: tuple[Path, ...], force: bool, output: Path | None) -> None:
    """Mend each FILE whose writer was killed, so that any program can open it.

    All rows that were flushed are kept. Whoever writes the file must have ended.
    """
    if output is not None and len(files) > 1:
        raise click.UsageError("--output takes one FILE.")

    def mend(path: Path) -> bool:
        from beamfly.hdf import repair

        if output is not None:
            path = _copied(path, output)
        done = repair(path, force=force or output is not None)
        if not done.mended:
            click.echo(
                f"{path}: nothing to mend, it was closed properly; "
                f"{_count(done.rows, 'row')}"
            )
            return True
        text = f"{path}: mended; it has {_count(done.rows, 'row')}"
        if done.dropped:
            text += f", {done.dropped} that cannot be read in all columns are dropped"
        if done.runs_ended:
            text += ", and its last run says that the writer was killed"
        click.echo(text)
        return True

    _each(files, mend)


def _copied(path: Path, output: Path) -> Path:
    if output.exists():
        raise click.ClickException(f"{output} exists already; nothing was written")
    try:
        shutil.copyfile(path, output)
    except OSError as error:
        reason = error.strerror or error
        msg = f"{path} cannot be copied to {output}: {reason}"
        raise click.ClickException(msg) from error
    return output


def _each(files: Sequence[Path], act: Callable[[Path], bool]) -> None:
    """Do it to all files, go on after one that fails, and exit with 1 if one did."""
    well = True
    for path in files:
        try:
            well = act(path) and well
        except BeamflyError as error:
            click.echo(f"Error: {error}", err=True)
            if "may still be running" in str(error):
                click.echo("If it has ended, wait 5 s or use --force.", err=True)
            well = False
    if not well:
        raise SystemExit(1)


@contextmanager
def _progress() -> Generator[Callable[[str, float], None] | None]:
    """A line that says how far reading is, on a terminal only."""
    if not sys.stderr.isatty():
        yield None
        return
    shown = [-1]

    def tell(name: str, part: float) -> None:
        percent = int(100 * part)
        if percent != shown[0]:
            shown[0] = percent
            click.echo(f"\r\x1b[Kreading {name}, {percent} %", nl=False, err=True)

    try:
        yield tell
    finally:
        click.echo("\r\x1b[K", nl=False, err=True)


def describe(report: FileReport) -> list[str]:
    """All lines of `beamfly hdf info`."""
    size = _size(report.mark.size)
    lines = [f"{report.path}: {_extent(report)}, {size}; {_state(report)}"]
    for name in ("arm_time", "start_time"):
        if name in report.attrs:
            title = name.replace("_", " ").capitalize()
            lines.append(f"{title:<12}{report.attrs[name]}")
    if report.datasets:
        heads = ("dataset", "shape", "type", "units", "captured")
        rows = [_dataset_row(dataset) for dataset in report.datasets]
        lines += ["", *_table(heads, rows)]
    if report.runs:
        heads = ("run", "armed", "rows", "from row", "missed", "ended")
        rows = [_run_row(number, run) for number, run in enumerate(report.runs, 1)]
        lines += ["", *_table(heads, rows, right=(2, 3, 4))]
    return lines


def _extent(report: FileReport) -> str:
    datasets = _count(len(report.datasets), "dataset")
    # what other programs write need not be in rows
    return f"{_count(report.rows, 'row')} of {datasets}" if report.ours else datasets


def _state(report: FileReport) -> str:
    from beamfly.hdf.superblock import QUIET_SECONDS

    if report.mark.writing:
        if report.age < QUIET_SECONDS:
            return "being written"
        return (
            f"marked as open for writing, though it last changed {_ago(report.age)} "
            "ago: if its writer was killed, `beamfly hdf recover` mends it"
        )
    if not report.complete:
        return "closed, but its last run has no end"
    return "complete" if report.ours else "closed"


def _dataset_row(dataset: Dataset) -> tuple[str, ...]:
    shape = " x ".join(map(str, dataset.shape)) or "single value"
    captured = f"{dataset.text('field')} {dataset.text('capture')}".strip()
    return (
        dataset.name,
        shape,
        str(dataset.dtype),
        dataset.text("units"),
        captured,
    )


def _run_row(number: int, run: Run) -> tuple[str, ...]:
    return (
        str(number),
        run.arm_time or "",
        str(run.rows),
        str(run.first_row),
        str(run.missed),
        run.reason or "not yet, or killed",
    )


def _table(
    heads: tuple[str, ...], rows: list[tuple[str, ...]], right: Sequence[int] = ()
) -> list[str]:
    """Lines of a table whose columns are as wide as need be; without empty columns."""
    every = [heads, *rows]
    widths = [max(map(len, column)) for column in zip(*every, strict=True)]
    used = [n for n in range(len(heads)) if any(row[n] for row in rows)]
    return [
        "  ".join(
            row[n].rjust(widths[n]) if n in right else row[n].ljust(widths[n])
            for n in used
        ).rstrip()
        for row in every
    ]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _size(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"


def _ago(seconds: float) -> str:
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}s"
    return f"{seconds:.0f} s"
