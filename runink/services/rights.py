"""Changes of who may what, written as they were decided: on roles and bindings that were read for it, and only if none of them has changed since.

A change that somebody was faster than is decided anew, on what is there now. So it is refused if the caller has lost the right meanwhile, or if what it was to change is not as it was read (If-Match).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final, NamedTuple

from msgspec.structs import replace as changed

from runink.clients.access import if_rights
from runink.clients.barn import Found, Transaction
from runink.clients.herds import get_herd, with_herd
from runink.errors import Conflict, Finding, Invalid
from runink.herds.lifecycle import By, updated
from runink.herds.record import HerdRecord
from runink.herds.writing import as_said
from runink.identity.access import AccessIndex
from runink.identity.principals import Principal
from runink.identity.reading import Mistake
from runink.names import HerdName
from runink.operations.calls import Caller, Condition
from runink.services.behind import Behind, principal_of

TURNS_MAX: Final = 20  # each is one in which somebody else changed some right, or a project's herd


class Asking(NamedTuple):
    """Who changes rights, when, and on which index."""

    rights: AccessIndex
    principal: Principal
    now_ms: int

    @property
    def by(self) -> By:
        return By(self.principal.subject, self.now_ms)


async def commit_decided(
    behind: Behind,
    caller: Caller,
    decide: Callable[[Asking], Awaitable[Transaction | None]],
) -> int:
    """Have `decide` say what is to be written, write it while its index holds, and return the revision; 0 where it says that nothing is to be.

    Raises what `decide` raises, and Conflict (`conflict`) where others were faster each time.
    """
    for _ in range(TURNS_MAX):
        asking = Asking(await behind.rights(), principal_of(caller), behind.now_ms())
        transaction = await decide(asking)
        if transaction is None:
            return 0
        committed = await behind.barn.commit(if_rights(transaction, asking.rights))
        if committed.succeeded:
            return committed.revision
    raise Conflict("others change rights at this moment", hint="ask again in a moment")


async def change_herd(
    behind: Behind,
    caller: Caller,
    herd: str,
    condition: Condition | None,
    change: Callable[[HerdRecord, Asking], HerdRecord],
    *,
    dry_run: bool = False,
) -> Found[HerdRecord]:
    """Have `change` say what a herd is to be declared as, and return it as it is then; in a `dry_run` as it would be, at the revision that it has.

    Raises NotFound (`no_such_herd`), Conflict (`herd_deleted`, `precondition_failed`), and what `change` raises.
    """
    kept: list[Found[HerdRecord]] = []

    async def decide(asking: Asking) -> Transaction | None:
        found = await get_herd(behind.barn, HerdName(herd))
        if condition is not None:
            condition.check(found.revision, what=f"herd {herd}")
        after = updated(change(found.value, asking), found.value, asking.by)
        kept[:] = [changed(found, value=after)]
        return None if dry_run or after == found.value else with_herd(Transaction(), after, found)

    revision = await commit_decided(behind, caller, decide)
    return changed(kept[0], revision=revision) if revision else kept[0]


def declared_of(record: HerdRecord) -> HerdRecord:
    """Return what was declared of a herd. Raises Conflict (`herd_not_declared`) if nothing was: then it has neither roles nor bindings."""
    if record.declared is None:
        raise Conflict(
            f"nobody has declared herd {record.herd}, so it has no roles and bindings",
            code="herd_not_declared",
            hint="declare it first: runi herd create, or PUT its document",
        )
    return as_said(record)


def refuse(what: str, mistakes: Iterable[Mistake]) -> None:
    """Raise Invalid with a finding for each mistake, if there is one."""
    found = tuple(Finding("invalid_field", one.text, hint=one.hint) for one in mistakes)
    if len(found) == 1:
        raise Invalid(found[0].text, findings=found, hint=found[0].hint)
    if found:
        raise Invalid(f"{what} has {len(found)} mistakes", findings=found)
