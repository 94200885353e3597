"""How commands that speak with the API print what it answers: for people, for programs, and as names for other commands.

-o table    columns, for people; what it shows may change
-o json     the documents as the API gives them: one, or a list
-o yaml     the same as YAML
-o name     a name a line

Where people get lines in place of columns, `text` is the same as `table`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click
import msgspec

from runink.cli.wording import columns, echo_json, harmless

TABLE: Final = "table"
FORMS: Final = (TABLE, "json", "yaml", "name")

output_option = click.option(
    "-o", "--output", type=click.Choice(FORMS), default=TABLE, help="How to print it."
)
shown_option = click.option(
    "-o",
    "--output",
    type=click.Choice(("text", *FORMS)),
    default="text",
    show_default=True,
    help="How to print it; table is the same as text.",
)


@dataclass(frozen=True, slots=True)
class Form:
    """How things of one kind are shown: the heading of their table, the cells of each, and its name."""

    heading: tuple[str, ...]
    row: Callable[[Any], tuple[str, ...]]
    name: Callable[[Any], str]


def echo_items(items: Iterable[Any], output: str, form: Form, *, is_one: bool = False) -> None:
    """Print things. `is_one`: it is one, and programs get it by itself, in no list."""
    found = list(items)
    if echo_documents(found[0] if is_one else found, output, form.name):
        return
    rows: Sequence[tuple[str, ...]] = [form.heading, *map(form.row, found)]
    for line in columns(rows):
        click.echo(harmless(line))


def echo_documents(found: Any, output: str, name: Callable[[Any], str]) -> bool:
    """Print one document, or a list of them, if not for people. Returns whether that was done."""
    match output:
        case "name":
            for one in found if isinstance(found, list) else [found]:
                click.echo(harmless(name(one)))
        case "json":
            echo_json(found)
        case "yaml":
            from runink.contracts.yaml_text import write_yaml  # noqa: PLC0415 - only where it is wanted

            click.echo(write_yaml(msgspec.to_builtins(found)), nl=False)
        case _:
            return False
    return True


def echo_event(data: Any, output: str, name: str, line: str) -> None:
    """Print one of the documents that come one by one, at once; for people a line."""
    if output == "yaml":
        click.echo("---")
    if not echo_documents(data, output, lambda _: name):
        click.echo(harmless(line))
    sys.stdout.flush()
