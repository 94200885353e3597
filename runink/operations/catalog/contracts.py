"""Operations on contracts: published versions, what differs between them, and publishing one."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import msgspec

from runink.identity.vocabulary import Resource, Verb
from runink.operations.answers import Kind
from runink.operations.catalog.bundles import BundleText
from runink.operations.catalog.pipelines import CommitText, FileText
from runink.operations.declarations import Asked, AskedPage, Method, Operation
from runink.operations.patterns import HerdText, VersionText, exact

DOCUMENT_MAX: Final = 256 << 10  # characters: a contract of a thousand fields is shorter
ContractText = Annotated[
    str,
    msgspec.Meta(
        pattern=exact(r"[^/@:.\s\x00-\x1f\x7f]{1,200}"),
        description="A contract's name.",
        examples=["Flight"],
    ),
]
NumberText = Annotated[str, msgspec.Meta(max_length=100, description="Like 1.2.0.")]


class Form(StrEnum):
    """How a contract's document is written: ODCS in YAML, or JSON Schema."""

    YAML = "yaml"
    JSON = "json"


class ListContracts(AskedPage, frozen=True, kw_only=True):
    herd: HerdText


class OfContract(Asked, frozen=True, kw_only=True):
    herd: HerdText
    contract: ContractText


class ListContractVersions(AskedPage, frozen=True, kw_only=True):
    herd: HerdText
    contract: ContractText


class OfContractVersion(OfContract, frozen=True, kw_only=True):
    version: VersionText


class AskDiff(OfContract, frozen=True, kw_only=True):
    """Without `to` it is the highest version, without `from` the one before that."""

    old: NumberText = msgspec.field(name="from", default="")
    new: NumberText = msgspec.field(name="to", default="")


class PublishContract(OfContract, frozen=True, kw_only=True):
    """The contract stands in a `file` of a `bundle` that the herd has brought, or in a `document`, which is sent with it. With `dry_run` nothing is published."""

    bundle: BundleText | None = None
    file: FileText | None = None
    document: Annotated[str, msgspec.Meta(max_length=DOCUMENT_MAX)] | None = None
    form: Form = Form.YAML
    commit: CommitText = ""
    dirty: bool = False
    dry_run: bool = False

    def __post_init__(self) -> None:
        if (self.document is None) is (self.bundle is None or self.file is None):
            raise ValueError("say a bundle and its file, or a document")


class FieldDocument(msgspec.Struct, frozen=True):
    """A field, by its path (`address.city`, `lines[].price`). `access` are the roles that may see its value, `pii` the kind of personal data that it is."""

    path: str
    kind: str
    nullable: bool
    required: bool
    unique: bool
    pii: str | None
    access: tuple[str, ...]
    mask: str | None
    unit: str | None
    description: str
    tags: dict[str, str]


class ContractVersionDocument(msgspec.Struct, frozen=True):
    """A published version. `mode` is what the herd asked of it when it was published, `pii` the fields with personal data, by path."""

    reference: str
    herd: str
    name: str
    version: str
    hash: str
    mode: str
    owner: str
    description: str
    pii: dict[str, str]
    tags: dict[str, str]
    fields: int
    file: str
    commit: str | None
    dirty: bool
    by: str
    published_ms: int
    revision: int


class ContractSummary(ContractVersionDocument, frozen=True):
    """The highest version of a contract, and which there are."""

    versions: tuple[str, ...]


class ContractDocument(ContractVersionDocument, frozen=True):
    """A version with its fields, its key and its rules."""

    key: tuple[str, ...]
    schema: tuple[FieldDocument, ...]
    rules: dict[str, str]


class ChangeDocument(msgspec.Struct, frozen=True):
    """A difference. `effect` is what it does to the rows that are taken, `bump` the least that it asks of the version; `exposes`: people see more than they did."""

    path: str
    what: str
    text: str
    effect: str
    bump: str
    exposes: bool


class DiffDocument(msgspec.Struct, frozen=True):
    """What differs. `bump` is what the version must go up by; `breaks` are the changes that are breaking under `mode`, what the herd asks for now."""

    name: str
    old: str = msgspec.field(name="from")
    new: str = msgspec.field(name="to")
    mode: str
    compatible: bool
    bump: str
    changes: tuple[ChangeDocument, ...]
    breaks: tuple[str, ...]


class PublishedContract(ContractDocument, frozen=True):
    """What publishing has come to: `new` is false where that version was there with the same content. `compatible_with` are the versions that it was held against."""

    new: bool
    dry_run: bool
    previous: str | None
    changes: tuple[ChangeDocument, ...]
    compatible_with: tuple[str, ...]


LIST: Final = Operation(
    name="contracts.list",
    method=Method.GET,
    path="/herds/{herd}/contracts",
    request=ListContracts,
    answer=ContractSummary,
    kind=Kind.PAGE,
    verb=Verb.LIST,
    resource=Resource.CONTRACTS,
    summary="List the published contracts, each with its highest version.",
)
GET: Final = Operation(
    name="contracts.get",
    method=Method.GET,
    path="/herds/{herd}/contracts/{contract}",
    request=OfContract,
    answer=ContractDocument,
    verb=Verb.GET,
    resource=Resource.CONTRACTS,
    summary="Tell the highest version of a contract.",
)
VERSIONS: Final = Operation(
    name="contracts.versions.list",
    method=Method.GET,
    path="/herds/{herd}/contracts/{contract}/versions",
    request=ListContractVersions,
    answer=ContractVersionDocument,
    kind=Kind.PAGE,
    verb=Verb.GET,
    resource=Resource.CONTRACTS,
    summary="List the published versions of a contract, the lowest first.",
)
GET_VERSION: Final = Operation(
    name="contracts.versions.get",
    method=Method.GET,
    path="/herds/{herd}/contracts/{contract}/versions/{version}",
    request=OfContractVersion,
    answer=ContractDocument,
    subject="contract",
    verb=Verb.GET,
    resource=Resource.CONTRACTS,
    summary="Tell a version of a contract.",
)
DIFF: Final = Operation(
    name="contracts.diff",
    method=Method.GET,
    path="/herds/{herd}/contracts/{contract}/diff",
    request=AskDiff,
    answer=DiffDocument,
    verb=Verb.GET,
    resource=Resource.CONTRACTS,
    summary="Say what differs between two versions, and whether the herd would take the one after the other.",
)
PUBLISH: Final = Operation(
    name="contracts.versions.publish",
    method=Method.POST,
    path="/herds/{herd}/contracts/{contract}/versions",
    request=PublishContract,
    answer=PublishedContract,
    status=201,
    verb=Verb.CREATE,
    resource=Resource.CONTRACTS,
    summary="Publish a version of a contract.",
    description="It is read in a process that can read nothing else and reach nobody. A version never changes: the same content again is nothing new, another one is refused, and so is what the herd's policy does not allow.",
    errors=(
        "no_bundle",
        "contract_differs",
        "compile_failed",
        "compile_too_long",
        "compile_too_large",
        "cannot_compile",
        "version_taken",
        "version_not_enough",
        "contract_incompatible",
        "herd_deleted",
    ),
    is_idempotent=True,
    example={"bundle": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "file": "contracts/flights.py"},
)  # fmt: skip
CONTRACTS: Final = (LIST, GET, VERSIONS, GET_VERSION, DIFF, PUBLISH)
