"""From a pipeline's text to its Dag.

    text --parser--> Reading --checker--> Outline --streams--> nodes and links --slicing--> slices and gangs

Everything is looked at before anything is refused, so that a person mends all mistakes at once.  A Dag is only made where there is none.
The compiler is pure: files and contracts come in through a `Project`, parameters as text, and equal ones give an equal Dag.
Formatting and comments change no byte of it but the numbers of lines, and those are no part of its hash.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

import msgspec
from msgspec.structs import replace as changed

from runink.clearances import ClearancePolicy
from runink.dag import GANG_SLICES_MAX, Dag, Link, Node, Scenario, Sink, SliceSpec, Source
from runink.dsl.actions import Actions
from runink.dsl.checker import Outline, named, outlined
from runink.dsl.checkpointing import with_checkpoints
from runink.dsl.clearing import cleared
from runink.dsl.contracts import Contracts
from runink.dsl.diagnostics import Findings
from runink.dsl.dialects import without_dialects
from runink.dsl.facts import facts_of
from runink.dsl.neighbours import check_neighbours
from runink.dsl.outlines import expanded
from runink.dsl.parser import parsed
from runink.dsl.parts import Parts
from runink.dsl.project import Project
from runink.dsl.promises import with_inputs
from runink.dsl.seating import seated
from runink.dsl.slicing import sliced
from runink.dsl.spooling import spooled
from runink.dsl.streams import Means, built
from runink.dsl.syntax import Document
from runink.dsl.uris import Location
from runink.dsl.wishes import retries_of
from runink.errors import Finding, Invalid
from runink.identity.roles import Clearances
from runink.names import pipeline_name
from runink.suggestions import near_or_all
from runink.topology import topological

TEXT_CHARACTERS_MAX: Final = 1 << 20  # a hand-written file
NODES_MAX: Final = 1_000  # of a pipeline: it is one record in the Barn, and people read it


@dataclass(frozen=True, slots=True)
class SourceText:
    """A pipeline file: its text, what it is called in messages, its path in the project, and the absolute path of that."""

    text: str
    file: str
    path: str
    root: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the parser made of a file, without any knowledge of its project, and all mistakes that it found. No document: it was not read at all."""

    source: SourceText
    document: Document | None
    mistakes: tuple[Finding, ...]


Parse = Callable[[str, Findings], Document]


@dataclass(frozen=True, slots=True)
class Compilation:
    """A Dag, and what a person should know about it without its being wrong."""

    dag: Dag
    notes: tuple[str, ...]


def compiled(source: SourceText, parameters: Mapping[str, str], project: Project) -> Compilation:
    """Compile a pipeline. Raises Invalid with all findings."""
    return compiled_from(read(source), parameters, project)


def read(source: SourceText, parse: Parse = parsed) -> Reading:
    """Read a pipeline's text. `parse` may know what it has read before, and gives what `parsed` would."""
    findings = Findings(source.file, source.text)
    if len(source.text) > TEXT_CHARACTERS_MAX:
        text = f"{source.file} is larger than a pipeline may be ({TEXT_CHARACTERS_MAX >> 20} MiB)"
        findings.add("D005", text, None, "is it a pipeline, or data?")
        return Reading(source, None, findings.told())
    text = without_dialects(source.text.removeprefix("\ufeff"), findings)
    document = None if findings and not text else parse(text, findings)
    return Reading(source, document, findings.told())


def compiled_from(reading: Reading, parameters: Mapping[str, str], project: Project) -> Compilation:
    """Compile what was read. Raises Invalid with all findings, those of reading among them."""
    source, document = reading.source, reading.document
    findings = Findings(source.file, source.text)
    findings.take(reading.mistakes)
    if document is None:
        raise _invalid(source, findings)
    outline = outlined(expanded(document, findings), parameters, findings)
    means = Means(Actions(project, findings), Contracts(project, findings), findings)
    policy = _policy(outline, project, findings)
    parts = [built(one, means) for one in outline.scenarios]
    audiences = _audiences(parts, outline, project, findings) if policy is not None else {}
    joined = _joined(source, outline, parts, findings)
    if joined is not None and policy is not None:
        dag, doubts = joined
        spans = {name: one.text.span for part in parts for name, one in part.locations.items()}
        dag = cleared(dag, policy, spans, findings, audiences)
        dag = with_checkpoints(dag, parts)
        dag = seated(dag, parts, findings)
        _check_gangs(dag, findings)
        joined = dag, doubts
    if findings or joined is None:
        raise _invalid(source, findings)
    dag, doubts = joined
    notes = [*(note for part in parts for note in (*part.outline.notes, *part.notes)), *doubts]
    unused = sorted(set(outline.parameters.values) - outline.parameters.used)
    notes.extend(
        f"parameter {name} is not used in this file: only a step that asks for it has it"
        for name in unused
    )
    return Compilation(dag, tuple(notes))


def _invalid(source: SourceText, findings: Findings) -> Invalid:
    told = findings.told()
    count = f"{len(told)} mistake{'' if len(told) == 1 else 's'}"
    return Invalid(f"{source.file}: {count}", findings=told, code="pipeline_invalid")


def _policy(outline: Outline, project: Project, findings: Findings) -> ClearancePolicy | None:
    """Return what the herd's sinks may hold; nothing where its file is wrong, which is told."""
    try:
        return project.check_herd(outline.herd)
    except Invalid as error:
        if error.findings:
            findings.take(error.findings)
        else:
            findings.add("D024", error.text, None, error.hint)
        return None


def _audiences(
    parts: Sequence[Parts], outline: Outline, project: Project, findings: Findings
) -> Mapping[str, Clearances]:
    """Return what each role shows that a sink is for. One that the herd does not have is told."""
    said = [role for part in parts for role in part.roles.values()]
    known = project.shown_by_roles(outline.herd) if said else {}
    for role in said:
        if role.value not in known:
            near = near_or_all(role.value, known)
            where = f"the herd's roles stand in herds/{outline.herd}.toml, as [[roles]]"
            text = f"herd {outline.herd} has no role {role.value}"
            hint = f"{near}{' ' if near.endswith('?') else '; '}{where}"
            findings.add("D082", text, role.span, hint)
    return {role.value: known[role.value] for role in said if role.value in known}


def _joined(
    source: SourceText, outline: Outline, parts: Sequence[Parts], findings: Findings
) -> tuple[Dag, tuple[str, ...]] | None:
    """Put the scenarios together, by the URIs that one writes and another reads; beside it stands what is to be told of their contracts."""
    locations = {name: location for part in parts for name, location in part.locations.items()}
    nodes = [node for part in parts for node in part.nodes.values()]
    if len(nodes) > NODES_MAX:
        text = f"{source.file} has {len(nodes):,} nodes, {NODES_MAX:,} at most"
        findings.add("D020", text, None, "make several pipelines of it")
        return None
    _check_whole_paths(source.root, locations, findings)
    staged = _staged(nodes, locations, findings)
    doubts = check_neighbours(parts, staged, findings)
    promised = [one for part in parts for one in part.goldens]
    is_whole = not any(one.is_broken for one in outline.scenarios)
    goldens = with_inputs(promised, nodes, staged, findings) if is_whole else ()
    if findings:
        return None
    dag = changed(_dag(source, outline, parts, staged), goldens=goldens)
    _check_circles(dag, locations, findings)
    return dag, doubts


def _dag(
    source: SourceText, outline: Outline, parts: Sequence[Parts], staged: Mapping[str, str]
) -> Dag:
    scenarios: list[Scenario] = []
    nodes: list[Node] = []
    links: list[Link] = []
    slices: list[SliceSpec] = []
    for part in parts:
        mine = [_with_stage(node, staged) for node in part.nodes.values()]
        marked = spooled(mine, part.links)
        one = part.outline
        scenarios.append(Scenario(one.id, one.title, one.module, one.span.line, one.metadata))
        nodes.extend(mine)
        links.extend(marked)
        slices.extend(sliced(one.id, mine, marked, wishes=part.wishes, default=part.default))
    dag = Dag(
        pipeline=pipeline_name(named(PurePosixPath(source.path).stem, "pipeline")),
        herd=outline.herd,
        title=outline.title,
        file=source.path,
        scenarios=tuple(scenarios),
        nodes=tuple(nodes),
        links=tuple(links),
        slices=tuple(slices),
        assertions=tuple(one for part in parts for one in part.assertions),
        prose=(*outline.prose, *(line for part in parts for line in part.outline.prose)),
        parameters={name: value or "" for name, value in outline.parameters.values.items()},
        metadata=outline.metadata,
        schedule=msgspec.UNSET if outline.schedule is None else outline.schedule,
        deadline=msgspec.UNSET if outline.deadline is None else outline.deadline,
        priority=outline.priority or msgspec.UNSET,
        retries=retries_of(parts, outline.retry) or msgspec.UNSET,
    )
    meta = {name: said for part in parts for name, said in part.meta.items()}
    return changed(dag, facts=facts_of(dag, meta))


def _with_stage(node: Node, staged: Mapping[str, str]) -> Node:
    if isinstance(node, Source) and node.id in staged:
        return changed(node, staged_from=staged[node.id])
    return node


# Between scenarios.


def _check_whole_paths(root: str, locations: Mapping[str, Location], findings: Findings) -> None:
    """A place within the project has one name, the relative one: else what one scenario writes and another reads would not be joined."""
    for location in locations.values():
        if root and location.path.startswith(f"{root}/"):
            inside = location.path.removeprefix(f"{root}/")
            text = f"{location.path} lies in the project"
            hint = f"write it as it is there: {location.format.value}://{inside}"
            findings.add("D031", text, location.text.span, hint)


def _staged(
    nodes: Sequence[Node], locations: Mapping[str, Location], findings: Findings
) -> dict[str, str]:
    """Map each source that reads what a sink of this pipeline writes to that sink; tell what cannot be joined."""
    writers: dict[str, Sink] = {}
    for node in nodes:
        if isinstance(node, Sink):
            other = writers.setdefault(node.path, node)
            if other is not node:
                line = locations[other.id].text.span.line
                text = f"{node.uri} is written already, in line {line}"
                hint = "every sink has a place of its own"
                findings.add("D032", text, locations[node.id].text.span, hint)
    _check_folders(writers, locations, findings)
    found: dict[str, str] = {}
    standard: Source | None = None
    for node in nodes:
        if not isinstance(node, Source):
            continue
        location = locations[node.id]
        if location.is_standard:
            if standard is not None:
                text = "standard input is read already, and it comes once"
                findings.add("D032", text, location.text.span, "read a file there")
            standard = standard or node
        elif (sink := writers.get(node.path)) is not None:
            if _may_stage(node, sink, location, findings):
                found[node.id] = sink.id
        elif location.is_glob:
            _check_glob(location, writers, findings)
    return found


def _check_folders(
    writers: Mapping[str, Sink], locations: Mapping[str, Location], findings: Findings
) -> None:
    """A path is a file or a folder: no sink lies below another one."""
    for path, sink in writers.items():
        for folder in PurePosixPath(path).parents:
            if str(folder) in writers:
                line = locations[writers[str(folder)].id].text.span.line
                text = f"{folder} cannot be a folder: it is written as a file, in line {line}"
                hint = "every sink has a place of its own"
                findings.add("D032", text, locations[sink.id].text.span, hint)


def _may_stage(source: Source, sink: Sink, location: Location, findings: Findings) -> bool:
    span = location.text.span
    if source.scenario == sink.scenario:
        text = f"{source.uri} is written by the same scenario"
        findings.add("D033", text, span, "write elsewhere, or read it in a scenario of its own")
        return False
    if source.format is not sink.format:
        text = f"{source.path} is written as {sink.format.value}, and read here as {source.format.value}"
        findings.add("D034", text, span, f"did you mean {sink.uri}?")
        return False
    return True


def _check_glob(location: Location, writers: Mapping[str, Sink], findings: Findings) -> None:
    """A glob over what this run writes would read the last run's output, which nobody means."""
    for path, sink in writers.items():
        if fnmatch.fnmatchcase(path, location.path):
            text = f"{location.uri} also matches {path}, which scenario {sink.scenario} of this pipeline writes"
            hint = f"read {sink.uri} by its name, or keep it out of the pattern"
            findings.add("D034", text, location.text.span, hint)


def _check_gangs(dag: Dag, findings: Findings) -> None:
    for gang, specs in dag.gangs().items():
        if len(specs) > GANG_SLICES_MAX:
            text = f"{gang} is {len(specs):,} slices that run together, {GANG_SLICES_MAX:,} at most"
            findings.add("D020", text, None, "isolate fewer of its steps, or @checkpoint between")


def _check_circles(dag: Dag, locations: Mapping[str, Location], findings: Findings) -> None:
    needs = dag.gang_needs()
    if topological(tuple(needs), needs) is not None:
        return
    circle = _circle(needs)
    reader = next(
        node.id
        for node in dag.nodes
        if isinstance(node, Source)
        and node.staged_from
        and [dag.slice_of(one).gang for one in (node.id, node.staged_from)]
        == [circle[0], (*circle, circle[0])[1]]
    )
    told = " reads from ".join((*circle, circle[0]))
    text = f"scenarios wait for each other in a circle: {told}"
    hint = "one of them must read something else"
    findings.add("D033", text, locations[reader].text.span, hint)


def _circle(needs: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    """Return gangs of which each needs the next, and the last the first. There is such a circle."""
    rest = {name: set(found) for name, found in needs.items()}
    while free := [name for name, found in rest.items() if not found & rest.keys()]:
        for name in free:
            del rest[name]
    path = [next(iter(rest))]
    while True:  # Every gang left needs another one that is left, so the path comes back to itself.
        following = min(rest[path[-1]] & rest.keys())
        if following in path:
            return tuple(path[path.index(following) :])
        path.append(following)
