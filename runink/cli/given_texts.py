"""What is given to a command as a text, or as `@FILE` and `@-` where it should stand neither in the list of processes nor in a shell's history."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from runink.errors import Invalid

STANDARD: Final = "@-"
WORD_CHARACTERS_MAX: Final = 4096  # of a token


def given_bytes(said: str) -> bytes:
    """Return what is said, what a file holds (`@FILE`), or standard input (`@-`). Raises Invalid (`no_such_file`)."""
    if said == STANDARD:
        return sys.stdin.buffer.read()
    if not said.startswith("@"):
        return said.encode()
    try:
        return Path(said[1:]).read_bytes()
    except OSError as error:
        raise Invalid(f"{said[1:]}: {error.strerror}", code="no_such_file") from None


def given_word(said: str) -> str:
    """Return a word that was shown once, as `given_bytes`. At a terminal `@-` asks for it, and shows nothing of it. Raises Invalid (`no_such_file`, `no_word`)."""
    if said == STANDARD and sys.stdin.isatty():
        return str(click.prompt("the word", hide_input=True, err=True)).strip()
    word = given_bytes(said).decode(errors="replace").strip()
    if not word or len(word) > WORD_CHARACTERS_MAX or not word.isprintable():
        where = "standard input" if said == STANDARD else said.removeprefix("@")
        raise Invalid(f"{where} holds no word", code="no_word", hint="a line, as it was printed")
    return word


def word_callback(_context: click.Context, _option: click.Parameter, said: str | None) -> str | None:  # fmt: skip
    """Read the word of an option."""
    return said if said is None or not said.startswith("@") else given_word(said)
