"""Why rows are rejected: the masks of a batch's broken rules made into a list of reasons for each row, without a loop over rows.

reasons   list<struct<field: string, rule: string, message: string>>      one list a rejected row, in the order of the contract's fields

field     the column, or the way to what is inside it: address.zip, items[3].price; empty for a rule over several fields
rule      the rule's code: the keys of the table in `messages.py`; rule:NAME for one over several fields
message   a sentence for people
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from runink.contracts.casting import plain
from runink.contracts.fields import FieldSpec, Kind, RuleSpec
from runink.contracts.messages import (
    HIDDEN,
    RULE_PREFIX,
    constant,
    shown,
    told,
    told_few,
    wanted_by,
)
from runink.contracts.spots import Spot

REASON: Final = pa.struct([(name, pa.string()) for name in ("field", "rule", "message")])
REASONS: Final = pa.list_(REASON)
_OF_SOURCE: Final = frozenset(
    {"type", "overflow", "precision", "digits", "scale"}
)  # rules about the value as it came
Key = tuple[str, str]  # (path, rule): a list's places are [] there, so that there are few


class Reason(Protocol):
    """One rule, where it is broken (`mask`). `places` are elements of its own column, ascending; `bad` are all rows with a reason."""

    @property
    def key(self) -> Key: ...
    @property
    def mask(self) -> pa.Array: ...
    def places(self, bad: pa.Array) -> pa.Array: ...
    def rows(self, places: pa.Array) -> pa.Array: ...
    def names(self, places: pa.Array) -> pa.Array: ...
    def messages(self, places: pa.Array) -> pa.Array: ...


@dataclass(frozen=True, slots=True)
class Broken:
    """One rule of one field, where it is broken (`mask`), and the values to show: as they came or as they were taken."""

    field: FieldSpec
    rule: str
    mask: pa.Array
    source: pa.Array
    values: pa.Array
    spot: Spot
    hides: bool = False

    @property
    def key(self) -> Key:
        return self.spot.path, self.rule

    def places(self, bad: pa.Array) -> pa.Array:
        return places_of(self.mask) if self.spot.items else _places_among(bad, self.mask)

    def rows(self, places: pa.Array) -> pa.Array:
        return self.spot.rows(places)

    def names(self, places: pa.Array) -> pa.Array:
        return self.spot.names(places)

    def messages(self, places: pa.Array) -> pa.Array:
        few = self._few(places)
        if few is not None:
            return few
        names = self.names(places)
        if self.rule == "missing":
            return pc.binary_join_element_wise(names, " is missing", "")
        wanted = wanted_by(self.field, self.rule)
        if self.hides:
            return told(names, HIDDEN, wanted)
        column = self.source if self.rule in _OF_SOURCE else self.values
        if self.field.kind is Kind.LIST and self.rule != "type":
            lengths = pc.list_value_length(column.take(places)).cast(pa.string())
            return told(names, lengths, wanted)
        return told(names, shown(column.take(places)), wanted)

    def _few(self, places: pa.Array) -> pa.Array | None:
        """Return the messages of a few plain values of a column, nothing for others."""
        if self.spot.items is not None or self.hides or self.rule == "missing":
            return None
        if self.field.kind is Kind.LIST:
            return None
        column = self.source if self.rule in _OF_SOURCE else self.values
        wanted = wanted_by(self.field, self.rule)
        return told_few(self.spot.tail, column.take(places), wanted)


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """A rule over several fields, where it is broken, and what its fields hold: (name, values, or nothing if they are not shown)."""

    rule: RuleSpec
    mask: pa.Array
    fields: Sequence[tuple[str, pa.Array | None]]

    @property
    def key(self) -> Key:
        return "", RULE_PREFIX + self.rule.name

    def places(self, bad: pa.Array) -> pa.Array:
        return _places_among(bad, self.mask)

    def rows(self, places: pa.Array) -> pa.Array:
        return places

    def names(self, places: pa.Array) -> pa.Array:
        return constant("", len(places))

    def messages(self, places: pa.Array) -> pa.Array:
        named = "" if self.rule.name == self.rule.text else f" ({self.rule.text})"
        parts: list[pa.Array | str] = [f"the row breaks {self.rule.name!r}{named}"]
        mark = ": "
        for name, values in self.fields:
            said = HIDDEN if values is None else pc.fill_null(shown(values.take(places)), "missing")
            parts += [f"{mark}{name} is ", said]
            mark = ", "
        if len(parts) == 1:
            return constant(str(parts[0]), len(places))
        return pc.binary_join_element_wise(*parts, "")


@dataclass(frozen=True, slots=True)
class Example:
    """The first of a batch's rows that breaks a rule, and what is said of it."""

    row: int
    message: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """Rows that break a contract.

    `rows` are their places in the batch (int64, ascending), `original` the rows as they came (in plain types), `reasons` why, `counts` how many rows broke which
    (path, rule), `examples` one of each of these.
    """

    rows: pa.Array
    original: pa.RecordBatch
    reasons: pa.Array
    counts: dict[Key, int]
    examples: dict[Key, Example]


def rejected(batch: pa.RecordBatch, broken: Sequence[Reason], bad: pa.Array) -> Rejected:
    """Gather all that is wrong with a batch, by row. There must be something; `bad` is the mask of `bad_rows`."""
    places = places_of(bad)
    gathered = [_Gathered.of(one, places) for one in broken]
    every = pa.concat_arrays([one.rows for one in gathered])
    order = pc.sort_indices(every)  # stable: the reasons of a row stay in the order of the fields
    by_row = every.take(order)
    which = pa.array(
        [at for at, one in enumerate(gathered) for _ in range(len(one.rows))], pa.int32()
    )
    rules = pa.array([one.key[1] for one in gathered], pa.string()).take(which.take(order))
    fields = pa.concat_arrays([one.fields for one in gathered]).take(order)
    messages = pa.concat_arrays([one.messages for one in gathered]).take(order)
    listed = [fields, rules, messages]
    starts = _starts(by_row)
    rows = by_row.take(starts)
    offsets = pa.concat_arrays([starts, pa.array([len(by_row)], pa.int32())])
    struct = pa.StructArray.from_arrays(listed, fields=list(REASON))
    reasons = pa.ListArray.from_arrays(offsets, struct, type=REASONS)
    original = [plain(column).take(rows) for column in batch.columns]
    kept = pa.RecordBatch.from_arrays(original, names=batch.schema.names)
    counts: dict[Key, int] = {}
    examples: dict[Key, Example] = {}
    for one in gathered:
        counts[one.key] = counts.get(one.key, 0) + one.rows_broken
        examples.setdefault(one.key, Example(one.rows[0].as_py(), one.messages[0].as_py()))
    return Rejected(rows, kept, reasons, counts, examples)


def places_of(mask: pa.Array) -> pa.Array:
    """Return where a mask is true, ascending."""
    return pc.indices_nonzero(mask).cast(pa.int64())


def _places_among(rows: pa.Array, mask: pa.Array) -> pa.Array:
    """Return where a mask of all rows is true, which is in some of these: they are few, so the other rows are not looked at again."""
    return rows.filter(mask.take(rows))


@dataclass(frozen=True, slots=True)
class _Gathered:
    """One broken rule's reasons, one an element."""

    key: Key
    rows: pa.Array
    fields: pa.Array
    messages: pa.Array
    rows_broken: int

    @classmethod
    def of(cls, broken: Reason, bad: pa.Array) -> _Gathered:
        places = broken.places(bad)
        rows = broken.rows(places)
        return cls(
            broken.key,
            rows,
            broken.names(places),
            broken.messages(places),
            len(rows) if rows is places else pc.count_distinct(rows).as_py(),
        )


def bad_rows(broken: Sequence[Reason], rows: int) -> pa.Array:
    """Return a mask of the rows that have a reason. There must be one."""
    bad: pa.Array | None = None
    for one in broken:
        mask = _row_mask(one, rows)
        bad = mask if bad is None else pc.or_(bad, mask)
    return bad


def _row_mask(broken: Reason, rows: int) -> pa.Array:
    if isinstance(broken, BrokenRule) or (isinstance(broken, Broken) and broken.spot.items is None):
        return broken.mask
    wrong = broken.rows(places_of(broken.mask))
    return pc.is_in(pa.array(range(rows), pa.int64()), wrong)


def _starts(by_row: pa.Array) -> pa.Array:
    """Return where each row's reasons begin in an ascending list of rows."""
    changes = pc.indices_nonzero(pc.not_equal(by_row.slice(1), by_row.slice(0, len(by_row) - 1)))
    later = pc.add(changes.cast(pa.int32()), pa.scalar(1, pa.int32()))
    return pa.concat_arrays([pa.array([0], pa.int32()), later])
