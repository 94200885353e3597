"""`runi contract publish`, `history` and `catalog`: the versions of contracts that the cluster knows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from runink.barn.keys import contract_key, herd_key
from runink.cli.asking import Where, asks_api, asks_cluster
from runink.cli.completing import completed_contracts
from runink.cli.contract_reference import contract_argument, contract_of
from runink.cli.contract_versions import all_versions, herd_here, published_name, versions_in
from runink.cli.options import output_option, project_here
from runink.cli.publishing import origin_of
from runink.cli.runs import known_to, with_cluster
from runink.cli.wording import clock, columns, echo_json, harmless
from runink.clients.cluster import Cluster
from runink.clients.publishing import Decided, publish
from runink.contracts.changes import Change, Diff
from runink.contracts.diff import diff
from runink.contracts.fields import ContractSpec, FieldSpec
from runink.contracts.references import is_document
from runink.errors import NotFound
from runink.governance.registry import (
    ContractVersion,
    Origin,
    Publication,
    contract_publication,
    shortened,
)
from runink.herds.admission import in_force
from runink.herds.record import HerdRecord
from runink.projects import Files, project_contracts

HASH_SHOWN: Final = 12
COMMIT_SHOWN: Final = 12

herd_option = click.option("--herd", help="Whose it is; the project's herd, if it has one only.")


@click.command("publish")
@contract_argument
@herd_option
@click.option("-n", "--dry-run", is_flag=True, help="Say what would become of it, and publish nothing.")  # fmt: skip
@output_option
@asks_api
def publish_contract(
    reference: str,
    herd: str | None,
    dry_run: bool,  # noqa: FBT001 - click gives it by name
    output: str,
    where: Where,
) -> None:
    """Publish a version of a contract in the Barn, from the working copy.

    A version never changes: the same content again is nothing new, another one is refused, and so is what the herd's policy does not allow.
    """
    spec = contract_of(reference)
    if where.context is not None:
        from runink.cli.away_contracts import publish_there  # noqa: PLC0415 - it knows what is here

        publish_there(where, where.herd(herd), spec, dry_run=dry_run, output=output)
        return
    whose, root, state = herd_here(herd), project_here(), where.state
    origin = origin_of(root, spec.where)
    file = Files(root).herd_file(whose)
    offered = file or HerdRecord(whose)
    if file is None:
        note = (
            f"herd {whose} has no file herds/{whose}.toml: this project asks for no compatibility"
        )
        click.echo(f"note: {note}", err=True)

    def made(herd: HerdRecord) -> Decided[ContractVersion]:
        policy = herd.contracts
        version = ContractVersion(whose, spec, spec.hash, origin, policy.mode)
        return version, lambda known: contract_publication(version, known, policy)

    async def ask(cluster: Cluster, _: Path) -> tuple[ContractVersion, Publication]:
        key = contract_key(whose, spec.name, spec.version)
        return await publish(cluster.barn, key, offered, made)

    async def tried(cluster: Cluster, _: Path) -> list[tuple[ContractVersion, Publication]]:
        known = await cluster.barn.get(herd_key(whose), HerdRecord)
        version, decide = made(in_force(offered, known.value if known is not None else None))
        return [(version, decide(await versions_in(cluster, whose, spec.name)))]

    if dry_run:
        version, decide = made(offered)
        version, found = next(iter(known_to(state, tried)), (version, decide([])))
    else:
        version, found = with_cluster(state, ask, makes_state=True)
    if output == "json":
        echo_json(_publication(version, found, is_dry=dry_run))
        return
    for line in _publication_lines(version, found, is_dry=dry_run):
        click.echo(harmless(line))


def _publication_lines(
    version: ContractVersion, found: Publication, *, is_dry: bool
) -> Iterator[str]:
    if not found.is_new:
        yield f"{version.reference} is published already, with this content: {version.hash[:HASH_SHOWN]}"
        if found.is_worded_anew:
            yield "  its prose is not that of the file: raise the patch version to publish that, too"
        return
    did = "would be published" if is_dry else "is published"
    yield f"{version.reference} {did}: {version.hash[:HASH_SHOWN]}, {origin_text(version.origin)}"
    if found.changes is None:
        yield "  the first version"
        return
    yield f"  after {found.previous}"
    yield from shortened(f"  {change.text}" for change in found.changes.changes)
    for verdict in found.verdicts:
        yield f"  {verdict.mode.value} compatible with {verdict.against}"
    for change in found.changes.exposing:
        yield f"  note: people see more than they did: {change.text}"


def _publication(version: ContractVersion, found: Publication, *, is_dry: bool) -> dict[str, Any]:
    return {
        "reference": version.reference,
        "hash": version.hash,
        "new": found.is_new,
        "dry_run": is_dry,
        "previous": found.previous or None,
        "changes": _texts(found.changes),
        "compatible_with": [verdict.against for verdict in found.verdicts],
        **origin_document(version.origin),
    }


def _texts(changes: Diff | None) -> list[str]:
    return [change.text for change in changes.changes] if changes is not None else []


def origin_text(origin: Origin) -> str:
    """Say where a version came from: `3f2c91d0aa17 with changes, by ann, 2013-01-31 10:00:00`."""
    return origin_line(origin.commit, origin.by, origin.published_ms, is_dirty=origin.is_dirty)


def origin_line(commit: str, by: str, published_ms: int, *, is_dirty: bool) -> str:
    """Say the same by what the API tells."""
    changed = " with changes" if is_dirty else ""
    return f"{commit[:COMMIT_SHOWN] or 'no commit'}{changed}, by {by}, {clock(published_ms):%Y-%m-%d %H:%M:%S}"


def origin_document(origin: Origin) -> dict[str, Any]:
    return {
        "file": origin.file,
        "commit": origin.commit or None,
        "dirty": origin.is_dirty,
        "by": origin.by,
        "published_ms": origin.published_ms,
    }


@click.command()
@click.argument("name", metavar="NAME", shell_complete=completed_contracts)
@herd_option
@output_option
@asks_api
def history(name: str, herd: str | None, output: str, where: Where) -> None:
    """List the published versions of a contract, newest first, each with what it changed. NAME is as in Flight, analytics/Flight or FILE:CLASS."""
    meant = published_name(name)
    if meant is not None:
        herd, name = meant.herd, meant.name
    elif ":" in name or name.endswith(".py") or is_document(name):
        name = contract_of(name).name
    if where.context is not None:
        from runink.cli.away_contracts import tell_history  # noqa: PLC0415 - it knows what is here

        tell_history(replace(where, said=herd or ""), name, output)
        return
    versions = [one for one in all_versions(where.state, herd or "") if one.spec.name == name]
    if not versions:
        whose = f"herd {herd} has" if herd else "no herd has"
        raise NotFound(
            f"{whose} published {'no ' if herd else 'a '}{name}",
            code="no_such_contract",
            hint="runi contract publish FILE:CLASS does; runi contract catalog lists what there is",
        )
    rows = _steps(versions)
    if output == "json":
        echo_json([_step_document(one, before) for one, before in rows])
        return
    for one, before in rows:
        click.echo(harmless(f"{one.reference}  {one.hash[:HASH_SHOWN]}  {origin_text(one.origin)}"))
        if before is not None:
            lines = [f"  {change.text}" for change in diff(before.spec, one.spec).changes]
            for line in shortened(lines) or ["  nothing has changed"]:
                click.echo(harmless(line))


def _steps(versions: list[ContractVersion]) -> list[tuple[ContractVersion, ContractVersion | None]]:
    """Return each version with the one before it in its herd, newest first."""
    before: dict[str, ContractVersion] = {}
    steps = []
    for one in versions:
        steps.append((one, before.get(one.herd)))
        before[one.herd] = one
    return steps[::-1]


def _step_document(one: ContractVersion, before: ContractVersion | None) -> dict[str, Any]:
    changes: tuple[Change, ...] = diff(before.spec, one.spec).changes if before is not None else ()
    return {
        "reference": one.reference,
        "herd": one.herd,
        "name": one.spec.name,
        "version": one.spec.version,
        "hash": one.hash,
        "mode": one.mode.value,
        "previous": before.spec.version if before is not None else None,
        "changes": [
            {"text": change.text, "effect": change.effect.value, "bump": change.bump.word}
            for change in changes
        ],
        **origin_document(one.origin),
    }


@click.command()
@output_option
@asks_cluster
def catalog(output: str, where: Where) -> None:
    """List all contracts: those of this project and those that are published, with their versions, owners, tags and personal data.

    In a context those that are published there.
    """
    if where.context is not None:
        from runink.cli.away_contracts import list_contracts  # noqa: PLC0415 - it knows what is here

        list_contracts(where, output)
        return
    specs, broken = project_contracts(project_here())
    for text in broken:
        click.echo(f"note: {text}", err=True)
    rows = _catalog(specs, all_versions(where.state, where.said))
    if output == "json":
        echo_json(rows)
        return
    if not rows:
        click.echo("no contracts yet: write one in contracts/", err=True)
        return
    head = ("contract", "version", "herd", "state", "owner", "personal data", "tags", "where")
    shown = [
        (
            row["name"],
            row["version"],
            row["herd"],
            row["state"],
            row["owner"],
            ", ".join(f"{name} ({kind})" for name, kind in row["pii"].items()),
            ", ".join(f"{name}={value}" for name, value in row["tags"].items() if name != "owner"),
            row["file"],
        )
        for row in rows
    ]
    for line in columns([head, *shown]):
        click.echo(harmless(line))


def _catalog(specs: list[ContractSpec], versions: list[ContractVersion]) -> list[dict[str, Any]]:
    """Return a row a version. One of the project's is `draft`, or `published` with the same content, or `differs` from what is published under its version."""
    rows = []
    for spec in specs:
        same = [one for one in versions if (one.spec.name, one.spec.version) == (spec.name, spec.version)]  # fmt: skip
        word = "draft"
        if same:
            word = "published" if any(one.hash == spec.hash for one in same) else "differs"
        rows.append(_row(spec, word, ", ".join(one.herd for one in same)))
    here = {(spec.name, spec.version) for spec in specs}
    rows += [_row(one.spec, "published", one.herd) for one in versions if (one.spec.name, one.spec.version) not in here]  # fmt: skip
    return sorted(rows, key=lambda row: (row["name"], row["herd"]))


def _row(spec: ContractSpec, state: str, herd: str) -> dict[str, Any]:
    return {
        "name": spec.name,
        "version": spec.version,
        "herd": herd,
        "state": state,
        "owner": spec.tags.get("owner", ""),
        "pii": dict(_personal(spec.fields)),
        "tags": spec.tags,
        "fields": len(spec.fields),
        "hash": spec.hash,
        "file": spec.where,
    }


def _personal(fields: tuple[FieldSpec, ...], within: str = "") -> Iterator[tuple[str, str]]:
    for field in fields:
        if field.pii:
            yield within + field.name, field.pii
        yield from _personal(field.fields, f"{within}{field.name}.")
        if field.items is not None:
            yield from _personal((field.items,), f"{within}{field.name}[]")
