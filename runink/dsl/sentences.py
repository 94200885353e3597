"""The sentences that mean something. Every other one is for people, and `runi explain` says so.

    Given the contract: X                        @contract(X), on the scenario's sources
    Given source stream "N" from "U"             @source(U), called N; `stream` may be left out
    … "N" (sink: U) …                            @sink(U), called N; in any sentence or bullet, and several in one
    … "N" (deadletter: U) …                      @deadletter(U)
    FIGURE must be OPERATOR NUMBER               @assert(FIGURE OPERATOR NUMBER)
    No schema drift must be detected             on_drift=fail on the scenario's contracts
    On EVENT, emit alert to "T"                  not there yet

An operator is a sign or one of `OPERATORS`; a number may be a percentage or, of a duration, an amount of time.  A path whose ending says the format needs no scheme here: `out/x.csv` is `csv://out/x.csv`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from runink.dag import Format, Mode
from runink.dsl.arguments import Parameters
from runink.dsl.clauses import (
    DEFAULT_NULLS,
    AssertClause,
    Clause,
    ContractClause,
    DeadLetterClause,
    SinkClause,
    SourceClause,
)
from runink.dsl.diagnostics import Findings
from runink.dsl.expressions import FIGURES, condition
from runink.dsl.syntax import Place, Text, kept_places
from runink.dsl.uris import Location, Mistake, located
from runink.errors import Span

OPERATORS: Final = {
    "less than or equal to": "<=",
    "greater than or equal to": ">=",
    "no less than": ">=",
    "not less than": ">=",
    "no more than": "<=",
    "not more than": "<=",
    "at least": ">=",
    "at most": "<=",
    "less than": "<",
    "fewer than": "<",
    "below": "<",
    "under": "<",
    "more than": ">",
    "greater than": ">",
    "above": ">",
    "over": ">",
    "equal to": "==",
    "exactly": "==",
    "<=": "<=",
    ">=": ">=",
    "==": "==",
    "!=": "!=",
    "=": "==",
    "<": "<",
    ">": ">",
}
CHARACTERS_MAX: Final = 1_000  # of a sentence that means something: a longer one is for people, and is not looked through
FORMS: Final = 'as in "records must be at least 100", or an expression: rejected_ratio <= 0.01'
NOTIFICATIONS_LATER: Final = "look at the run's end: runi run -o json"

_CONTRACT: Final = re.compile(r"the contract:\s*(?P<name>\S.*?)\s*$", re.IGNORECASE)
_SOURCE: Final = re.compile(
    r"(?:(?:a|the)\s+)?source(?:\s+stream)?\s+\"(?P<name>[^\"]*)\"\s+from\s+\"(?P<uri>[^\"]*)\"\s*$",
    re.IGNORECASE,
)
_SINK: Final = re.compile(
    r"\"(?P<name>[^\"]*)\"\s*\(\s*(?P<kind>sink|dead[- ]?letter)\s*:\s*(?P<uri>[^()]*?)\s*\)",
    re.IGNORECASE,
)
_MUST: Final = re.compile(
    rf"(?:the\s+)?(?P<figure>\S(?:.*?\S)?)\s+must\s+be\s+(?P<operator>{'|'.join(map(re.escape, OPERATORS))})\s*"
    r"(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*(?P<unit>%|d|h|m|s|ms|us)?\s*\.?$",
    re.IGNORECASE,
)
_BEGUN: Final = re.compile(r"(?:the\s+)?(?P<figure>\w+(?:\s\w+)?)\s+must\s+be\s", re.IGNORECASE)
_CALL: Final = re.compile(r"[A-Za-z_]\w*\([\w., ]*\)")
_DRIFT: Final = re.compile(r"no schema drift must be detected\s*\.?$", re.IGNORECASE)
_ALERT: Final = re.compile(
    r"on\s+\S.*?,\s*emit\s+(?:an?\s+)?alert\s+to\s+\"[^\"]*\"\s*\.?$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Read:
    """What a sentence has become: clauses, and in words. `no_drift` is where it wants that input keeps the shape of its contract."""

    clauses: tuple[Clause, ...]
    became: str
    no_drift: Span | None = None


class Sentences:
    """Reads sentences; what is wrong with a reserved one is told."""

    def __init__(self, parameters: Parameters, findings: Findings) -> None:
        self._parameters = parameters
        self._findings = findings

    def read(self, text: Text) -> Read | None:
        """Return what a sentence means, without its Given or When; nothing if it is one for people."""
        value = text.value
        if len(value) > CHARACTERS_MAX:
            return None
        if found := _CONTRACT.match(value):
            return self._contract(text, found)
        if found := _SOURCE.match(value):
            return self._source(text, found)
        if _DRIFT.match(value):
            told = "input whose shape leaves a contract of the scenario ends the run"
            return Read((), told, no_drift=text.at(0, len(value)))
        if _ALERT.match(value):
            return self._later(text, "an alert", NOTIFICATIONS_LATER)
        if "${" in value and (begun := _BEGUN.match(value)) and _figure(begun["figure"]):
            text = self._parameters.filled(text, self._findings, is_code=True) or text
        if (found := _must(text.value)) and _figure(found["figure"]) is not None:
            return self.promise(text)
        sinks = list(_SINK.finditer(value))
        return self._sinks(text, sinks) if sinks else None

    def promise(self, text: Text) -> Read | None:
        """Return the assertion that a sentence is; nothing if it has not the form of one, or speaks of no figure."""
        found = _must(text.value)
        figure = None if found is None else _figure(found["figure"])
        if found is None or figure is None:
            return None
        number = _number(found)
        promised = f"{figure} {OPERATORS[found['operator'].lower()]} {number}"
        place = text.at(0, len(text.value))
        clause = AssertClause(place, Text(promised, place))
        return Read((clause,), f"nothing is published unless {promised}")

    def _later(self, text: Text, what: str, hint: str) -> Read:
        place = text.at(0, len(text.value))
        self._findings.add("D012", f"{what} is not there yet", place, hint)
        return Read((), "not there yet")

    def _contract(self, text: Text, found: re.Match[str]) -> Read:
        path = self._part(text, found.start("name"), found.end("name"))
        clauses: tuple[Clause, ...] = ()
        if path is not None:
            if path.value.startswith('"') and path.value.endswith('"'):
                path = part(path, 1, len(path.value) - 1)
            clauses = (contract_clause(path),)
        return Read(clauses, f"the scenario's sources are checked by {found['name']}")

    def _source(self, text: Text, found: re.Match[str]) -> Read:
        location = self._location(text, found, is_sink=False)
        if location is None:
            return Read((), "")
        clause = SourceClause(
            text.at(0, len(text.value)),
            location,
            None,
            DEFAULT_NULLS,
            ",",
            isolate=False,
            meta=_title(found),
        )
        return Read((clause,), f"rows are read from {location.uri}")

    def _sinks(self, text: Text, places: list[re.Match[str]]) -> Read:
        clauses: list[Clause] = []
        told: list[str] = []
        for found in places:
            location = self._location(text, found, is_sink=True)
            if location is None:
                continue
            span = text.at(found.start(), len(found[0]))
            if found["kind"].lower() == "sink":
                clauses.append(
                    SinkClause(
                        span, location, Mode.OVERWRITE, None, (), isolate=False, meta=_title(found)
                    )
                )
                told.append(f"all rows of the stream are written to {location.uri}")
            else:
                clauses.append(DeadLetterClause(span, location, Mode.OVERWRITE, meta=_title(found)))
                told.append(f"rows that break a contract are written to {location.uri}")
        return Read(tuple(clauses), " and ".join(told))

    def _location(self, text: Text, found: re.Match[str], *, is_sink: bool) -> Location | None:
        start, end = found.span("uri")
        if text.value[start:end].startswith('"') and text.value[start:end].endswith('"'):
            start, end = start + 1, end - 1
        uri = self._part(text, start, end)
        if uri is None:
            return None
        place = located(_with_scheme(uri), is_sink=is_sink)
        if isinstance(place, Mistake):
            span = uri.at(min(place.at, len(uri.value)), place.length)
            self._findings.add(place.code, place.text, span, place.hint)
            return None
        return place

    def _part(self, text: Text, start: int, end: int) -> Text | None:
        """Return a part of a sentence with the values of parameters in it."""
        return self._parameters.filled(part(text, start, end), self._findings)


def contract_clause(path: Text, version: Text | None = None) -> ContractClause:
    """Return what checks the scenario's sources by a contract, wherever that is said."""
    return ContractClause(
        path.span, path, None, None, isolate=False, of_scenario=True, version=version
    )


def _title(found: re.Match[str]) -> dict[str, str]:
    return {"title": found["name"]} if found["name"] else {}


def part(text: Text, start: int, end: int) -> Text:
    """Return a part of a text that knows where it stands."""
    length = max(end - start, 1)
    return Text(
        text.value[start:end], text.at(start, length), tuple(kept_places(text, start, end, 0))
    )


def doubt(text: Text) -> str:
    """Return what is to be noted of a sentence for people that seems to promise something; nothing if it does not."""
    found = _must(text.value)
    if found is not None and _figure(found["figure"]) is None:
        return f"promises something of {found['figure']}, which is no figure"
    begun = _BEGUN.match(text.value[:CHARACTERS_MAX])
    if begun is not None and (figure := _figure(begun["figure"])) is not None:
        return f"says what {figure} must be, but not by an operator and a number"
    return ""


def _must(value: str) -> re.Match[str] | None:
    return _MUST.match(value) if len(value) <= CHARACTERS_MAX else None


def _number(found: re.Match[str]) -> str:
    """Return the number of a sentence as an expression has it: a percentage as a part of one, an amount of time as a duration."""
    match found["unit"]:
        case None:
            return found["number"]
        case "%":
            number, _, exponent = found["number"].lower().partition("e")
            if exponent:
                return f"{number}e{int(exponent) - 2}"
            return f"{Decimal(number).scaleb(-2):f}".rstrip("0").rstrip(".")
        case unit:
            return f"duration('{found['number']}{unit.lower()}')"


def _figure(words: str) -> str | None:
    """Return the figure that people mean: `rejected ratio` is `rejected_ratio`, and `null_ratio(id)` itself where there is such a figure."""
    name = re.sub(r"\s+", "_", words.strip().lower())
    if name in (FIGURES.sorts or {}):
        return name
    if _CALL.fullmatch(words.strip()):
        trial = Findings("", "")
        condition(Text(f"{words} == {words}", trial.span(1, 1)), FIGURES, trial)
        return None if len(trial) else words.strip()
    return None


def _with_scheme(uri: Text) -> Text:
    """Put the format before a bare path whose ending says it."""
    bare = uri.value.removesuffix(".gz").removesuffix(".zst")
    ending = bare.rpartition(".")[2].lower()
    if re.match(r"[A-Za-z][\w+.-]*:", uri.value) or ending not in {one.value for one in Format}:
        return uri
    lead = f"{ending}://"
    span = uri.span
    places = [Place(0, span.line, span.column, is_fixed=True)]
    places += kept_places(uri, 0, len(uri.value), len(lead))
    return Text(lead + uri.value, span, tuple(places))
