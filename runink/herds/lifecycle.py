"""A herd's life: decisions on its record. Each takes what is in the Barn, and returns what is to be there.

    it is                  create      update      delete      undelete    purge
    not there              declared    -           -           -           -
    of a project's file    declared    declared    deleted     -           -
    declared               -           declared    deleted     -           -
    deleted                -           -           -           as before   purging, when its time has come
    purging                -           -           -           -           purging

`-` is refused, with the reason.  What is deleted keeps its name and all that it has until it is purged; nothing new comes into it meanwhile (`admission.py`).  A herd with
runs that have not ended is not deleted.  Who carries a decision out compares the revision that it was made on.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace as changed

from runink.errors import Conflict, NotFound
from runink.herds.admission import check_open
from runink.herds.record import Declared, Deletion, HerdRecord
from runink.herds.writing import as_said, herd_toml
from runink.names import HerdName, RunId
from runink.quantities import counted, format_moment

KEPT_MS: Final = (
    30 * 86_400_000
)  # of a herd that is deleted: time to find out that somebody needs it
KEPT_MS_MAX: Final = 3_650 * 86_400_000
RUNS_SHOWN_MAX: Final = 5
# Tables in lists, and what each goes by.
_NAMED: Final = {"roles": "name", "bindings": "name", "clearances": "sink"}


class By(msgspec.Struct, frozen=True):
    """Who does something, as bindings name subjects, and when: milliseconds of the Unix epoch."""

    who: str
    now_ms: int


def created(said: HerdRecord, known: HerdRecord | None, by: By) -> HerdRecord:
    """Return the herd as it is declared for the first time. Raises Conflict (`herd_exists`, `herd_deleted`)."""
    if known is not None:
        check_open(known)
        if known.declared is not None:
            raise Conflict(
                f"herd {said.herd} is declared already, by {known.declared.by}",
                code="herd_exists",
                hint="runi herd update -f FILE changes it",
            )
    return _declared(said, known, by, since_ms=by.now_ms)


def updated(said: HerdRecord, known: HerdRecord | None, by: By) -> HerdRecord:
    """Return the herd as it is declared anew; as it is, where that says nothing new. Raises NotFound (`no_such_herd`), Conflict (`herd_deleted`)."""
    if known is None:
        raise no_such_herd(said.herd)
    check_open(known)
    if known.declared is not None and as_said(known) == as_said(said):
        return known
    since_ms = known.declared.created_ms if known.declared is not None else by.now_ms
    return _declared(said, known, by, since_ms=since_ms)


def _declared(said: HerdRecord, known: HerdRecord | None, by: By, *, since_ms: int) -> HerdRecord:
    """Return the herd as somebody declares it now. A binding that was there as it is keeps who has made it."""
    kept = dict(zip(as_said(known).bindings, known.bindings, strict=True)) if known else {}
    bindings = tuple(
        kept.get(one) or changed(one, made_by=by.who, made_ms=by.now_ms)
        for one in as_said(said).bindings
    )
    declared = Declared(since_ms, by.now_ms, by.who)
    return changed(said, bindings=bindings, declared=declared, deletion=None)


def deleted(
    known: HerdRecord, living: Sequence[RunId], by: By, *, kept_ms: int = KEPT_MS
) -> HerdRecord:
    """Return the herd as one that is deleted. Raises Conflict (`herd_in_use`, `herd_deleted`)."""
    check_open(known)
    if living:
        shown = ", ".join(living[:RUNS_SHOWN_MAX])
        more = f" and {len(living) - RUNS_SHOWN_MAX:,} more" if len(living) > RUNS_SHOWN_MAX else ""
        are = "that has" if len(living) == 1 else "that have"
        raise Conflict(
            f"herd {known.herd} has {counted(len(living), 'run')} {are} not ended: {shown}{more}",
            code="herd_in_use",
            hint="wait for their end, or runi cancel RUN",
        )
    deletion = Deletion(by.now_ms, by.now_ms + kept_ms, by.who)
    return changed(known, deletion=deletion)


def undeleted(known: HerdRecord) -> HerdRecord:
    """Return the herd as it was before it was deleted. Raises Conflict (`herd_not_deleted`, `herd_purging`)."""
    gone = _deletion(known)
    if gone.is_purging:
        raise Conflict(
            f"herd {known.herd} is being purged, and a part of it is gone already",
            code="herd_purging",
            hint=f"runi herd purge {known.herd} ends that; then it can be created anew",
        )
    return changed(known, deletion=None)


def purging(known: HerdRecord, *, now_ms: int, at_once: bool = False) -> HerdRecord:
    """Return the herd as one that is being purged. Raises Conflict (`herd_not_deleted`; `herd_kept` before its time, unless it is to be `at_once`)."""
    gone = _deletion(known)
    if not is_due(known, now_ms) and not at_once:
        raise Conflict(
            f"herd {known.herd} is kept until {format_moment(gone.until_ms)}",
            code="herd_kept",
            hint="--now purges it all the same",
        )
    return changed(known, deletion=changed(gone, is_purging=True))


def is_due(record: HerdRecord, now_ms: int) -> bool:
    """Say whether a herd is to be purged: its time has come, or that was begun."""
    gone = record.deletion
    return gone is not None and (gone.is_purging or now_ms >= gone.until_ms)


def _deletion(known: HerdRecord) -> Deletion:
    if known.deletion is None:
        raise Conflict(
            f"herd {known.herd} is not deleted",
            code="herd_not_deleted",
            hint=f"runi herd delete {known.herd} does that",
        )
    return known.deletion


def state_of(record: HerdRecord) -> str:
    """Say in a word how a herd stands."""
    if record.deletion is not None:
        return "purging" if record.deletion.is_purging else "deleted"
    return "declared" if record.declared is not None else "project"


def no_such_herd(name: HerdName) -> NotFound:
    return NotFound(
        f"there is no herd {name}", code="no_such_herd", hint="runi herd list lists them"
    )


def differences(before: HerdRecord, after: HerdRecord) -> tuple[str, ...]:
    """Return what another file would say, a line each: `quotas.cpu: 2 becomes 4`. What became of the herd is not among it."""
    old, new = (dict(_flat(tomllib.loads(herd_toml(one)))) for one in (before, after))
    return tuple(
        _line(key, old.get(key), new.get(key))
        for key in dict.fromkeys((*old, *new))
        if old.get(key) != new.get(key)
    )


def _line(key: str, old: Any, new: Any) -> str:
    if old is None:
        return f"{key}: {new}"
    if new is None:
        return f"{key}: no longer {old}"
    return f"{key}: {old} becomes {new}"


def _flat(tables: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tables.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{within}{key}.")
        elif key in _NAMED:
            names = [one[_NAMED[key]] for one in value]
            for at, (name, one) in enumerate(zip(names, value, strict=True)):
                again = f" ({names[: at + 1].count(name)})" if name in names[:at] else ""
                yield from _flat(one, f"{within}{key}.{name}{again}.")
        else:
            yield f"{within}{key}", value
