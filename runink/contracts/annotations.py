"""What stands behind a field's colon: read into a `FieldSpec`, with everything that is wrong about it.

    int, str, float, bool, bytes, date, datetime, time, Decimal      the kinds
    Literal["EWR", "JFK"], a class of Enum                           choices, all of one kind
    list[X]                                                          a list, whose lengths count its items
    a contract's class, a plain annotated class, a TypedDict         a record: its fields are the class's
    X | None, Optional[X]                                            may hold nothing
    Annotated[X, Field(...)]                                         constraints; several add up

Constraints are read by the names of their attributes, so what Pydantic (`Field`), msgspec (`Meta`) and annotated-types (`Ge`, `Len`,
`Interval` ...) say is understood without an import of any of them.  A constraint that cannot be kept is a mistake, never ignored.

    code   what is wrong
    C001   the annotation cannot be read (an unknown name, say)
    C002   it is no type that a contract knows
    C003   a constraint that this type does not have
    C004   a bound, a length, a flag, a number of digits or tags that are not of the right type
    C005   constraints that no value can keep
    C006   a default that is of another type or breaks the field's own rules
    C007   a pattern that is not RE2
    C008   choices that are not all of one kind, too many, or twice there
    C009   a version that is not like 1.0.0
    C010   a key that names no field, or one that may hold nothing
    C011   a contract or a record without a field, or with two of one name
    C012   a value without a type
    C013   a format that is not known
    C014   a mask that is not known, or none for this type
    C015   a coercion that is not known
    C016   access that names no roles
    C017   a record within itself, or more levels deep than data is
    C018   rules that are no dict of texts and no list of Rule, or two of one name
    C019   a rule whose expression cannot be read or does not fit the fields
    C020   a record's class with rules of its own, which hold for whole rows only
    C021   an on_drift that is not known
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final

import msgspec

from runink.contracts.fields import Coercion, FieldSpec, Kind, Scalar
from runink.contracts.fitting import FIT, check_together, fitted, with_default
from runink.contracts.members import FACTORY, Member, has_members, members_of

KINDS: Final[dict[Any, Kind]] = {
    int: Kind.INT,
    float: Kind.FLOAT,
    bool: Kind.BOOL,
    str: Kind.STR,
    bytes: Kind.BYTES,
    date: Kind.DATE,
    datetime: Kind.DATETIME,
    time: Kind.TIME,
    Decimal: Kind.DECIMAL,
}
KNOWN: Final = "int, float, bool, str, bytes, date, datetime, time, Decimal, Literal[…], list[X], a class with fields, each with | None if it may hold nothing"
FIELDS: Final = "__runink_fields__"  # where a contract's class keeps its fields by attribute
COERCION: Final = "__runink_coercion__"  # and the policy that it states, if it does
RULES: Final = "__runink_rules__"  # and the texts of its rules
ALIASES: Final = {"max_digits": "digits", "decimal_places": "scale"}  # Pydantic's words for ours
OTHERS: Final = (  # what is read of other libraries' constraints, by the same names
    *("ge", "gt", "le", "lt", "multiple_of", "pattern", "min_length", "max_length"),
    *("digits", "scale", "allow_inf_nan", "description", "unit", "pii", "tags", "name"),
)
UNSUPPORTED: Final = ("func", "tz")  # of msgspec, Pydantic and annotated-types
LEVELS_MAX: Final = 16  # of records and lists in each other: data that is deeper is no table
ITEM: Final = "item"  # the name of what a list holds


class Field(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What a field's value must be, beyond its type; goes into `Annotated[...]`.

    `ge`, `gt`, `le`, `lt` bound numbers, dates and times, `multiple_of` numbers; `min_length` and `max_length` count characters (bytes of `bytes`, items of a
    list); `pattern` must match the whole text (RE2), `format` is a pattern with a name (`email`, `uuid`: `formats.py`); `choices` are all values that may stand
    here; of a `unique` field no two rows hold the same value. `digits` and `scale` are a decimal's, all digits and those behind the point. `name` is the
    column's, where that is no Python name. `coerce` is what a value may go through (`strict`, `safe`, `lenient`), where that is not the contract's policy.
    `access` names the roles that may see the value, and `mask` what all others get (`redact`, `hash`, `tokenise`, `truncate(4)`, `generalise(10)`); `pii` is the kind
    of personal data, whose values no message shows. `unit`, `description`, `lineage` (where it came from) and `tags` are for people and for governance.
    (It is equal to itself only: `Annotated[...] | None` needs it hashable, tags and all.)
    """

    ge: Any = None
    gt: Any = None
    le: Any = None
    lt: Any = None
    multiple_of: Any = None
    pattern: str | None = None
    format: str = ""
    choices: Any = None
    unique: bool = False
    min_length: int | None = None
    max_length: int | None = None
    digits: int | None = None
    scale: int | None = None
    allow_inf_nan: bool | None = None
    coerce: str | Coercion = ""
    access: str | tuple[str, ...] = ()
    mask: str = ""
    name: str = ""
    unit: str = ""
    description: str = ""
    lineage: str = ""
    pii: str = ""
    tags: dict[str, str] = {}
    default: Any = msgspec.UNSET


_UNSAID: Final = Field()


class Mistake(msgspec.Struct, frozen=True):
    """A finding that does not know yet where it stands."""

    code: str
    text: str
    hint: str = ""


class Shape(msgspec.Struct, frozen=True):
    """What a type alone says."""

    kind: Kind
    nullable: bool = False
    choices: tuple[Scalar, ...] = ()
    fields: tuple[FieldSpec, ...] = ()
    items: FieldSpec | None = None
    coercion: Coercion | None = None  # of a contract's class that states one


class FieldReader:
    """Reads one annotation; `mistakes` fills up, `spec` is of use only if it stays empty. `path` is how messages name the field, `within` the classes around it."""

    def __init__(self, name: str, *, path: str = "", within: tuple[type, ...] = ()) -> None:
        self.name = name
        self.path = path or name
        self.mistakes: list[Mistake] = []
        self._within = within
        self._said: dict[str, Any] = {}
        self._default: Any = msgspec.UNSET

    def read(self, annotation: Any, default: Any = msgspec.UNSET) -> FieldSpec:
        """Return what the annotation and the default say, as far as it can be told."""
        if isinstance(default, Field) or isinstance(getattr(default, "metadata", None), list):
            self._take(default)
            default = msgspec.UNSET
        shape = self._type(annotation)
        if default is msgspec.UNSET:
            default = self._default
        column = self._said.pop("name", "") or self.name
        if shape is None:
            return FieldSpec(column, Kind.STR)
        said = dict(self._said)
        if shape.choices and "choices" in said:
            self._wrong("C005", "its type says its choices already", "leave one of them out")
            del said["choices"]
        attributes: dict[str, Any] = {"choices": shape.choices, "coercion": shape.coercion}
        attributes |= fitted(shape.kind, said, self._wrong)
        spec = FieldSpec(
            column,
            shape.kind,
            nullable=shape.nullable,
            fields=shape.fields,
            items=shape.items,
            **attributes,
        )
        if not self.mistakes:
            check_together(spec, self._wrong)
        return with_default(spec, default, self._wrong, is_sound=not self.mistakes)

    def _wrong(self, code: str, text: str, hint: str = "") -> None:
        self.mistakes.append(Mistake(code, f"{self.path}: {text}", hint))

    def _type(self, annotation: Any) -> Shape | None:
        """Return what the type says, nothing if it is none."""
        origin = typing.get_origin(annotation)
        if origin is typing.Annotated:
            inner, *metadata = typing.get_args(annotation)
            for one in metadata:
                self._take(one)
            return self._type(inner)
        if origin in (typing.Union, types.UnionType):
            return self._union(annotation)
        if origin is typing.Literal:
            return self._literal(typing.get_args(annotation))
        if origin is list:
            return self._list(typing.get_args(annotation)[0])
        if annotation in KINDS:
            return Shape(KINDS[annotation])
        if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
            return self._literal(tuple(member.value for member in annotation))
        if has_members(annotation) or hasattr(annotation, FIELDS):
            return self._record(annotation)
        shown = getattr(annotation, "__name__", None) or str(annotation)
        hint = "say of what, as in list[str]" if annotation in (list, typing.List) else ""  # noqa: UP006 - people write it
        self._wrong(
            "C002", f"{shown} is no type of a contract's field", hint or f"it knows {KNOWN}"
        )
        return None

    def _union(self, annotation: Any) -> Shape | None:
        members = typing.get_args(annotation)
        some = [member for member in members if member is not type(None)]
        if len(some) != 1:
            self._wrong(
                "C002",
                "a field is of one type, not of one among several",
                "write X | None where it may be missing; take str and split it in a step where it is mixed",
            )
            return None
        shape = self._type(some[0])
        if shape is None or len(some) == len(members):
            return shape
        return msgspec.structs.replace(shape, nullable=True)

    def _literal(self, values: tuple[Any, ...]) -> Shape | None:
        choices = tuple(value for value in values if value is not None)
        kinds = {type(value) for value in choices}
        if len(kinds) != 1 or not kinds <= {str, int}:
            self._wrong("C008", "choices must all be text or all be whole numbers")
            return None
        kind = KINDS[kinds.pop()]
        attributes = fitted(kind, {"choices": tuple(dict.fromkeys(choices))}, self._wrong)
        return Shape(kind, len(choices) < len(values), **attributes)

    def _list(self, of: Any) -> Shape | None:
        if self._is_too_deep():
            return None
        reader = FieldReader(ITEM, path=f"{self.path}[]", within=(*self._within, list))
        items = reader.read(of)
        if items.unique:
            text = "unique says nothing about the items of a list: it is of whole columns"
            reader.mistakes.append(Mistake("C003", f"{reader.path}: {text}"))
        if items.name != ITEM or items.has_default:
            text = "an item of a list has neither a name nor a default"
            reader.mistakes.append(Mistake("C003", f"{reader.path}: {text}"))
        self.mistakes += reader.mistakes
        return Shape(Kind.LIST, items=items)

    def _record(self, cls: type) -> Shape | None:
        if cls in self._within:
            text = f"{cls.__name__} is within itself"
            self._wrong("C017", text, "a table has as many levels as its contract says")
            return None
        if self._is_too_deep():
            return None
        if hasattr(cls, FIELDS):
            if getattr(cls, RULES):
                text = f"{cls.__name__} has rules, which hold for whole rows only"
                self._wrong(
                    "C020",
                    text,
                    "write them in this contract: address.zip names a field of a record",
                )
            fields = tuple(getattr(cls, FIELDS).values())
            if len(self._within) + levels(fields) > LEVELS_MAX:
                self._wrong("C017", f"it is more than {LEVELS_MAX} levels deep")
            return Shape(Kind.RECORD, fields=fields, coercion=getattr(cls, COERCION))
        return self._members(cls)

    def _is_too_deep(self) -> bool:
        if len(self._within) < LEVELS_MAX:
            return False
        self._wrong("C017", f"it is more than {LEVELS_MAX} levels deep")
        return True

    def _members(self, cls: type) -> Shape | None:
        try:
            members = members_of(cls)
        except (NameError, SyntaxError, TypeError, AttributeError) as error:
            text = f"the fields of {cls.__name__} cannot be read: {error}"
            self._wrong("C001", text, "what they name must be known where the class stands")
            return None
        fields = [self._member(cls, member) for member in members]
        if not fields:
            self._wrong("C011", f"{cls.__name__} has no field")
        names = [field.name for field in fields]
        for name in {name for name in names if names.count(name) > 1}:
            self._wrong("C011", f"two fields of {cls.__name__} are called {name!r}")
        return Shape(Kind.RECORD, fields=tuple(fields))

    def _member(self, cls: type, member: Member) -> FieldSpec:
        path = f"{self.path}.{member.name}"
        reader = FieldReader(member.name, path=path, within=(*self._within, cls))
        default = member.default
        if default is FACTORY:
            reader.mistakes.append(
                Mistake("C006", f"{path}: its default is made by a function", "write the value")
            )
            default = msgspec.UNSET
        field = reader.read(member.annotation, default)
        self.mistakes += reader.mistakes
        if member.is_optional and not field.has_default:
            field = msgspec.structs.replace(field, nullable=True, has_default=True)
        return field

    def _take(self, metadata: Any) -> None:
        """Read the constraints of one object behind the type; what has none of our names is somebody else's and stays unread."""
        default = getattr(metadata, "default", msgspec.UNSET)
        if isinstance(metadata, Field) or _is_constraint(metadata):
            unsaid = default is ... or type(default).__name__ == "PydanticUndefinedType"
            self._default = self._default if unsaid or default is msgspec.UNSET else default
        if isinstance(metadata, Field):
            for name in (*FIT, "name"):
                value = getattr(metadata, name)
                if value is not None and value != getattr(_UNSAID, name):
                    self._said[name] = value
            return
        for part in _parts(metadata):
            self._take_of_others(part)

    def _take_of_others(self, part: Any) -> None:
        for name in UNSUPPORTED:
            if getattr(part, name, None) is not None and _is_constraint(part):
                self._wrong(
                    "C003",
                    f"{name} of {type(part).__name__} is not among the rules of a contract",
                    "check it in a step",
                )
        if getattr(part, "strict", None) and _is_constraint(part):
            self._said["coerce"] = Coercion.STRICT
        for name in (*OTHERS, *ALIASES):
            value = _own(part, name)
            if value is not None and value not in ("", {}):
                self._said[ALIASES.get(name, name)] = value


def levels(fields: Iterable[FieldSpec]) -> int:
    """Return how deep records and lists lie in each other, 1 for plain fields."""
    inner = [(*field.fields, *((field.items,) if field.items else ())) for field in fields]
    return 1 + max((levels(one) for one in inner if one), default=0)


def _parts(metadata: Any) -> Iterator[Any]:
    """Yield what holds constraints: the object itself, and the list that Pydantic's `Field` keeps them in."""
    yield metadata
    inner = getattr(metadata, "metadata", None)
    if isinstance(inner, list):
        yield from inner


def _own(part: Any, name: str) -> Any:
    """Return an attribute that is a value, not a method that merely has the name; text has none that count."""
    if isinstance(part, (str, type)):
        return None
    value = getattr(part, name, None)
    return None if callable(value) else value


def _is_constraint(part: Any) -> bool:
    return type(part).__module__.partition(".")[0] in {"annotated_types", "msgspec", "pydantic"}
