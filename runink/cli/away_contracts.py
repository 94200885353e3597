"""`runi contract publish`, `history` and `catalog` of a cluster elsewhere, by its API."""

from __future__ import annotations

from collections.abc import Iterator

import click

from runink.cli.asked_runs import herds_of
from runink.cli.asking import Where, asked
from runink.cli.away_projects import bring
from runink.cli.contract_registry import HASH_SHOWN, origin_line
from runink.cli.git import working_copy
from runink.cli.options import project_here
from runink.cli.wording import columns, echo_json, harmless
from runink.contracts.fields import ContractSpec
from runink.errors import NotFound
from runink.operations.catalog import contracts
from runink.operations.catalog.contracts import (
    ContractSummary,
    ContractVersionDocument,
    DiffDocument,
    PublishedContract,
)


def publish_there(
    where: Where, herd: str, spec: ContractSpec, *, dry_run: bool, output: str
) -> None:
    """Publish a contract of this project in a context's cluster, which reads it again. Raises as `bring`, and what the herd refuses."""
    root = project_here()
    copy = working_copy(root)
    with asked(where) as client:
        found: PublishedContract = client.call(
            contracts.PUBLISH,
            herd=herd,
            contract=spec.name,
            bundle=bring(client, herd, root),
            file=spec.where,
            commit=copy.commit or "",
            dirty=copy.is_dirty,
            dry_run=dry_run,
        )
    if output == "json":
        echo_json(found)
        return
    for line in _published_lines(found):
        click.echo(harmless(line))


def _published_lines(found: PublishedContract) -> Iterator[str]:
    if not found.new:
        yield f"{found.reference} is published already, with this content: {found.hash[:HASH_SHOWN]}"
        return
    did = "would be published" if found.dry_run else "is published"
    yield f"{found.reference} {did}: {found.hash[:HASH_SHOWN]}, {_origin(found)}"
    yield f"  after {found.previous}" if found.previous else "  the first version"
    for change in found.changes:
        yield f"  {change.text}"
    for other in found.compatible_with:
        yield f"  {found.mode} compatible with {other}"


def tell_history(where: Where, name: str, output: str) -> None:
    """Print the published versions of a contract, newest first, each with what it changed. Raises NotFound (`no_such_contract`)."""
    rows: list[tuple[ContractVersionDocument, DiffDocument | None]] = []
    with asked(where) as client:
        for herd in herds_of(client, where):
            of = {"herd": herd, "contract": name}
            found: list[ContractVersionDocument] = list(client.call(contracts.VERSIONS, **of))
            for old, new in zip([None, *found], found, strict=False):
                steps = {"old": old.version, "new": new.version} if old is not None else None
                rows.append((new, client.call(contracts.DIFF, **of, **steps) if steps else None))
    if not rows:
        raise NotFound(
            f"{f'herd {where.scope} has' if where.scope else 'no herd that you see has'} published no {name}",
            code="no_such_contract",
            hint="runi contract catalog lists what there is",
        )
    if output == "json":
        echo_json([{"version": one, "diff": diff} for one, diff in rows[::-1]])
        return
    for one, diff in rows[::-1]:
        click.echo(harmless(f"{one.reference}  {one.hash[:HASH_SHOWN]}  {_origin(one)}"))
        for change in diff.changes if diff is not None else ():
            click.echo(harmless(f"  {change.text}"))


def list_contracts(where: Where, output: str) -> None:
    """Print what is published, each contract with its highest version."""
    with asked(where) as client:
        found: list[ContractSummary] = [
            one
            for herd in herds_of(client, where)
            for one in client.call(contracts.LIST, herd=herd)
        ]
    if output == "json":
        echo_json(found)
        return
    if not found:
        click.echo("no contracts yet: runi contract publish FILE:CLASS publishes one", err=True)
        return
    head = ("contract", "version", "herd", "owner", "personal data", "where")
    rows = [
        (
            one.name,
            one.version,
            one.herd,
            one.owner,
            ", ".join(f"{path} ({kind})" for path, kind in one.pii.items()),
            one.file,
        )
        for one in found
    ]
    for line in columns([head, *rows]):
        click.echo(harmless(line))


def _origin(one: ContractVersionDocument) -> str:
    return origin_line(one.commit or "", one.by, one.published_ms, is_dirty=one.dirty)
