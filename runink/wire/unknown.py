"""Unknown fields: where a plain value holds more than the type that it was converted to.

msgspec can refuse them only if every struct says so where it is defined, and then in every use.  Here it is said once, for all that comes
from the wire.  For each type a function is made, once, that looks; for types that cannot hold a struct there is none, so nothing is
walked over in vain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Final

from msgspec import inspect

Where = tuple[str, ...]
Unknown = Callable[[Any], Where | None]


@cache
def unknown_of(kind: Any) -> Unknown | None:
    """Return what finds an unknown field in a value that has been converted to a `kind`, or nothing if there can be none."""
    return _Finders().of(inspect.type_info(kind))


_SIMPLE: Final = (
    inspect.NoneType,
    inspect.BoolType,
    inspect.IntType,
    inspect.FloatType,
    inspect.StrType,
    inspect.BytesType,
    inspect.EnumType,
    inspect.LiteralType,
)


def is_closed(kind: Any) -> bool:
    """Say whether every value within a `kind` is of a type that it names, and none is Any, a date or an extension."""
    return _is_closed(inspect.type_info(kind), set())


def _is_closed(info: inspect.Type, seen: set[type]) -> bool:
    match info:
        case inspect.StructType(cls=cls):
            if cls in seen:
                return True
            seen.add(cls)
            return all(_is_closed(field.type, seen) for field in info.fields)
        case inspect.UnionType(types) | inspect.TupleType(item_types=types):
            return all(_is_closed(one, seen) for one in types)
        case (
            inspect.ListType(item_type=item)
            | inspect.VarTupleType(item_type=item)
            | inspect.SetType(item_type=item)
            | inspect.FrozenSetType(item_type=item)
        ):
            return _is_closed(item, seen)
        case inspect.NamedTupleType(fields=fields):
            return all(_is_closed(field.type, seen) for field in fields)
        case inspect.DictType(key_type=inspect.StrType(), value_type=item):
            return _is_closed(item, seen)
        case inspect.Metadata(type=inner):
            return _is_closed(inner, seen)
        case _:
            return isinstance(info, _SIMPLE)


class _Finders:
    """Makes finders. A struct that holds itself, however deep, finds its finder here, once that is made."""

    def __init__(self) -> None:
        self._of_structs: dict[Any, Unknown | None] = {}

    def of(self, info: inspect.Type) -> Unknown | None:
        match info:
            case inspect.StructType():
                return self._of_struct(info)
            case inspect.UnionType(types):
                return self._of_union(types)
            case (
                inspect.ListType(item_type=item)
                | inspect.VarTupleType(item_type=item)
                | inspect.SetType(item_type=item)
                | inspect.FrozenSetType(item_type=item)
            ):
                return _in_items(self.of(item))
            case inspect.TupleType(item_types=items):
                return _in_places(tuple(map(self.of, items)))
            case inspect.NamedTupleType(fields=fields):
                return _in_places(tuple(self.of(field.type) for field in fields))
            case inspect.DictType(value_type=item):
                return _in_values(self.of(item))
            case inspect.Metadata(type=inner):
                return self.of(inner)
            case _:
                return None

    def _of_struct(self, info: inspect.StructType) -> Unknown:
        known = self._of_structs.get(info.cls)
        if known is not None:
            return known
        itself = _Itself()
        self._of_structs[info.cls] = itself
        itself.find = _in_array(info, self) if info.array_like else _in_map(info, self)
        self._of_structs[info.cls] = itself.find
        return itself.find

    def _of_union(self, types: Iterable[inspect.Type]) -> Unknown | None:
        """Choose as msgspec does: a struct by its tag, anything else by the shape of the value."""
        structs = [one for one in types if isinstance(one, inspect.StructType)]
        by_tag = {one.tag: self._of_struct(one) for one in structs}
        others = [
            found
            for one in types
            if not isinstance(one, inspect.StructType) and (found := self.of(one)) is not None
        ]
        if not structs:
            return others[0] if others else None
        field = structs[0].tag_field
        is_array = structs[0].array_like

        def find(value: Any) -> Where | None:
            if is_array and type(value) is list:
                return by_tag[None if field is None else value[0]](value)
            if not is_array and type(value) is dict:
                return by_tag[value.get(field)](value)
            return others[0](value) if others and type(value) in (list, dict) else None

        return find


class _Itself:
    """Stands for the finder of a struct while that is being made."""

    find: Unknown

    def __call__(self, value: Any) -> Where | None:
        return self.find(value)


def _in_map(info: inspect.StructType, finders: _Finders) -> Unknown:
    names = {field.encode_name for field in info.fields}
    if info.tag_field is not None:
        names.add(info.tag_field)
    within = {
        field.encode_name: found
        for field in info.fields
        if (found := finders.of(field.type)) is not None
    }

    def find(value: Any) -> Where | None:
        if not names.issuperset(value):
            return (min(set(value) - names),)
        for name, inner in within.items():
            if name in value and (where := inner(value[name])) is not None:
                return (name, *where)
        return None

    return find


def _in_array(info: inspect.StructType, finders: _Finders) -> Unknown:
    first = 0 if info.tag_field is None else 1
    length_max = first + len(info.fields)
    within = [
        (place, field.name, found)
        for place, field in enumerate(info.fields, first)
        if (found := finders.of(field.type)) is not None
    ]

    def find(value: Any) -> Where | None:
        if len(value) > length_max:
            return (str(length_max),)
        for place, name, inner in within:
            if place < len(value) and (where := inner(value[place])) is not None:
                return (name, *where)
        return None

    return find


def _in_items(inner: Unknown | None) -> Unknown | None:
    if inner is None:
        return None

    def find(value: Any) -> Where | None:
        for place, item in enumerate(value):
            if (where := inner(item)) is not None:
                return (str(place), *where)
        return None

    return find


def _in_places(inners: tuple[Unknown | None, ...]) -> Unknown | None:
    if not any(inners):
        return None

    def find(value: Any) -> Where | None:
        for place, (item, inner) in enumerate(zip(value, inners, strict=False)):
            if inner is not None and (where := inner(item)) is not None:
                return (str(place), *where)
        return None

    return find


def _in_values(inner: Unknown | None) -> Unknown | None:
    if inner is None:
        return None

    def find(value: Any) -> Where | None:
        for name, item in value.items():
            if (where := inner(item)) is not None:
                return (name, *where)
        return None

    return find
