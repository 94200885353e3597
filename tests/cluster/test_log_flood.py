"""A step that prints without end: it is slowed down, what it printed is kept within limits, and nobody else notices."""

from __future__ import annotations

import json
from typing import Any

import pytest
from runi_project import Project
from runink.observe.log_pace import SLICE_LINES
from runink.observe.slice_logs import SLOWED

LINES = 5 * SLICE_LINES  # the first fifth is taken at once
STEPS = f"""
import os, sys

@step(each="batch")
def flood(batch):
    lines = b"y\\n" * 1000
    for _ in range({LINES // 1000}):
        os.write(1, lines)
    return batch

@step(each="batch")
def binary(batch):
    os.write(1, bytes(range(256)) + b"x" * (1 << 20) + b"\\nlast\\n")
    os.write(2, b"no line end")
    raise ValueError("enough")
"""


@pytest.fixture
def printing(project: Project) -> Project:
    project.write("data/x.csv", "a\n1\n")
    project.step(STEPS)
    for name in ("flood", "binary"):
        body = f'@source("csv://data/x.csv")\n@step("{name}")\n@sink("jsonl://out/{name}.jsonl")'
        project.pipeline(body, file=f"features/{name}.dsl")
    return project


def slice_of(project: Project) -> dict[str, Any]:
    return project.runi("slice", "get", "last", "one", "-o", "json").document


def test_a_flood_is_slowed_down_told_and_loses_no_line(printing: Project):
    ran = printing.run("features/flood.dsl")
    assert ran.code == 0, ran
    found = slice_of(printing)
    assert found["printed"]["slowed_s"] > 0
    assert found["printed"]["lines"] == LINES
    (told,) = found["limits_met"]
    assert "s to print: 500,000 lines were more than its log takes at a time" in told
    logged = printing.runi("logs", "last", "-o", "json")
    rows = json.loads(logged.out)
    assert sum(row["text"] == "y" for row in rows) == LINES
    assert [row["text"] for row in rows if row["stream"] == "runink"] == [SLOWED]


def test_bytes_that_are_no_text_and_endless_lines_are_lines_all_the_same(printing: Project):
    failed = printing.run("features/binary.dsl")
    assert failed.error["code"] == "step_raised"
    tail = failed.error["log_tail"]
    assert "last" in tail
    assert "no line end" in tail
    rows = json.loads(printing.runi("logs", "last", "-o", "json").out)
    assert sum("[cut: the line is longer than 16384 bytes]" in row["text"] for row in rows) == 1
    keys = {"at_ms", "herd", "run", "slice", "attempt", "node", "stream", "text", "offset", "code"}
    assert found_keys(rows) == keys


def found_keys(rows: list[dict[str, Any]]) -> set[str]:
    return {key for row in rows for key in row}
