"""`runi pipeline list`, `show` and `history` of a cluster elsewhere, by its API."""

from __future__ import annotations

from collections.abc import Iterator

import click

from runink.cli.asked_runs import herds_of
from runink.cli.asking import Asker, Where, asked
from runink.cli.contract_registry import origin_line
from runink.cli.wording import columns, echo_json, harmless
from runink.errors import NotFound
from runink.operations.catalog import pipelines
from runink.operations.catalog.pipelines import (
    PipelineDocument,
    PipelineSummary,
    PipelineVersionDocument,
)

HASH_SHOWN = 12


def list_pipelines(where: Where, output: str) -> None:
    """Print the published pipelines of the herd that is meant, or of all that are seen."""
    with asked(where) as client:
        found = _listed(client, where)
    if output == "json":
        echo_json(found)
        return
    if not found:
        click.echo("no pipelines yet: runi pipeline push FILE.dsl publishes one", err=True)
        return
    rows = [
        (f"{one.herd}/{one.pipeline}", one.version, str(len(one.versions)), one.title, _origin(one))
        for one in found
    ]
    for line in columns([("pipeline", "highest", "versions", "title", "from"), *rows]):
        click.echo(harmless(line))


def show_pipeline(where: Where, name: str, output: str) -> None:
    """Print what a version does, the highest without one. Raises NotFound."""
    plain, _, wanted = name.partition("@")
    with asked(where) as client:
        one = _meant(_listed(client, where), plain)
        of = {"herd": one.herd, "pipeline": one.pipeline, "version": wanted or one.version}
        found: PipelineDocument = client.call(pipelines.GET_VERSION, **of)
    if output == "json":
        echo_json(found)
        return
    for line in _show_lines(found):
        click.echo(harmless(line))


def _show_lines(found: PipelineDocument) -> Iterator[str]:
    yield f"{found.reference}  {found.hash}"
    yield f"{found.file}, {_origin(found)}"
    for contract in found.contracts:
        yield f"speaks {contract}"
    scenario = ""
    for part in found.dag.nodes:
        if part.scenario != scenario:
            scenario = part.scenario
            yield ""
            yield scenario
        yield f"  {part.kind:<8} {part.what}"


def tell_history(where: Where, name: str, output: str) -> None:
    """Print the published versions of a pipeline, newest first. Raises NotFound."""
    with asked(where) as client:
        one = _meant(_listed(client, where), name.partition("@")[0])
        of = {"herd": one.herd, "pipeline": one.pipeline}
        found: list[PipelineVersionDocument] = list(client.call(pipelines.VERSIONS, **of))
    if output == "json":
        echo_json(found[::-1])
        return
    before = [None, *found]
    for old, new in list(zip(before, found, strict=False))[::-1]:
        click.echo(harmless(f"{new.reference}  {new.hash[:HASH_SHOWN]}  {_origin(new)}"))
        for line in _changes(old, new):
            click.echo(harmless(line))


def _changes(old: PipelineVersionDocument | None, new: PipelineVersionDocument) -> Iterator[str]:
    """Yield what is other than in the version before, in the contracts and the code; what in the graph is, only that."""
    if old is None:
        return
    changed = [
        name for name in sorted({*old.code, *new.code}) if old.code.get(name) != new.code.get(name)
    ]
    for name in changed:
        yield f"  code {name} is another"
    for contract in sorted(set(new.contracts) - set(old.contracts)):
        yield f"  speaks {contract}"
    for contract in sorted(set(old.contracts) - set(new.contracts)):
        yield f"  speaks {contract} no more"
    if not changed and new.contracts == old.contracts and new.hash != old.hash:
        yield "  its graph is another"


def _listed(client: Asker, where: Where) -> list[PipelineSummary]:
    return [
        one for herd in herds_of(client, where) for one in client.call(pipelines.LIST, herd=herd)
    ]


def _meant(known: list[PipelineSummary], name: str) -> PipelineSummary:
    """Return the pipeline that `[HERD/]NAME` means. Raises NotFound where none is, or several herds have one."""
    herd, _, plain = name.rpartition("/")
    found = [one for one in known if one.pipeline == plain and herd in ("", one.herd)]
    if not found:
        raise NotFound(
            f"no pipeline {name} is published",
            code="no_such_pipeline",
            hint="runi pipeline list shows what there is",
        )
    if len(found) > 1:
        whose = ", ".join(sorted(one.herd for one in found))
        raise NotFound(f"several herds have a {plain}: {whose}", code="which_herd", hint=f"write HERD/{plain}")  # fmt: skip
    return found[0]


def _origin(one: PipelineVersionDocument) -> str:
    return origin_line(one.commit or "", one.by, one.published_ms, is_dirty=one.dirty)
