"""Rows made from a contract: ordinary ones, some at the edges of what it takes, and some that break it for a reason that is known.

    ordinary    a column at a time, by chance within what each field takes; then checked by the contract's own plan, which takes out what breaks a
                rule over several fields (or anything else that was not foreseen), until there are enough
    edges       a row for each edge of each field, the other fields ordinary
    broken      an ordinary row with one value changed, or one whole row that breaks a rule over several fields; which rule that is
                has been told by the plan, on the value in the form in which it will be read (`synthesis_mistakes.py`)

The same contract, wish and seed give the same rows.  Nothing here knows a clock or chance of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa

from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.contracts.physical import physical_schema
from runink.contracts.plan import Plan, compile_plan
from runink.contracts.synthesis_edges import edges_of
from runink.contracts.synthesis_mistakes import Broken, Form, mistakes_of
from runink.contracts.synthesis_texts import Make, Words
from runink.contracts.synthesis_values import maker_of, nullable
from runink.contracts.text_patterns import Chance
from runink.errors import Invalid

CHUNK_ROWS: Final = 8_192
TRIES_MAX: Final = (
    200  # candidates for each row that is wanted; a rule that fewer keep needs rows made by hand
)
TRIES_LEAST: Final = 20_000  # and so many in any case
UNIQUE: Final = "unique"
PROBES: Final = 2_000  # candidates looked at for rows that break a rule over several fields


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted: how many rows, which part of them broken, and whether edges come first. `form` is how they will be read, `nulls` are texts that mean nothing there."""

    rows: int
    broken_ratio: float = 0.0
    edges: bool = False
    form: Form = Form.TEXT
    nulls: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Mistake:
    """One broken row: its number in the whole, from 0, and in its chunk; which rule of which field it breaks; and the row itself, which stands in the place of the ordinary one."""

    row: int
    place: int
    field: str
    rule: str
    instead: pa.RecordBatch


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows that keep the contract, and for some of them what stands in their place."""

    rows: pa.RecordBatch
    mistakes: tuple[Mistake, ...] = ()


class Synthesis:
    """Makes rows of one contract. Raises Invalid (`synth_impossible`) for one that no rows are found for, or none that break it."""

    def __init__(self, spec: ContractSpec, wish: Wish, chance: Chance, words: Words) -> None:
        self._spec = spec
        self._wish = wish
        self._chance = chance
        self._words = words
        self._plan: Plan = compile_plan(spec)
        self._schema = physical_schema(spec)
        self._distinct = _Distinct(spec)
        self._seen = self._plan.seen()  # of unique fields, also of those inside records
        self._makers = {field.name: self._maker(field) for field in spec.fields}
        self._whys: Counter[tuple[str, str]] = Counter()

    def _maker(self, field: FieldSpec) -> Make:
        make = nullable(field, maker_of(field, self._words, spread=self._spread(field)))
        if self._wish.form is Form.TEXT and field.kind in (Kind.STR, Kind.BYTES):
            # A text that will be read as nothing is nothing.
            nothing = {"", b"", *self._wish.nulls, *(one.encode() for one in self._wish.nulls)}
            return lambda count, chance: [
                None if value in nothing else value for value in make(count, chance)
            ]
        return make

    def _spread(self, field: FieldSpec) -> int:
        """Return how many different values a field should have: as many as there are rows, if it is unique or of the key."""
        return self._wish.rows if field.unique or field.name in self._spec.key else 0

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows, in chunks."""
        kinds = self._kinds() if self._wish.broken_ratio else []
        begun = 0
        pending = self._edge_rows() if self._wish.edges else None
        while begun < self._wish.rows:
            count = min(CHUNK_ROWS, self._wish.rows - begun)
            edges = pending.slice(0, count) if pending is not None else None
            pending = pending.slice(count) if pending is not None else None
            rows = self._ordinary(count - (edges.num_rows if edges is not None else 0))
            if edges is not None and edges.num_rows:
                rows = pa.Table.from_batches([edges, rows]).combine_chunks().to_batches()[0]
            yield Chunk(rows, tuple(self._mistakes(rows, begun, kinds)))
            begun += count

    # Rows that keep the contract.

    def _ordinary(self, count: int) -> pa.RecordBatch:
        kept: list[pa.RecordBatch] = []
        missing, tried = count, 0
        while missing > 0:
            if tried > max(count * TRIES_MAX, TRIES_LEAST):
                raise self._impossible(count, count - missing, tried)
            wanted = min(CHUNK_ROWS, missing if not tried else max(missing * 2, 100))
            good = self._distinct.of(self._checked(self._candidates(wanted)), missing)
            tried += wanted
            missing -= good.num_rows
            kept.append(good)
        if not kept:
            return pa.RecordBatch.from_pylist([], schema=self._schema)
        return (
            pa.Table.from_batches(kept, self._schema).combine_chunks().to_batches()[0]
            if len(kept) > 1
            else kept[0]
        )

    def _candidates(self, count: int) -> pa.RecordBatch:
        columns = [
            pa.array(
                self._makers[field.name](count, self._chance), self._schema.field(field.name).type
            )
            for field in self._spec.fields
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def _checked(self, candidates: pa.RecordBatch) -> pa.RecordBatch:
        checked = self._plan.check(candidates, self._seen)
        if checked.rejected is not None:
            self._whys.update(checked.rejected.counts)
        return checked.good

    def _impossible(self, wanted: int, found: int, tried: int) -> Invalid:
        [((field, rule), count)] = self._whys.most_common(1) or [(("", ""), 0)]
        if self._distinct.repeated >= count:
            names = ", ".join(self._distinct.names)
            return Invalid(
                f"{self._spec.name}: {wanted:,} rows need more different values than {names} can hold; {found:,} were found",
                code="synth_impossible",
                hint="ask for fewer rows, or widen what the field takes",
            )
        what = f"rule {rule} of {field}" if field else rule
        return Invalid(
            f"{self._spec.name}: only {found:,} of {wanted:,} rows were found among {tried:,}: {count:,} broke {what}",
            code="synth_impossible",
            hint="narrow the bounds of the fields that it names, so that chance meets it; or make such rows by hand",
        )

    # Rows at the edges.

    def _edge_rows(self) -> pa.RecordBatch:
        """Return a row for each edge of each field, as far as the contract takes it and there is room for them among the wanted rows."""
        found = [pa.RecordBatch.from_pylist([], schema=self._schema)]  # if no edge is taken
        missing = self._wish.rows
        for place, field in enumerate(self._spec.fields):
            if missing <= 0:
                break
            kind = self._schema.field(place).type
            edges = [
                edge
                for edge in edges_of(field, self._words, self._chance)
                if _holds(edge, kind) and self._wish.form.holds(edge, self._wish.nulls)
            ]
            if not edges:
                continue
            rows = self._candidates(len(edges)).set_column(
                place, self._schema.field(place), pa.array(edges, kind)
            )
            found.append(self._distinct.of(self._checked(rows), len(edges)))
            missing -= found[-1].num_rows
        return pa.concat_batches(found)

    # Rows that break it.

    def _kinds(self) -> list[Broken]:
        """Return one way to break the contract for each rule that can be broken, with what it takes."""
        found = [
            broken
            for field in self._spec.fields
            for broken in mistakes_of(
                self._spec, field, self._makers[field.name], self._wish, self._chance
            )
        ]
        found += self._whole_rows() if self._spec.rules else []
        found += [
            Broken(field.name, UNIQUE, field.name) for field in self._spec.fields if field.unique
        ]
        if not found:
            raise Invalid(
                f"{self._spec.name} takes any row: none can break it",
                code="synth_impossible",
                hint="leave --invalid away",
            )
        # Not field by field: a few broken rows are to be of many kinds.
        return [found[place] for place in _shuffled(len(found), self._chance)]

    def _whole_rows(self) -> Iterator[Broken]:
        """Yield for each rule over several fields rows that break it and nothing else."""
        candidates = self._candidates(PROBES)
        rejected = self._plan.check(candidates).rejected
        if rejected is None:
            return
        by_rule: dict[str, list[int]] = {}
        for place, reasons in zip(
            rejected.rows.to_pylist(), rejected.reasons.to_pylist(), strict=True
        ):
            rules = {(reason["field"], reason["rule"]) for reason in reasons}
            if len(rules) == 1 and ((only := rules.pop())[0] == ""):
                by_rule.setdefault(only[1], []).append(place)
        for rule, places in by_rule.items():
            yield Broken("", rule, rows=tuple(candidates.slice(place, 1) for place in places))

    def _mistakes(self, rows: pa.RecordBatch, begun: int, kinds: list[Broken]) -> Iterator[Mistake]:
        ratio = self._wish.broken_ratio
        before, behind = round(begun * ratio), round((begun + rows.num_rows) * ratio)
        # What a unique field holds twice, it holds first in the very first row, which stays as it is.
        first = int(not begun and rows.num_rows > 1)
        if first:
            self._first = rows.slice(0, 1)
        places = _some(
            range(first, rows.num_rows), min(behind - before, rows.num_rows - first), self._chance
        )
        for number, place in enumerate(places, before):
            kind = kinds[number % len(kinds)]
            if kind.rule == UNIQUE:
                kind = replace(kind, values=(self._first.column(kind.column),))
            row = kind.row(rows.slice(place, 1), number // len(kinds))
            yield Mistake(begun + place, place, kind.field, kind.rule, row)


def _some(places: range, count: int, chance: Chance) -> list[int]:
    """Return so many of the places, in their order."""
    order = _shuffled(len(places), chance)
    return sorted(places[place] for place in order[:count])


def _shuffled(count: int, chance: Chance) -> list[int]:
    order = list(range(count))
    for at in range(count):
        other = chance.randrange(at, count)
        order[at], order[other] = order[other], order[at]
    return order


def _holds(value: object, kind: pa.DataType) -> bool:
    """Say whether a column of the type can hold the value at all."""
    try:
        pa.scalar(value, kind)
    except (pa.ArrowException, OverflowError, ValueError, TypeError):
        return False
    return True


class _Distinct:
    """Takes out rows whose key, or whose value of a unique field, an earlier row has had."""

    def __init__(self, spec: ContractSpec) -> None:
        fields = [
            (field.name,) for field in spec.fields if field.unique and (field.name,) != spec.key
        ]
        self._keys = [*([spec.key] if spec.key else []), *fields]
        self._seen: list[set[object]] = [set() for _ in self._keys]
        self.repeated = 0  # rows that were taken out

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for key in self._keys for name in key))

    def of(self, rows: pa.RecordBatch, most: int) -> pa.RecordBatch:
        """Return the first rows that are new, `most` at most."""
        if not self._keys:
            return rows.slice(0, most)
        columns = [
            zip(*(rows.column(name).to_pylist() for name in key), strict=True) for key in self._keys
        ]
        kept: list[int] = []
        for place, values in enumerate(zip(*columns, strict=True)):
            if len(kept) == most:
                break
            if any(
                value != (None,) and value in seen
                for value, seen in zip(values, self._seen, strict=True)
            ):
                self.repeated += 1
                continue
            for value, seen in zip(values, self._seen, strict=True):
                seen.add(value)
            kept.append(place)
        return rows if len(kept) == rows.num_rows else rows.take(pa.array(kept, pa.int64()))
