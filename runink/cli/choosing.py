"""Which cluster a command line means: a context's, or the one of its state folder. It loads nothing that asks anybody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from runink.cli.completing import completed_contexts, completed_herds
from runink.cli.contexts import CONTEXT, Context, chosen

context_option = click.option(
    "--context",
    "context_name",
    envvar=CONTEXT,
    metavar="NAME",
    shell_complete=completed_contexts,
    help="The context to ask; the one in use otherwise (runi context).",
)
herd_option = click.option(
    "--herd",
    metavar="NAME",
    shell_complete=completed_herds,
    help="The herd that is meant; the context's own otherwise, or all that you see.",
)

folder_option = click.option(
    "--folder",
    metavar="PATH",
    help="Where its relative paths start on the nodes of a context; at this project's own place otherwise.",
)


def check_is_here(folder: str | None) -> None:
    """Raise UsageError for a folder on nodes where no context is meant."""
    if folder is not None:
        raise click.UsageError("--folder goes with a context: here it is the project's own")


@dataclass(frozen=True, slots=True)
class Away:
    """A cluster elsewhere, and the herd of it that is meant, empty for all that are seen."""

    context: Context
    herd: str


def meant(context_name: str | None, state: Path | None) -> Context | None:
    """Return the context that a command line means. A state folder that it names, and no context, means that folder's cluster."""
    source = click.get_current_context().get_parameter_source("state")
    is_typed = state is not None and source is ParameterSource.COMMANDLINE
    return None if is_typed and not context_name else chosen(context_name)


def also_away(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command of the cluster here the options --context and --herd, as its argument `away`: nothing where it means the one here."""

    @context_option
    @herd_option
    @wraps(command)
    def called(*, context_name: str | None, herd: str | None, **others: Any) -> Any:
        context = meant(context_name, others["state"])
        if context is None and herd:
            raise click.UsageError("--herd goes with a context: give --context, or use one")
        away = None if context is None else Away(context, herd or context.herd)
        return command(away=away, **others)

    return called
