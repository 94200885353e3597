"""Operations on herds, carried out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace as changed

from runink.barn.keys import HERDS, SLICES, herd_key
from runink.clients import herds as stored
from runink.clients.barn import Found, Transaction
from runink.clients.herds import get_herd, runs_of, with_herd
from runink.errors import Finding, Invalid, Unavailable
from runink.herds.beside import Shown, beside
from runink.herds.file import read_tables
from runink.herds.lifecycle import By, created, state_of
from runink.herds.record import HerdRecord, unenforced
from runink.herds.writing import as_said, said_of
from runink.identity.granting import HerdAccess, check_may_declare
from runink.identity.vocabulary import CLUSTER, Resource, Verb
from runink.names import HerdName, RunId
from runink.operations.answers import Items
from runink.operations.calls import Caller, Context
from runink.operations.catalog import herds
from runink.operations.catalog.herds import (
    CreateHerd,
    DeleteHerd,
    GetHerd,
    HerdDocument,
    HerdPurged,
    HerdQuota,
    HerdSummary,
    ListHerds,
    PurgeHerd,
    Quota,
    UpdateHerd,
)
from runink.runs.records import SliceRecord
from runink.scheduling.usage import quotas_of, used_by
from runink.services.behind import Behind, check_may_make, principal_of, shown_in, shows_herd
from runink.services.pages import page_of_keys
from runink.services.rights import Asking, change_herd, commit_decided
from runink.services.service import Handlers


class HerdService:
    """Shows herds to who may see them, and changes them for who may."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def handlers(self) -> Handlers:
        return {
            herds.LIST: self._list,
            herds.GET: self._get,
            herds.CREATE: self._create,
            herds.UPDATE: self._update,
            herds.DELETE: self._delete,
            herds.UNDELETE: self._undelete,
            herds.PURGE: self._purge,
            herds.QUOTA: self._quota,
        }

    async def _list(
        self, request: ListHerds, caller: Caller, context: Context
    ) -> Items[HerdSummary]:
        def show(found: Found[HerdRecord]) -> HerdSummary | None:
            return _summary(found) if shows_herd(self._behind, caller, found.value.herd) else None

        page = await page_of_keys(
            self._behind.barn,
            HERDS.prefix(),
            HerdRecord,
            limit=request.limit,
            position=context.position,
            show=show,
        )
        if not request.living:
            return page
        items = []
        for one in page.items:
            shows = shown_in(self._behind, caller, Resource.RUNS, one.herd)
            living = [run for run in await self._living(one.herd) if shows(run)]
            items.append(changed(one, living=len(living)))
        return changed(page, items=tuple(items))

    async def _living(self, herd: str) -> list[RunId]:
        """Return the runs of a herd that have not ended."""
        runs, _ = await runs_of(self._behind.barn, HerdName(herd))
        return [one.run for one in runs if not one.state.is_over]

    async def _get(self, request: GetHerd, caller: Caller, _context: Context) -> HerdDocument:
        return self._document(await get_herd(self._behind.barn, HerdName(request.herd)), caller)

    async def _create(self, request: CreateHerd, caller: Caller, context: Context) -> HerdDocument:
        said = _read(request.says)
        check_may_make(self._behind, caller, Resource.HERDS, CLUSTER, said.herd)
        kept: list[HerdRecord] = []

        async def decide(asking: Asking) -> Transaction | None:
            found = await self._behind.barn.get(herd_key(said.herd), HerdRecord)
            if found is not None and _is_made(found.value, said, asking, context):
                return None
            after = created(said, found.value if found is not None else None, asking.by)
            _check_may_declare(after, asking)
            kept[:] = [after]
            return with_herd(Transaction(), after, found)

        revision = await commit_decided(self._behind, caller, decide)
        if not revision:
            return self._document(await get_herd(self._behind.barn, said.herd), caller)
        made = Found(herd_key(said.herd), kept[0], revision, 1, 0, revision)
        return self._document(made, caller)

    async def _update(self, request: UpdateHerd, caller: Caller, context: Context) -> HerdDocument:
        said = _read(request.says, herd=request.herd)
        shown = self._shown(caller, request.herd)

        def change(known: HerdRecord, asking: Asking) -> HerdRecord:
            whole = beside(said, known, shown)
            _check_may_declare(whole, asking)
            return whole

        found = await change_herd(
            self._behind,
            caller,
            request.herd,
            context.condition,
            change,
            dry_run=request.dry_run,
        )
        return self._document(found, caller)

    def _shown(self, caller: Caller, herd: str) -> Shown:
        """Return which roles and bindings of a herd the caller may read: of the others its document says nothing, and takes none away."""
        principal, allows = principal_of(caller), self._behind.access.allows

        def shows(kind: Resource) -> Callable[[str], bool]:
            return lambda name: allows(principal, Verb.GET, kind, herd=herd, name=name)

        return Shown(shows(Resource.ROLES), shows(Resource.BINDINGS))

    def _document(self, found: Found[HerdRecord], caller: Caller) -> HerdDocument:
        herd = found.value
        shown = self._shown(caller, herd.herd)
        roles = tuple(one for one in herd.roles if shown.role(one.name))
        bindings = tuple(one for one in herd.bindings if shown.binding(one.name))
        return HerdDocument(
            herd.herd,
            state_of(herd),
            found.revision,
            herd.declared,
            herd.deletion,
            unenforced(herd),
            said_of(changed(herd, roles=roles, bindings=bindings)),
        )

    async def _delete(self, request: DeleteHerd, caller: Caller, context: Context) -> HerdDocument:
        name = HerdName(request.herd)
        found = await get_herd(self._behind.barn, name)
        if context.condition is not None:
            context.condition.check(found.revision, what=f"herd {name}")
        is_any = context.condition is None or context.condition.is_any
        deleted = await stored.delete_herd(
            self._behind.barn,
            name,
            self._by(caller),
            kept_ms=request.keep_ms,
            if_revision=None if is_any else found.revision,
        )
        return self._document(deleted, caller)

    async def _undelete(self, request: GetHerd, caller: Caller, _context: Context) -> HerdDocument:
        found = await stored.undelete_herd(self._behind.barn, HerdName(request.herd))
        return self._document(found, caller)

    async def _purge(self, request: PurgeHerd, _caller: Caller, _context: Context) -> HerdPurged:
        """Take a herd away, unless nodes still have what its failed runs keep: they are asked to let go of it, and so is the caller to come back."""
        name, barn = HerdName(request.herd), self._behind.barn
        now_ms = self._behind.now_ms()
        await stored.begin_purge(barn, name, now_ms=now_ms, at_once=request.at_once)
        keeping = [one.run for one in (await runs_of(barn, name))[0] if one.kept_until_ms]
        for run in keeping:
            await self._behind.cluster.drop(run)
        if any(one.kept_until_ms for one in (await runs_of(barn, name))[0]):
            raise Unavailable(
                "what failed runs keep is being taken away by their nodes",
                code="not_let_go",
                hint="ask again in a moment; if it stays so, their nodes are not there",
            )
        return HerdPurged(name, await stored.purge(barn, name))

    async def _quota(self, request: GetHerd, _caller: Caller, _context: Context) -> HerdQuota:
        name, barn = HerdName(request.herd), self._behind.barn
        record = (await get_herd(barn, name)).value
        slices = await barn.range(SLICES.prefix(name), SliceRecord)
        living = len(await self._living(name))
        used = used_by(one.value for one in slices.items)
        quotas = quotas_of(record, used, living)
        return HerdQuota(
            name, {one.name: Quota(one.used, one.limit or None) for one in quotas}, record.bounds
        )

    def _by(self, caller: Caller) -> By:
        return By(principal_of(caller).subject, self._behind.now_ms())


def _read(says: dict[str, Any], *, herd: str = "") -> HerdRecord:
    """Return what the tables say of a herd; its name may be left to the path. Raises Invalid (`herd_invalid`)."""
    own = says.get("herd", {})
    if herd and isinstance(own, dict):
        says = {**says, "herd": {"id": herd, **own}}
    said = read_tables(says, where="says")
    if herd and said.herd != herd:
        text = f"says.herd.id is {said.herd}, and the path says {herd}"
        hint = "a herd keeps its name; create another one"
        finding = Finding("invalid_field", text, hint=hint)
        raise Invalid(text, findings=(finding,), code="herd_invalid", hint=hint)
    return said


def _check_may_declare(said: HerdRecord, asking: Asking) -> None:
    declared = HerdAccess(said.herd, said.roles, said.bindings)
    check_may_declare(asking.rights, asking.principal, declared, now_ms=asking.now_ms)


def _is_made(known: HerdRecord, said: HerdRecord, asking: Asking, context: Context) -> bool:
    """Say whether the same call has made the herd before, and did not come to tell."""
    declared = known.declared
    return (
        declared is not None
        and context.may_have_made(declared.created_ms)
        and declared.by == asking.by.who
        and declared.created_ms == declared.changed_ms
        and as_said(known) == as_said(said)
    )


def _summary(found: Found[HerdRecord]) -> HerdSummary:
    herd = found.value
    return HerdSummary(
        herd.herd,
        state_of(herd),
        herd.domain,
        herd.description,
        herd.labels,
        found.revision,
        herd.declared.changed_ms if herd.declared is not None else 0,
    )
