"""Which fields of contracts the columns of a stream may hold: where personal data goes, as far as it can be known before a row is read.

    Origin    a field of a contract that says `pii=` or `access=`
    Held      what one column may hold: origins, and the field whose values it has, where it has them as they are
    Carried   what a stream holds, by column; `rest` is what any other column may hold

A column is followed by the text of what makes it (a query, what a step says of itself), never by its name alone.  Where that cannot be read, every
column that comes out may hold everything that went in: `rest`, and no columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from msgspec.structs import replace as changed

from runink.contracts.fields import ContractSpec, FieldSpec, Kind, OnDrift


class Origin(NamedTuple):
    """A field that is not for everybody: `path` is `address.email` within a record, `pii` the kind of personal data (empty without), `access` the roles that it is for."""

    contract: str
    path: str
    pii: str
    access: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.contract}.{self.path}"

    @property
    def told(self) -> str:
        """The field with its marks, for messages."""
        said = [f"pii={self.pii}"] if self.pii else []
        said += [f"access={', '.join(self.access)}"] if self.access else []
        return f"{self} ({', '.join(said)})"

    @property
    def is_whole(self) -> bool:
        """Whether it is a field itself, and not a part of a record or a list."""
        return "." not in self.path and "[" not in self.path


Origins = frozenset[Origin]
NONE: Final[Origins] = frozenset()


@dataclass(frozen=True, slots=True)
class Held:
    """`field` is nothing where the column was made of values, and does not have them as they are."""

    origins: Origins = NONE
    field: FieldSpec | None = None


@dataclass(frozen=True, slots=True)
class Carried:
    """`columns` is nothing where they are not known; `why` says what made it so. `is_open` where others may come beside those that are known."""

    columns: Mapping[str, Held] | None = None
    rest: Origins = NONE
    why: str = ""
    is_open: bool = False

    def of(self, column: str) -> Held:
        found = (self.columns or {}).get(column)
        return Held(self.rest) if found is None else found

    @property
    def origins(self) -> Origins:
        """All that is in it."""
        return self.rest.union(*(held.origins for held in (self.columns or {}).values()))


NOTHING: Final = Carried()


@dataclass(frozen=True, slots=True)
class Inputs:
    """What comes to a step: its stream, and its side inputs by name."""

    main: Carried
    sides: Mapping[str, Carried] = field(default_factory=dict)

    @property
    def all(self) -> tuple[Carried, ...]:
        return (self.main, *self.sides.values())


def origins_of(contract: str, spec: FieldSpec, *, within: str = "") -> Iterator[Origin]:
    """Yield the origins that a field is, and those within a record or the items of a list."""
    path = f"{within}.{spec.name}" if within else spec.name
    if spec.is_marked:
        yield Origin(contract, path, spec.pii, spec.access)
    for inner in spec.fields:
        yield from origins_of(contract, inner, within=path)
    if spec.items is not None:
        for one in origins_of(contract, changed(spec.items, name="")):
            yield one._replace(path=f"{path}[]{one.path}")


def checked(
    before: Carried,
    contract: ContractSpec,
    on_drift: OnDrift = OnDrift.NOTE,
    *,
    pii_only: bool = False,
) -> Carried:
    """Return what is behind a check: the contract's columns, and under EVOLVE all others as text. With `pii_only` what is for roles is not followed.

    What came in under a column's name is still in it, with the mask that it had if the contract names no other.
    """
    columns: dict[str, Held] = {}
    for spec in contract.fields:
        came = before.of(spec.name)
        mask = spec.mask or (came.field.mask if came.field is not None else "")
        own = frozenset(origins_of(contract.name, spec))
        if pii_only:
            own = frozenset(one._replace(access=()) for one in own if one.pii)
        columns[spec.name] = Held(came.origins | own, changed(spec, mask=mask))
    if on_drift is not OnDrift.EVOLVE:
        return Carried(columns, why=before.why)
    others = {
        name: as_came(held) for name, held in (before.columns or {}).items() if name not in columns
    }
    return Carried(columns | others, before.rest, before.why, is_open=True)


def as_came(held: Held) -> Held:
    """Return what a column holds whose values are text, or have the shape that they came in: no part of it is found by a name."""
    origins = (
        one._replace(path=one.path.partition(".")[0].partition("[")[0]) for one in held.origins
    )
    return Held(frozenset(origins), as_text(held.field))


def as_text(field: FieldSpec | None) -> FieldSpec | None:
    """Return the field where its values are text, as they came. A bucket of text is none, so it is hidden whole, and so is what may be of several parts."""
    if field is None:
        return None
    if field.kind in (Kind.RECORD, Kind.LIST):
        return changed(field, nullable=True, mask="redact")
    mask = "redact" if field.mask.startswith("generali") else field.mask
    return FieldSpec(field.name, Kind.STR, nullable=True, pii=field.pii, mask=mask)


def merged(streams: Iterable[Carried]) -> Carried:
    """Return what flows where streams come together, row under row."""
    found = list(streams)
    if not found:
        return NOTHING
    if len(found) == 1:
        return found[0]
    rest = frozenset[Origin]().union(*(one.rest for one in found))
    if any(one.columns is None for one in found):
        everything = rest.union(*(one.origins for one in found))
        return Carried(None, everything, next(one.why for one in found if one.columns is None))
    names = dict.fromkeys(name for one in found for name in one.columns or {})
    is_open = any(one.is_open for one in found)
    columns = {name: either([one.of(name) for one in found]) for name in names}
    return Carried(columns, rest, is_open=is_open)


def either(held: list[Held]) -> Held:
    """Return what a column holds that is one of these in each row."""
    fields = [one.field for one in held]
    is_one = all(one is not None and one == fields[0] for one in fields)
    return Held(NONE.union(*(one.origins for one in held)), fields[0] if is_one else None)


def opaque(inputs: Inputs, why: str) -> Carried:
    """Return what comes out of something that cannot be looked into: any column may hold everything."""
    return Carried(None, NONE.union(*(one.origins for one in inputs.all)), why)


def mapped(inputs: Inputs, maps: Mapping[str, tuple[str, ...]], why: str) -> Carried:
    """Return what comes out of a step that says which columns it makes of which: `*` stands for all columns of its stream that it passes on as they are."""
    main = inputs.main if "*" in maps else Carried({})
    if main.columns is None and main.rest:
        return opaque(inputs, why)
    made = {
        name: Held(
            NONE.union(*(one.of(source).origins for source in sources for one in inputs.all))
        )
        for name, sources in maps.items()
        if name != "*"
    }
    return Carried({**(main.columns or {}), **made}, main.rest, main.why, is_open=main.is_open)
