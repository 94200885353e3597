"""How commands print what programs read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import click
import msgspec

COLOUR: Final = re.compile(r"(\x1b\[[0-9;]*m)")
CONTROLS: Final = {
    number: f"\\x{number:02x}" for number in (*range(32), *range(127, 160)) if number != ord("\t")
}
PLAIN: Final = "\x1b[0m"


def harmless(text: str) -> str:
    """Return what a step has printed as a terminal may get it: with its colours, and with other control characters in words.

    Raw, they would let a step move the cursor over lines of others, or have the terminal answer in its user's place.
    """
    parts = COLOUR.split(text)
    parts[::2] = (part.translate(CONTROLS) for part in parts[::2])
    return "".join(parts) + (PLAIN if len(parts) > 1 else "")


def clock(at_ms: int) -> datetime:
    """Return a moment as clocks on this machine's walls show it."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone()


def echo_json(document: Any) -> None:
    """Print one document, on one line."""
    click.echo(msgspec.json.encode(document).decode())


def columns(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Return rows of one length as lines with their columns below each other; the first row is the heading. Line ends within a cell become blanks."""
    cells = [[" ".join(cell.split("\n")) for cell in row] for row in rows]
    widths = [max(len(row[place]) for row in cells) for place in range(len(cells[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


class JsonRows:
    """Prints one document that is a list, a row a line as they come: a long one is never held whole."""

    def __init__(self) -> None:
        self._before = "["

    def add(self, row: Any) -> None:
        click.echo(f"{self._before}\n{msgspec.json.encode(row).decode()}", nl=False)
        self._before = ","

    def end(self) -> None:
        click.echo("[]" if self._before == "[" else "\n]")
