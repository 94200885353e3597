"""Lint: what compiles, and is most likely not what was meant, or could be said better. And how to mend it.

    findings of the compiler     ERROR    mended only where there is one way to: typographic quotes
    rules (lint_rules.py, lint_spelling.py)   WARNING or NOTE, as `lint_codes.py` says

A rule looks at one thing and changes nothing; what it finds may bring edits that leave the pipeline what it is: the same Dag, the same hash.
`# lint: ignore L003 reason` behind a line, or alone above it, silences what it names there; `# lint: ignore-file L004 reason` in the whole file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from runink.dag import Dag
from runink.dsl.diagnostics import Findings
from runink.dsl.edits import Edit, Offsets, edited
from runink.dsl.lint_codes import LINT_CODES, Severity
from runink.dsl.lint_rules import RULES
from runink.dsl.lint_spelling import SPELLING
from runink.dsl.lint_subject import Hit, Subject
from runink.dsl.parser import parsed
from runink.dsl.statements import TYPOGRAPHIC
from runink.dsl.syntax import Absent, Document
from runink.errors import Finding, Span

ROUNDS_MAX: Final = 10  # of mending: what is mended may bare something else, but not for ever
_SILENCER: Final = re.compile(
    r"(?:^|(?<=\s))(?:#|//)[ \t]*lint:[ \t]*(?P<word>ignore-file|ignore)\b(?P<codes>(?:[ \t,]+[A-Z]\d{3})*)(?P<reason>[^\n\r]*)"
)
_CODE: Final = re.compile(r"[A-Z]\d{3}")


class Lint(msgspec.Struct, frozen=True):
    """A finding, how bad it is, and the edits that mend it, if it can be mended without asking."""

    finding: Finding
    severity: Severity
    edits: tuple[Edit, ...] = ()


def linted(
    text: str,
    file: str,
    dag: Dag | None,
    mistakes: Iterable[Finding],
    document: Document | None = None,
) -> tuple[Lint, ...]:
    """Return all that is to be told about a file, by place. `mistakes` are the compiler's, without any there is a `dag`; `document` is the text's tree, for who has it."""
    mark, text = text[: text.startswith("\ufeff")], text.removeprefix("\ufeff")
    offsets = Offsets(text)
    findings = Findings(file, text)
    document = document or parsed(text, Findings(file, text))
    subject = Subject(text, file, document, dag, offsets)
    found = [_mistake(one, subject) for one in mistakes]
    hits = [hit for rule in (*RULES, *SPELLING) for hit in rule(subject)]
    found.extend(_told(hit, findings) for hit in hits)
    kept = [_moved(one, len(mark)) for one in _unsilenced(text, found, findings)]
    return tuple(sorted(kept, key=lambda one: _place(one, file)))


def _moved(one: Lint, by: int) -> Lint:
    """Count a file's byte order mark where its text is cut, though it has no column."""
    edits = tuple(Edit(edit.start + by, edit.end + by, edit.text) for edit in one.edits)
    return msgspec.structs.replace(one, edits=edits) if by else one


def fixed(text: str, found: Iterable[Lint]) -> str:
    """Return the text with everything mended that can be; what overlaps is left for the next round."""
    return edited(text, [edit for one in found for edit in one.edits])


def _told(hit: Hit, findings: Findings) -> Lint:
    code = LINT_CODES[hit.code]
    line = findings.line(hit.span.line)
    finding = Finding(hit.code, hit.text, hit.span, hit.hint, line)
    return Lint(finding, code.severity, hit.edits)


def _place(one: Lint, file: str) -> tuple[int, str, int, int, str]:
    span = one.finding.span
    if span is None:
        return (2, "", 0, 0, one.finding.code)
    return (int(span.file != file), span.file, span.line, span.column, one.finding.code)


def _mistake(finding: Finding, subject: Subject) -> Lint:
    """Return a mistake with the edits that mend it, where there is but one way to: a typographic quote, a parameter without a value."""
    edits: tuple[Edit, ...] = ()
    span = finding.span
    if span is not None and span.file == subject.file:
        start = subject.offsets.of(span)
        if finding.code == "D006" and subject.text[start : start + 1] in tuple(TYPOGRAPHIC):
            edits = tuple(_straight(subject.text, start))
        elif finding.code == "D017":
            edits = tuple(_without(subject, span))
    return Lint(finding, Severity.ERROR, edits)


def _without(subject: Subject, span: Span) -> Iterator[Edit]:
    for annotation in subject.annotations():
        for argument in annotation.arguments:
            if argument.span == span and isinstance(argument.value, Absent):
                yield subject.without(annotation, argument)


def _straight(text: str, start: int) -> Iterator[Edit]:
    """Put plain quotes in the place of a typographic one and its other half."""
    end = text.find("\n", start)
    yield Edit(start, start + 1, '"')
    for at in range(start + 1, len(text) if end < 0 else end):
        if text[at] == '"':
            return
        if text[at] in TYPOGRAPHIC:
            yield Edit(at, at + 1, '"')
            return


# Silence.


class _Silencer(msgspec.Struct):
    """A note that silences codes in a line, or in the file if that is 0."""

    span: Span
    line: int
    codes: tuple[str, ...]
    has_reason: bool
    used: set[str] = msgspec.field(default_factory=set)


def _silencers(text: str, findings: Findings) -> list[_Silencer]:
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        note = _SILENCER.search(line) if "lint:" in line else None
        if note is None:
            continue
        is_alone = not line[: note.start()].strip()
        where = 0 if note["word"] == "ignore-file" else number + 1 if is_alone else number
        codes = tuple(_CODE.findall(note["codes"]))
        span = findings.span(number, note.start() + 1, len(note[0].rstrip()))
        found.append(_Silencer(span, where, codes, bool(note["reason"].strip())))
    return found


def _unsilenced(text: str, found: list[Lint], findings: Findings) -> Iterator[Lint]:
    """Yield what no note silences, and what is wrong with the notes."""
    silencers = _silencers(text, findings)
    for one in found:
        span, code = one.finding.span, one.finding.code
        line = span.line if span is not None else 0
        by = [
            silencer
            for silencer in silencers
            if code in silencer.codes and silencer.line in {0, line}
        ]
        # A mistake is none of lint's: it cannot be silenced.
        if not by or one.severity is Severity.ERROR:
            yield one
        for silencer in by if one.severity is not Severity.ERROR else ():
            silencer.used.add(code)
    for silencer in silencers:
        for told, hint in _wrong(silencer):
            yield _told(Hit("L015", told, silencer.span, hint), findings)


def _wrong(silencer: _Silencer) -> Iterator[tuple[str, str]]:
    unknown = [code for code in silencer.codes if code not in LINT_CODES]
    idle = [code for code in silencer.codes if code in LINT_CODES and code not in silencer.used]
    if not silencer.codes:
        yield "this names no code", "as in: # lint: ignore L003 the source is our own"
    elif not silencer.has_reason:
        yield "this gives no reason", "write it behind the codes"
    for code in unknown:
        yield f"there is no code {code} of lint", "a mistake cannot be silenced"
    for code in idle:
        yield f"there is no {code} here to be silenced", "take the note away"
