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

from runink.dsl.arguments import NUMBER, Parameters
from runink.dsl.clauses import AssertClause, Clause, GoldenClause
from runink.dsl.diagnostics import Findings
from runink.dsl.entries import check_texts
from runink.dsl.expressions import FIGURES, condition
from runink.dsl.outlines import with_texts
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
_EXPRESSION: Final = re.compile(r"[=!<>]=|[<>]|&&|\|\|")
_COUNT: Final = re.compile(NUMBER), "a number, 0 or more"
# What is one value, what that looks like, and in words.
_ONES: Final[dict[str, tuple[re.Pattern[str], str]]] = {
    "output": (re.compile(".+", re.DOTALL), "a file"),
    "validation": (
        re.compile(r"(exact|strict)( match.*)?", re.IGNORECASE),
        "exact: leave it away, or say key, ignore, tolerance, ordered",
    ),
    "tolerance": _COUNT,
    "relative": _COUNT,
    "ordered": (re.compile("true|false"), "true or false"),
}


def with_parameters(block: Block, parameters: Parameters, findings: Findings) -> Block:
    """Return a block with the values of parameters in its texts; in conditions they stay the values that they are."""
    is_code = block.keyword == "Assertions"

    def fill(text: Text) -> Text:
        return parameters.filled(text, findings, is_code=is_code) or text

    filled: Block = with_texts(block, fill)
    return filled


class Metadata:
    """What `Metadata:` says: values as texts by their keys, each once."""

    def __init__(self, findings: Findings) -> None:
        self.texts: dict[str, Text] = {}
        self._findings = findings

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
        hint = "leave one of them away"
        self._findings.add("D016", text, entry.span, hint, labels=[(first, "here")])

    def _take(self, entry: Entry) -> None:
        text = _text(entry)
        if entry.value is not None and entry.entries:
            check_texts(entry, self._findings)
        elif not text.value:
            hint = f"write it behind the colon, or take {entry.key} away"
            self._findings.add("D014", f"{entry.key} has no value", entry.span, hint)
        elif entry.key == "lineage_tracking" and text.value not in {"true", "on", "yes"}:
            hint = "lineage is always recorded: runi lineage"
            self._findings.add("D015", "lineage cannot be turned off", text.span, hint)
        else:
            self.texts[entry.key] = text


def _text(entry: Entry) -> Text:
    if isinstance(entry.value, Text):
        return entry.value
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
            hint = "leave one of them away"
            findings.add("D016", f"{entry.key} is said already", entry.span, hint, labels=labels)
        else:
            check_texts(entry, findings)
            said[entry.key] = entry
    if "output" not in said and len(findings) == before:
        hint = 'as in output: "golden/x.csv"'
        findings.add("D014", "GoldenTest: names no output", block.span, hint)
    for name, (form, wanted) in _ONES.items():
        if name in said:
            _check_one(said[name], form, wanted, findings)
    if len(findings) > before:
        return ()
    texts = {name: entry.texts for name, entry in said.items()}
    return (
        GoldenClause(
            span=block.span,
            path=texts["output"][0],
            inputs=texts.get("input", ()),
            key=texts.get("key", ()),
            ignore=texts.get("ignore", ()),
            tolerance=float(texts["tolerance"][0].value) if "tolerance" in texts else 0.0,
            relative=float(texts["relative"][0].value) if "relative" in texts else 0.0,
            ordered="ordered" in texts and texts["ordered"][0].value == "true",
            of_scenario=True,
        ),
    )


def _check_one(entry: Entry, form: re.Pattern[str], wanted: str, findings: Findings) -> None:
    first, *others = entry.texts or (None,)
    if others:
        findings.add("D015", f"{entry.key} is one value", entry.span, "leave the others away")
    elif first is not None and not form.fullmatch(first.value):
        text = f"{entry.key} cannot be {first.value}"
        findings.add("D015", text, first.span, f"it must be {wanted}")
