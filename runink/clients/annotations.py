"""Annotations in the Barn: made once, changed by who has read them as they are."""

from __future__ import annotations

from collections.abc import Callable

from runink.barn.keys import ANNOTATIONS
from runink.clients.barn import BarnClient, Found, Transaction
from runink.clients.herds import get_herd, if_herd
from runink.clients.turns import in_turns
from runink.errors import NotFound, QuotaExceeded
from runink.governance.annotations import ANNOTATIONS_MAX, Annotation
from runink.herds.admission import check_open
from runink.names import HerdName

# Returns what a note becomes, nothing if it is to go; raises where it is not as who asks has read it.
Change = Callable[[Found[Annotation]], Annotation | None]


async def annotate(barn: BarnClient, note: Annotation) -> Found[Annotation]:
    """Keep a note; one that is there under its id is the same one. Raises NotFound (`no_such_herd`), Conflict (`herd_deleted`), QuotaExceeded (`annotations_full`)."""
    key = ANNOTATIONS.key(note.herd, note.id)

    async def turn() -> Found[Annotation] | None:
        known = await get_herd(barn, note.herd)
        check_open(known.value)
        found = await barn.get(key, Annotation)
        if found is not None:
            return found
        listing = await barn.range(ANNOTATIONS.prefix(note.herd), Annotation, limit=1)
        if listing.count >= ANNOTATIONS_MAX:
            raise QuotaExceeded(
                f"herd {note.herd} has {listing.count:,} annotations",
                code="annotations_full",
                hint="delete those that nobody needs",
            )
        transaction = if_herd(Transaction(), note.herd, known).if_absent(key).put(key, note)
        committed = await barn.commit(transaction)
        if not committed.succeeded:
            return None
        return Found(key, note, committed.revision, 1, 0, committed.revision)

    return await in_turns(key, turn)


async def get_annotation(barn: BarnClient, herd: HerdName, name: str) -> Found[Annotation]:
    """Return a note. Raises NotFound (`no_such_annotation`)."""
    found = await barn.get(ANNOTATIONS.key(herd, name), Annotation)
    if found is None:
        raise no_such_annotation(herd, name)
    return found


def no_such_annotation(herd: HerdName, name: str) -> NotFound:
    return NotFound(f"herd {herd} has no annotation {name}", code="no_such_annotation")


async def change_annotation(
    barn: BarnClient, herd: HerdName, name: str, change: Change
) -> Found[Annotation]:
    """Change a note or take it away, and return it as it is then, or was. Raises what `change` raises, NotFound (`no_such_annotation`)."""

    async def turn() -> Found[Annotation] | None:
        found = await get_annotation(barn, herd, name)
        after = change(found)
        transaction = Transaction().if_revision(found.key, found.revision)
        if after is None:
            transaction = transaction.delete(found.key)
        else:
            transaction = transaction.put(found.key, after)
        committed = await barn.commit(transaction)
        if not committed.succeeded:
            return None
        return Found(found.key, after or found.value, committed.revision, 1, 0, found.created)

    return await in_turns(name, turn)
