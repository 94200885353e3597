"""The blocks: `Metadata:`, `Assertions:`, `GoldenTest:`, `Notifications:`.  (`Properties:` is `inline.py`'s, `Then:` holds sentences.)

Metadata:       keys that are known, and no others; some mean something (layer, herd, contract), the others are kept and shown
Assertions:     sentences (`sentences.py`) and expressions over a scenario's figures; what is neither is a mistake, because it promises to be kept
GoldenTest:     input, output, validation: a @golden of the scenario's sink
Notifications:  not there yet
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from runink.dsl.arguments import Parameters
from runink.dsl.clauses import AssertClause, Clause, GoldenClause
from runink.dsl.diagnostics import Findings
from runink.dsl.expressions import FIGURES, condition
from runink.dsl.sentences import FORMS, NOTIFICATIONS_LATER, Read, Sentences
from runink.dsl.syntax import Block, Entry, Items, Text, Value
from runink.suggestions import near_or_all

LAYER_KEYS: Final = {
    "layer": "layer",
    "module_layer": "layer",
    "domain": "domain",
    "owner": "owner",
}
_KEPT: Final = (
    "purpose",
    "description",
    "classification",
    "compliance",
    "slo",
    "tags",
    "team",
    "contact",
    "version",
)
_OF_FILE: Final = ("herd", "domain", "owner", "lineage_tracking", *_KEPT)
_OF_SCENARIO: Final = (
    "herd",
    *LAYER_KEYS,
    "contract",
    "contract_version",
    "lineage_tracking",
    *_KEPT,
)
_GOLDEN_KEYS: Final = (
    "input", "output", "validation", "key", "ignore", "tolerance", "relative", "ordered",
)  # fmt: skip
_EXACT: Final = re.compile(r"(exact|strict)( match.*)?$", re.IGNORECASE)
_EXPRESSION: Final = re.compile(r"[=!<>]=|[<>]|&&|\|\|")
_COUNT: Final = re.compile(r"\d+(\.\d+)?([eE][+-]?\d+)?")


class Metadata:
    """What `Metadata:` says: values as texts by their keys, each once."""

    def __init__(self, findings: Findings, parameters: Parameters) -> None:
        self.texts: dict[str, Text] = {}
        self._findings = findings
        self._parameters = parameters

    def take(self, block: Block, *, is_file: bool) -> None:
        known = _OF_FILE if is_file else _OF_SCENARIO
        for entry in block.entries:
            if not entry.key:
                hint = "as in purpose: what it is for"
                self._findings.add("D011", "Metadata: holds key: value", entry.span, hint)
            elif entry.key not in known:
                self._unknown(entry, known, is_file=is_file)
            elif entry.key in self.texts:
                self._twice(entry)
            else:
                self._take(entry)

    def _unknown(self, entry: Entry, known: Sequence[str], *, is_file: bool) -> None:
        hint = near_or_all(entry.key, known)
        if is_file and entry.key in _OF_SCENARIO:
            hint = "put it into the Metadata: of a scenario"
        self._findings.add("D011", f"Metadata: has no {entry.key}", entry.span, hint)

    def _twice(self, entry: Entry) -> None:
        first = self.texts[entry.key].span
        text = f"{entry.key} is said already"
        self._findings.add("D016", text, entry.span, labels=[(first, "here")])

    def _take(self, entry: Entry) -> None:
        text = self._text(entry)
        if text is None:
            return
        if not text.value:
            hint = f"write it behind the colon, or take {entry.key} away"
            self._findings.add("D014", f"{entry.key} has no value", entry.span, hint)
        elif entry.key == "lineage_tracking" and text.value not in {"true", "on", "yes"}:
            hint = "lineage is always recorded: runi lineage"
            self._findings.add("D015", "lineage cannot be turned off", text.span, hint)
        else:
            self.texts[entry.key] = text

    def _text(self, entry: Entry) -> Text | None:
        if isinstance(entry.value, Text):
            return self._parameters.filled(entry.value, self._findings)
        return Text(" · ".join(_told(entry.value, entry.entries)), entry.span)


def _told(value: Value | None, entries: Sequence[Entry]) -> Iterator[str]:
    """Yield what stands behind a key and below it, a line each."""
    if isinstance(value, Items):
        yield ", ".join(str(getattr(one, "value", "")) for one in value.values)
    elif isinstance(value, Text):
        yield value.value
    for entry in entries:
        told = list(_told(entry.value, entry.entries))
        if entry.key:
            yield f"{entry.key}: {' · '.join(told)}"
        elif not (entry.is_bullet and entry.entries):
            yield " · ".join((entry.text.value, *told))
        else:
            yield " · ".join(told)


# Assertions.


def assertion(entry: Entry, sentences: Sentences, findings: Findings) -> Read | None:
    """Return what a line of `Assertions:` promises; nothing if that is nothing that can be kept, which is told."""
    found = sentences.read(entry.text)
    if found is not None:
        return found
    text = entry.text
    trial = Findings("", "")
    condition(text, FIGURES, trial)
    if len(trial) and not _EXPRESSION.search(text.value):
        told = "nothing can keep this promise"
        hint = f"{FORMS}; what is for people stands below Given, When or Then"
        findings.add("D027", told, text.span, hint)
        return None
    return Read((AssertClause(text.span, text),), f"nothing is published unless {text.value}")


def notification(entry: Entry, findings: Findings) -> None:
    findings.add("D012", "notifications are not there yet", entry.text.span, NOTIFICATIONS_LATER)


# Golden tests.


def golden(block: Block, findings: Findings) -> tuple[Clause, ...]:
    """Return the golden that `GoldenTest:` is; none if it says none, which is told."""
    said: dict[str, Entry] = {}
    before = len(findings)
    for entry in block.entries:
        if entry.key not in _GOLDEN_KEYS:
            word = entry.key or entry.text.value
            hint = near_or_all(word, _GOLDEN_KEYS)
            findings.add("D011", f"GoldenTest: has no {word}", entry.span, hint)
        elif entry.key in said:
            labels = [(said[entry.key].span, "here")]
            findings.add("D016", f"{entry.key} is said already", entry.span, labels=labels)
        else:
            said[entry.key] = entry
    output = _texts(said.get("output"))
    if len(output) != 1 and len(findings) == before:
        hint = 'as in output: "golden/x.csv"'
        findings.add("D014", "GoldenTest: names no output", block.span, hint)
    _check_validation(said.get("validation"), findings)
    numbers = {name: _number(said.get(name), findings) for name in ("tolerance", "relative")}
    ordered = _texts(said.get("ordered"))
    if ordered and ordered[0].value not in {"true", "false"}:
        findings.add("D015", "ordered must be true or false", ordered[0].span)
    if len(findings) > before:
        return ()
    return (
        GoldenClause(
            span=block.span,
            path=output[0],
            inputs=_texts(said.get("input")),
            key=_texts(said.get("key")),
            ignore=_texts(said.get("ignore")),
            tolerance=numbers["tolerance"],
            relative=numbers["relative"],
            ordered=bool(ordered) and ordered[0].value == "true",
            of_scenario=True,
        ),
    )


def _texts(entry: Entry | None) -> tuple[Text, ...]:
    """Return the texts behind a key or below it."""
    if entry is None:
        return ()
    match entry.value:
        case Text():
            return (entry.value,)
        case Items(values):
            return tuple(one for one in values if isinstance(one, Text))
        case _:
            return tuple(one.text for one in entry.entries)


def _number(entry: Entry | None, findings: Findings) -> float:
    texts = _texts(entry)
    if not texts:
        return 0.0
    if not _COUNT.fullmatch(texts[0].value):
        assert entry is not None, "it has a text"
        findings.add("D015", f"{entry.key} must be a number, 0 or more", texts[0].span)
        return 0.0
    return float(texts[0].value)


def _check_validation(entry: Entry | None, findings: Findings) -> None:
    for text in _texts(entry):
        if not _EXACT.match(text.value):
            hint = "exact is what there is: leave it away, or say key, ignore, tolerance, ordered"
            findings.add("D015", f"validation cannot be {text.value}", text.span, hint)
