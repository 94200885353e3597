"""What the tests of goldens came to: lines for people, one document for programs, JUnit's XML for continuous integration.

The XML has the shape that Jenkins, GitLab and others read:

    testsuites          all
      testsuite         a pipeline file
        testcase        a golden; `classname` is the pipeline file, `name` the scenario and the golden's path
          failure       it does not hold: the differences
          error         its run failed, or was not made
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final
from xml.etree import ElementTree as ET

import click

from runink.cli.rehearsing import GoldenOutcome, Status
from runink.cli.summary import failure_lines
from runink.cli.wording import harmless
from runink.clients.run_documents import error_document
from runink.contracts.differences import Differences, told

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_COLOURS: Final = {"missing": "red", "unexpected": "green", "different": "yellow", "note": "yellow", "expected": "red", "actual": "green"}  # fmt: skip
_WORDS: Final = {
    Status.PASSED: ("ok", "as expected"),
    Status.WRITTEN: ("ok", "written"),
    Status.UNCHANGED: ("ok", "unchanged"),
    Status.FAILED: ("FAILED", ""),
    Status.ERROR: ("ERROR", ""),
    Status.CANCELLED: ("CANCELLED", ""),
}
HINT: Final = "mend the pipeline; or, where the new output is right, runi test --update"


def lines_of(one: GoldenOutcome) -> list[str]:
    """Return what a terminal is told of one test, in colours."""
    word, said = _WORDS[one.status]
    colour = "green" if one.status.is_good else "red"
    head = f"{click.style(f'{word:<7}', fg=colour)} {one.file} {one.golden.scenario} in {one.seconds:.1f} s: {one.golden.path}"
    differences = one.result.differences if one.result else None
    if differences is not None:
        body = [f"  {line}" for line in told(differences, _painted)]
        return [f"{head}: {_counted(differences)}", *body, f"  help: {HINT}"]
    error = one.result.error if one.result else None
    if error is not None:
        text = harmless(error.text)
        return [
            head,
            f"  error[{error.code}]: {text}",
            *([f"  help: {error.hint}"] if error.hint else []),
        ]
    if one.failure is not None:
        return [head, *failure_lines(one.failure)]
    return [f"{head} {said}".rstrip()]


def _painted(part: str, text: str) -> str:
    return click.style(harmless(text), fg=_COLOURS[part])


def _counted(found: Differences) -> str:
    counts = [
        f"{found.missing:,} missing" if found.missing else "",
        f"{found.unexpected:,} unexpected" if found.unexpected else "",
        f"{found.different:,} different" if found.different else "",
    ]
    return ", ".join(filter(None, counts)) or "not alike"


def summary_line(results: Sequence[GoldenOutcome]) -> str:
    counts = _counts(results)
    said = [f"{number} {name}" for name, number in counts.items() if number]
    return ", ".join(said)


def _counts(results: Iterable[GoldenOutcome]) -> dict[str, int]:
    found = dict.fromkeys((status.value for status in Status), 0)
    for one in results:
        found[one.status.value] += 1
    return found


# For programs.


def golden_document(
    results: Sequence[GoldenOutcome], without_golden: Sequence[str]
) -> dict[str, Any]:
    """Return all as one JSON document; its keys are a promise to programs."""
    return {
        "tests": [_document(one) for one in results],
        "counts": _counts(results),
        "without_golden": list(without_golden),
    }


def _document(one: GoldenOutcome) -> dict[str, Any]:
    differences = one.result.differences if one.result else None
    error = error_document(one.failure)
    if one.result is not None and one.result.error is not None:
        wire = one.result.error
        error = {"code": wire.code, "text": wire.text, "hint": wire.hint}
    return {
        "name": one.name,
        "file": one.file,
        "scenario": one.golden.scenario,
        "title": one.scenario.title,
        "golden": one.golden.path,
        "inputs": {given.source: given.path for given in one.golden.inputs},
        "status": one.status.value,
        "seconds": round(one.seconds, 3),
        "run": one.run or None,
        "differences": None if differences is None else _differences(differences),
        "error": error,
    }


def _differences(found: Differences) -> dict[str, Any]:
    return {
        "missing": found.missing,
        "unexpected": found.unexpected,
        "different": found.different,
        "notes": list(found.notes),
        "rows": [
            {
                "kind": row.kind.value,
                "values": dict(row.values),
                "cells": [
                    {
                        "field": cell.field,
                        "expected": cell.expected,
                        "actual": cell.actual,
                        "off_by": cell.off_by,
                    }
                    for cell in row.cells
                ],
            }
            for row in found.rows
        ],
    }


# JUnit.


def junit(results: Sequence[GoldenOutcome]) -> bytes:
    """Return the results as JUnit's XML, valid whatever the data hold."""
    root = ET.Element("testsuites", {"name": "runi test", **_attributes(results)})
    for file in dict.fromkeys(one.file for one in results):
        mine = [one for one in results if one.file == file]
        suite = ET.SubElement(
            root, "testsuite", {"name": _xml(file), **_attributes(mine), "skipped": "0"}
        )
        for one in mine:
            _case(suite, one)
    ET.indent(root)
    body: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return body + b"\n"


def _attributes(results: Sequence[GoldenOutcome]) -> dict[str, str]:
    failed = sum(one.status is Status.FAILED for one in results)
    errors = sum(one.status in (Status.ERROR, Status.CANCELLED) for one in results)
    seconds = {one.run: one.seconds for one in results}  # goldens of one run share its time
    return {
        "tests": str(len(results)),
        "failures": str(failed),
        "errors": str(errors),
        "time": f"{sum(seconds.values()):.3f}",
    }


def _case(suite: ET.Element, one: GoldenOutcome) -> None:
    name = f"{one.golden.scenario} {one.golden.path}"
    facts = {"name": _xml(name), "classname": _xml(one.file), "time": f"{one.seconds:.3f}"}
    case = ET.SubElement(suite, "testcase", facts)
    if one.status.is_good:
        return
    differences = one.result.differences if one.result else None
    error = one.result.error if one.result else one.failure.error if one.failure else None
    if differences is not None:
        kind, message, text = "golden_differs", _counted(differences), "\n".join(told(differences))
    elif error is not None:
        kind, message, text = (
            error.code,
            error.text.partition("\n")[0],
            f"{error.text}\n{error.hint}",
        )
    else:
        kind, message, text = one.status.value, one.status.value, ""
    tag = "failure" if one.status is Status.FAILED else "error"
    found = ET.SubElement(case, tag, {"type": _xml(kind), "message": _xml(message)})
    found.text = _xml(text)


def _xml(text: str) -> str:
    """Return the text with what XML 1.0 cannot hold in words."""
    return _NOT_XML.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
