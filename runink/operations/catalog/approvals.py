"""Operations on approvals: what people say of published versions of contracts, in herds that want them approved."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from runink.governance.approvals import Standing
from runink.identity.vocabulary import Resource, Verb
from runink.operations.answers import Kind
from runink.operations.catalog.contracts import ContractText, OfContractVersion
from runink.operations.declarations import Asked, AskedPage, Method, Operation
from runink.operations.patterns import HerdText, VersionText, exact

REASON_MAX: Final = 2000  # characters
HashText = Annotated[
    str,
    msgspec.Meta(
        pattern=exact("[0-9a-f]{64}"),
        description="The hash of the content that was looked at.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    ),
]


class ListApprovals(AskedPage, frozen=True, kw_only=True):
    """Those that stand so; all where no `state` is named."""

    herd: HerdText
    state: Standing | None = None


class ApproveContract(Asked, frozen=True, kw_only=True):
    """Where a `hash` is said, the version is approved only if its content has that one."""

    herd: HerdText
    contract: ContractText
    version: VersionText
    hash: HashText | None = None
    reason: Annotated[str, msgspec.Meta(max_length=REASON_MAX)] = ""


class RejectContract(Asked, frozen=True, kw_only=True):
    """As an approval; the reason is told to everybody whose pipeline is refused for it."""

    herd: HerdText
    contract: ContractText
    version: VersionText
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=REASON_MAX)]
    hash: HashText | None = None


class ApprovalWord(msgspec.Struct, frozen=True):
    """What somebody has said, of the content that has this hash. `at_ms` is in milliseconds of the Unix epoch."""

    by: str
    at_ms: int
    approves: bool
    reason: str
    hash: str


class ApprovalDocument(msgspec.Struct, frozen=True):
    """How it is with a version. `needed` is how many people the herd wants to approve it (0: any version is put to use), `approvals` how many have.

    `words` are the last words of people that count: of this content, and none by which somebody approves what they have published (`by`).
    """

    reference: str
    herd: str
    name: str
    version: str
    hash: str
    state: Standing
    needed: int
    approvals: int
    by: str
    published_ms: int
    words: tuple[ApprovalWord, ...]


_ERRORS: Final = ("own_version", "hash_differs", "too_many_words", "herd_deleted")
LIST: Final = Operation(
    name="contract-approvals.list",
    method=Method.GET,
    path="/herds/{herd}/contract-approvals",
    request=ListApprovals,
    answer=ApprovalDocument,
    kind=Kind.PAGE,
    verb=Verb.LIST,
    resource=Resource.CONTRACTS,
    summary="List the published versions of contracts, each with what people have said of it.",
)
GET: Final = Operation(
    name="contracts.versions.approval",
    method=Method.GET,
    path="/herds/{herd}/contracts/{contract}/versions/{version}/approval",
    request=OfContractVersion,
    answer=ApprovalDocument,
    subject="contract",
    verb=Verb.GET,
    resource=Resource.CONTRACTS,
    summary="Tell what people have said of a version of a contract.",
)
APPROVE: Final = Operation(
    name="contracts.versions.approve",
    method=Method.POST,
    path="/herds/{herd}/contracts/{contract}/versions/{version}/approve",
    request=ApproveContract,
    answer=ApprovalDocument,
    subject="contract",
    verb=Verb.APPROVE,
    resource=Resource.CONTRACTS,
    summary="Approve a version of a contract.",
    description="Nobody approves what they have published. It takes the place of a rejection by the same person.",
    errors=_ERRORS,
    is_idempotent=True,
    example={"reason": "the new column is declared as personal data"},
)
REJECT: Final = Operation(
    name="contracts.versions.reject",
    method=Method.POST,
    path="/herds/{herd}/contracts/{contract}/versions/{version}/reject",
    request=RejectContract,
    answer=ApprovalDocument,
    subject="contract",
    verb=Verb.APPROVE,
    resource=Resource.CONTRACTS,
    summary="Reject a version of a contract.",
    description="Where the herd wants approval, no pipeline that checks by it is deployed or begins a run until whoever has said so approves it. Runs that have begun go on.",
    errors=_ERRORS,
    is_idempotent=True,
    example={"reason": "email is no longer declared as personal data"},
)
APPROVALS: Final = (LIST, GET, APPROVE, REJECT)
