"""What a reader sees of the rows that a run's sinks hold, by the pipeline that it ran: the same rule as of sinks (`views.py`), and of what a sink has left.

What a sink has masked is nobody's secret any more, and is seen as it stands there; if the herd masks it in another way since then, by both masks.  Of all else the reader's own clearances decide, mark by mark; the masks are the contracts', or
those of the herd's file as it is now.  Of what nothing says how it is masked, nothing is seen.  What a run did to its rows stands in its pipeline alone: what a herd clears
or what its roles show today says nothing of what was written then.

A message says why a row was rejected, and may hold values: one about a column that the reader does not see whole tells the rule alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from runink.clearances import ClearancePolicy
from runink.contracts.fields import FieldSpec
from runink.contracts.hidden import Clearance, hidden_field, parts_of
from runink.contracts.hidden_values import hidden_value
from runink.dag import Dag, Sink
from runink.dsl.audiences import Audience
from runink.dsl.carried import NONE, Carried, Held, Origins
from runink.dsl.flows import Flow
from runink.dsl.views import view_of
from runink.identity.roles import Clearances

REASONS: Final = "dead_reasons"
RULE: Final = "rule:"  # before the name of a rule over several fields, in a reason
# What a dead letter says of each row, in columns of its own (`pipes/dead_letter.py`).
OURS: Final = frozenset(
    {
        REASONS,
        "dead_contract",
        "dead_version",
        "dead_run",
        "dead_step",
        "dead_origin",
        "dead_row",
    }
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A sink's rows as somebody sees them. By names in small letters: `masked` columns, `withheld` ones, of which nothing is seen, and all that are `known`. Of others nothing is
    seen where it `is_closed`.
    """

    masked: Mapping[str, FieldSpec]
    withheld: frozenset[str]
    known: frozenset[str]
    is_closed: bool
    is_dead_letter: bool

    @property
    def sees_all(self) -> bool:
        """Whether rows are seen as they are."""
        return not (self.masked or self.withheld or self.is_closed)

    def row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return one row as it is seen."""
        if self.sees_all:
            return dict(row)
        return {name: self._value(name, value) for name, value in row.items()}

    def _value(self, name: str, value: Any) -> Any:
        if self.is_dead_letter and name in OURS:
            return self._reasons(value) if name == REASONS else value
        key = name.lower()
        if self._hides(key):
            return None
        return hidden_value(value, self.masked[key]) if key in self.masked else value

    def _hides(self, key: str) -> bool:
        return key in self.withheld or (self.is_closed and key not in self.known)

    def _reasons(self, said: Any) -> Any:
        if isinstance(said, str):  # a CSV file holds them as text
            try:
                said = json.loads(said)
            except ValueError:
                return None
        reasons = said if isinstance(said, list) else []
        return [self._reason(one) for one in reasons if isinstance(one, dict)]

    def _reason(self, reason: dict[str, Any]) -> dict[str, Any]:
        field, rule = str(reason.get("field") or ""), str(reason.get("rule") or "")
        if not field:
            message = f"the row breaks {rule.removeprefix(RULE)!r}"
        elif self._tells(field):
            return reason
        else:
            message = f"{field} breaks {rule}"
        return {"field": field, "rule": rule, "message": message}

    def _tells(self, field: str) -> bool:
        """Say whether a message about this column, or a part of it, is seen."""
        way = field.lower()
        names = self.masked.keys() | self.withheld
        if any(way == name or way.startswith((f"{name}.", f"{name}[")) for name in names):
            return False
        return not self.is_closed or any(
            way == name or way.startswith((f"{name}.", f"{name}[")) for name in self.known
        )


def readings_of(dag: Dag, policy: ClearancePolicy, shown: Clearances) -> Mapping[str, Reading]:
    """Return how each sink of a pipeline that was compiled is read by who is cleared for `shown`, by the sinks' ids."""
    came: dict[str, Carried] = {}

    def at_sink(node: Sink, stream: Carried) -> Carried:
        return _left(stream, node.clearance, policy)

    flow = Flow(dag, at_sink)
    for node in dag.nodes:
        if isinstance(node, Sink):
            came[node.id] = flow.behind[node.id]
    reader = Audience.reader(shown)
    return {
        node.id: _reading(came[node.id], reader, policy, node)
        for node in dag.nodes
        if isinstance(node, Sink)
    }


def _reading(held: Carried, reader: Audience, policy: ClearancePolicy, node: Sink) -> Reading:
    view = view_of(held, reader, policy)
    return Reading(
        {field.name.lower(): field for field in view.masked},
        frozenset(name.lower() for names in view.refused.values() for name in names),
        frozenset(name.lower() for name in held.columns or {}),
        # What no contract names came into a dead letter as it was, and may hold what the reader does not see.
        is_closed=bool(view.rest or (node.dead_letter and (view.masked or view.refused))),
        is_dead_letter=node.dead_letter,
    )


def _left(came: Carried, clearance: Clearance | None, policy: ClearancePolicy) -> Carried:
    """Return what a sink holds of what came to it."""
    if clearance is None or not clearance.masked:
        return came
    masks = {field.name.lower(): field for field in clearance.masked}
    columns: dict[str, Held] = {}
    for name, held in (came.columns or {}).items():
        field = masks.get(name.lower())
        columns[name] = held if field is None else _left_column(held, field, policy)
    known = columns if came.columns is not None else None
    return Carried(known, came.rest, came.why, is_open=came.is_open)


def _left_column(held: Held, field: FieldSpec, policy: ClearancePolicy) -> Held:
    """Return what a masked column still holds. One that the herd masks in another way now is masked so on top; a record of which that is so in a part is not seen."""
    if not any(_is_changed(held.field, field, one.contract, policy) for one in held.origins):
        return Held(_left_of(held, field), hidden_field(field))
    return Held(held.origins, hidden_field(field) if field.mask else None)


def _is_changed(
    spec: FieldSpec | None, field: FieldSpec, contract: str, policy: ClearancePolicy
) -> bool:
    """Say whether the herd's file masks a field, or a part of it, in another way than it was masked when the pipeline was compiled."""
    if spec is None or spec.mask:
        return False
    if field.mask:
        return policy.mask_of(contract, spec.name) not in {"", field.mask}
    parts = zip(parts_of(spec), parts_of(field), strict=False)
    return any(_is_changed(one, masked, contract, policy) for one, masked in parts)


def _left_of(held: Held, field: FieldSpec) -> Origins:
    """Return what a masked column still holds: nothing where it is masked whole, else what its parts without a mask are."""
    if field.mask:
        return NONE
    bare = set(_bare(field))
    return frozenset(one for one in held.origins if one.is_whole or (one.pii, one.access) in bare)


def _bare(field: FieldSpec) -> list[tuple[str, tuple[str, ...]]]:
    """Return the marks of a field and its parts that have no mask."""
    if field.mask:
        return []
    found = [(field.pii, field.access)] if field.is_marked else []
    return [*found, *(mark for part in parts_of(field) for mark in _bare(part))]
