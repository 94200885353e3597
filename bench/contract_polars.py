"""The flights' contract as somebody would write it by hand in Polars: one expression a rule, which is true where the rule is broken.

A field's text is cast (`strict=False`), and what is not nothing before and nothing behind is of the wrong type.  What comes out is what a contract's check must have at
the least: the good rows in their types, and of the bad ones the row with the mask of every rule.  Messages are not made.
"""

from __future__ import annotations

import os

os.environ.setdefault(
    "POLARS_MAX_THREADS", "1"
)  # one core, as ours: it is read when Polars is imported

import polars as pl
import pyarrow as pa
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.contracts.formats import FORMATS

_CASTS = {
    Kind.INT: lambda column: column.cast(pl.Int64, strict=False),
    Kind.STR: lambda column: column,
    Kind.DATETIME: lambda column: column.str.to_datetime(
        "%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC", strict=False
    ),
}
_TYPES = {Kind.INT: (pl.Int8, pl.Int16, pl.Int32, pl.Int64), Kind.STR: (pl.String,), Kind.DATETIME: (pl.Datetime,)}  # fmt: skip


class Handwritten:
    """The expressions for one contract over frames of one schema. `more` are rules over several fields."""

    def __init__(self, spec: ContractSpec, schema: pl.Schema, more: dict[str, pl.Expr]) -> None:
        self._names = [field.name for field in spec.fields]
        self._cast = [
            pl.col(field.name)
            if isinstance(schema[field.name], _TYPES[field.kind])
            else _CASTS[field.kind](pl.col(field.name)).alias(f"{field.name}:")
            for field in spec.fields
        ]
        self._taken = [
            name if isinstance(schema[name], _TYPES[field.kind]) else f"{name}:"
            for name, field in zip(self._names, spec.fields, strict=True)
        ]
        masks = [
            one.fill_null(value=False)
            for field, taken in zip(spec.fields, self._taken, strict=True)
            for one in _broken(field, taken)
        ]
        self._masks = [one.alias(f"rule {at}") for at, one in enumerate([*masks, *more.values()])]
        codes = [pl.when(pl.col(f"rule {at}")).then(pl.lit(f"rule {at}")) for at in range(len(self._masks))]  # fmt: skip
        self._codes = pl.concat_list(codes).list.drop_nulls()

    def check(self, frame: pl.DataFrame, *, lists: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the good rows in their types, and the bad ones as they came with their masks, or with `lists` of codes."""
        made = [one for one in self._cast if one.meta.output_name().endswith(":")]
        typed = frame.with_columns(made) if made else frame
        judged = typed.select(self._masks)
        bad = judged.select(pl.any_horizontal(pl.all())).to_series()
        if not bad.any():
            return typed.select(self._taken), frame.clear()
        dead, broken = frame.filter(bad), judged.filter(bad)
        dead = (
            dead.with_columns(broken.select(reasons=self._codes)) if lists else dead.hstack(broken)
        )
        return typed.select(self._taken).filter(~bad), dead


def _broken(field: FieldSpec, taken: str) -> list[pl.Expr]:
    """Return what is true where a rule of the field is broken."""
    source, value = pl.col(field.name), pl.col(taken)
    found = [] if field.nullable else [source.is_null()]
    if taken != field.name:
        found.append(value.is_null() & source.is_not_null())
    if field.ge is not None:
        found.append(value < field.ge)
    if field.gt is not None:
        found.append(value <= field.gt)
    if field.le is not None:
        found.append(value > field.le)
    if field.multiple_of is not None:
        found.append(value % field.multiple_of != 0)
    if field.min_length is not None:
        found.append(value.str.len_chars() < field.min_length)
    if field.max_length is not None:
        found.append(value.str.len_chars() > field.max_length)
    patterns = [one for one in (field.pattern, FORMATS.get(field.format)) if one]
    found += [~value.str.contains(rf"\A(?:{pattern})\z") for pattern in patterns]
    if field.choices:
        found.append(~value.is_in(list(field.choices)))
    return found


def frames(batches: list[pa.RecordBatch]) -> list[pl.DataFrame]:
    return [pl.DataFrame(pl.from_arrow(batch)) for batch in batches]
