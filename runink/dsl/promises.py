"""What a pipeline promises of its output: checks on `@golden`, and which sources its inputs stand for.

An input is `PATH` or `SOURCE=PATH`:

input="golden/in.csv"                        in the place of the scenario's first @source without a name
input=["golden/a.csv", "golden/b.csv"]       of the first, of the second
input=["planes=golden/planes.csv"]           of the one that is called so
input=["data/flights.csv=golden/f.csv"]      of every one that reads this path (or URI), in this scenario or one that it depends on
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace as changed

from runink.contracts.expected import GOLDEN_ENDINGS, Golden, GoldenInput
from runink.contracts.fields import ContractSpec
from runink.dag import REJECTED, Link, Node, Sink, Source, Step
from runink.dsl.clauses import GoldenClause
from runink.dsl.diagnostics import Findings
from runink.dsl.parts import Parts
from runink.dsl.project import Project
from runink.dsl.syntax import Text
from runink.suggestions import near_or_all

READABLE: Final = (".csv", ".jsonl", ".ndjson", ".json", ".parquet", ".arrow")


def promise(
    clause: GoldenClause, holder: str, parts: Parts, project: Project, findings: Findings
) -> None:
    """Keep a golden for the sink that `holder` says; that there is none, or are several, is told."""
    found = _sinks_of(holder, parts.nodes, parts.links)
    if len(found) == 1:
        _check_golden(clause, found[0].contract, findings)
        golden = _golden_of(clause, found[0])
        for path in (golden.path, *(_path_of(one) for one in clause.inputs)):
            if not project.exists(path):
                parts.notes.append(f"the golden file {path} is not there yet")
        given = [one.value for one in clause.inputs]
        if any(
            one == golden and [text.value for text in other.inputs] == given
            for one, other in parts.goldens
        ):
            findings.add("D016", "this golden is there already", clause.span, "take one away")
        parts.goldens.append((golden, clause))
    elif not parts.outline.is_broken:
        text = "there is no @sink that this golden could be for"
        if found:
            text = f"this golden could be for any of {len(found)} sinks"
        findings.add("D021", text, clause.span, "put @golden below the @sink that it is for")


def _check_golden(clause: GoldenClause, contract: ContractSpec | None, findings: Findings) -> None:
    """Tell what is wrong with a golden's files and, where the sink's contract is known, with the fields that it names."""
    _check_path(clause.path, clause.path.value, GOLDEN_ENDINGS, "compared", findings)
    for one in clause.inputs:
        _check_path(one, _split(one)[1], READABLE, "read in a source's place", findings)
    for name in (*clause.key, *clause.ignore):
        if not name.value:
            findings.add("D014", "this names no field", name.span, 'as in key=["id"]')
    for name in clause.ignore:
        if name.value in {key.value for key in clause.key}:
            text = f"{name.value} is ignored, and rows are told apart by it"
            findings.add("D015", text, name.span, "take it out of key or of ignore")
    if contract is None:
        return
    fields = [one.name for one in contract.fields]
    for name in (*clause.key, *clause.ignore):
        if name.value not in fields:
            text = f"{contract.name} has no field {name.value}"
            findings.add("D041", text, name.span, near_or_all(name.value, fields))


def _check_path(
    text: Text, path: str, endings: Sequence[str], use: str, findings: Findings
) -> None:
    if path.startswith(("/", "~")) or ".." in path.split("/"):
        hint = "goldens are kept beside the pipeline"
        findings.add("D031", f"{path} leaves the project", text.span, hint)
    elif not path.endswith(tuple(endings)):
        hint = f"its name ends in {', '.join(endings)}"
        findings.add("D030", f"{path} cannot be {use}", text.span, hint)


def _split(text: Text) -> tuple[str, str]:
    """Return the source that an input names, or nothing, and its path."""
    source, _, path = text.value.rpartition("=")
    return source.strip(), path.strip()


def _path_of(text: Text) -> str:
    """Return the file that an input names, as the project names it."""
    return posixpath.normpath(_split(text)[1])


def _golden_of(clause: GoldenClause, sink: Sink) -> Golden:
    """Return what the clause promises of the sink, still without its inputs."""
    return Golden(
        sink.scenario,
        sink.id,
        posixpath.normpath(clause.path.value),
        tuple(one.value for one in clause.key),
        clause.tolerance,
        clause.relative,
        tuple(one.value for one in clause.ignore),
        clause.ordered,
    )


def _sinks_of(holder: str, nodes: Mapping[str, Node], links: Sequence[Link]) -> tuple[Sink, ...]:
    """Return the sinks that a golden may be for: the one it stands below, those that its step feeds, or all of the scenario but the dead letter."""
    if not holder:
        return tuple(
            node for node in nodes.values() if isinstance(node, Sink) and not node.dead_letter
        )
    waiting, seen = [holder], {holder}
    found: list[Sink] = []
    while waiting:  # ends, because no node is looked at twice
        name = waiting.pop(0)
        node = nodes.get(name)
        if isinstance(node, Sink):
            found.append(node)
        for link in links:
            behind = nodes.get(link.target)
            is_open = link.source == name and link.role != REJECTED
            if is_open and link.target not in seen and not isinstance(behind, Step):
                seen.add(link.target)
                waiting.append(link.target)
    return tuple(found)


def with_inputs(
    promised: Iterable[tuple[Golden, GoldenClause]],
    nodes: Sequence[Node],
    staged: Mapping[str, str],
    findings: Findings,
) -> tuple[Golden, ...]:
    """Return the goldens with the sources that their inputs stand for. An input that stands for none is told, and left out.

    `staged` maps a source to the sink of the pipeline that it reads.
    """
    home = {node.id: node.scenario for node in nodes}
    sources = [node for node in nodes if isinstance(node, Source)]
    found = []
    for golden, clause in promised:
        feeding = {golden.scenario}
        while (
            more := {
                home[staged[one.id]]
                for one in sources
                if one.id in staged and one.scenario in feeding
            }
            - feeding
        ):
            feeding |= more  # ends with the pipeline's scenarios
        mine = [one for one in sources if one.scenario in feeding]
        found.append(changed(golden, inputs=_inputs(golden, clause, mine, findings)))
    return tuple(found)


def _inputs(
    golden: Golden, clause: GoldenClause, sources: Sequence[Source], findings: Findings
) -> tuple[GoldenInput, ...]:
    mine = [one for one in sources if one.scenario == golden.scenario]
    unnamed = [one for one in mine if not one.alias]
    found: dict[str, str] = {}
    for text in clause.inputs:
        name, _ = _split(text)
        if name:
            stands_for = [one for one in mine if one.alias == name] or [
                one for one in sources if name in {one.path, one.uri}
            ]
        else:
            stands_for, unnamed = unnamed[:1], unnamed[1:]
        if not stands_for:
            _tell_stray(text, name, mine if not name else sources, findings)
        for source in stands_for:
            if source.id in found:
                hint = "a source is read from one file in a test"
                findings.add("D016", f"{_called(source)} has an input already", text.span, hint)
            found[source.id] = _path_of(text)
    return tuple(GoldenInput(source, path) for source, path in sorted(found.items()))


def _tell_stray(text: Text, name: str, known: Sequence[Source], findings: Findings) -> None:
    names = [_called(one) for one in known]
    if name:
        findings.add("D035", f"there is no source {name}", text.span, near_or_all(name, names))
        return
    hint = f"say which: {names[-1]}={text.value}" if names else "a step makes this scenario's rows"
    findings.add("D035", f"no source is left for {text.value}", text.span, hint)


def _called(source: Source) -> str:
    return source.alias or source.path
