"""How commands print what programs read."""

from __future__ import annotations

from typing import Any

import click
import msgspec


def echo_json(document: Any) -> None:
    """Print one document, on one line."""
    click.echo(msgspec.json.encode(document).decode())


class JsonRows:
    """Prints one document that is a list, a row a line as they come: a long one is never held whole."""

    def __init__(self) -> None:
        self._before = "["

    def add(self, row: Any) -> None:
        click.echo(f"{self._before}\n{msgspec.json.encode(row).decode()}", nl=False)
        self._before = ","

    def end(self) -> None:
        click.echo("[]" if self._before == "[" else "\n]")
