"""Options that several commands share, and where a project's state is."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from runink.capabilities import Isolation
from runink.cli.completing import completed
from runink.errors import Invalid
from runink.jobs import STATE_FOLDER
from runink.projects import FOLDERS, MARK, find_root
from runink.quantities import parse_bytes, parse_cpu, parse_duration

NO_ISOLATION: Final = "RUNINK_NO_ISOLATION"  # in the environment: as the option says
ISOLATION: Final = "RUNINK_ISOLATION"
BACKENDS: Final = click.Choice([Isolation.CELLS.value, Isolation.BUBBLEWRAP.value])
STATE: Final = "RUNINK_STATE"  # likewise
SPAWNER: Final = "RUNINK_SPAWNER"  # likewise
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

output_option: Final[Decorator] = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to print it."
)
state_option: Final[Decorator] = click.option(
    "--state",
    type=click.Path(path_type=Path),
    envvar=STATE,
    help="The folder of the cluster's state; .runink in the project otherwise.",
)
spawner_option: Final[Decorator] = click.option(
    "--spawner",
    type=click.Path(path_type=Path),
    envvar=SPAWNER,
    metavar="PATH",
    help="The socket of a spawner that runs as a service (runi spawn); the node starts its own otherwise.",
)
param_option: Final[Decorator] = click.option(
    "-p",
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    help="A value for ${NAME} in the pipeline; may be repeated.",
)
file_argument: Final[Decorator] = click.argument(
    "file", type=click.Path(path_type=Path), metavar="FILE.dsl"
)
run_argument: Final[Decorator] = click.argument(
    "run_id", metavar="RUN", shell_complete=completed("runs.list", "run")
)
COUNT: Final = click.IntRange(min=0)


class Amount(click.ParamType[Any]):
    """What a parser of ours makes of a text."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._parse(value) if isinstance(value, str) else value
        except Invalid as error:
            self.fail(f"{error.text}; {error.hint}", param, ctx)


CPU: Final = Amount("cpu", parse_cpu)
BYTES: Final = Amount("bytes", parse_bytes)
DURATION: Final = Amount("duration", parse_duration)


@dataclass(frozen=True, slots=True)
class SliceOptions:
    """How slices are to run: closed off by what, with the node's network or not (nothing is what a node does by itself). `insists` refuses a cluster that does otherwise.

    `spawner` is the socket of the spawner that a cluster of our own is to use, if others run that.
    """

    isolation: Isolation | None = None
    shares_network: bool | None = None
    insists: bool = False
    spawner: Path | None = None


def slice_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options for how slices run, as its argument `slices`."""

    @click.option(
        "--isolation",
        type=BACKENDS,
        envvar=ISOLATION,
        help="What closes slices off: cells of Runink's own (the default), or bubblewrap, which has to be installed.",
    )
    @click.option(
        "--no-isolation",
        "is_plain",
        is_flag=True,
        envvar=NO_ISOLATION,
        help="Run slices as plain processes: with all rights of who starts them, and no limits.",
    )
    @click.option(
        "--allow-host-network/--no-host-network",
        "shares_network",
        default=None,
        help="Whether slices that need it may have the node's own network; they may if nothing is said.",
    )
    @spawner_option
    @wraps(command)
    def called(
        *,
        isolation: str | None,
        is_plain: bool,
        shares_network: bool | None,
        spawner: Path | None,
        **others: Any,
    ) -> None:
        asked = _isolation(isolation, is_plain=is_plain)
        slices = SliceOptions(asked, shares_network, insists=True, spawner=absolute(spawner))
        command(slices=slices, **others)

    return called


def _isolation(named: str | None, *, is_plain: bool) -> Isolation | None:
    """Return what was asked for: what the command line says goes before what the environment says. Raises UsageError where one says both."""
    source = click.get_current_context().get_parameter_source
    if is_plain and named is not None and source("is_plain") is source("isolation"):
        raise click.UsageError(
            f"--isolation {named} and --no-isolation (or {ISOLATION} and {NO_ISOLATION}): leave one of the two away"
        )
    if is_plain and (named is None or source("is_plain") is ParameterSource.COMMANDLINE):
        return Isolation.NONE
    return Isolation(named) if named is not None else None


def slices_by_environment() -> SliceOptions:
    """Return how slices are to run, for a command without the options that may have to make a cluster. Raises BadParameter."""
    is_plain = click.BOOL.convert(os.environ.get(NO_ISOLATION) or "no", None, None)
    named = os.environ.get(ISOLATION)
    if is_plain:
        isolation: Isolation | None = Isolation.NONE
    else:
        isolation = Isolation(BACKENDS.convert(named, None, None)) if named else None
    spawner = os.environ.get(SPAWNER)
    return SliceOptions(isolation, spawner=absolute(Path(spawner) if spawner else None))


def absolute(path: Path | None) -> Path | None:
    """Return the path as it is meant here, wherever we go."""
    return path.absolute() if path is not None else None


def parameters_of(params: tuple[str, ...]) -> dict[str, str]:
    """Return `NAME=VALUE` pairs as a mapping. Raises BadParameter."""
    found: dict[str, str] = {}
    for pair in params:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--param")
        if found.get(name, value) != value:
            raise click.BadParameter(f"{name} is given twice", param_hint="--param")
        found[name] = value
    return found


def seconds_in(duration: str | None) -> float:
    """Return a `--timeout` in seconds, 0 for none. Raises BadParameter."""
    if duration is None:
        return 0.0
    try:
        seconds = parse_duration(duration) / 1000
    except Invalid as error:
        raise click.BadParameter(f"{error.text}; {error.hint}", param_hint="--timeout") from None
    if seconds <= 0:
        raise click.BadParameter("a slice needs some time", param_hint="--timeout")
    return seconds


def project_here() -> Path:
    """Return the root of the project that the working folder is in: by its marks, or by the state that an earlier run has left."""
    here = Path.cwd()
    root = find_root(here / "any.dsl")
    if root != here or any((here / mark).exists() for mark in (MARK, *FOLDERS)):
        return root
    states = (folder for folder in (here, *here.parents) if (folder / STATE_FOLDER).is_dir())
    return next(states, here)


def state_folder(state: Path | None, root: Path) -> Path:
    """Return where the cluster of this project keeps its state. Raises Invalid for what is no folder."""
    folder = (state or root / STATE_FOLDER).absolute()
    if folder.exists() and not folder.is_dir():
        raise Invalid(
            f"{folder} is no folder, and the cluster's state needs one",
            code="state_no_folder",
            hint="move it away, or keep the state elsewhere with --state",
        )
    return folder
