"""Operations on approvals, carried out."""

from __future__ import annotations

from runink.clients.approvals import judged_version, records_of, say
from runink.clients.herds import get_herd
from runink.clients.publishing import contract_versions
from runink.governance.approvals import (
    ApprovalRecord,
    Word,
    author_of,
    standing_of,
    words_on,
)
from runink.governance.registry import ContractVersion
from runink.identity.vocabulary import Resource
from runink.names import HerdName
from runink.operations.answers import Items
from runink.operations.calls import Caller, Context
from runink.operations.catalog import approvals
from runink.operations.catalog.approvals import (
    ApprovalDocument,
    ApprovalWord,
    ApproveContract,
    ListApprovals,
    RejectContract,
)
from runink.operations.catalog.contracts import OfContractVersion
from runink.services.behind import Behind, principal_of, shown_in
from runink.services.pages import page_of_values
from runink.services.service import Handlers


class ApprovalService:
    """Tells what people have said of versions of contracts, and writes it down."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def handlers(self) -> Handlers:
        return {
            approvals.LIST: self._list,
            approvals.GET: self._get,
            approvals.APPROVE: self._approve,
            approvals.REJECT: self._reject,
        }

    async def _list(
        self, request: ListApprovals, caller: Caller, context: Context
    ) -> Items[ApprovalDocument]:
        barn, name = self._behind.barn, HerdName(request.herd)
        revision = (await barn.status()).revision  # what is read is no older
        needed = (await get_herd(barn, name)).value.contracts.approvals
        versions = await contract_versions(barn, name)
        records = await records_of(barn, name)
        shows = shown_in(self._behind, caller, Resource.CONTRACTS, request.herd)
        told = [
            _told(one.value, records.get((one.value.spec.name, one.value.spec.version)), needed)
            for one in versions
            if shows(one.value.spec.name)
        ]
        return page_of_values(
            [
                (f"{place:06}", one)
                for place, one in enumerate(told)
                if request.state in (None, one.state)
            ],
            limit=request.limit,
            position=context.position,
            revision=revision,
        )

    async def _get(
        self, request: OfContractVersion, _caller: Caller, _context: Context
    ) -> ApprovalDocument:
        barn, name = self._behind.barn, HerdName(request.herd)
        found, record = await judged_version(barn, name, request.contract, request.version)
        needed = (await get_herd(barn, name)).value.contracts.approvals
        return _told(found.value, record.value if record is not None else None, needed)

    async def _approve(
        self, request: ApproveContract, caller: Caller, _context: Context
    ) -> ApprovalDocument:
        return await self._said(request, caller, approves=True)

    async def _reject(
        self, request: RejectContract, caller: Caller, _context: Context
    ) -> ApprovalDocument:
        return await self._said(request, caller, approves=False)

    async def _said(
        self, request: ApproveContract | RejectContract, caller: Caller, *, approves: bool
    ) -> ApprovalDocument:
        barn, name = self._behind.barn, HerdName(request.herd)
        by, now_ms = principal_of(caller).subject, self._behind.now_ms()
        seen = request.hash
        if seen is None:
            found, _ = await judged_version(barn, name, request.contract, request.version)
            seen = found.value.hash
        word = Word(by, now_ms, seen, approves, request.reason)
        version, record, herd = await say(barn, name, request.contract, request.version, word)
        return _told(version.value, record, herd.contracts.approvals)


def _told(version: ContractVersion, record: ApprovalRecord | None, needed: int) -> ApprovalDocument:
    words = words_on(version, record)
    return ApprovalDocument(
        reference=version.reference,
        herd=version.herd,
        name=version.spec.name,
        version=version.spec.version,
        hash=version.hash,
        state=standing_of(version, record, needed),
        needed=needed,
        approvals=sum(one.approves for one in words),
        by=author_of(version),
        published_ms=version.origin.published_ms,
        words=tuple(
            ApprovalWord(one.by, one.at_ms, one.approves, one.reason, one.hash) for one in words
        ),
    )
