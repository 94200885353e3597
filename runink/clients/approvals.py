"""Approvals in the Barn: said as `governance/approvals.py` decides, and read by who puts a pipeline to use."""

from __future__ import annotations

from runink.barn.keys import APPROVALS, approval_key, contract_key, herd_key
from runink.clients.barn import BarnClient, Found, Transaction
from runink.clients.herds import if_herd
from runink.clients.turns import in_turns
from runink.contracts.fields import ContractSpec
from runink.dag import Dag
from runink.errors import NotFound
from runink.governance.approvals import (
    ApprovalRecord,
    Judged,
    Word,
    check_approved,
    contracts_used,
    with_word,
)
from runink.governance.registry import ContractVersion
from runink.herds.admission import check_open
from runink.herds.lifecycle import no_such_herd
from runink.herds.record import HerdRecord
from runink.names import HerdName


async def if_approved(
    barn: BarnClient, transaction: Transaction, dag: Dag, herd: HerdRecord
) -> Transaction:
    """Return the transaction that is only done while what was said of a pipeline's contracts stands as it was read. Raises Refused (`contract_not_approved`).

    Nothing is read where the herd wants no approval.
    """
    if not herd.contracts.approvals:
        return transaction
    judged: dict[tuple[str, str], Judged] = {}
    for spec in contracts_used(dag):
        at = (spec.name, spec.version)
        if at in judged:
            continue
        version = await barn.get(contract_key(herd.herd, *at), ContractVersion)
        key = approval_key(herd.herd, *at)
        record = await barn.get(key, ApprovalRecord)
        judged[at] = _judged(version, record)
        if record is None:
            transaction = transaction.if_absent(key)
        else:
            transaction = transaction.if_revision(key, record.revision)

    def of(spec: ContractSpec) -> Judged:
        return judged[spec.name, spec.version]

    check_approved(dag, herd, of)
    return transaction


def _judged(version: Found[ContractVersion] | None, record: Found[ApprovalRecord] | None) -> Judged:
    return Judged(
        version.value if version is not None else None,
        record.value if record is not None else None,
    )


async def judged_version(
    barn: BarnClient, herd: HerdName, contract: str, version: str
) -> tuple[Found[ContractVersion], Found[ApprovalRecord] | None]:
    """Return a published version and what was said of it. Raises NotFound (`no_such_version`)."""
    found = await barn.get(contract_key(herd, contract, version), ContractVersion)
    if found is None:
        raise NotFound(
            f"herd {herd} has published no {contract}@{version}",
            code="no_such_version",
            hint=f"runi contract history {herd}/{contract} lists what there is",
        )
    return found, await barn.get(approval_key(herd, contract, version), ApprovalRecord)


async def records_of(barn: BarnClient, herd: HerdName) -> dict[tuple[str, str], ApprovalRecord]:
    """Return what was said of contracts in a herd, by name and version."""
    listing = await barn.range(APPROVALS.prefix(herd), ApprovalRecord)
    return {(one.value.contract, one.value.version): one.value for one in listing.items}


async def say(
    barn: BarnClient, herd: HerdName, contract: str, version: str, word: Word
) -> tuple[Found[ContractVersion], ApprovalRecord, HerdRecord]:
    """Write somebody's word on a version, and return that version, all that is said of it now, and the herd.

    Raises NotFound (`no_such_herd`, `no_such_version`), Conflict (`herd_deleted`, `hash_differs`), Forbidden (`own_version`), QuotaExceeded (`too_many_words`).
    """
    key = approval_key(herd, contract, version)

    async def turn() -> tuple[Found[ContractVersion], ApprovalRecord, HerdRecord] | None:
        known = await barn.get(herd_key(herd), HerdRecord)
        if known is None:
            raise no_such_herd(herd)
        check_open(known.value)
        found, before = await judged_version(barn, herd, contract, version)
        record = with_word(found.value, before.value if before is not None else None, word)
        if before is not None and record == before.value:
            return found, record, known.value
        transaction = if_herd(Transaction(), herd, known).if_revision(found.key, found.revision)
        if before is None:
            transaction = transaction.if_absent(key)
        else:
            transaction = transaction.if_revision(key, before.revision)
        committed = await barn.commit(transaction.put(key, record))
        return (found, record, known.value) if committed.succeeded else None

    return await in_turns(key, turn)
