"""`runi pipeline push`, `list`, `show` and `history`: the versions of pipelines that the cluster knows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from runink.barn.keys import pipeline_key
from runink.cli.asking import Where, asks_cluster
from runink.cli.away_pipelines import list_pipelines, show_pipeline, tell_history
from runink.cli.choosing import Away, also_away, check_is_here, folder_option
from runink.cli.completing import completed_pipelines
from runink.cli.contract_registry import origin_document, origin_text
from runink.cli.options import (
    file_argument,
    output_option,
    param_option,
    parameters_of,
    state_option,
)
from runink.cli.publishing import origin_of
from runink.cli.runs import known_to, with_cluster
from runink.cli.wording import columns, echo_json, harmless
from runink.clients.cluster import Cluster
from runink.clients.publishing import (
    FIRST_VERSION,
    Decided,
    next_version,
    pipeline_versions,
    publish,
)
from runink.contracts.versions import version_of
from runink.dag import Dag, Executable, Function, Step
from runink.dsl.difference import difference
from runink.dsl.explain import explained
from runink.errors import NotFound
from runink.governance.registry import (
    PipelineVersion,
    Publication,
    contracts_of,
    pipeline_hash,
    pipeline_publication,
)
from runink.herds.admission import check_goldens
from runink.herds.record import HerdRecord
from runink.projects import Compiled, compile_file

HASH_SHOWN: Final = 12


@click.command()
@file_argument
@param_option
@click.option("--version", "wanted", help="Like 1.2.0; without it the next one, major if the change breaks somebody.")  # fmt: skip
@folder_option
@output_option
@state_option
@also_away
def push(  # noqa: PLR0913 - what may be asked for
    file: Path,
    params: tuple[str, ...],
    *,
    wanted: str | None,
    folder: str | None,
    output: str,
    state: Path | None,
    away: Away | None,
) -> None:
    """Publish a version of a pipeline, from the working copy.

    A version never changes: the same content again is nothing new, another one is refused. What counts is the graph, the contracts in it, and the files that its steps are in.
    In a context its code goes with it, so that it can be run there: runi submit.
    """
    if wanted is not None:
        version_of(wanted)
    given = parameters_of(params)
    compiled = compile_file(file, parameters=given)
    for note in compiled.notes:
        click.echo(f"note: {note}", err=True)
    if away is not None:
        _push_away(away, compiled, given, (wanted or "", folder, output))
        return
    check_is_here(folder)
    dag, root = compiled.dag, compiled.root
    code = dict(_code(dag, root))
    draft = PipelineVersion(
        wanted or FIRST_VERSION,
        dag,
        pipeline_hash(dag, code),
        origin_of(root, dag.file),
        code,
        contracts_of(dag),
    )

    async def ask(cluster: Cluster, _: Path) -> tuple[PipelineVersion, Publication]:
        version = draft
        if wanted is None:
            known = await _versions_in(cluster, dag.herd, dag.pipeline)
            version = msgspec.structs.replace(draft, version=next_version(draft, known))
        key = pipeline_key(dag.herd, dag.pipeline, version.version)

        def made(herd: HerdRecord) -> Decided[PipelineVersion]:
            check_goldens(dag, herd, lambda path: (root / path).is_file())
            return version, lambda there: pipeline_publication(version, there)

        return await publish(cluster.barn, key, compiled.herd, made)

    version, found = with_cluster(state, ask, makes_state=True)
    if output == "json":
        echo_json({**_document(version), "new": found.is_new, "previous": found.previous or None})
        return
    for line in _push_lines(version, found):
        click.echo(harmless(line))


def _push_away(
    away: Away, compiled: Compiled, given: dict[str, str], said: tuple[str, str | None, str]
) -> None:
    """Publish it in a context's cluster; `said` are the version, the folder there, and how it is printed."""
    from runink.cli.away_projects import push_away, told_of  # noqa: PLC0415 - what asks the API is loaded where it is asked

    wanted, folder, output = said
    with Where(away.context, None).client() as client:
        found = push_away(client, away, compiled, told_of(compiled, given, folder), version=wanted)
    if output == "json":
        echo_json(found)
    elif found.new:
        click.echo(harmless(f"{found.reference} is published in {away.context.name}: {found.hash[:HASH_SHOWN]}"))  # fmt: skip
    else:
        click.echo(harmless(f"{found.reference} is published there already, with this content"))


def _code(dag: Dag, root: Path) -> Iterator[tuple[str, str]]:
    """Yield the project's files that the pipeline's steps name, with the SHA-256 of each."""
    named: set[str] = set()
    for node in dag.nodes:
        if isinstance(node, Step) and isinstance(node.action, Function):
            named.add(node.action.file)
        elif isinstance(node, Step) and isinstance(node.action, Executable):
            named.update(word for word in node.action.command if (root / word).is_file())
    for name in sorted(named):
        yield name, hashlib.sha256((root / name).read_bytes()).hexdigest()


def _push_lines(version: PipelineVersion, found: Publication) -> Iterator[str]:
    if not found.is_new:
        yield f"{version.reference} is published already, with this content: {version.hash[:HASH_SHOWN]}"
        return
    yield f"{version.reference} is published: {version.hash[:HASH_SHOWN]}, {origin_text(version.origin)}"
    yield f"  after {found.previous}" if found.previous else "  the first version"
    for contract in version.contracts:
        yield f"  speaks {contract}"


@click.command("list")
@output_option
@asks_cluster
def list_(output: str, where: Where) -> None:
    """List the published pipelines, each with its highest version and how many there are."""
    if where.context is not None:
        list_pipelines(where, output)
        return
    groups: dict[tuple[str, str], list[PipelineVersion]] = {}
    for one in _versions(where.state, where.said):
        groups.setdefault((one.dag.herd, one.dag.pipeline), []).append(one)
    if output == "json":
        echo_json([{**_document(ones[-1]), "versions": [one.version for one in ones]} for ones in groups.values()])  # fmt: skip
        return
    if not groups:
        click.echo("no pipelines yet: runi pipeline push FILE.dsl publishes one", err=True)
        return
    rows = [
        (f"{herd}/{name}", ones[-1].version, str(len(ones)), ones[-1].dag.title, origin_text(ones[-1].origin))
        for (herd, name), ones in groups.items()
    ]  # fmt: skip
    for line in columns([("pipeline", "highest", "versions", "title", "from"), *rows]):
        click.echo(harmless(line))


@click.command()
@click.argument("name", metavar="[HERD/]NAME[@VERSION]", shell_complete=completed_pipelines)
@output_option
@asks_cluster
def show(name: str, output: str, where: Where) -> None:
    """Say what a published version does, and which contracts its edges speak. Without a version it is the highest one."""
    if where.context is not None:
        show_pipeline(where, name, output)
        return
    found = _meant(name, where.state)
    if output == "json":
        echo_json({**_document(found), "dag": found.dag})
        return
    click.echo(harmless(f"{found.reference}  {found.hash}"))
    click.echo(harmless(f"{found.dag.file}, {origin_text(found.origin)}"))
    click.echo("")
    for line in explained(found.dag).splitlines():
        click.echo(harmless(line))


@click.command()
@click.argument("name", metavar="[HERD/]NAME", shell_complete=completed_pipelines)
@output_option
@asks_cluster
def history(name: str, output: str, where: Where) -> None:
    """List the published versions of a pipeline, newest first."""
    if where.context is not None:
        tell_history(where, name, output)
        return
    herd, plain = _split(name.partition("@")[0])
    versions = [one for one in _versions(where.state, herd) if one.dag.pipeline == plain]
    if not versions:
        raise _no_pipeline(name)
    if output == "json":
        echo_json([_document(one) for one in versions[::-1]])
        return
    before: dict[str, PipelineVersion] = {}
    lines: list[list[str]] = []
    for one in versions:
        head = f"{one.reference}  {one.hash[:HASH_SHOWN]}  {origin_text(one.origin)}"
        lines.append([head, *_changes(before.get(one.dag.herd), one)])
        before[one.dag.herd] = one
    for line in (line for block in lines[::-1] for line in block):
        click.echo(harmless(line))


def _changes(old: PipelineVersion | None, new: PipelineVersion) -> Iterator[str]:
    """Yield what is other than in the version before: in the graph, the contracts and the code."""
    if old is None:
        return
    for change in difference(old.dag, new.dag):
        breaks = "  [breaking]" if change.breaking else ""
        yield f"  {change.where or change.what}: {change.text}{breaks}"
    for name in sorted(old.code.keys() | new.code.keys()):
        if old.code.get(name) != new.code.get(name):
            yield f"  code {name}: {_did(name, old.code, new.code)}"
    for contract in sorted(set(new.contracts) - set(old.contracts)):
        yield f"  speaks {contract}"
    for contract in sorted(set(old.contracts) - set(new.contracts)):
        yield f"  speaks {contract} no more"


def _did(name: str, before: dict[str, str], after: dict[str, str]) -> str:
    if name not in before:
        return "is new"
    return "has changed" if name in after else "is gone"


def _meant(name: str, state: Path | None) -> PipelineVersion:
    plain, _, wanted = name.partition("@")
    herd, pipeline = _split(plain)
    versions = [one for one in _versions(state, herd) if one.dag.pipeline == pipeline]
    if len({one.dag.herd for one in versions}) > 1:
        whose = ", ".join(sorted({one.dag.herd for one in versions}))
        raise NotFound(f"several herds have a {pipeline}: {whose}", code="which_herd", hint=f"write HERD/{pipeline}")  # fmt: skip
    found = [one for one in versions if wanted in ("", one.version)]
    if not found:
        raise _no_pipeline(name)
    return found[-1]


def _split(name: str) -> tuple[str, str]:
    herd, _, plain = name.rpartition("/")
    return herd, plain


def _no_pipeline(name: str) -> NotFound:
    return NotFound(
        f"no pipeline {name} is published",
        code="no_such_pipeline",
        hint="runi pipeline list shows what there is",
    )


def _versions(state: Path | None, herd: str = "") -> list[PipelineVersion]:
    """Return the published versions, in the order of names and versions. Where nothing was ever run there is none."""

    async def ask(cluster: Cluster, _: Path) -> list[PipelineVersion]:
        return await _versions_in(cluster, herd)

    return known_to(state, ask)


async def _versions_in(cluster: Cluster, *parts: str) -> list[PipelineVersion]:
    found = await pipeline_versions(cluster.barn, *(part for part in parts if part))
    return [one.value for one in found]


def _document(version: PipelineVersion) -> dict[str, Any]:
    return {
        "reference": version.reference,
        "herd": version.dag.herd,
        "pipeline": version.dag.pipeline,
        "version": version.version,
        "hash": version.hash,
        "contracts": version.contracts,
        "code": version.code,
        **origin_document(version.origin),
    }
