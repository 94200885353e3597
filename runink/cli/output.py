"""How commands that speak with the API print what it answers: for people, for programs, and as names for other commands.

-o table    columns, for people; what it shows may change
-o json     the documents as the API gives them: one, or a list
-o yaml     the same as YAML
-o name     a name a line
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click
import msgspec

from runink.cli.wording import columns, echo_json, harmless
from runink.contracts.yaml_text import write_yaml

TABLE: Final = "table"
FORMS: Final = (TABLE, "json", "yaml", "name")

output_option = click.option(
    "-o", "--output", type=click.Choice(FORMS), default=TABLE, help="How to print it."
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
    match output:
        case "name":
            for one in found:
                click.echo(harmless(form.name(one)))
        case "json":
            echo_json(found[0] if is_one else found)
        case "yaml":
            plain = msgspec.to_builtins(found[0] if is_one else found)
            click.echo(write_yaml(plain), nl=False)
        case _:
            rows: Sequence[tuple[str, ...]] = [form.heading, *map(form.row, found)]
            for line in columns(rows):
                click.echo(harmless(line))
