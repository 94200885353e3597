"""YAML text to plain values that know where they stand, and back.

The values are what a safe loader of YAML 1.1 makes of the text (so `yes` is true, as other tools that read these files have it), with three differences: dates stay text, a key
that stands twice is a mistake, and so is a tag that asks for more than text, numbers, truth values, lists and mappings.

A file comes from anywhere, so it may cost no more than its size: aliases count as what they stand for, and depth and number of values are bounded.
Composing by events keeps us out of the library's recursion, which a text of brackets would exhaust.

    code   what is wrong
    O001   the text is not YAML
    O002   it is larger, deeper or more than what is read
    O003   a key stands twice in one mapping, or is no text
    O004   a tag or an alias that means nothing here
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from runink.errors import Finding, Invalid, Span

TEXT_BYTES_MAX: Final = 1 << 20  # as of any text that people write
DEPTH_MAX: Final = (
    100  # mappings in lists in mappings: a contract with records in records has some twenty
)
VALUES_MAX: Final = 100_000  # with what aliases stand for: a megabyte of plain text has fewer
LINE_KEPT_MAX: Final = 1_000  # of a line that is shown around a caret
_PLAIN: Final = "tag:yaml.org,2002:"
_TEXT: Final = f"{_PLAIN}str"
_AS_TEXT: Final = (_TEXT, f"{_PLAIN}timestamp", f"{_PLAIN}value")
_SCALARS: Final = frozenset(f"{_PLAIN}{name}" for name in ("null", "bool", "int", "float"))

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Located:
    """The value of a text, and where each part of it stands: `lines[path]` is 1-based line, column and length."""

    value: Any
    file: str
    source: tuple[str, ...]
    places: dict[Path, tuple[int, int, int]]

    def finding(self, code: str, text: str, path: Path = (), *, hint: str = "") -> Finding:
        """Return a finding about a part; about the part around it, where it stands nowhere itself."""
        while path and path not in self.places:  # ends: the path gets shorter
            path = path[:-1]
        place = self.places.get(path, (1, 1, 1))
        return finding_at(self.file, self.source, code, text, place, hint)


def finding_at(
    file: str,
    source: tuple[str, ...],
    code: str,
    text: str,
    place: tuple[int, int, int],
    hint: str = "",
) -> Finding:
    """Return a finding at a place (1-based line, column and length) with the line that it stands in."""
    line, column, length = place
    shown = source[line - 1] if line <= len(source) else ""
    return Finding(code, text, Span(file, line, column, length), hint, shown[:LINE_KEPT_MAX])


def read_yaml(text: str, *, file: str) -> Located:
    """Return what the text says. Raises Invalid with all that can be told: one mistake of syntax, or every other one."""
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError:
        finding = Finding("O001", "it holds half a character (a lone surrogate)", Span(file, 1, 1))
        raise invalid_text(file, [finding]) from None
    if size_bytes > TEXT_BYTES_MAX:
        finding = Finding("O002", f"it is larger than {TEXT_BYTES_MAX >> 20} MiB", Span(file, 1, 1))
        raise invalid_text(file, [finding])
    composer = _Composer(file, tuple(text.splitlines()))
    value = composer.compose(text)
    if composer.findings:
        raise invalid_text(file, composer.findings)
    return Located(value, file, composer.source, composer.places)


def write_yaml(value: Any) -> str:
    """Return the text of a plain value: keys in their order, the same text for the same value."""
    import yaml  # noqa: PLC0415 - only what exchanges contracts needs it

    dumper = yaml.CSafeDumper
    text: str = yaml.dump(
        value, Dumper=dumper, sort_keys=False, allow_unicode=True, width=100, indent=2
    )
    return text


def invalid_text(file: str, findings: list[Finding]) -> Invalid:
    """Return the error that tells what is wrong with a text."""
    count = f"{len(findings)} mistakes" if len(findings) > 1 else "a mistake"
    return Invalid(f"{file}: {count}", findings=tuple(findings), code="contract_invalid")


class _Stop(Exception):
    """A limit or a mistake of syntax: nothing behind it can be told."""


@dataclass(slots=True)
class _Value:
    """A finished value: how many values it is with all in it, and where its parts stand, relative to itself."""

    value: Any
    weight: int = 1
    places: dict[Path, tuple[int, int, int]] = field(default_factory=dict)


@dataclass(slots=True)
class _Open:
    """A list or mapping that is being read."""

    holder: Any
    place: tuple[int, int, int]
    anchor: str | None
    path: Path
    key: Any = None
    has_key: bool = False
    merged: list[dict[Any, Any]] = field(default_factory=list)
    weight: int = 1


class _Composer:
    def __init__(self, file: str, source: tuple[str, ...]) -> None:
        import yaml  # noqa: PLC0415 - only what exchanges contracts needs it

        self._resolver = yaml.resolver.Resolver()
        self._constructor = yaml.constructor.SafeConstructor()
        self._scalar_node = yaml.ScalarNode
        self.file = file
        self.source = source
        self.findings: list[Finding] = []
        self.places: dict[Path, tuple[int, int, int]] = {}
        self._anchors: dict[str, _Value] = {}
        self._open: list[_Open] = []
        self._values = 0
        self._root: Any = None
        self._documents = 0

    def compose(self, text: str) -> Any:
        try:
            for event in self._events(text):
                self._take(event)
        except _Stop:
            return None
        return self._root

    def _events(self, text: str) -> Iterator[Any]:
        import yaml  # noqa: PLC0415 - as above

        try:
            yield from yaml.parse(text, Loader=yaml.CSafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = (mark.line + 1, mark.column + 1, 1) if mark else (1, 1, 1)
            said = " ".join(part for part in (error.context, error.problem) if part)
            self._stop(
                "O001",
                f"it is not YAML: {said}",
                place,
                "look at the indentation and the quotes around here",
            )
        except yaml.YAMLError as error:
            said = str(error).partition("\n")[0]
            self._stop("O001", f"it is not YAML: {said}", (1, 1, 1), "save it as UTF-8 text")

    def _stop(self, code: str, text: str, place: tuple[int, int, int], hint: str = "") -> None:
        self.findings.append(finding_at(self.file, self.source, code, text, place, hint))
        raise _Stop

    def _wrong(self, code: str, text: str, place: tuple[int, int, int], hint: str = "") -> None:
        self.findings.append(finding_at(self.file, self.source, code, text, place, hint))

    def _take(self, event: Any) -> None:
        match type(event).__name__:
            case "ScalarEvent":
                place = _place(event)
                self._put(self._scalar(event, place), place, event.anchor)
            case "MappingStartEvent" | "SequenceStartEvent":
                self._begin(event)
            case "MappingEndEvent" | "SequenceEndEvent":
                self._end()
            case "AliasEvent":
                self._alias(event)
            case "DocumentStartEvent":
                self._documents += 1
                if self._documents > 1:
                    self._stop(
                        "O001",
                        "a second document begins",
                        _place(event),
                        "one contract a file: take out the ---",
                    )

    def _begin(self, event: Any) -> None:
        place = _place(event)
        is_mapping = type(event).__name__ == "MappingStartEvent"
        if len(self._open) >= DEPTH_MAX:
            self._stop("O002", f"it is nested deeper than {DEPTH_MAX}", place)
        wanted = f"{_PLAIN}{'map' if is_mapping else 'seq'}"
        if event.tag not in (None, "!", wanted):
            self._wrong("O004", f"the tag {event.tag} means nothing here", place)
        path = self._path()
        if self._expects_key():
            self._wrong("O003", "a key is a text, not a list or a mapping", place)
        self._open.append(_Open({} if is_mapping else [], place, event.anchor, path))

    def _end(self) -> None:
        ended = self._open.pop()
        for merged in ended.merged:
            for key, value in merged.items():
                ended.holder.setdefault(key, value)
        self._values -= ended.weight - 1  # what is in it has been counted, as it came
        self._put(_Value(ended.holder, ended.weight), ended.place, ended.anchor, path=ended.path)

    def _alias(self, event: Any) -> None:
        place = _place(event)
        found = self._anchors.get(event.anchor)
        if found is None:
            self._wrong(
                "O004",
                f"*{event.anchor} stands for nothing",
                place,
                f"write &{event.anchor} before it",
            )
            found = _Value(None)
        self._put(_Value(found.value, found.weight), place, None)

    def _scalar(self, event: Any, place: tuple[int, int, int]) -> _Value:
        tag = event.tag
        if tag is None or tag == "!":
            tag = self._resolver.resolve(self._scalar_node, event.value, event.implicit)
        if tag in _AS_TEXT or tag == f"{_PLAIN}merge":
            return _Value(event.value)
        if tag not in _SCALARS:
            self._wrong("O004", f"the tag {tag} means nothing here", place)
            return _Value(event.value)
        try:
            node = self._scalar_node(tag, event.value)
            constructed = self._constructor.construct_object(node)
        except (ValueError, KeyError, IndexError):
            self._wrong(
                "O001",
                f"{event.value[:40]!r} is no {tag.removeprefix(_PLAIN)}",
                place,
                "write text in quotes",
            )
            return _Value(None)
        return _Value(constructed)

    def _expects_key(self) -> bool:
        return (
            bool(self._open)
            and isinstance(self._open[-1].holder, dict)
            and not self._open[-1].has_key
        )

    def _path(self) -> Path:
        if not self._open:
            return ()
        top = self._open[-1]
        return (*top.path, top.key if isinstance(top.holder, dict) else len(top.holder))

    def _put(
        self,
        made: _Value,
        place: tuple[int, int, int],
        anchor: str | None,
        *,
        path: Path | None = None,
    ) -> None:
        self._values += made.weight
        if self._values > VALUES_MAX:
            self._stop(
                "O002",
                f"it is more than {VALUES_MAX:,} values, with what its aliases stand for",
                place,
            )
        if anchor is not None:
            self._anchors[anchor] = made
        if not self._open:
            self.places.setdefault((), place)
            self._root = made.value
            return
        top = self._open[-1]
        top.weight += made.weight
        if self._expects_key():
            self._key(top, made.value, place)
            return
        path = self._path() if path is None else path
        if isinstance(top.holder, list):
            self.places[path] = place
            top.holder.append(made.value)
            return
        top.has_key = False
        if top.key == "<<":
            self._merge(top, made.value, place)
        elif isinstance(top.key, str):
            top.holder[top.key] = made.value

    def _key(self, top: _Open, key: Any, place: tuple[int, int, int]) -> None:
        if not isinstance(key, str):
            if not isinstance(key, (dict, list)):
                self._wrong(
                    "O003", f"a key is a text, not {key!r}", place, f'write "{key}" in quotes'
                )
            key = None
        elif key in top.holder:
            self._wrong(
                "O003",
                f"{key} stands twice",
                place,
                "YAML would take the last one and drop the others",
            )
        top.key, top.has_key = key, True
        if key is not None:
            self.places[(*top.path, key)] = place

    def _merge(self, top: _Open, value: Any, place: tuple[int, int, int]) -> None:
        listed = value if isinstance(value, list) else [value]
        if not all(isinstance(one, dict) for one in listed):
            self._wrong("O004", "<< merges mappings only", place)
            return
        top.merged += listed


def _place(event: Any) -> tuple[int, int, int]:
    start, end = event.start_mark, event.end_mark
    length = end.column - start.column if end.line == start.line else 1
    return start.line + 1, start.column + 1, max(1, length)
