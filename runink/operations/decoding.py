"""From the parts of a call to the struct that is asked: every field by its type, all mistakes at once, nothing passed over in silence.

    part     is read                                           what is refused beside a value of another type
    path     as text, and must match its pattern               NotFound: such a thing cannot be there
    query    as text, numbers and truth values from their      a name that is unknown, or twice where one value goes;
             usual spelling; a list is a name said again       infinities, and what is no number
    body     as JSON, strictly (`json_text.py`), or as bytes   unknown fields, however deep; anything but an object

What comes by the wire comes as values, query and body together (`converted`): each of its own type, with nothing taken for something else.

A field that is unknown is told with the name that is most like it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Any, Final

import msgspec
from msgspec import inspect

from runink.errors import Finding, Invalid, NotFound
from runink.operations.declarations import (
    JSON,
    Asked,
    Operation,
    Source,
    fields_of,
    path_names,
    pattern_of,
    sources_of,
)
from runink.operations.json_text import DEPTH_MAX, read_json
from runink.operations.patterns import matches, shown
from runink.suggestions import near_or_all
from runink.wire.unknown import unknown_of

Pairs = Sequence[tuple[str, str]]

_LISTS: Final = (inspect.ListType, inspect.VarTupleType, inspect.SetType, inspect.FrozenSetType)
_SHOWN_MAX: Final = 64  # characters of a name that nobody here has chosen


def path_values(operation: Operation, path: Mapping[str, str]) -> dict[str, str]:
    """Return the parts of a path. Raises NotFound for one that is no name of such a thing."""
    for name, text in path.items():
        pattern = pattern_of(operation, name)
        if not matches(pattern, text):
            raise NotFound(
                f"there is nothing here: the path has no name of a {name}",
                hint=f"it matches {shown(pattern)}",
            )
    return dict(path)


def decode(operation: Operation, path: Mapping[str, str], query: Pairs, body: bytes) -> Asked:
    """Return what is asked. `path` is what `path_values` has returned. Raises Invalid (`invalid`), with a finding for each mistake."""
    found: list[Finding] = []
    values: dict[str, Any] = dict(path)
    values |= _query_values(operation, query, found)
    values |= _body_values(operation, body, found)
    return _asked(operation, values, found)


def path_among(operation: Operation, fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the parts of the path among fields that came as values. Raises NotFound for one that is no name of such a thing, or not there."""
    found = {name: fields.get(name) for name in path_names(operation.path)}
    texts = {name: value if isinstance(value, str) else "" for name, value in found.items()}
    return path_values(operation, texts)


def converted(operation: Operation, path: Mapping[str, str], fields: Mapping[str, Any]) -> Asked:
    """Return what is asked by fields that came as values. `path` is what `path_among` has returned. Raises Invalid (`invalid`), with a finding for each mistake."""
    found: list[Finding] = []
    said = {name: value for name, value in fields.items() if name not in path}
    names = [name for name in sources_of(operation) if name not in path]
    _find_unknown(said, names, "what is asked", found)
    values: dict[str, Any] = dict(path)
    for name in names:
        if name not in said:
            _find_missing(operation, name, found)
            continue
        if (mistake := _odd_within(said[name])) is not None:
            found.append(Finding("invalid_field", f"{name}: {mistake}"))
            continue
        kind = fields_of(operation.request)[name].type
        read = partial(msgspec.convert, said[name], kind, builtin_types=(bytes,))
        values[name] = _read(name, read, found)
        _find_unknown_within(name, said[name], kind, found)
    return _asked(operation, values, found)


def _odd_within(value: Any) -> str | None:
    """Say what is in a value that JSON could not hold either: a number that is none, too much in each other."""
    level = [value]
    for _ in range(DEPTH_MAX + 1):
        if any(isinstance(one, float) and not math.isfinite(one) for one in level):
            return "it is no number"
        level = [
            child
            for one in level
            if isinstance(one, dict | list)
            for child in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return None
    return f"it is nested more than {DEPTH_MAX} deep"


def _asked(operation: Operation, values: Mapping[str, Any], found: list[Finding]) -> Asked:
    if not found:
        fields = fields_of(operation.request)
        try:
            return operation.request(**{fields[name].name: one for name, one in values.items()})
        except ValueError as error:  # of its own check: what fields say together
            found.append(Finding("invalid_field", str(error)))
    raise Invalid(_counted(found), findings=tuple(found))


def _counted(found: list[Finding]) -> str:
    if len(found) == 1:
        return found[0].text
    return f"{len(found)} mistakes in what is asked; the first: {found[0].text}"


def _names_from(operation: Operation, source: Source) -> list[str]:
    return [name for name, one in sources_of(operation).items() if one is source]


def _query_values(operation: Operation, query: Pairs, found: list[Finding]) -> dict[str, Any]:
    said: dict[str, list[str]] = defaultdict(list)
    for name, text in query:
        said[name].append(text)
    names = _names_from(operation, Source.QUERY)
    _find_unknown(said, names, "the query", found)
    values = {}
    for name in names:
        kind = fields_of(operation.request)[name].type
        texts = said.get(name)
        if texts is None:
            _find_missing(operation, name, found)
        elif _is_list(kind):
            values[name] = _read(name, partial(msgspec.convert, texts, kind, strict=False), found)
        elif len(texts) > 1:
            found.append(
                Finding("invalid_field", f"{name}: it stands {len(texts)} times in the query")
            )
        else:
            values[name] = _read(
                name, partial(msgspec.convert, texts[0], kind, strict=False), found
            )
    return values


def _body_values(operation: Operation, body: bytes, found: list[Finding]) -> dict[str, Any]:
    names = _names_from(operation, Source.BODY)
    if operation.takes != JSON:
        return {names[0]: body}
    said = read_json(body) if body else {}
    if not isinstance(said, dict):
        raise Invalid("the body is no JSON object", hint="it begins with { and ends with }")
    _find_unknown(said, names, "the body", found)
    values = {}
    for name in names:
        if name not in said:
            _find_missing(operation, name, found)
            continue
        kind = fields_of(operation.request)[name].type
        values[name] = _read(name, partial(msgspec.convert, said[name], kind), found)
        _find_unknown_within(name, said[name], kind, found)
    return values


def _read(name: str, read: Callable[[], Any], found: list[Finding]) -> Any:
    """Return a value as its type wants it, or say what is wrong and return nothing."""
    try:
        value = read()
    except msgspec.ValidationError as error:
        found.append(Finding("invalid_field", f"{name}: {_plain_words(str(error))}"))
        return None
    if isinstance(value, float) and not math.isfinite(value):
        found.append(Finding("invalid_field", f"{name}: it is no number"))
    return value


def _plain_words(text: str) -> str:
    """Return what msgspec says with the place in front, as the other findings have it."""
    said, at, place = text.rpartition(" - at `$")
    return f"{place.rstrip('`')}: {said}".removeprefix(".") if at else text


def _find_missing(operation: Operation, name: str, found: list[Finding]) -> None:
    if fields_of(operation.request)[name].required:
        source = sources_of(operation)[name]
        found.append(Finding("missing_field", f"{name}: it is missing from the {source}"))


def _find_unknown(said: Iterable[str], known: list[str], where: str, found: list[Finding]) -> None:
    found.extend(_unknown(name, known, where) for name in said if name not in known)


def _unknown(name: str, known: list[str], where: str) -> Finding:
    hint = near_or_all(name, known) or f"{where} has no fields"
    return Finding(
        "unknown_field", f"{where} has an unknown field {name[:_SHOWN_MAX]!r}", hint=hint
    )


def _find_unknown_within(name: str, value: Any, kind: Any, found: list[Finding]) -> None:
    """Say which field within a value is unknown. The value has been converted before, or its mistake is told already."""
    find = unknown_of(kind)
    if find is None or found:
        return
    where = find(value)
    if where is not None:
        place = ".".join((name, *where[:-1]))
        found.append(_unknown(where[-1], _known_at(inspect.type_info(kind), where[:-1]), place))


@cache
def _is_list(kind: Any) -> bool:
    return isinstance(_bare(inspect.type_info(kind)), _LISTS)


def _bare(info: inspect.Type) -> inspect.Type:
    while isinstance(info, inspect.Metadata):
        info = info.type
    return info


def _known_at(info: inspect.Type, where: tuple[str, ...]) -> list[str]:
    """Return the names of the fields of the struct at a place; none where several kinds could be there."""
    info = _bare(info)
    if isinstance(info, inspect.UnionType):
        others = [one for one in info.types if not isinstance(one, inspect.NoneType)]
        return _known_at(others[0], where) if len(others) == 1 else []
    if not where:
        fields = info.fields if isinstance(info, inspect.StructType) else ()
        return [field.encode_name for field in fields]
    match info:
        case inspect.StructType(fields=fields):
            inner = next(one.type for one in fields if one.encode_name == where[0])
        case inspect.DictType(value_type=inner):
            pass
        case inspect.TupleType(item_types=items):
            inner = items[int(where[0])]
        case _ if isinstance(info, _LISTS):
            inner = info.item_type
        case _:
            return []
    return _known_at(inner, where[1:])
