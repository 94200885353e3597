"""JSON text to plain values that know where they stand.

Python's own reader knows no places, takes the last of two keys of one name and goes as deep as its stack; so this one walks the text once, token by token, with a stack
of its own and the limits of `yaml_text`, whose codes these are:

    O001   the text is not JSON
    O002   it is larger, deeper or more than what is read
    O003   a key stands twice in one mapping
"""

from __future__ import annotations

import contextlib
import json
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from runink.contracts.yaml_text import (
    DEPTH_MAX,
    TEXT_BYTES_MAX,
    VALUES_MAX,
    Located,
    Path,
    finding_at,
    invalid_text,
)
from runink.errors import Finding, Span

DIGITS_MAX: Final = 400  # of a number: a double has 309 before its point
_BLANKS: Final = re.compile(r"[ \t\r\n]*")
_TOKEN: Final = re.compile(
    r"(?P<sign>[{}\[\]:,])"
    r'|(?P<text>"[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*")'
    r"|(?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<word>[A-Za-z]+)"
)
_WORDS: Final[dict[str, Any]] = {"true": True, "false": False, "null": None}
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_PLAIN_HINT: Final = "JSON has neither comments, nor single quotes, nor a comma behind the last"


def read_json(text: str, *, file: str) -> Located:
    """Return what the text says. Raises Invalid with all that can be told: one mistake of syntax, or every key that stands twice."""
    size_bytes = len(text.encode(errors="surrogatepass"))
    if size_bytes > TEXT_BYTES_MAX:
        large = Finding("O002", f"it is larger than {TEXT_BYTES_MAX >> 20} MiB", Span(file, 1, 1))
        raise invalid_text(file, [large])
    reader = _Reader(text, file)
    reader.read()
    if reader.findings:
        raise invalid_text(file, reader.findings)
    return Located(reader.root, file, reader.source, reader.places)


class _Stop(Exception):
    """A limit or a mistake of syntax: nothing behind it can be told."""


@dataclass(slots=True)
class _Open:
    """A list or mapping that is being read. `wants` is what comes next: a `value`, a `key`, a `colon` or a `comma`; `is_bare` until the first is there."""

    holder: Any
    path: Path
    at: int
    wants: str
    key: str = ""
    is_bare: bool = True


@dataclass(slots=True)
class _Reader:
    text: str
    file: str
    root: Any = None
    findings: list[Finding] = field(default_factory=list)
    places: dict[Path, tuple[int, int, int]] = field(default_factory=dict)
    source: tuple[str, ...] = ()
    _open: list[_Open] = field(default_factory=list)
    _starts: list[int] = field(default_factory=list)
    _values: int = 0
    _is_done: bool = False

    def read(self) -> None:
        self.source = tuple(self.text.split("\n"))
        start = 0
        for line in self.source:
            self._starts.append(start)
            start += len(line) + 1
        with contextlib.suppress(_Stop):
            self._read()

    def _read(self) -> None:
        at = 1 if self.text.startswith("\ufeff") else 0
        while True:  # ends: each token takes a character at least, and the text ends
            at = self._behind(_BLANKS, at)
            if at == len(self.text):
                break
            match = _TOKEN.match(self.text, at)
            if match is None:
                shown = self.text[at]
                what = (
                    "this text is never closed in its line"
                    if shown == '"'
                    else f"{shown!r} means nothing here"
                )
                self._stop(what, at, _PLAIN_HINT)
            self._take(match)
            at = match.end()
        if self._open:
            self._stop("this is never closed", self._open[-1].at)
        if not self._is_done:
            self._stop("it is empty", 0, "a JSON Schema is an object: {…}")

    def _behind(self, pattern: re.Pattern[str], at: int) -> int:
        match = pattern.match(self.text, at)
        return at if match is None else match.end()

    def _place(self, at: int, length: int = 1) -> tuple[int, int, int]:
        line = bisect_right(self._starts, at)
        return line, at - self._starts[line - 1] + 1, length

    def _stop(self, text: str, at: int, hint: str = "", *, code: str = "O001") -> NoReturn:
        said = text if code != "O001" else f"it is not JSON: {text}"
        self.findings.append(finding_at(self.file, self.source, code, said, self._place(at), hint))
        raise _Stop

    def _take(self, match: re.Match[str]) -> None:
        sign, at = match[0], match.start()
        if self._is_done:
            self._stop("something stands behind its end", at)
        top = self._open[-1] if self._open else None
        if top is None or top.wants == "value":
            self._value(match, top)
        elif top.wants == "key":
            self._key(match, top)
        elif top.wants == "colon":
            if sign != ":":
                self._stop(f"a colon is missing behind {top.key!r}", at)
            top.wants = "value"
        elif sign == ",":
            top.wants = "key" if isinstance(top.holder, dict) else "value"
        elif sign == _CLOSING[isinstance(top.holder, dict)]:
            self._close()
        else:
            self._stop("a comma is missing", at)

    def _key(self, match: re.Match[str], top: _Open) -> None:
        if match[0] == "}" and top.is_bare:
            self._close()
            return
        if match["text"] is None:
            self._stop("a key is missing, in double quotes", match.start(), _PLAIN_HINT)
        top.key = self._decoded(match)
        place = self._place(match.start(), len(match[0]))
        if top.key in top.holder:
            text = f"{top.key} stands twice"
            hint = "readers of JSON take the last one and drop the others"
            self.findings.append(finding_at(self.file, self.source, "O003", text, place, hint))
        self.places[(*top.path, top.key)] = place
        top.wants, top.is_bare = "colon", False

    def _value(self, match: re.Match[str], top: _Open | None) -> None:
        sign, at = match[0], match.start()
        if top is not None and sign == "]" and isinstance(top.holder, list) and top.is_bare:
            self._close()
            return
        path: Path = () if top is None else (*top.path, _step(top))
        self._count(at)
        if top is None or isinstance(top.holder, list):
            self.places[path] = self._place(at, len(sign))
        if sign in ("{", "["):
            if len(self._open) >= DEPTH_MAX:
                self._stop(f"it is nested deeper than {DEPTH_MAX}", at, code="O002")
            made: Any = {} if sign == "{" else []
            self._put(made, top)
            self._open.append(_Open(made, path, at, "key" if sign == "{" else "value"))
            return
        self._put(self._scalar(match), top)
        self._is_done = top is None

    def _count(self, at: int) -> None:
        self._values += 1
        if self._values > VALUES_MAX:
            self._stop(f"it is more than {VALUES_MAX:,} values", at, code="O002")

    def _put(self, value: Any, top: _Open | None) -> None:
        if top is None:
            self.root = value
            return
        if isinstance(top.holder, dict):
            top.holder[top.key] = value
        else:
            top.holder.append(value)
        top.wants, top.is_bare = "comma", False

    def _close(self) -> None:
        self._open.pop()
        self._is_done = not self._open

    def _scalar(self, match: re.Match[str]) -> Any:
        written, at = match[0], match.start()
        if match["text"] is not None:
            return self._decoded(match)
        if match["number"] is not None:
            return self._number(written, at)
        if written not in _WORDS:
            self._stop(f"{written[:40]} means nothing here", at, _PLAIN_HINT)
        return _WORDS[written]

    def _number(self, written: str, at: int) -> int | float:
        if len(written) > DIGITS_MAX:
            self._stop(f"a number of {len(written)} digits", at)
        if written.lstrip("-").isdigit():
            return int(written)
        number = float(written)
        if number - number != 0:
            self._stop(f"{written[:40]} is beyond what numbers hold", at)
        return number

    def _decoded(self, match: re.Match[str]) -> str:
        try:
            text: str = json.loads(match[0])
        except ValueError:
            self._stop("an escape in this text means nothing", match.start())
        if _SURROGATE.search(text):
            self._stop("it holds half a character (a lone surrogate)", match.start())
        return text


_CLOSING: Final = {True: "}", False: "]"}  # of a mapping, of a list


def _step(top: _Open) -> str | int:
    return top.key if isinstance(top.holder, dict) else len(top.holder)
