"""Rows of operations on annotations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from access_row import Row
from runink.barn.keys import ANNOTATIONS
from runink.governance.annotations import Annotation, Kind
from runink.names import HerdName
from runink.testing.served import NOW_MS, Served

ID = "01JDYX5K3QW8R2M4N6P7S9T0V1"
OF = {"annotation": ID}
MADE = "its id is made by who makes it"


async def noted(world: Served, herd: str) -> Mapping[str, Any]:
    """Have a note in the herd."""
    by, of = "operator:root", HerdName(herd)
    note = Annotation(ID, of, Kind.PIPELINE, f"of-{herd}", "why", by, NOW_MS)
    await world.barn.put(ANNOTATIONS.key(herd, ID), note)
    return {}


ANNOTATION_ROWS: dict[str, Row] = {
    "annotations.list": Row(prepare=noted, shows=ID),
    "annotations.create": Row({"kind": "contract", "name": "Flight", "text": "why"}, nameless=MADE),
    "annotations.get": Row(OF, prepare=noted),
    "annotations.update": Row({**OF, "text": "since"}, prepare=noted),
    "annotations.delete": Row(OF, prepare=noted),
}
