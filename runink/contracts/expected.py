"""What is expected of an output: the rows that a sink must give, in a file, and how they are compared. Arrow-free: it is part of a compiled pipeline."""

from __future__ import annotations

from typing import Final

import msgspec

from runink.quantities import Finite

GOLDEN_ENDINGS: Final = (".csv", ".jsonl", ".ndjson", ".parquet")


class GoldenInput(msgspec.Struct, frozen=True):
    """A file of the project that a test reads in a source's place. `source` is that node's id."""

    source: str
    path: str


class Golden(msgspec.Struct, frozen=True, omit_defaults=True):
    """The rows that a sink must give, in a file. They are matched by `key`; fields in `ignore` are not looked at.

    Floats are equal within `tolerance` (absolute) or `relative` (a part of the larger of both). `ordered` says that their order counts.
    `inputs` are read in the places of sources, in a test only.
    """

    scenario: str
    sink: str
    path: str
    key: tuple[str, ...] = ()
    tolerance: Finite = 0.0
    relative: Finite = 0.0
    ignore: tuple[str, ...] = ()
    ordered: bool = False
    inputs: tuple[GoldenInput, ...] = ()
