r"""A project's `requirements.lock`: the packages that its steps import, each pinned, each with its hashes.

    six==1.17.0 \
        --hash=sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274
    tomli[fast]==2.2.1 ; python_version < "3.11" --hash=sha256:...      # a marker: only where it is true

Nothing else may stand there: no option, no address, no path, no other file.  Where packages come from is the node's setting, not the project's,
and what is downloaded is known by its hash before it is unpacked.  uv is never given the project's text: it gets `rendered`, made from
what was understood here.

All mistakes are told at once, as findings with the line.  `uv pip compile --generate-hashes` writes such a file, so does `pip-compile`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Final

from runink.errors import Finding, Invalid, Span

NAME: Final = "requirements.lock"
FORMAT: Final = 1  # of an environment's folder: what changes there makes all of them anew
LOCK_BYTES_MAX: Final = 2 << 20
PACKAGES_MAX: Final = 1_000  # the largest locks in use have some hundred
HASHES_MAX: Final = 400  # of one package: a file for each platform and Python
MISTAKES_MAX: Final = 50  # nobody reads the fifty-first
LINE_SHOWN_MAX: Final = 200
HOW: Final = f"make it with: uv pip compile requirements.in --generate-hashes -o {NAME}"

_PIN: Final = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?P<extras>\[[A-Za-z0-9._,\s-]*\])?\s*==\s*"
    r"(?P<version>[A-Za-z0-9][A-Za-z0-9.!+_-]*)\s*(?:;\s*(?P<marker>[A-Za-z0-9\s._'\"<>=!~(),+*-]+))?"
)
_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
_OPTION: Final = re.compile(r"\s--hash[=\s]\s*")
_COMMENT: Final = re.compile(r"(^|\s)#.*$")


@dataclass(frozen=True, slots=True)
class Pin:
    """One package of a lock. `name` is in the form that all spellings of it share; `line` is where it begins."""

    name: str
    version: str
    hashes: tuple[str, ...]
    line: int
    extras: str = ""
    marker: str = ""


@dataclass(frozen=True)
class Lock:
    """A lock that was understood. `text` has line ends of one kind."""

    text: str
    pins: tuple[Pin, ...]

    @cached_property
    def key(self) -> str:
        """Name the environment: by the lock, by the Python and machine that packages must fit, and by what we make of them."""
        facts = [str(FORMAT), EXTENSION_SUFFIXES[0], os.uname().machine, self.text]
        return hashlib.sha256("\0".join(facts).encode()).hexdigest()

    def rendered(self) -> str:
        """Return what uv is given."""
        return "".join(f"{_line(pin)}\n" for pin in self.pins)


def canonical(name: str) -> str:
    """Return the form of a package's name that all spellings of it share."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(root: Path) -> Lock | None:
    """Return the lock of a project or bundle; nothing where it has none, or one without packages. Raises Invalid (`lock_invalid`)."""
    try:
        with (root / NAME).open("rb") as file:
            content = file.read(LOCK_BYTES_MAX + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _invalid([_finding(f"{NAME} cannot be read: {error.strerror}", "")]) from error
    if len(content) > LOCK_BYTES_MAX:
        text = f"{NAME} is larger than {LOCK_BYTES_MAX >> 20} MiB"
        raise _invalid([_finding(text, "is it a lock?")])
    try:
        lock = parsed_lock(content.decode())
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        text = f"byte 0x{content[error.start]:02x} is not UTF-8"
        raise _invalid([_finding(text, "save the file as UTF-8", line)]) from None
    return lock if lock.pins else None


def parsed_lock(text: str) -> Lock:
    """Return what the text pins. Raises Invalid (`lock_invalid`) with all mistakes, at most MISTAKES_MAX."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    pins: list[Pin] = []
    mistakes: list[Finding] = []
    first: dict[tuple[str, str], int] = {}
    for line, words in _statements(text):
        found = _pin(words, line)
        if isinstance(found, Pin):
            before = first.setdefault((found.name, found.marker), line)
            if before == line:
                pins.append(found)
                continue
            found = _finding(
                f"{found.name} stands in line {before} already", "leave one of them", line, words
            )
        mistakes.append(found)
    if len(pins) > PACKAGES_MAX:
        mistakes.append(_finding(f"over {PACKAGES_MAX:,} packages", "share them out"))
    if mistakes:
        raise _invalid(mistakes[:MISTAKES_MAX])
    return Lock(text, tuple(pins))


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield statements and the lines where they begin, without comments; a backslash at the end goes on in the next line."""
    parts: list[str] = []
    begin = 0
    for number, line in enumerate(text.split("\n"), 1):
        words = _COMMENT.sub("", line).rstrip()
        if not parts:
            begin = number
        goes_on = words.endswith("\\")
        if words:
            parts.append(words.removesuffix("\\").strip())
        if parts and not goes_on:
            if statement := " ".join(part for part in parts if part):
                yield begin, statement
            parts = []
    if statement := " ".join(part for part in parts if part):
        yield begin, statement


def _pin(words: str, line: int) -> Pin | Finding:
    """Return what a statement pins, or what is wrong with it."""
    head, *hashes = (part.strip() for part in _OPTION.split(words))
    if head.startswith("-"):
        return _finding(
            "a lock holds packages and no options",
            "leave it out: where packages come from is the node's setting (UV_DEFAULT_INDEX, or uv.toml)",
            line,
            words,
        )
    match = _PIN.fullmatch(head)
    if match is None or "--" in (match["marker"] or ""):
        return _finding(_what_is_wrong(head), HOW, line, words)
    if not hashes:
        return _finding(f"{match['name']} has no --hash", HOW, line, words)
    wrong = next((one for one in hashes if not _HASH.fullmatch(one)), None)
    if wrong is not None:
        text = f"{match['name']} has a hash that is none: {wrong[:80]}"
        return _finding(text, "it is sha256: and 64 hexadecimal digits", line, words)
    if len(hashes) > HASHES_MAX:
        return _finding(f"{match['name']} has over {HASHES_MAX} hashes", "", line, words)
    name, version = canonical(match["name"]), match["version"]
    marker = (match["marker"] or "").strip()
    return Pin(name, version, tuple(hashes), line, match["extras"] or "", marker)


def _what_is_wrong(head: str) -> str:
    if "@" in head or "://" in head or head.startswith((".", "/")):
        return "a package is named by version and hashes, not by a place"
    if "==" not in head:
        return "the package is not pinned to one version (name==version)"
    return "this is not name==version"


def _line(pin: Pin) -> str:
    marker = f" ; {pin.marker}" if pin.marker else ""
    hashes = "".join(f" --hash={one}" for one in pin.hashes)
    return f"{pin.name}{pin.extras}=={pin.version}{marker}{hashes}"


def _finding(text: str, hint: str, line: int = 0, words: str = "") -> Finding:
    shown = masked_address(words)[:LINE_SHOWN_MAX]
    span = Span(NAME, line, 1, max(len(shown.split(" --hash")[0]), 1)) if line else None
    return Finding("P001", text, span, hint, shown)


def masked_address(text: str) -> str:
    """Return the text without the name and password that addresses in it bear."""
    return re.sub(r"://[^/\s]*@", "://***@", text)


def _invalid(findings: list[Finding]) -> Invalid:
    count = f"{len(findings)} mistake{'s' if len(findings) > 1 else ''}"
    return Invalid(f"{NAME}: {count}", findings=tuple(findings), code="lock_invalid", hint=HOW)
