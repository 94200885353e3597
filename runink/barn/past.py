"""The keys and their past in an image, and back.

A row of the history tells what each key was and what it became; the latter is the former of the next row that changes the key, or what it is now, so
an image tells the former only (`image.PastRow`).
"""

from __future__ import annotations

from collections.abc import Iterator

from runink.barn.history import History, Row
from runink.barn.image import Image, PastRow
from runink.barn.keyspace import Keyspace
from runink.barn.keyvalue import Change, KeyValue, bytes_of
from runink.barn.ordered import Many, OrderedMap
from runink.errors import Broken


class _Rows:
    """The kept rows of one moment, told backwards as they are walked over."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[PastRow]:
        for row in self._rows:
            yield PastRow(row.digest, tuple(one.before or one.key for one in row.changes))


def rows_of(history: History) -> Many[PastRow]:
    """Return the kept rows as an image tells them; quick, the work is left to whoever walks over them."""
    return _Rows(history.rows())


def past_of(state: Image) -> Keyspace:
    """Return the keys that an image tells, with their past. Raises Broken (`snapshot_corrupt`) where the two do not fit."""
    keys = Keyspace()
    keys.items = OrderedMap.of_sorted(state.items)
    keys.items_bytes = sum(map(bytes_of, state.items))
    header = state.header
    keys.history = History(compacted=header.compacted, digest=header.facts.digest_compacted)
    later: dict[str, KeyValue | None] = {}
    told: list[tuple[bytes, tuple[Change, ...]]] = []
    for back, row in enumerate(reversed(list(state.rows))):
        revision = header.revision - back
        backwards = [_change(keys, later, revision, before) for before in reversed(row.before)]
        told.append((row.digest, tuple(reversed(backwards))))
    for digest, changes in reversed(told):
        keys.history.add(changes, digest)
    return keys


def _change(
    keys: Keyspace, later: dict[str, KeyValue | None], revision: int, before: KeyValue | str
) -> Change:
    key = before if isinstance(before, str) else before.key
    was = None if isinstance(before, str) else before
    now = later[key] if key in later else keys.items.get(key)
    # Equal where one revision changed a key twice: `checks.py` refuses that, but what is in the log must be restored in any case.
    is_out_of_order = was is not None and was.mod_revision > revision
    if is_out_of_order or (now is not None and now.mod_revision != revision):
        raise Broken(
            f"a snapshot whose past does not fit its keys: {key} at revision {revision}",
            code="snapshot_corrupt",
        )
    later[key] = was
    return Change(revision, now.key if now is not None else key, now, was)
