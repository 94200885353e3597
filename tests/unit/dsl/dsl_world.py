"""A project with some steps and a contract, and scenarios compiled in it."""

from __future__ import annotations

import pytest
from runink.dag import Dag
from runink.errors import Invalid
from runink.testing.projects import MemoryProject, compile_text, contract_of

STEPS = """from runink import step
import polars as pl, os

@step(each="batch")
def plain(rows): ...

@step(each="stream", name="joined")
def any_name(rows, planes, airlines=None): ...

@step(each="record")
def made(): ...
"""
CONTRACT = contract_of("contracts/x.py:X", {"id": "int", "name": "str"})
PROJECT = MemoryProject(
    {"steps/s.py": STEPS, "bin/p": "", "g.csv": ""}, {"contracts/x.py:X": CONTRACT}
)


def compile_lines(*lines: str, head: str = "Feature: F", **parameters: str) -> Dag:
    text = "\n".join([head, "Scenario: S", *lines])
    return compile_text(text, project=PROJECT, parameters=parameters).dag


def codes(*lines: str, head: str = "Feature: F", **parameters: str) -> list[str]:
    with pytest.raises(Invalid) as caught:
        compile_lines(*lines, head=head, **parameters)
    return [finding.code for finding in caught.value.findings]


def links(dag: Dag) -> list[tuple[str, str, str]]:
    return [
        (link.source.removeprefix("s."), link.target.removeprefix("s."), link.role)
        for link in dag.links
    ]


SOURCE = '@source("csv://a.csv")'
SINK = '@sink("parquet://out/b.parquet")'
