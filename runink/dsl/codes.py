"""What every code of a finding means, at length: `runi explain D010`.

    D00x  text and statements        D03x  URIs, and what flows where      D06x  expressions        C…  contracts' files
    D01x  annotations and tables     D04x  contracts and fields            D07x  parameters         H…  herds' files
    D02x  a file's and a scenario's parts   D05x  steps                    D08x  personal data      D90x  other languages
    I…  settings of providers of identities

The texts stand in `codes.toml`; `docs/reference/errors.md` shows them, and a test makes every example give its code.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from textwrap import indent
from typing import Final

import msgspec

from runink.dsl.lint_codes import LINT_CODES
from runink.errors import NotFound
from runink.suggestions import near

_KINDS: Final = {
    "lines": "in a scenario",
    "file": "a pipeline file",
    "contract": "in a contract's class",
    "class": "a contract's file",
    "herd": "herds/analytics.toml",
    "latin": "saved as Latin-1",
    "none": "",
}


class Code(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A code, with a headline, what it means, how to mend it, and an example of a `kind` (a key of _KINDS) that gives it."""

    title: str
    means: str
    mend: str
    example: str
    kind: str = "lines"


@cache
def codes() -> dict[str, Code]:
    """Return all codes, in the order of the table."""
    text = files("runink.dsl").joinpath("codes.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, Code])


def told_at_length(name: str) -> str:
    """Return the long text of a code. Raises NotFound if there is none of that name."""
    lint = LINT_CODES.get(name.upper())
    if lint is not None:
        return f"{lint.code}: {lint.title}\n\n{lint.text}"
    code = codes().get(name.upper())
    if code is None:
        hint = near(name, (*codes(), *LINT_CODES)) or f"there are {', '.join(codes())}"
        raise NotFound(f"there is no code {name}", code="code_missing", hint=hint)
    parts = [f"{name.upper()}: {code.title}", code.means, f"To mend it: {code.mend}"]
    if code.example:
        shown = indent(code.example.strip("\n"), "    ")
        parts.append(f"For example, {_KINDS[code.kind]}:\n\n{shown}")
    return "\n\n".join(parts)


def reference() -> str:
    """Return the page of all codes, docs/reference/errors.md."""
    parts = [_PAGE]
    for name, code in codes().items():
        parts += [f"## {name}", f"**{code.title}.** {code.means}", code.mend]
        if code.example:
            told = f"For example, {_KINDS[code.kind]}:"
            parts += [told, f"````text\n{code.example.strip(chr(10))}\n````"]
    return "\n\n".join(parts) + "\n"


_PAGE: Final = """# Codes of mistakes

Every mistake in a pipeline, a contract or a herd's file is told with a code that stays the same. `runi explain D010` prints what stands here. All mistakes of a file are told at
once, each with its place; `-o json` prints them for programs, with `code`, `text`, `hint`, the place and other places that belong to it (`labels`)."""
