"""Unique fields: no two rows of a run's check hold the same value. The later row is rejected.

A row claims its values where it is good: a row that is rejected, for whatever reason, claims nothing, as an insert that fails leaves no key behind. So
the mended row that comes later in the file is taken. A row is a repeat if a good row before it, of this batch or of one before, holds the value; nothing
is no value, and nan is one.

This is the only state that a check has. It holds each value that was claimed: numbers, dates, times and short texts as they are, of longer ones a hash of
128 bits. That is about 100 bytes a value and at most 200, so VALUES_MAX values need 2 GB at the very most; a run with more is refused with that reason.  Cost: a
batch without a repeat is a set made of it and two set operations, 150 to 400 ns a row; a batch with one is gone through row by row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from runink.contracts.casting import has_some
from runink.errors import Refused

VALUES_MAX: Final = 10_000_000  # of all unique fields of a check together
LONG_BYTES: Final = 64  # a longer text is kept as its hash
HASH_BYTES: Final = 16
_NAN: Final = "nan"  # nan is not equal to itself; no float is equal to a text
_INTEGERS: Final = {8: pa.int8(), 16: pa.int16(), 32: pa.int32(), 64: pa.int64()}


class Seen:
    """The values that good rows of one run have held, of each unique field of one check."""

    def __init__(self, names: Sequence[str], *, values_max: int = VALUES_MAX) -> None:
        self._names = names
        self._values_max = values_max
        self._seen: list[set[Any]] = [set() for _ in names]

    @property
    def held(self) -> int:
        """How many values are remembered."""
        return sum(len(values) for values in self._seen)

    def repeats(self, columns: Sequence[pa.Array], bad: pa.Array | None) -> list[pa.Array | None]:
        """Return for each field where its value repeats one, and claim what the good rows hold; `bad` are the rows that other rules reject.

        Raises Refused if that are more values than may be kept.
        """
        keys = [keys_of(column) for column in columns]
        new = [_all_new(ones, seen) for ones, seen in zip(keys, self._seen, strict=True)]
        if None in new:
            found = self._one_by_one(keys, bad)
        else:
            self._claim(keys, new, bad)
            found = [None] * len(keys)
        if self.held > self._values_max:
            raise Refused(
                f"{', '.join(self._names)}: there are more than {self._values_max:,} different values, more than a check keeps to find repeats",
                code="contract_unique_limit",
                hint="find repeats of so many rows by a step in SQL: SELECT … QUALIFY row_number() OVER (PARTITION BY …) = 1",
            )
        return found

    def _claim(
        self, keys: list[list[Any]], new: Sequence[set[Any] | None], bad: pa.Array | None
    ) -> None:
        """Claim new keys, of which none is twice there: all but those of the few bad rows."""
        rows = [] if bad is None else pc.indices_nonzero(bad).to_pylist()
        for ones, seen, different in zip(keys, self._seen, new, strict=True):
            assert different is not None, "all keys are new"
            different.difference_update(ones[row] for row in rows)
            seen.update(different)

    def _one_by_one(self, keys: list[list[Any]], bad: pa.Array | None) -> list[pa.Array | None]:
        rejected = [False] * len(keys[0]) if bad is None else bad.to_pylist()
        masks = [[False] * len(rejected) for _ in keys]
        for row, is_bad in enumerate(rejected):
            row_keys = [ones[row] for ones in keys]
            is_good = not is_bad
            for key, seen, mask in zip(row_keys, self._seen, masks, strict=True):
                if key is not None and key in seen:
                    mask[row], is_good = True, False
            if is_good:
                for key, seen in zip(row_keys, self._seen, strict=True):
                    if key is not None:
                        seen.add(key)
        return [pa.array(mask) if True in mask else None for mask in masks]


def _all_new(keys: list[Any], seen: set[Any]) -> set[Any] | None:
    """Return the keys, nothing if one is twice there, or was seen before."""
    different = set(keys)
    nothing = keys.count(None) if None in different else 0
    different.discard(None)
    return (
        different if len(different) + nothing == len(keys) and seen.isdisjoint(different) else None
    )


def keys_of(column: pa.Array) -> list[Any]:
    """Return something for each value that is equal exactly where the values are, and None where there is none."""
    types, kind = pa.types, column.type
    if types.is_string(kind) or types.is_binary(kind):
        return _texts(column)
    if types.is_floating(kind):
        keys: list[Any] = column.to_pylist()
        if has_some(column) and pc.any(pc.is_nan(column)).as_py():
            return [_NAN if key is not None and key != key else key for key in keys]  # noqa: PLR0124 - nan
        return keys
    if types.is_decimal(kind):
        return list(column.cast(pa.string()).to_pylist())
    if types.is_temporal(kind):
        column = column.view(_INTEGERS[kind.bit_width])
    return list(column.to_pylist())


def _texts(column: pa.Array) -> list[Any]:
    keys: list[Any] = column.to_pylist()
    longest = pc.max(pc.binary_length(column)).as_py() or 0
    if longest <= LONG_BYTES:
        return keys
    return [key if key is None or len(key) <= LONG_BYTES // 4 else _hashed(key) for key in keys]


def _hashed(key: str | bytes) -> Any:
    """Return the text, or its hash where it is long: as one of other type than a text, so that no text is taken for a hash."""
    raw = key.encode() if isinstance(key, str) else key
    if len(raw) <= LONG_BYTES:
        return key
    return (hashlib.blake2b(raw, digest_size=HASH_BYTES).digest(),)
