"""Options that several commands share, and where a project's state is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from runink.config import STATE_FOLDER
from runink.projects import find_root

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

output_option: Final[Decorator] = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to print it."
)
state_option: Final[Decorator] = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="RUNINK_STATE",
    help="The folder of the cluster's state; .runink in the project otherwise.",
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
run_argument: Final[Decorator] = click.argument("run_id", metavar="RUN")


def parameters_of(params: tuple[str, ...]) -> dict[str, str]:
    """Return `NAME=VALUE` pairs as a mapping. Raises BadParameter."""
    found: dict[str, str] = {}
    for pair in params:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--param")
        found[name] = value
    return found


def project_here() -> Path:
    """Return the root of the project that the working folder is in."""
    return find_root(Path.cwd() / "any.dsl")


def state_folder(state: Path | None, root: Path) -> Path:
    """Return where the cluster of this project keeps its state."""
    return (state or root / STATE_FOLDER).absolute()
