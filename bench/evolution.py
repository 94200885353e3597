"""Versions of contracts: how long it takes to compare two of 200 fields and to name one, milliseconds of processor time; the best of many.

Of the 200 fields a tenth is renamed, a third has another bound or length, and a seventh may hold nothing in one of the two.  There is no reference: the figures are held
to what a person does not notice and what a check of each file on saving can spend.  `--json` prints the list of figures that `make bench` gathers.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from runink.contracts.diff import diff
from runink.contracts.fields import ContractSpec, FieldSpec, Kind

from figures import Figure, below, main

FIELDS = 200
TURNS = 30
DIFF_MS_MUST, HASH_MS_MUST = 50.0, 5.0
KINDS: tuple[tuple[Kind, dict[str, Any]], ...] = (
    (Kind.INT, {"ge": 0, "le": 1000}),
    (Kind.STR, {"pattern": "[A-Z]+", "max_length": 20}),
    (Kind.DECIMAL, {"digits": 10, "scale": 2, "ge": "0"}),
    (Kind.DATETIME, {}),
)


def field(number: int, turn: int) -> FieldSpec:
    """Return a field of the contract, as it is in one of its two versions."""
    kind, said = KINDS[number % len(KINDS)]
    changes = turn and number % 3 == 0
    said = {name: bound + 1 if changes and name in ("le", "max_length") else bound for name, bound in said.items()}  # fmt: skip
    return FieldSpec(
        f"field_{number}{'_x' if turn and number % 10 == 0 else ''}",
        kind,
        nullable=(number + turn) % 7 == 0,
        description="What it holds, in a sentence as people write it.",
        tags={"layer": "silver"},
        **said,
    )


def version(turn: int) -> ContractSpec:
    return ContractSpec(
        "Wide", f"1.{turn}.0", tuple(field(number, turn) for number in range(FIELDS))
    )


def best_ms(work: Callable[[], object]) -> float:
    times = []
    for _ in range(TURNS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times) * 1000


def measure(_: argparse.Namespace) -> list[Figure]:
    old, new = version(0), version(1)
    found = diff(old, new)
    assert found.renames, "the renamed fields are found again"
    told = f"diff of two contracts of {FIELDS} fields, ms ({len(found.changes)} changes)"
    return [
        below(told, best_ms(lambda: diff(old, new)), DIFF_MS_MUST),
        below("diff of two that mean the same, ms", best_ms(lambda: diff(old, old)), DIFF_MS_MUST),
        below(f"hash of a contract of {FIELDS} fields, ms", best_ms(lambda: old.hash), HASH_MS_MUST),
    ]  # fmt: skip


if __name__ == "__main__":
    main(measure, str(__doc__))
