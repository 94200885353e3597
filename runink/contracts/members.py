"""The fields of a class that is the type of a field: a plain annotated class, a dataclass, a TypedDict, a named tuple, or one of msgspec or Pydantic.

What they say is read without an import of those libraries. A contract's class is not read here: it knows its fields (`contract.py`).
"""

from __future__ import annotations

import typing
from typing import Any, Final

import msgspec

FACTORY: Final = object()  # a default that a function makes, which no contract can keep


class Member(msgspec.Struct, frozen=True):
    """One annotated name of a class. `is_optional` if a TypedDict may lack it."""

    name: str
    annotation: Any
    default: Any = msgspec.UNSET
    is_optional: bool = False


def has_members(annotation: Any) -> bool:
    """Say whether the annotation is a class with fields."""
    return isinstance(annotation, type) and any(
        vars(base).get("__annotations__") or _lazily_annotated(base)
        for base in annotation.__mro__[:-1]
    )


def _lazily_annotated(base: type) -> bool:
    """Python 3.14 keeps annotations as a function."""
    return bool(getattr(base, "__annotate__", None) and getattr(base, "__annotations__", None))


def members_of(cls: type) -> list[Member]:
    """Return the class's fields, those of its bases first. Raises what reading an annotation raises (NameError and the like)."""
    hints = typing.get_type_hints(cls, include_extras=True)
    if typing.is_typeddict(cls):
        return [_key(cls, name, annotation) for name, annotation in hints.items()]
    return [
        Member(name, annotation, _default(cls, name))
        for name, annotation in hints.items()
        if not name.startswith("_") and not _is_class_variable(annotation)
    ]


def _key(cls: Any, name: str, annotation: Any) -> Member:
    """Return one key of a TypedDict: its own mark counts more than what the class knows, which has not read annotations that stand as text."""
    is_optional = name in cls.__optional_keys__
    while (mark := typing.get_origin(annotation)) in (typing.Required, typing.NotRequired):
        is_optional = mark is typing.NotRequired
        (annotation,) = typing.get_args(annotation)
    return Member(name, annotation, is_optional=is_optional)


def _is_class_variable(annotation: Any) -> bool:
    return annotation is typing.ClassVar or typing.get_origin(annotation) is typing.ClassVar


def _default(cls: Any, name: str) -> Any:
    """Return what stands in for a missing value, by the ways in which libraries keep it."""
    if hasattr(cls, "__dataclass_fields__"):
        field = cls.__dataclass_fields__[name]
        if type(field.default_factory).__name__ != "_MISSING_TYPE":
            return FACTORY
        return msgspec.UNSET if type(field.default).__name__ == "_MISSING_TYPE" else field.default
    if hasattr(cls, "_field_defaults"):
        return cls._field_defaults.get(name, msgspec.UNSET)
    if issubclass(cls, msgspec.Struct):
        return _of_struct(cls, name)
    if hasattr(cls, "__pydantic_fields__"):
        field = cls.__pydantic_fields__[name]
        return FACTORY if field.default_factory is not None else field
    default = getattr(cls, name, msgspec.UNSET)
    return msgspec.UNSET if hasattr(type(default), "__get__") else default


def _of_struct(cls: type[msgspec.Struct], name: str) -> Any:
    field = next(one for one in msgspec.structs.fields(cls) if one.name == name)
    if field.default_factory is not msgspec.NODEFAULT:
        return FACTORY
    return msgspec.UNSET if field.default is msgspec.NODEFAULT else field.default
