"""An annotation's arguments, bound to its parameters: which are there, of which type, with `${parameters}` filled in.

All that is wrong is told, and reading goes on with what is usable: an argument of the wrong type counts as not there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from runink.dsl.diagnostics import Findings
from runink.dsl.syntax import (
    Absent,
    Annotation,
    Argument,
    Items,
    Number,
    Place,
    Text,
    Value,
    Word,
    kept_places,
)
from runink.dsl.uris import Mistake
from runink.dsl.vocabulary import PARAMETERS_NOT_YET, AnnotationKind
from runink.errors import Invalid, Span
from runink.suggestions import near_or_all

_HOLE: Final = re.compile(r"\$\$\{|\$\{([^}\"]*)(\}?)")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
NUMBER: Final = r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?"  # 0 or more, as people write it
_QUOTING: Final = re.compile(r"['\"\\;\x00-\x1f\x7f]|--|/\*")


@dataclass(slots=True)
class Parameters:
    """The pipeline's parameters and their values; `used` are those that the file mentions. A value of nothing was never given."""

    values: dict[str, str | None] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def filled(self, text: Text, findings: Findings, *, is_code: bool = False) -> Text | None:
        """Put values in the place of `${name}`; `$${` is a plain `${`. Nothing if one is not known.

        In code (SQL, conditions) a value may hold nothing that ends a text or begins a comment, so that it stays the value that it is.
        """
        if "${" not in text.value:
            return text
        pieces: list[str] = []
        places: list[Place] = []
        size = at = 0
        is_whole = True
        for hole in _HOLE.finditer(text.value):
            before = text.value[at : hole.start()]
            places.extend(kept_places(text, at, hole.start(), size))
            value = "${" if hole[1] is None else self._value(hole, text, findings, is_code=is_code)
            span = text.at(hole.start())
            places.append(Place(size + len(before), span.line, span.column, is_fixed=True))
            pieces.extend((before, value or ""))
            size += len(before) + len(value or "")
            at = hole.end()
            is_whole = is_whole and value is not None
        places.extend(kept_places(text, at, len(text.value), size))
        pieces.append(text.value[at:])
        return Text("".join(pieces), text.span, tuple(places)) if is_whole else None

    def _value(
        self, hole: re.Match[str], text: Text, findings: Findings, *, is_code: bool
    ) -> str | None:
        name, closing = hole[1], hole[2]
        span = text.at(hole.start(), len(hole[0]))
        if not closing or not _NAME.fullmatch(name):
            findings.add(
                "D070",
                f"{hole[0]} names no parameter",
                span,
                "write ${name}; a plain ${ is written $${",
            )
            return None
        self.used.add(name)
        if name not in self.values:
            declare = f'@param("{name}", default="…") above Feature: declares it'
            hint = near_or_all(name, self.values)
            hint = f"{hint} {declare}" if hint.endswith("?") else declare
            findings.add("D070", f"there is no parameter {name}", span, hint)
            return None
        value = self.values[name]
        if value is None:
            findings.add(
                "D071",
                f"parameter {name} has no value",
                span,
                f"say --param {name}=…, or give it a default",
            )
        elif is_code and (found := _QUOTING.search(value)):
            findings.add(
                "D072",
                f"the value of {name} holds {found[0]!r}, which cannot stand in SQL or a condition",
                span,
                "quotes, backslashes, semicolons, comments and line ends would change what is asked",
            )
            return None
        return value


class Arguments:
    """One annotation's arguments. Each reader returns the value, or its default where the argument is not there or not usable."""

    def __init__(
        self,
        annotation: Annotation,
        kind: AnnotationKind,
        findings: Findings,
        parameters: Parameters,
    ) -> None:
        self.annotation = annotation
        self.kind = kind
        self.is_usable = True
        self.inner: list[Annotation] = []  # annotations within this one, of those it may hold
        self._findings = findings
        self._parameters = parameters
        self._given: dict[str, Argument] = {}
        self._empty: set[str] = set()  # named, and without a value: told when it was read
        for argument in annotation.arguments:
            self._bind(argument)
        if kind.one_of and not any(
            name in self._given or name in self._empty for name in kind.one_of
        ):
            self._lacking()

    # Binding.

    def _bind(self, argument: Argument) -> None:
        if isinstance(argument.value, Annotation):
            self._bind_inner(argument, argument.value)
            return
        name = argument.name or self.kind.first
        if not self._is_known(argument, name):
            return
        if name in self._given:
            self._unfit(argument, f"{name} is given twice", "D016", "leave one of them away")
        elif isinstance(argument.value, Absent):
            self.is_usable = False
            self._empty.add(name)
        else:
            self._given[name] = argument

    def _bind_inner(self, argument: Argument, inner: Annotation) -> None:
        if inner.name in self.kind.inner:
            self.inner.append(inner)
            return
        held = ", ".join(f"@{one}" for one in self.kind.inner)
        hint = f"it may hold {held}" if held else "put it on a line of its own"
        self._unfit(argument, f"{self._told} holds no @{inner.name}", "D011", hint)

    @property
    def _told(self) -> str:
        return f"@{self.annotation.name}"

    def _is_known(self, argument: Argument, name: str) -> bool:
        """Say whether the annotation has such a parameter or clause, and tell it if not."""
        pair = (self.annotation.name, name)
        if argument.is_clause:
            if name not in self.kind.clauses:
                hint = near_or_all(name, self.kind.clauses) or "leave it away"
                self._unfit(argument, f"{self._told} takes no {name}", "D011", hint)
                return False
        elif not argument.name:
            if not name or name in self._given:
                hint = self._all()
                self._unfit(
                    argument,
                    f"{self._told} takes {'one' if name else 'no'} unnamed value{' at most' if name else ''}",
                    "D011",
                    hint,
                )
                return False
        elif (later := PARAMETERS_NOT_YET.get(pair)) is not None:
            self._unfit(argument, f"{self._told} has no {name}", "D011", later)
            return False
        elif name not in self.kind.parameters and not self.kind.is_open:
            hint = near_or_all(name, self.kind.parameters)
            self._unfit(argument, f"{self._told} has no parameter {name}", "D011", hint)
            return False
        return True

    def _all(self) -> str:
        if not self.kind.parameters:
            return f"as in {self.kind.example}"
        return f"its parameters are {', '.join(self.kind.parameters)}"

    def _lacking(self) -> None:
        if self.is_usable:
            wanted = " or ".join(self.kind.one_of)
            self._findings.add(
                "D014",
                f"@{self.annotation.name} lacks {wanted}",
                self.annotation.span,
                f"as in {self.kind.example}",
            )
        self.is_usable = False

    def _unfit(self, argument: Argument, text: str, code: str = "D015", hint: str = "") -> None:
        self.is_usable = False
        self._findings.add(code, text, argument.span, hint)

    def unfit(self, name: str, text: str, hint: str = "", code: str = "D015") -> None:
        """Tell that an argument cannot be used, at its value."""
        self.is_usable = False
        self._findings.add(code, text, self.span(name), hint)

    def lacks(self, what: str, hint: str) -> None:
        """Tell that something must be there that is not."""
        self.is_usable = False
        self._findings.add("D014", f"{self._told} lacks {what}", self.annotation.span, hint)

    def mistake(self, mistake: Mistake, text: Text) -> None:
        """Tell what is wrong with a URI, at the part of it that is wrong."""
        self.is_usable = False
        span = text.at(mistake.at, mistake.length)
        self._findings.add(mistake.code, mistake.text, span, mistake.hint)

    # Reading.

    @property
    def names(self) -> tuple[str, ...]:
        """Which parameters and clauses are given."""
        return tuple(self._given)

    def has(self, name: str) -> bool:
        return name in self._given

    def span(self, name: str) -> Span:
        """Return the place of an argument's value, or of the annotation if it is not there."""
        argument = self._given.get(name)
        return self.annotation.span if argument is None else argument.value.span

    def text(self, name: str, *, is_code: bool = False) -> Text | None:
        argument = self._given.get(name)
        if argument is None:
            return None
        found = self._as_text(argument.value, is_code=is_code)
        if found is None:
            self._wrong(argument, "text", f'as in {name}="…"')
        return found

    def texts(self, name: str) -> tuple[Text, ...]:
        """Return the texts of a list, or of one value."""
        argument = self._given.get(name)
        if argument is None:
            return ()
        value = argument.value
        values = value.values if isinstance(value, Items) else (value,)
        found = [self._as_text(one) for one in values]
        if None in found:
            self._wrong(argument, "a list of texts", f'as in {name}=["…"]')
        return tuple(one for one in found if one is not None)

    def _as_text(self, value: Value, *, is_code: bool = False) -> Text | None:
        match value:
            case Text():
                found = self._parameters.filled(value, self._findings, is_code=is_code)
                self.is_usable = self.is_usable and found is not None
                return found or Text("", value.span)
            case Word(word, span) | Number(word, span):
                return Text(word, span, (Place(0, span.line, span.column),))
            case _:
                return None

    def flag(self, name: str) -> bool:
        argument = self._given.get(name)
        if argument is None:
            return False
        said = getattr(argument.value, "value", None)
        if said not in {"true", "false"}:
            self._wrong(argument, "true or false", f"as in {name}=true")
        return said == "true"

    def choice(self, name: str, choices: Mapping[str, str]) -> str:
        """Return which of the choices is said, or nothing; each choice maps to what is to be told of one that is not built, or to nothing."""
        text = self.text(name)
        if text is None or not text.value:
            return ""
        told = choices.get(text.value)
        if told is None:
            self.unfit(name, f"{name} cannot be {text.value}", near_or_all(text.value, choices))
            return ""
        if told:
            self.unfit(name, f"{name}={text.value} is not there yet", told, "D012")
            return ""
        return text.value

    def quantity(self, name: str, parse: Callable[[str], int]) -> int | None:
        """Return an amount, more than 0, in the unit that `parse` gives."""
        text = self.text(name)
        if text is None or not text.value:
            return None
        try:
            amount = parse(text.value)
        except Invalid as error:
            self.unfit(name, error.text, error.hint)
            return None
        if amount <= 0:
            self.unfit(name, f"{name} must be more than 0", "leave it away for no limit")
            return None
        return amount

    def number(self, name: str) -> float:
        text = self.text(name)
        if text is None or not text.value:
            return 0.0
        found = float(text.value) if re.fullmatch(NUMBER, text.value) else float("inf")
        if found == float("inf"):
            self.unfit(name, f"{name} must be a number, 0 or more", f"as in {name}=1e-9")
            return 0.0
        return found

    def _wrong(self, argument: Argument, wanted: str, hint: str) -> None:
        self.is_usable = False
        span = argument.value.span
        text = f"{argument.name or self.kind.first} must be {wanted}"
        self._findings.add("D015", text, span, hint)
