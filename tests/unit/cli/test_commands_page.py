"""The page of commands names each one, where it belongs by whom it asks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
from runink.cli.commands import runi

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "commands.md").read_text()
CONTEXT, MACHINE, NOBODY = "context", "this machine only", "no cluster"


def commands(command: click.Command, *path: str) -> Iterator[tuple[str, str]]:
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            found = command.get_command(ctx, name)
            assert found is not None
            yield from commands(found, *path, name)
        return
    has = {one.name for one in command.params}
    asks = CONTEXT if has & {"context_name", "away"} else MACHINE if "state" in has else NOBODY
    yield " ".join(path), asks


def listed() -> Iterator[tuple[str, str]]:
    for asks, section in zip((CONTEXT, MACHINE, NOBODY), PAGE.split("\n## ")[1:], strict=True):
        for row in re.findall(r"^\| .*`.*$", section, re.MULTILINE):
            cells = [re.findall(r"`([^`]+)`", cell) for cell in row.split(" | ")]
            for name in next(filter(None, cells)):
                yield name, asks


def test_the_page_lists_every_command_once_and_says_whom_it_asks() -> None:
    assert sorted(listed()) == sorted(commands(runi))
