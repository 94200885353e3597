"""Operations on the audit, carried out. What writes it is `auditing.py`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Final

from runink.barn.keys import AUDIT, OF_CLUSTER
from runink.barn.keyvalue import Change, Span, key_prefix
from runink.barn.watching import Interest, Skip
from runink.clients.barn import decode_value
from runink.governance.audit import AuditEntry, first_id_of
from runink.identity.vocabulary import CLUSTER, OF_THE_CLUSTER, Resource, Verb
from runink.operations.answers import Items
from runink.operations.calls import Caller, Context
from runink.operations.catalog import audit
from runink.operations.catalog.audit import (
    AuditDocument,
    AuditStep,
    ListAudit,
    ListClusterAudit,
    Order,
    WatchAudit,
    WatchClusterAudit,
)
from runink.operations.declarations import HERD
from runink.services.auditing import kept_since_ms
from runink.services.behind import Behind, not_hidden, shown_in
from runink.services.service import Handlers
from runink.services.watching import Said, Stream, beginning, told_changes

IN_HERD: Final = "in_herd"
# What an entry's parts name.
_KINDS: Final = {
    "account": Resource.SERVICE_ACCOUNTS,
    "annotation": Resource.ANNOTATIONS,
    "binding": Resource.BINDINGS,
    "bundle": Resource.BUNDLES,
    "contract": Resource.CONTRACTS,
    "issuer": Resource.ISSUERS,
    "node": Resource.NODES,
    "pipeline": Resource.PIPELINES,
    "role": Resource.ROLES,
    "run": Resource.RUNS,
}


class AuditService:
    """Shows the audit to who may read it."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def handlers(self) -> Handlers:
        return {
            audit.LIST: self._list,
            audit.CLUSTER_LIST: self._list_of_cluster,
            audit.WATCH: self._watch,
            audit.CLUSTER_WATCH: self._watch_of_cluster,
        }

    async def _list(
        self, request: ListAudit, caller: Caller, context: Context
    ) -> Items[AuditDocument]:
        return await self._listed(request, request.herd, caller, context)

    async def _list_of_cluster(
        self, request: ListClusterAudit, caller: Caller, context: Context
    ) -> Items[AuditDocument]:
        return await self._listed(request, CLUSTER, caller, context)

    async def _listed(
        self, request: ListAudit | ListClusterAudit, herd: str, caller: Caller, context: Context
    ) -> Items[AuditDocument]:
        place = herd or OF_CLUSTER
        since_ms = max(request.since_ms, await kept_since_ms(self._behind, place))
        end = key_prefix(AUDIT.prefix(place)).end
        if request.until_ms:
            end = AUDIT.key(place, first_id_of(request.until_ms))
        span = Span(AUDIT.key(place, first_id_of(since_ms)), end)
        if end and end <= span.start:
            return Items((), context.position.revision if context.position else 0)
        at = context.position.revision if context.position else 0
        pages = await self._behind.barn.read(span, revision=at)
        entries = [decode_value(one, AuditEntry).value for one in pages.pages[0].items]
        shows = shown_in(self._behind, caller, Resource.AUDIT, herd)
        shown = [
            one
            for one in entries
            if _is_meant(one, request) and shows(one.id) and self._shows_names(one, caller)
        ]
        return _page(shown, request, context, at or pages.revision)

    async def _watch(self, request: WatchAudit, caller: Caller, _context: Context) -> Stream:
        return await self._watched(request, request.herd, caller)

    async def _watch_of_cluster(
        self, request: WatchClusterAudit, caller: Caller, _context: Context
    ) -> Stream:
        return await self._watched(request, CLUSTER, caller)

    async def _watched(
        self, request: WatchAudit | WatchClusterAudit, herd: str, caller: Caller
    ) -> Stream:
        place = herd or OF_CLUSTER
        after = await beginning(self._behind.barn, request.since)
        # What is too old already is as in a list; what comes from now on is not.
        since_id = first_id_of(await kept_since_ms(self._behind, place))

        async def tell(changes: Sequence[Change]) -> Iterable[Said]:
            shows = shown_in(self._behind, caller, Resource.AUDIT, herd, Verb.WATCH)
            found = (
                (change.revision, decode_value(change.now, AuditEntry).value)
                for change in changes
                if change.now is not None
            )
            return [
                Said("entry", AuditStep(_document(one), revision))
                for revision, one in found
                if one.id >= since_id
                and _is_meant(one, request)
                and shows(one.id)
                and self._shows_names(one, caller)
            ]

        interest = Interest((AUDIT.prefix(place),), skip=Skip.DELETES)
        return told_changes(self._behind.barn, interest, after, tell)

    def _shows_names(self, entry: AuditEntry, caller: Caller) -> bool:
        """Say whether no rule hides from the caller what a call was about, by its name."""
        herd = entry.what.get(HERD, entry.what.get(IN_HERD, entry.herd))
        named = [
            (kind, CLUSTER if kind in OF_THE_CLUSTER else herd, entry.what[part])
            for part, kind in _KINDS.items()
            if part in entry.what
        ]
        if "slice" in entry.what and "run" in entry.what:
            named.append((Resource.SLICES, herd, f"{entry.what['run']}/{entry.what['slice']}"))
        if herd and not entry.herd:
            named.append((Resource.HERDS, herd, herd))
        return all(not_hidden(self._behind, caller, kind, of)(name) for kind, of, name in named)


def _is_meant(
    entry: AuditEntry, request: ListAudit | ListClusterAudit | WatchAudit | WatchClusterAudit
) -> bool:
    if request.who and entry.who != request.who:
        return False
    if request.outcome is not None and entry.outcome is not request.outcome:
        return False
    return not request.action or fnmatchcase(entry.operation, request.action)


def _page(
    entries: list[AuditEntry],
    request: ListAudit | ListClusterAudit,
    context: Context,
    revision: int,
) -> Items[AuditDocument]:
    """Return the next part, behind the entry that was shown last."""
    after = context.position.after if context.position else ""
    if request.order is Order.NEWEST:
        entries = [one for one in reversed(entries) if not after or one.id < after]
    else:
        entries = [one for one in entries if one.id > after]
    part = entries[: request.limit]
    is_last = len(part) == len(entries)
    return Items(tuple(map(_document, part)), revision, "" if is_last else part[-1].id)


def _document(entry: AuditEntry) -> AuditDocument:
    return AuditDocument(
        id=entry.id,
        at_ms=entry.at_ms,
        ended_ms=entry.ended_ms,
        who=entry.who,
        token=entry.token,
        address=entry.address,
        operation=entry.operation,
        what=dict(entry.what),
        outcome=entry.outcome,
        code=entry.code,
        request_id=entry.request_id,
        left_out=entry.left_out,
    )
