"""Approvals: who has looked at a version of a contract, what they said of it, and whether a herd puts that version to use.

    /approvals/H/NAME/VERSION     ApprovalRecord: the last word of each person, by the hash of what was looked at

    standing        a herd with `approval = N`
    approved        N people have approved it, and nobody stands by a rejection
    pending         nobody stands by a rejection, and fewer have approved it
    rejected        somebody has rejected it, and has not approved it since

    code                        refused because
    own_version                 who published a version approves it
    hash_differs                what was looked at is not what is published
    contract_not_approved       a pipeline is put to use that checks by a version which is not approved

Nobody approves what they have published, whatever they may do otherwise, and however few there are.  A rejection is taken back by whoever has said it, by approving; a later one
withdraws what was approved.  A word counts for the hash that it was said of: a version that is there with another content (its herd was purged and begun anew) has none.
Who puts a pipeline to use has read the records of its contracts; the transaction compares that none has changed since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace as changed

from runink.contracts.fields import ContractSpec
from runink.dag import Check, Dag
from runink.errors import Conflict, Forbidden, QuotaExceeded, Refused
from runink.governance.registry import HASH_SHOWN, ContractVersion, shortened
from runink.herds.record import HerdRecord
from runink.identity.principals import PrincipalKind
from runink.names import HerdName

WORDS_MAX: Final = 100  # people of one version: a policy asks for ten at most
NOT_APPROVED: Final = "contract_not_approved"


class Standing(StrEnum):
    """How it is with a version in a herd that wants approval."""

    APPROVED = "approved"
    PENDING = "pending"
    REJECTED = "rejected"


class Word(msgspec.Struct, frozen=True, omit_defaults=True):
    """What somebody has said of the content that has this hash, when (milliseconds of the Unix epoch), and why."""

    by: str
    at_ms: int
    hash: str
    approves: bool
    reason: str = ""


class ApprovalRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What people have said of a version, the last word of each, in the order in which they came."""

    herd: HerdName
    contract: str
    version: str
    words: tuple[Word, ...] = ()


class Judged(NamedTuple):
    """A version of a contract and what was said of it: nothing where it is not published, or nobody has said anything."""

    version: ContractVersion | None
    record: ApprovalRecord | None


def words_on(version: ContractVersion, record: ApprovalRecord | None) -> tuple[Word, ...]:
    """Return the words that count for a version: those that were said of its content, without an approval by who has published it."""
    if record is None:
        return ()
    author = author_of(version)
    return tuple(
        one
        for one in record.words
        if one.hash == version.hash and not (one.approves and one.by == author)
    )


def standing_of(version: ContractVersion, record: ApprovalRecord | None, needed: int) -> Standing:
    """Return how it is with a version where `needed` people are to approve it."""
    words = words_on(version, record)
    if any(not one.approves for one in words):
        return Standing.REJECTED
    return Standing.APPROVED if len(words) >= needed else Standing.PENDING


def author_of(version: ContractVersion) -> str:
    """Return who has published a version, as bindings name people: a command on the cluster's own machine says the user's name alone."""
    by = version.origin.by
    return by if ":" in by else f"{PrincipalKind.OPERATOR.value}:{by}"


def with_word(version: ContractVersion, record: ApprovalRecord | None, word: Word) -> ApprovalRecord:  # fmt: skip
    """Return the record with somebody's word on a version, in place of the one before. The same word again changes nothing.

    Raises Forbidden (`own_version`), Conflict (`hash_differs`), QuotaExceeded (`too_many_words`).
    """
    if word.hash != version.hash:
        raise Conflict(
            f"{version.reference} has the hash {version.hash}, and what was looked at has {word.hash}",
            code="hash_differs",
            hint="look at what is published, and say its hash",
        )
    if word.approves and word.by == author_of(version):
        raise Forbidden(
            f"{version.reference} was published by you, and nobody approves what they have published",
            code="own_version",
            hint="ask somebody else who may approve contracts of the herd: the role steward may",
        )
    if record is None:
        record = ApprovalRecord(version.herd, version.spec.name, version.spec.version)
    kept = [
        one for one in record.words if one.hash == version.hash
    ]  # what was said of another content counts for nothing
    before = next((one for one in kept if one.by == word.by), None)
    if before is not None and changed(before, at_ms=word.at_ms) == word:
        return record
    others = tuple(one for one in kept if one is not before)
    if len(others) >= WORDS_MAX:
        raise QuotaExceeded(
            f"{WORDS_MAX} people have said something of {version.reference} already",
            code="too_many_words",
            hint="publish another version",
        )
    return changed(record, words=(*others, word))


def contracts_used(dag: Dag) -> tuple[ContractSpec, ...]:
    """Return the contracts that a pipeline checks by, each once, by name and version."""
    found = {
        (one.contract.name, one.contract.version, one.contract.hash): one.contract
        for one in dag.nodes
        if isinstance(one, Check)
    }
    return tuple(spec for _, spec in sorted(found.items()))


def check_approved(dag: Dag, herd: HerdRecord, judged: Callable[[ContractSpec], Judged]) -> None:
    """Raise Refused (`contract_not_approved`) where a herd wants approval and the pipeline checks by a version that has none. `judged` says what there is of a contract's name and version."""
    needed = herd.contracts.approvals
    if not needed:
        return
    found = [
        (spec, text)
        for spec in contracts_used(dag)
        if (text := _lack(spec, judged(spec), needed)) is not None
    ]
    if not found:
        return
    first = found[0][0]
    raise Refused(
        "\n".join(
            [
                f"herd {herd.herd} wants its contracts approved (approval = {needed}), and not all of {dag.file} are:",
                *shortened(f"  {text}" for _, text in found),
            ]
        ),
        code=NOT_APPROVED,
        hint=_hint(first, herd.herd, is_published=judged(first).version is not None),
    )


def headline(text: str) -> str:
    """Return what a refusal for contracts says without naming one of them."""
    return text.partition("\n")[0].removesuffix(":")


def _hint(spec: ContractSpec, herd: HerdName, *, is_published: bool) -> str:
    if not is_published:
        return f"runi contract publish FILE:{spec.name} --herd {herd}, and have somebody else approve it"
    return f"who may approve contracts there, as the role steward, and has not published it: runi contract approve {spec.name}@{spec.version} --herd {herd}"


def _lack(spec: ContractSpec, judged: Judged, needed: int) -> str | None:
    """Say what a contract lacks, or nothing if it is approved."""
    name, version = f"{spec.name} {spec.version}", judged.version
    if version is None:
        return f"{name} is not published"
    if version.hash != spec.hash:
        return f"{name} is another one than what is published under its version: its hash is {spec.hash[:HASH_SHOWN]}, that one's {version.hash[:HASH_SHOWN]}"
    match standing_of(version, judged.record, needed):
        case Standing.APPROVED:
            return None
        case Standing.PENDING:
            count = len(words_on(version, judged.record))
            return f"{name} is pending: {count} of {needed} approvals, published by {author_of(version)}"
        case Standing.REJECTED:
            told = "; ".join(_rejections(version, judged.record))
            return f"{name} is rejected {told}"


def _rejections(version: ContractVersion, record: ApprovalRecord | None) -> Iterator[str]:
    for one in words_on(version, record):
        if not one.approves:
            yield f"by {one.by}: {one.reason}"
