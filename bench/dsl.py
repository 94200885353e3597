"""The pipeline language: how fast a large file is read, read again after a change, and how long the commands for people take as processes.

The file has 10,051 lines with 6,700 annotations.  The reference is the official Gherkin parser on its kind of file, as many lines of plain Gherkin, which ours
reads as well; lark alone reads the large file by the grammar of record, which is what the reader is compared with in tests.  All take turns in
one run, the best of each counts, in seconds of a processor: what is waited for on a machine with nothing else to do.  Needs .venv-bench (make bench makes it).
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from runink.dsl.annotations import lark
from runink.dsl.diagnostics import Findings
from runink.dsl.formatting import formatted
from runink.dsl.incremental import Incremental
from runink.dsl.parser import parsed

from figures import ROOT, Figure, above, at_least, below, main, timed

TURNS = 5
PROCESSES = 9
SCENARIOS = 670
LINES, ANNOTATIONS = 10_051, 6_700
LINES_PER_S_MUST, REPARSE_MS_MUST, VERSION_MS_MUST, FMT_MS_MUST = 15_000, 30, 80, 200
HEAD = "Feature: Many scenarios\n"
SCENARIO = """  @module(layer="l{n}")
  Scenario: Take in {n}
    @source("csv://data/flights-{n}.csv", nulls=["NA", ""], as=flights)
    @contract("contracts/flights.py:Flight", on_invalid=fail)
    @step("clean_{n}", isolate=true)
    @requires(cpu=500m, memory=512Mi)
    @affinity(label="gpu")
    @step(sql="SELECT carrier, avg(dep_delay) AS delay FROM input GROUP BY ALL")
    @sink("parquet://out/late-{n}.parquet" when "dep_delay > 15")
    @deadletter("jsonl://out/dead-{n}.jsonl")
    @assert("rejected_ratio <= 0.01")
    # What the airport knows.
    Given the airport's own schedule
    Then a flight that never left is set aside

"""
PLAIN = """  Scenario: Take in {n}
    Given a source of flights {n} from the airport
    And a contract that each of them keeps
    When they are cleaned by step {n}
    And half a processor is there
    And a graphics card is there
    And delays are averaged by carrier
    Then late ones are written to a table {n}
    And those that broke the contract are set aside
    And not more than one in a hundred is
    # What the airport knows.
    Given the airport's own schedule
    Then a flight that never left is set aside
    And nothing else is

"""
SMALL = "".join([HEAD, *(SCENARIO.format(n=n) for n in range(2))])
GHERKIN = """import sys, time
from gherkin.parser import Parser
text = open(sys.argv[1]).read()
best = 1e9
for _ in range(int(sys.argv[2])):
    began = time.process_time()
    Parser().parse(text)
    best = min(best, time.process_time() - began)
print(best)
"""


def best_s(work: Callable[[], object], turns: int = TURNS) -> float:
    best = float("inf")
    for _ in range(turns):
        gc.collect()
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best


def read(text: str) -> None:
    findings = Findings("large.dsl", text)
    parsed(text, findings)
    assert not findings.told()


def reread_ms(text: str, change: Callable[[list[str], int], None]) -> float:
    """Return how long the text takes to be read again after a change, best of some."""
    reader = Incremental("large.dsl")
    reader.parse(text)
    lines = text.split("\n")
    best = float("inf")
    for turn in range(TURNS):
        change(lines, turn)
        changed = "\n".join(lines)
        gc.collect()
        began = time.process_time()
        document, told = reader.parse(changed)
        best = min(best, time.process_time() - began)
        assert len(document.scenarios) == SCENARIOS
        assert not told.told()
    return best * 1e3


def one_line(lines: list[str], turn: int) -> None:
    lines[5_000 // 15 * 15 + 5] = f'    @step("changed_{turn}")'


def one_more(lines: list[str], turn: int) -> None:
    lines.insert(4, f'    @step("another_{turn}")')


def process_ms(words: list[str]) -> float:
    return min(timed(words, cwd=ROOT).cpu_s for _ in range(PROCESSES)) * 1e3


def gherkin_s(plain: Path) -> float:
    python = ROOT / ".venv-bench/bin/python"
    done = timed([str(python), "-c", GHERKIN, str(plain), str(TURNS)])
    return float(done.out)


def measure(_: argparse.Namespace) -> list[Figure]:
    large = "".join([HEAD, *(SCENARIO.format(n=n) for n in range(SCENARIOS))])
    plain = "".join([HEAD, *(PLAIN.format(n=n) for n in range(SCENARIOS))])
    lines = len(large.splitlines())
    assert (lines, large.count("@")) == (LINES, ANNOTATIONS)
    with tempfile.TemporaryDirectory() as folder:
        gherkin, small = Path(folder, "plain.feature"), Path(folder, "small.dsl")
        gherkin.write_text(plain)
        small.write_text(formatted(SMALL, "small.dsl"))
        ours = lines / best_s(lambda: read(large))
        plainly = lines / best_s(lambda: read(plain))
        theirs = lines / gherkin_s(gherkin)
        by_lark = lines / best_s(lambda: lark("file").parse(large), turns=2)
        runi = str(Path(sys.executable).parent / "runi")
        environment = {name: os.environ.pop(name) for name in ("PYTHONPATH",) if name in os.environ}
        bare = process_ms([sys.executable, "-c", "pass"])
        version = process_ms([runi, "--version"])
        fmt = process_ms([runi, "fmt", "--check", str(small)])
        os.environ.update(environment)
    return [
        above("10,051 lines with 6,700 annotations, lines/s", round(ours), LINES_PER_S_MUST),
        at_least(
            "the same, to lark alone by the grammar of record", round(ours), round(by_lark), 1
        ),
        at_least(
            "plain Gherkin, lines/s, to the official parser", round(plainly), round(theirs), 1
        ),
        below("one changed line, read again, ms", reread_ms(large, one_line), REPARSE_MS_MUST),
        below(
            "one line more at the top, read again, ms", reread_ms(large, one_more), REPARSE_MS_MUST
        ),
        below("runi --version as a process, ms, to bare Python", version, VERSION_MS_MUST, bare),
        below("runi fmt on a small file as a process, ms, to bare Python", fmt, FMT_MS_MUST, bare),
    ]


if __name__ == "__main__":
    main(measure, str(__doc__))
