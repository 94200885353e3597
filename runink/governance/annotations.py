"""Annotations: notes that people and programs put on the things of a herd, for others to find.

    /annotations/H/ID     Annotation; ID sorts by time

A note is about one thing, by its kind and name. Nothing is asked whether that is there: a dataset is elsewhere, and a run may have been forgotten while its note is still of use.

    kind        name
    dataset     its URI, as lineage has it
    contract    NAME, or NAME@VERSION
    field       CONTRACT.FIELD
    pipeline    NAME, or NAME@VERSION
    run         its id
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from runink.names import HerdName

ANNOTATIONS_MAX: Final = 10_000  # of a herd: all members hold them in memory
TEXT_MAX: Final = 4_000  # characters: a page; what is longer is a document of its own
NAME_MAX: Final = 1_024  # characters: URIs are the longest names
LABELS_MAX: Final = 16
LABEL_MAX: Final = 128  # characters of a label's name or value


class Kind(StrEnum):
    DATASET = "dataset"
    CONTRACT = "contract"
    FIELD = "field"
    PIPELINE = "pipeline"
    RUN = "run"


class Annotation(msgspec.Struct, frozen=True, omit_defaults=True):
    """A note on a thing. `by` and `made_ms` say who made it and when (Unix epoch), `changed_by` and `changed_ms` the same of the last change, nothing without one."""

    id: str
    herd: HerdName
    kind: Kind
    name: str
    text: str
    by: str
    made_ms: int
    labels: dict[str, str] = {}
    changed_by: str = ""
    changed_ms: int = 0
