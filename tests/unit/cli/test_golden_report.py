"""What the tests of goldens came to, for people, for programs and for continuous integration."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
from runink.cli.golden_report import golden_document, junit, lines_of, summary_line
from runink.cli.rehearsing import GoldenOutcome, Status
from runink.contracts.differences import Cell, Differences, GoldenResult, RowDifference, RowKind
from runink.contracts.expected import Golden, GoldenInput
from runink.dag import Scenario
from runink.errors import WireError
from runink.runs.records import Failure

GOLD = Scenario("gold", "Delay by airline", {"layer": "gold"}, 3)
GOLDEN = Golden("gold", "gold.sink", "golden/d.csv", inputs=(GoldenInput("gold.source", "i.csv"),))
DIFFERENCES = Differences(
    1,
    0,
    1,
    ("column x is missing",),
    (
        RowDifference(RowKind.MISSING, (("k", "b"), ("n", 2))),
        RowDifference(RowKind.DIFFERENT, (("k", "a"),), (Cell("n", 1.5, 1.0, 0.5),)),
    ),
)
NASTY = "\x1b[2J\x00]]>&<\ud800\x0b\uffff é\U0001f600"


def outcome(status: Status, **more: Any) -> GoldenOutcome:
    return GoldenOutcome("features/f.dsl", GOLD, GOLDEN, status, seconds=1.25, run="R1", **more)


def differing(found: Differences = DIFFERENCES) -> GoldenOutcome:
    return outcome(Status.FAILED, result=GoldenResult("golden/d.csv", "gold.sink", found))


def broken(text: str = "it is broken") -> GoldenOutcome:
    error = WireError("Refused", "source_not_found", text, "mend it")
    return outcome(Status.ERROR, failure=Failure(error))


def plain(one: GoldenOutcome) -> list[str]:
    return [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines_of(one)]


def test_a_difference_is_told_by_row_and_field() -> None:
    assert plain(differing()) == [
        "FAILED  features/f.dsl gold in 1.2 s: golden/d.csv: 1 missing, 1 different",
        "  column x is missing",
        "  missing: k='b' n=2",
        "  different: k='a': n is 1.0, expected 1.5 (off by 0.5)",
        "  help: mend the pipeline; or, where the new output is right, runi test --update",
    ]


def test_what_was_expected_and_what_came_have_colours_of_their_own() -> None:
    line = next(line for line in lines_of(differing()) if "expected" in line)
    assert "\x1b[32m1.0\x1b[0m" in line
    assert "\x1b[31m1.5\x1b[0m" in line


def test_what_rows_hold_moves_no_cursor() -> None:
    row = RowDifference(RowKind.MISSING, ((NASTY, NASTY),))
    lines = plain(differing(Differences(1, 0, 0, (NASTY,), (row,))))
    assert not any(character in "".join(lines) for character in "\x1b\x00\x0b")


def test_a_run_that_failed_says_why() -> None:
    lines = plain(broken())
    assert lines[0].startswith("ERROR   features/f.dsl gold")
    assert "  error[source_not_found]: it is broken" in lines


def test_results_are_counted() -> None:
    results = [outcome(Status.PASSED), outcome(Status.PASSED), differing(), broken()]
    assert summary_line(results) == "2 passed, 1 failed, 1 error"


def test_the_document_has_a_shape_that_programs_can_rely_on() -> None:
    document = golden_document([differing()], ["features/none.dsl"])
    again = msgspec.json.decode(msgspec.json.encode(document))
    assert again == {
        "tests": [
            {
                "name": "features/f.dsl gold golden/d.csv",
                "file": "features/f.dsl",
                "scenario": "gold",
                "title": "Delay by airline",
                "golden": "golden/d.csv",
                "inputs": {"gold.source": "i.csv"},
                "status": "failed",
                "seconds": 1.25,
                "run": "R1",
                "differences": {
                    "missing": 1,
                    "unexpected": 0,
                    "different": 1,
                    "notes": ["column x is missing"],
                    "rows": [
                        {"kind": "missing", "values": {"k": "b", "n": 2}, "cells": []},
                        {
                            "kind": "different",
                            "values": {"k": "a"},
                            "cells": [{"field": "n", "expected": 1.5, "actual": 1.0, "off_by": 0.5}],
                        },
                    ],
                },
                "error": None,
            }
        ],
        "counts": {"passed": 0, "failed": 1, "error": 0, "cancelled": 0, "written": 0, "unchanged": 0},
        "without_golden": ["features/none.dsl"],
    }  # fmt: skip


# The shape of JUnit's XML as the schema that is known as Jenkins' has it: what may stand in what, and which attributes are asked for.
ELEMENTS = {
    "testsuites": ({"testsuite"}, {"name", "time", "tests", "failures", "disabled", "errors"}, set()),
    "testsuite": (
        {"properties", "testcase", "system-out", "system-err"},
        {"name", "tests", "failures", "errors", "group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url", "version"},
        {"name", "tests"},
    ),
    "testcase": (
        {"skipped", "error", "failure", "system-out", "system-err"},
        {"name", "time", "classname", "group"},
        {"name"},
    ),
    "failure": (set(), {"type", "message"}, set()),
    "error": (set(), {"type", "message"}, set()),
}  # fmt: skip


def check(element: ET.Element) -> None:
    children, allowed, needed = ELEMENTS[element.tag]
    assert needed <= element.attrib.keys() <= allowed
    assert {child.tag for child in element} <= children
    for name in ("tests", "failures", "errors", "skipped"):
        assert element.attrib.get(name, "0").isdigit()
    float(element.attrib.get("time", "0"))
    if element.tag in {"testsuites", "testsuite"}:
        tags = Counter(one.tag for one in element.iter())
        assert int(element.attrib["tests"]) == tags["testcase"]
        assert int(element.attrib["failures"]) == tags["failure"]
        assert int(element.attrib["errors"]) == tags["error"]
    for child in element:
        check(child)


def test_junits_xml_has_the_shape_that_others_read() -> None:
    other = msgspec.structs.replace(GOLDEN, path="golden/o.csv")
    results = [
        outcome(Status.PASSED),
        differing(),
        broken(),
        outcome(Status.CANCELLED),
        GoldenOutcome("features/g.dsl", GOLD, other, Status.PASSED, 0.5, "R2"),
    ]
    root = ET.fromstring(junit(results))
    check(root)
    assert (root.attrib["tests"], root.attrib["time"]) == ("5", "1.750")
    assert [suite.attrib["name"] for suite in root] == ["features/f.dsl", "features/g.dsl"]
    case = root[0][1]
    assert (case.attrib["classname"], case.attrib["name"]) == (
        "features/f.dsl",
        "gold golden/d.csv",
    )
    assert case[0].attrib == {"type": "golden_differs", "message": "1 missing, 1 different"}
    assert "n is 1.0, expected 1.5" in (case[0].text or "")


def test_junits_xml_is_valid_whatever_the_data_hold() -> None:
    row = RowDifference(RowKind.MISSING, ((NASTY, NASTY),))
    results = [differing(Differences(1, 0, 0, (NASTY,), (row,))), broken(NASTY)]
    root = ET.fromstring(junit(results))
    check(root)
    text = root[0][1][0].attrib["message"]
    assert "\\x1b[2J\\x00]]>&<\\xd800\\x0b\\xffff é\U0001f600" in text
