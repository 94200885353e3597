"""Records and lists: fields whose values have fields and items of their own, checked column by column like all others.

    record    a struct, whose fields are found by name as columns are; a map from text; the text of a JSON object
    list      a list of any layout; the text of a JSON array

What is inside is checked as if it stood alone, in one go for all rows, and its reasons name the way to it (`spots.py`).  A record that is not there has
nothing inside that could be missing.  A field that a struct lacks is nothing in every record: its default, or `missing` in each of them.  What is unchanged
inside is not copied, and a column in which nothing changes is handed on as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from runink.contracts.casting import Coerced, Failure, plain
from runink.contracts.coercion import nothing_of
from runink.contracts.columns import Column, Taken, filled, missing
from runink.contracts.fields import FieldSpec
from runink.contracts.reasons import Broken
from runink.contracts.rules import Rule
from runink.contracts.scalars import Failed
from runink.contracts.spots import Spot
from runink.errors import Refused

_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY: Final = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Record:
    """A field that is a record of others."""

    field: FieldSpec
    type: pa.DataType
    default: pa.Scalar | None
    columns: tuple[Column, ...]
    hides: bool

    def check(self, source: pa.Array, spot: Spot, around: pa.Array | None = None) -> Taken:
        source = plain(source)
        structs = self._structs(source)
        broken = _outer(self, source, structs, spot, around)
        there = structs.values.is_valid() if structs.values.null_count else None
        inside: list[pa.Array] = []
        came: list[pa.Array | None] = []
        for column in self.columns:
            child = self._child(structs.values, column, spot)
            came.append(child)
            if child is None and (column.default is not None or column.field.nullable):
                inside.append(filled(column, len(source)))
                continue
            child = pa.nulls(len(source)) if child is None else child
            values, reasons = column.check(child, spot.member(column.field.name), there)
            inside.append(values)
            broken += reasons
        same = all(one is other for one, other in zip(inside, came, strict=True))
        if same and source.type == self.type:
            return source, broken
        mask = None if there is None else pc.invert(there)
        return pa.StructArray.from_arrays(inside, fields=list(self.type), mask=mask), broken

    def _structs(self, source: pa.Array) -> Coerced:
        types, kind = pa.types, source.type
        if types.is_null(kind):
            return Coerced(pa.nulls(len(source), self.type))
        if types.is_struct(kind) or (types.is_map(kind) and types.is_string(kind.key_type)):
            return Coerced(source)
        if types.is_string(kind):
            names = [column.field.name for column in self.columns]
            texts = pa.struct([(name, pa.string()) for name in names])
            return _each_once(source, _object_reader(names), texts)
        return nothing_of(source, self.type)

    def _child(self, structs: pa.Array, column: Column, spot: Spot) -> pa.Array | None:
        """Return the column of one field inside, nothing if the structs have none."""
        name, kind = column.field.name, structs.type
        if pa.types.is_map(kind):
            return pc.map_lookup(structs, pa.scalar(name, kind.key_type), "first")
        places = kind.get_all_field_indices(name)
        if len(places) > 1:
            raise Refused(
                f"{spot.path} has two fields called {name!r}",
                code="contract_columns",
                hint="give one of them another name",
            )
        if not places:
            return None
        # A field under a record that is not there may hold anything: struct_field takes it away, and copies nothing else.
        if not structs.null_count:
            return structs.field(places[0])
        return pc.struct_field(structs, places)


@dataclass(frozen=True, slots=True)
class List:
    """A field that is a list of others."""

    field: FieldSpec
    type: pa.DataType
    default: pa.Scalar | None
    items: Column
    rules: tuple[Rule, ...]
    hides: bool

    def check(self, source: pa.Array, spot: Spot, around: pa.Array | None = None) -> Taken:
        source = plain(source)
        lists = _lists(source, self.type)
        broken = _outer(self, source, lists, spot, around)
        broken += [
            Broken(self.field, one.rule, one.mask, source, lists.values, spot, self.hides)
            for rule in self.rules
            for one in rule(lists.values)
        ]
        offsets, held = _opened(lists.values)
        parents = pc.list_parent_indices(pa.ListArray.from_arrays(offsets, held))
        inside, reasons = self.items.check(held, spot.item(parents.cast(pa.int64()), offsets))
        broken += reasons
        if inside is held and source.type == self.type:
            return source, broken
        mask = lists.values.is_null() if lists.values.null_count else None
        return pa.ListArray.from_arrays(offsets, inside, type=self.type, mask=mask), broken


def _outer(
    column: Record | List, source: pa.Array, taken: Coerced, spot: Spot, around: pa.Array | None
) -> list[Broken]:
    """Return what is wrong with the records or lists themselves."""
    nothing = missing(column, source, around)
    failures = [] if nothing is None else [("missing", nothing)]
    failures += [(one.rule, one.mask) for one in taken.failures]
    return [
        Broken(column.field, rule, mask, source, source, spot, column.hides)
        for rule, mask in failures
    ]


def _lists(source: pa.Array, target: pa.DataType) -> Coerced:
    """Return the column as lists of the usual layout, whatever they hold."""
    types, kind = pa.types, source.type
    if types.is_list(kind):
        return Coerced(source)
    if types.is_null(kind):
        return Coerced(pa.nulls(len(source), target))
    if types.is_string(kind):
        return _each_once(source, _array_of, pa.list_(pa.string()))
    if types.is_list_view(kind) or types.is_large_list_view(kind):
        return Coerced(_packed(source))
    if types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return Coerced(source.cast(pa.list_(kind.value_type)))
    return nothing_of(source, target)


def _packed(views: pa.Array) -> pa.Array:
    """Return a list view, whose lists lie anywhere, as a list: Arrow's own cast of one with empty lists gives no valid array."""
    ends = pc.cumulative_sum(pc.fill_null(pc.list_value_length(views), 0)).cast(pa.int32())
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    mask = views.is_null() if views.null_count else None
    return pa.ListArray.from_arrays(offsets, views.flatten(), mask=mask)


def _opened(lists: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return where each list begins and ends among the items (int32), and the items: those of lists that are there."""
    if not lists.null_count:
        offsets = lists.offsets
        begin = offsets[0].as_py() if len(offsets) else 0
        held = lists.flatten()
        return (offsets if begin == 0 else pc.subtract(offsets, offsets[0])), held
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    ends = pc.cumulative_sum(lengths).cast(pa.int32())
    return pa.concat_arrays([pa.array([0], pa.int32()), ends]), lists.flatten()


# Text of JSON: what a reader gives where a block holds values of several kinds, taken apart value by value.


def _each_once(source: pa.Array, read: Callable[[str], Any], target: pa.DataType) -> Coerced:
    """Read each different text once."""
    encoded = source.dictionary_encode()
    outcomes = [read(text) for text in encoded.dictionary.to_pylist()]
    taken = [None if outcome is Failed.TYPE else outcome for outcome in outcomes]
    values = pa.array(taken, target).take(encoded.indices)
    if None not in taken:
        return Coerced(values)
    failed = pa.array([one is None for one in taken]).take(encoded.indices)
    return Coerced(values, (Failure(Failed.TYPE.value, pc.fill_null(failed, False)),))


def _text_of(raw: bytes) -> str | None:
    """Return a value inside as text: a string's own, of all else what stands there."""
    if raw == b"null":
        return None
    text: str = msgspec.json.decode(raw, type=str) if raw[:1] == b'"' else raw.decode()
    return text


def _object_reader(names: list[str]) -> Callable[[Any], dict[str, str | None] | Failed]:
    def read(text: str) -> dict[str, str | None] | Failed:
        try:
            found = _OBJECT.decode(text)
            return {name: _text_of(bytes(found[name])) for name in names if name in found}
        except (msgspec.DecodeError, UnicodeError):
            return Failed.TYPE

    return read


def _array_of(text: str) -> list[str | None] | Failed:
    try:
        return [_text_of(bytes(raw)) for raw in _ARRAY.decode(text)]
    except (msgspec.DecodeError, UnicodeError):
        return Failed.TYPE
