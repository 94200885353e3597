"""Operations on contracts, carried out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final

import msgspec

from runink.barn.keys import contract_key
from runink.bundles import Bundle, BundleFile, hash_of
from runink.clients.barn import Found
from runink.clients.herds import get_herd
from runink.clients.publishing import Decided, contract_versions, publish
from runink.contracts.changes import Change
from runink.contracts.compatibility import breaking, bump_of
from runink.contracts.diff import diff
from runink.contracts.fields import ContractSpec, FieldSpec
from runink.errors import Invalid, NotFound
from runink.governance.registry import (
    ContractVersion,
    Origin,
    Publication,
    contract_publication,
)
from runink.herds.admission import check_open
from runink.herds.record import HerdRecord
from runink.identity.vocabulary import Resource
from runink.names import HerdName
from runink.operations.answers import Items
from runink.operations.calls import Caller, Context
from runink.operations.catalog import contracts
from runink.operations.catalog.contracts import (
    AskDiff,
    ChangeDocument,
    ContractDocument,
    ContractSummary,
    ContractVersionDocument,
    DiffDocument,
    FieldDocument,
    Form,
    ListContracts,
    ListContractVersions,
    OfContract,
    OfContractVersion,
    PublishContract,
    PublishedContract,
)
from runink.services.behind import Behind, principal_of, shown_in
from runink.services.compile_child import Job
from runink.services.pages import page_of_values
from runink.services.projects import contract_of, shown_bundle
from runink.services.service import Handlers

OWNER: Final = "owner"  # the tag that says whose a contract is


class ContractService:
    """Shows what is published, compares, and publishes."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def handlers(self) -> Handlers:
        return {
            contracts.LIST: self._list,
            contracts.GET: self._get,
            contracts.VERSIONS: self._versions,
            contracts.GET_VERSION: self._get_version,
            contracts.DIFF: self._diff,
            contracts.PUBLISH: self._publish,
        }

    async def _list(
        self, request: ListContracts, caller: Caller, context: Context
    ) -> Items[ContractSummary]:
        revision = (await self._behind.barn.status()).revision  # what is read is no older
        found = await contract_versions(self._behind.barn, request.herd)
        groups = [
            (name, list(ones)) for name, ones in groupby(found, lambda one: one.value.spec.name)
        ]
        shows = shown_in(self._behind, caller, Resource.CONTRACTS, request.herd)
        return page_of_values(
            [(name, _summary(ones)) for name, ones in groups if shows(name)],
            limit=request.limit,
            position=context.position,
            revision=revision,
        )

    async def _get(
        self, request: OfContract, _caller: Caller, _context: Context
    ) -> ContractDocument:
        return ContractDocument(**_told((await self._known(request))[-1]))

    async def _versions(
        self, request: ListContractVersions, _caller: Caller, context: Context
    ) -> Items[ContractVersionDocument]:
        revision = (await self._behind.barn.status()).revision  # what is read is no older
        found = await contract_versions(self._behind.barn, request.herd, request.contract)
        return page_of_values(
            [(f"{place:06}", _version(one)) for place, one in enumerate(found)],
            limit=request.limit,
            position=context.position,
            revision=revision,
        )

    async def _get_version(
        self, request: OfContractVersion, _caller: Caller, _context: Context
    ) -> ContractDocument:
        return ContractDocument(**_told(_of(await self._known(request), request.version)))

    async def _known(self, request: OfContract) -> list[Found[ContractVersion]]:
        """Return the published versions, one at least. Raises NotFound (`no_such_contract`)."""
        found = await contract_versions(self._behind.barn, request.herd, request.contract)
        if not found:
            raise NotFound(
                f"herd {request.herd} has published no contract {request.contract}",
                code="no_such_contract",
                hint="runi contract catalog lists what there is",
            )
        return found

    async def _diff(self, request: AskDiff, _caller: Caller, _context: Context) -> DiffDocument:
        known = await self._known(request)
        herd = await get_herd(self._behind.barn, HerdName(request.herd))
        new = _of(known, request.new).value.spec if request.new else known[-1].value.spec
        place = next(at for at, one in enumerate(known) if one.value.spec.version == new.version)
        before = known[max(place - 1, 0)].value.spec
        old = _of(known, request.old).value.spec if request.old else before
        return _difference(old, new, herd.value)

    async def _publish(
        self, request: PublishContract, caller: Caller, _context: Context
    ) -> PublishedContract:
        barn, name = self._behind.barn, HerdName(request.herd)
        herd = (await get_herd(barn, name)).value
        check_open(herd)
        spec = await self._spec(request, caller)
        origin = Origin(
            request.file or "",
            principal_of(caller).subject,
            self._behind.now_ms(),
            request.commit,
            request.dirty,
        )

        def made(herd: HerdRecord) -> Decided[ContractVersion]:
            policy = herd.contracts
            version = ContractVersion(name, spec, spec.hash, origin, policy.mode)
            return version, lambda known: contract_publication(version, known, policy)

        key = contract_key(name, spec.name, spec.version)
        if request.dry_run:
            draft, decide = made(herd)
            known = await contract_versions(barn, name, spec.name)
            publication = decide([one.value for one in known])
            return _published(Found(key, draft, 0, 0, 0, 0), publication, is_dry=True)
        _, publication = await publish(barn, key, herd, made)
        return _published(_of(await self._known(request), spec.version), publication, is_dry=False)

    async def _spec(self, request: PublishContract, caller: Caller) -> ContractSpec:
        """Return the contract that is sent, or stands in a bundle. Raises Invalid, also (`contract_differs`) for one of another name."""
        if request.document is not None:
            bundle, job = _alone(request.document, request.form, request.contract)
        else:
            assert request.bundle is not None, "the request has a bundle or a document"
            assert request.file is not None, "as above"
            bundle = await shown_bundle(
                self._behind, caller, request.herd, request.bundle, request.file
            )
            job = Job(request.file, contract=request.contract)
        spec = await contract_of(self._behind, bundle, job)
        if spec.name != request.contract:
            raise Invalid(
                f"what was sent is contract {spec.name}, and not {request.contract}",
                code="contract_differs",
                hint="ask for the name that it says",
            )
        return spec


def _alone(document: str, form: Form, name: str) -> tuple[Bundle, Job]:
    """Return a project of nothing but a contract's document, and what is to be made of it. A JSON Schema is one contract, a document of ODCS may hold several."""
    path = f"contracts/document.{form.value}"
    files = (BundleFile(path, document.encode(), is_executable=False),)
    job = Job(path, contract=name if form is Form.YAML else "")
    return Bundle(hash_of(files), files), job


def _of(known: list[Found[ContractVersion]], version: str) -> Found[ContractVersion]:
    """Return one of these versions. Raises NotFound (`no_such_version`)."""
    found = next((one for one in known if one.value.spec.version == version), None)
    if found is None:
        there = ", ".join(one.value.spec.version for one in known[-10:])
        raise NotFound(
            f"{known[-1].value.spec.name} has no version {version}",
            code="no_such_version",
            hint=f"there are {there}",
        )
    return found


def _difference(old: ContractSpec, new: ContractSpec, herd: HerdRecord) -> DiffDocument:
    found, mode = diff(old, new), herd.contracts.mode
    breaks = breaking(found, mode)
    return DiffDocument(
        name=new.name,
        old=old.version,
        new=new.version,
        mode=mode.value,
        compatible=not breaks,
        bump=bump_of(found, mode).word,
        changes=tuple(map(_change, found.changes)),
        breaks=tuple(one.text for one in breaks),
    )


def _change(one: Change) -> ChangeDocument:
    return ChangeDocument(
        path=one.path,
        what=one.what,
        text=one.text,
        effect=one.effect.value,
        bump=one.bump.word,
        exposes=one.exposes,
    )


def _version(found: Found[ContractVersion]) -> ContractVersionDocument:
    one, spec = found.value, found.value.spec
    return ContractVersionDocument(
        reference=one.reference,
        herd=one.herd,
        name=spec.name,
        version=spec.version,
        hash=one.hash,
        mode=one.mode.value,
        owner=spec.tags.get(OWNER, ""),
        description=spec.description,
        pii={path: field.pii for path, field in _walked(spec.fields) if field.pii},
        tags=spec.tags,
        fields=len(spec.fields),
        file=one.origin.file,
        commit=one.origin.commit or None,
        dirty=one.origin.is_dirty,
        by=one.origin.by,
        published_ms=one.origin.published_ms,
        revision=found.revision,
    )


def _summary(found: list[Found[ContractVersion]]) -> ContractSummary:
    versions = tuple(one.value.spec.version for one in found)
    return ContractSummary(**msgspec.structs.asdict(_version(found[-1])), versions=versions)


def _told(found: Found[ContractVersion]) -> dict[str, Any]:
    spec = found.value.spec
    return {
        **msgspec.structs.asdict(_version(found)),
        "key": spec.key,
        "schema": tuple(_field(path, field) for path, field in _walked(spec.fields)),
        "rules": {one.name: one.text for one in spec.rules},
    }


def _walked(fields: Iterable[FieldSpec], within: str = "") -> Iterator[tuple[str, FieldSpec]]:
    """Yield all fields with their paths, also those within others."""
    for field in fields:
        path = f"{within}{field.name}"
        yield path, field
        yield from _walked(field.fields, f"{path}.")
        if field.items is not None:
            yield from _walked((msgspec.structs.replace(field.items, name="[]"),), path)


def _field(path: str, field: FieldSpec) -> FieldDocument:
    return FieldDocument(
        path=path,
        kind=field.kind.value,
        nullable=field.nullable,
        required=not field.has_default,
        unique=field.unique,
        pii=field.pii or None,
        access=field.access,
        mask=field.mask or None,
        unit=field.unit or None,
        description=field.description,
        tags=field.tags,
    )


def _published(
    found: Found[ContractVersion], publication: Publication, *, is_dry: bool
) -> PublishedContract:
    changes = publication.changes.changes if publication.changes is not None else ()
    return PublishedContract(
        **_told(found),
        new=publication.is_new,
        dry_run=is_dry,
        previous=publication.previous or None,
        changes=tuple(map(_change, changes)),
        compatible_with=tuple(one.against for one in publication.verdicts),
    )
