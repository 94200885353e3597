"""A contract as a value: what the class that a person wrote means, free of Python and of Arrow.

`contract.py` reads a class into a `ContractSpec`, `plan.py` compiles one to pyarrow.compute.  The spec is what
travels: it is part of the compiled pipeline, so a slice never imports a contract's file.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from runink.expressions import Expression

Scalar = int | float | str | bool


class Kind(Enum):
    """What a field holds. A `DATETIME` is an instant (UTC), a `DATE` a day, a `TIME` a time of day; a `RECORD` has fields, a `LIST` items."""

    INT = "int"
    FLOAT = "float"
    BOOL = "bool"
    STR = "str"
    BYTES = "bytes"
    DATE = "date"
    DATETIME = "datetime"
    TIME = "time"
    DECIMAL = "decimal"
    RECORD = "record"
    LIST = "list"


class Coercion(Enum):
    """What a value may go through to become one of its field's kind.

    STRICT takes only values of the kind (of a text source: only their canonical text), SAFE also what loses nothing, LENIENT also what loses
    something that a person would not miss (`scalars.py` has the table).
    """

    STRICT = "strict"
    SAFE = "safe"
    LENIENT = "lenient"


class OnDrift(Enum):
    """What becomes of input whose shape leaves the contract (`drift.py`).

    NOTE counts it and says so; FAIL ends the run; DEAD_LETTER sets such rows aside; EVOLVE lets a field that may hold nothing be missing, and hands on columns that the
    contract does not name.
    """

    NOTE = "note"
    FAIL = "fail"
    DEAD_LETTER = "deadletter"
    EVOLVE = "evolve"


class FieldSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """One field. `nullable` fields may hold nothing; a field with a default may be missing from the input.

    Bounds of dates and times stand as ISO 8601 text, of decimals as decimal text. `pattern` must match the whole value (RE2
    syntax). `digits` and `scale` are of decimals, `allow_inf_nan` of floats. `format` is a named form of text (`email`, `uuid`: `formats.py`);
    `unique` says that no two rows of a run hold the same value. A RECORD has `fields`; a LIST has `items`, and its lengths count them.
    `coercion` is the field's own policy, where it is not the contract's. `pii` names the kind of personal data, `access` the roles that may see
    the value, `mask` what everybody else gets (`redact`, `truncate(4)`), `lineage` where it came from in people's words, `tags` whatever they add.
    """

    name: str
    kind: Kind
    nullable: bool = False
    has_default: bool = False
    default: Scalar | None = None
    ge: Scalar | None = None
    gt: Scalar | None = None
    le: Scalar | None = None
    lt: Scalar | None = None
    pattern: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    choices: tuple[Scalar, ...] = ()
    digits: int | None = None
    scale: int | None = None
    allow_inf_nan: bool = False
    unit: str = ""
    description: str = ""
    pii: str = ""
    tags: dict[str, str] = {}
    multiple_of: Scalar | None = None
    format: str = ""
    unique: bool = False
    fields: tuple[FieldSpec, ...] = ()
    items: FieldSpec | None = None
    coercion: Coercion | None = None
    access: tuple[str, ...] = ()
    mask: str = ""
    lineage: str = ""

    @property
    def is_marked(self) -> bool:
        """Whether its values are not for everybody: no message shows one."""
        return bool(self.pii or self.access)


class RuleSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """A rule over the fields of one row: it is kept where `expression` is true or nothing (as SQL's CHECK); `text` is how people wrote it."""

    name: str
    text: str
    expression: Expression
    description: str = ""


class ContractSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """A versioned schema with its rules. `key` names the fields that identify a row; `where` is the file that said so. `on_drift` is for edges that say nothing else."""

    name: str
    version: str
    fields: tuple[FieldSpec, ...]
    key: tuple[str, ...] = ()
    description: str = ""
    where: str = ""
    rules: tuple[RuleSpec, ...] = ()
    coercion: Coercion = Coercion.SAFE
    tags: dict[str, str] = {}
    on_drift: OnDrift = OnDrift.NOTE

    @property
    def hash(self) -> str:
        """SHA-256 over all that changes the meaning (not the version, the place or the prose: `canonical.py`), 64 hex digits."""
        from runink.contracts.canonical import content_hash  # noqa: PLC0415 - it stands on this module

        return content_hash(self)
