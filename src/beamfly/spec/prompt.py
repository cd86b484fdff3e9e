"""SPEC's names at the prompt of IPython: `install(get_ipython(), RE, detectors=[...])`.

`%ascan x 0 1 10 0.1`, or without the %, runs in the RunEngine that is given, never in
one of its own. Arguments are literals or names, nothing is evaluated. The first time
each command shows the Python that it stands for.
"""

import ast
import contextlib
import inspect
import keyword
import logging
import re
import sys
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any, cast

from bluesky.run_engine import RunEngine
from bluesky.utils import ProgressBarManager, RunEngineInterrupted

from beamfly.errors import BadValue, BeamflyError
from beamfly.spec.courses import USAGE, check_motor, command
from beamfly.spec.flights import Flights
from beamfly.spec.positions import motors_of, table
from beamfly.spec.session import PLANS, Spec
from beamfly.spec.steps import Options

TOKEN = re.compile(r"""\w+=\[[^\]]*\]|\[[^\]]*\]|"[^"]*"|'[^']*'|\S+""")
"""One argument."""
COUNTS = ("ct", "loopscan")
"""After these the counters are shown."""
OPTIONS = ", ".join(Options.__annotations__)
BARE = ("wa", "ct", "cen", "pic", "com")
"""Commands that do something without arguments, also when only their name is typed."""


def tokens(line: str) -> list[str]:
    """The arguments of a command line."""
    return TOKEN.findall(line)


def value_of(text: str, namespace: Mapping[str, Any]) -> Any:
    """A literal, or what a name such as `stage.x` stands for; BadValue if none."""
    if text.startswith("[") and text.endswith("]"):
        parts = [part.strip() for part in text[1:-1].split(",") if part.strip()]
        return [value_of(part, namespace) for part in parts]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        pass
    first, *rest = text.split(".")
    value = namespace.get(first)
    for name in rest:
        value = getattr(value, name, None)
    if value is None:
        motors = ", ".join(motors_of(namespace)) or "none"
        raise BadValue(f"there is no {text}; motors are {motors}; nothing was done")
    return value


def arguments(
    line: str, namespace: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """What a command line says: arguments, and options as in `breaks=row`."""
    args: list[Any] = []
    options: dict[str, Any] = {}
    for token in tokens(line):
        name, equals, text = token.partition("=")
        if equals and name.isidentifier():
            try:
                options[name] = value_of(text, namespace)
            except BadValue:
                if name not in ("breaks", "counter"):
                    raise
                options[name] = text
        else:
            args.append(value_of(token, namespace))
    return args, options


class Prompt:
    """The commands at one prompt.

    Args:
        spec: The session.
        RE: Runs the plans.
        namespace: Where names are looked up.
    """

    def __init__(self, spec: Spec, RE: RunEngine, namespace: dict[str, Any]) -> None:
        self.spec, self.RE, self.namespace = spec, RE, namespace
        self._shown: set[str] = set()

    def command(self, name: str) -> Callable[[str], None]:
        """The function behind a magic."""

        def run(line: str) -> None:
            try:
                self.run(name, line)
            except BeamflyError as error:
                sys.stdout.write(f"{error}\n")

        run.__name__ = name
        doc = getattr(getattr(self.spec, name, None), "__doc__", "") or ""
        about = doc.strip().partition("\n")[0]
        options = f"\n\nOptions, as in breaks=10: {OPTIONS}" if "scan" in name else ""
        run.__doc__ = f"{USAGE[name]}\n\n{about}{options}".strip()
        return run

    def run(self, name: str, line: str) -> None:
        """Do what a command line says.

        Raises:
            BeamflyError: Something does not fit, or failed.
        """
        if name in ("wa", "wm"):
            args, _ = arguments(line, self.namespace)
            getattr(self, name)(*args)
            return
        if name in ("cen", "pic", "com"):
            args, options = [*tokens(line)], {}
            self.spec.motors.update(motors_of(self.namespace) | self.spec.motors)
        else:
            args, options = arguments(line, self.namespace)
        if self.RE.state == "paused":
            msg = "a scan is paused: RE.resume() or RE.abort() first"
            raise BadValue(f"{msg}; nothing was done")
        self._teach(name, args, options)
        make = getattr(self.spec, name)
        try:
            inspect.signature(make).bind(*args, **options)
        except TypeError as error:
            msg = f"{command(name, *args)!r} does not fit, it is: {USAGE[name]}"
            raise BadValue(f"{msg}; nothing was done") from error
        self._run(name, make(*args, **options))
        if name in COUNTS:
            for counter, value in self.spec.last.newest().items():
                sys.stdout.write(f"  {counter} = {value:.10g}\n")

    def _run(self, name: str, plan: Any) -> None:
        RE = cast(Any, self.RE)
        bar = name.startswith("umv") and RE.waiting_hook is None
        if bar:
            RE.waiting_hook = ProgressBarManager()
        try:
            with _said_once(RE):
                RE(plan)
        except RunEngineInterrupted:
            if RE.state == "paused":
                text = "Paused: RE.resume() goes on, RE.stop() or RE.abort() ends it."
            else:
                text = "It was ended."
            sys.stdout.write(f"{text}\n")
        finally:
            if bar:
                RE.waiting_hook = None

    def _teach(self, name: str, args: list[Any], options: dict[str, Any]) -> None:
        """Show the Python, once for each command."""
        if name in self._shown:
            return
        self._shown.add(name)
        shown = [_python(arg) for arg in args]
        shown += [f"{key}={_python(value)}" for key, value in options.items()]
        sys.stdout.write(f"RE({name}({', '.join(shown)}))\n")

    def wa(self) -> None:
        """Show where all motors of the namespace are."""
        self.wm(*motors_of(self.namespace).values())

    def wm(self, *motors: Any) -> None:
        """Show where some motors are."""
        for motor in motors:
            check_motor("wm", motor)
        sys.stdout.write(f"{table(motors, self.RE.loop)}\n")


@contextlib.contextmanager
def _said_once(RE: Any) -> Generator[None]:
    """Keep a sentence that is printed here from coming as a traceback as well."""

    def is_news(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, BeamflyError)

    logger = getattr(RE.log, "logger", RE.log)
    logger.addFilter(is_news)
    try:
        yield
    finally:
        logger.removeFilter(is_news)


def _python(arg: Any) -> str:
    if isinstance(arg, list):
        return f"[{', '.join(_python(one) for one in arg)}]"  # pyright: ignore[reportUnknownVariableType]
    return str(getattr(arg, "name", None) or repr(arg))


def without_percent(
    names: Iterable[str], namespace: Mapping[str, Any]
) -> Callable[[list[str]], list[str]]:
    """Something that puts the % in front of commands that are typed without it.

    Only where it could not be Python: a name and then an argument, or no more than the
    name of a command that needs none, unless it is a variable meanwhile.
    """
    known = "|".join(sorted(names))
    line_of = re.compile(rf"({known})[ \t]+(?=[\w.'\"\[]|-\.?\d)(.*)")
    operators = {*keyword.kwlist}

    def transform(lines: list[str]) -> list[str]:
        if len(lines) != 1:
            return lines
        line = lines[0].rstrip("\n")
        found = line_of.fullmatch(line)
        if found:
            first = re.match(r"\w*", found[2])
            typed = first is not None and first[0] not in operators
            is_index = found[2].startswith("[") and found[1] not in BARE
            if typed and not is_index:
                return [f"%{line}\n"]
        if line.strip() in BARE and callable(namespace.get(line.strip(), print)):
            return [f"%{line.strip()}\n"]
        return lines

    return transform


def install(
    ip: Any,
    RE: RunEngine,
    *,
    detectors: Iterable[Any] = (),
    extras: Iterable[Any] = (),
    flights: Flights | None = None,
    bare: bool = True,
) -> Spec:
    """Give a prompt SPEC's names, as plans and as commands.

    A name that is taken in the namespace stays what it is; its command works anyway.

    Args:
        ip: The shell: get_ipython().
        RE: Runs the plans; gets a callback for cen, pic and com.
        detectors: Read at each point, and counted with.
        extras: Read at the beginning, at breaks and at the end of each scan.
        flights: What fascan and fmesh fly with.
        bare: Whether commands work without % too.

    Returns:
        The session, which is in the namespace as `spec` as well.
    """
    namespace: dict[str, Any] = ip.user_ns
    th, tth = (namespace.get(name) for name in ("th", "tth"))
    spec = Spec(detectors, extras, flights=flights, th=th, tth=tth)
    cast(Any, RE).subscribe(spec.last)
    prompt = Prompt(spec, RE, namespace)
    namespace["spec"] = spec
    for name, plan in spec.plans().items():
        namespace.setdefault(name, plan)
    names = (*PLANS, "wa", "wm")
    namespace.setdefault("wa", prompt.wa)
    namespace.setdefault("wm", prompt.wm)
    _free(ip.alias_manager, names)
    for name in names:
        ip.register_magic_function(prompt.command(name), "line", name)
    if bare:
        ip.input_transformers_cleanup.append(without_percent(names, namespace))
    return spec


def _free(aliases: Any, names: Iterable[str]) -> None:
    """Take names away from commands of the operating system, such as mv."""
    kept = [alias for alias in aliases.default_aliases if alias[0] not in names]
    aliases.default_aliases = kept
    for name in names:
        if aliases.is_alias(name):
            aliases.undefine_alias(name)


def load_ipython_extension(ip: Any) -> None:
    """`%load_ext beamfly.spec`: the same, with the RE of the namespace."""
    RE = ip.user_ns.get("RE")
    if not isinstance(RE, RunEngine):
        msg = "there is no RunEngine called RE here: make one, then %load_ext again"
        raise BadValue(msg)
    install(ip, RE)
