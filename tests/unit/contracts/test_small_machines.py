"""What a check does not ask of a machine: it may have no database of time zones."""

from __future__ import annotations

import subprocess
import sys

HEAD = """
import pyarrow as pa
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.contracts.masking import masked
from runink.contracts.plan import compile_plan
instants = pa.array([0, 1_500_000_000, 1_800_000_000], pa.timestamp("s", "UTC")).cast(pa.timestamp("us", "UTC"))
"""


def said(text: str) -> str:
    """Return what a program prints where Python finds no time zone."""
    words = [sys.executable, "-c", HEAD + text]
    done = subprocess.run(
        words, env={"PYTHONTZPATH": ""}, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.stdout


def test_bounds_of_instants():
    text = """
field = FieldSpec("t", Kind.DATETIME, ge="2014-01-01T00:00:00+00:00", lt="2024-01-01T00:00:00+00:00")
plan = compile_plan(ContractSpec("T", "1.0.0", (field,)))
print(plan.check(pa.record_batch({"t": instants})).rejected.rows.to_pylist())
"""
    assert said(text) == "[0, 2]\n"


def test_masks_of_instants():
    text = """
for mask in ("hash", "generalise(year)"):
    print(masked(instants, FieldSpec("t", Kind.DATETIME, mask=mask), b"k" * 16).cast(pa.int64() if mask != "hash" else pa.string())[0])
"""
    digest = "36ac88d11ddded7ca6799c068ae6523ff98990f261527d854f2e94f399ae5716"
    assert said(text) == f"{digest}\n0\n"


def test_conditions_on_instants():
    text = """
from runink.expressions.batches import evaluated
from runink.expressions.parsing import parse
rows = pa.record_batch({"t": instants})
for condition in ("t in ['1970-01-01', '2013-01-31']", "t > '1970-01-01'", "t.getFullYear() == 1970"):
    print(evaluated(rows, parse(condition).expression).to_pylist())
"""
    assert said(text) == "[True, False, False]\n[False, True, True]\n[True, False, False]\n"
