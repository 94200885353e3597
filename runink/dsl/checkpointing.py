"""`@checkpoint`: which edges of a scenario are kept on disk, and the nodes that keep them.

    below a step, a contract      what stands further down reads what was kept of it
    before the first step         the same behind each step that another one reads

What is kept ends the gang, so no other edge may go around it from the gang in front to the one behind: such edges are kept as well.  Say the *level* of a node is how many checkpoints
lie on the longest way to it.  An edge that is kept goes up a level.  As long as parts that are joined by other edges wait for each other in a circle, those of their edges that
go up a level are kept, too: in such a circle there is one, and without any no part has two levels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace as changed

from runink.checkpoints import SCHEME, is_checkpoint
from runink.dag import MAIN, REJECTED, Dag, Facts, Format, Link, Node, Sink, SliceSpec, Source, Step
from runink.dsl.checker import unique
from runink.dsl.clauses import CheckpointClause
from runink.dsl.diagnostics import Findings
from runink.dsl.facts import facts_of
from runink.dsl.parts import Mark, Parts
from runink.dsl.slicing import sliced
from runink.dsl.spooling import spooled
from runink.topology import joined


@dataclass(frozen=True, slots=True)
class Kept:
    """A scenario's nodes and links with what keeps its checkpoints; `of` says whose rows each new node holds."""

    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    of: dict[str, str]


def mark(
    clause: CheckpointClause, stream: tuple[str, ...], parts: Parts, findings: Findings
) -> None:
    """Note a checkpoint of the stream as it is there, or of all steps where no step stands above."""
    if not any(isinstance(node, Step) for node in parts.nodes.values()):
        if parts.checkpoint_all is not None:
            text = "@checkpoint stands for the scenario already"
            findings.add("D016", text, clause.span, "keep one")
        parts.checkpoint_all = Mark(clause.format, clause.span)
        return
    above = frozenset(link for link in parts.links if link.source in stream)
    for name in stream:
        if name in parts.checkpoints:
            text = "what flows here is kept already"
            findings.add("D016", text, clause.span, "keep one")
            return
        parts.checkpoints[name] = Mark(clause.format, clause.span, above)


def check_marks(parts: Parts, findings: Findings) -> None:
    """Tell checkpoints that nothing would begin from."""
    for name, one in parts.checkpoints.items():
        if not any(_is_behind(link, one) for link in parts.links if link.source == name):
            hint = "put it above the line that is to begin from it again"
            findings.add("D023", "nothing below reads what is kept here", one.span, hint)
    if parts.checkpoint_all is not None and not _of_all(parts):
        hint = "put it below the step whose rows are to be kept"
        text = "no step reads what another one gives: there is nothing to keep"
        findings.add("D023", text, parts.checkpoint_all.span, hint)


def with_checkpoints(dag: Dag, parts: Sequence[Parts]) -> Dag:
    """Return the pipeline with the nodes that keep its checkpoints, and its processes as they are then."""
    if not any(one.checkpoints or one.checkpoint_all for one in parts):
        return dag
    of: dict[str, str] = {}
    nodes: list[Node] = []
    links: list[Link] = []
    slices: list[SliceSpec] = []
    for part in parts:
        scenario = part.outline.id
        mine = [node for node in dag.nodes if node.scenario == scenario]
        found = kept(mine, part.links, marked_in(part))
        whole = spooled(found.nodes, found.links)
        nodes.extend(found.nodes)
        links.extend(whole)
        of.update(found.of)
        slices.extend(
            sliced(scenario, found.nodes, whole, wishes=part.wishes, default=part.default)
        )
    whole_dag = changed(dag, nodes=tuple(nodes), links=tuple(links), slices=tuple(slices))
    return changed(whole_dag, facts=tuple(_facts(dag, whole_dag, of)))


def marked_in(parts: Parts) -> dict[Link, Format]:
    """Return the links that a scenario's checkpoints stand on."""
    found = {}
    if parts.checkpoint_all is not None:
        found = dict.fromkeys(_of_all(parts), parts.checkpoint_all.format)
    for name, one in parts.checkpoints.items():
        own = (link for link in parts.links if link.source == name and _is_behind(link, one))
        found.update(dict.fromkeys(own, one.format))
    return found


def _is_behind(link: Link, mark: Mark) -> bool:
    return link.role != REJECTED and link not in mark.above


def _of_all(parts: Parts) -> list[Link]:
    """Return the links behind steps that another step reads, but for those to sinks."""
    steps = {name for name, node in parts.nodes.items() if isinstance(node, Step)}
    return [
        link
        for link in parts.links
        if link.source in steps and not isinstance(parts.nodes.get(link.target), Sink)
    ]


# Which links are kept.


def kept(nodes: Sequence[Node], links: Sequence[Link], marked: Mapping[Link, Format]) -> Kept:
    """Put a sink and a source into each link that is marked, and into those that would go around them. `nodes` stand behind what they read."""
    whole = all_kept([node.id for node in nodes], links, frozenset(marked))
    format_of = {link.source: kind for link, kind in marked.items()}
    names: dict[str, Node] = {node.id: node for node in nodes}
    of: dict[str, str] = {}
    sinks: dict[tuple[str, bool], Sink] = {}
    behind: dict[str, list[Node]] = {}  # by the node that they stand behind
    before: dict[str, list[Node]] = {}
    found: list[Link] = []
    for link in links:
        if link not in whole:
            found.append(link)
            continue
        writer, is_rejects = names[link.source], link.role == REJECTED
        sink = sinks.get((link.source, is_rejects))
        if sink is None:
            kind = Format.ARROW if is_rejects else format_of.get(link.source, Format.ARROW)
            sink = _sink(writer, kind, is_rejects=is_rejects, names=names)
            sinks[link.source, is_rejects] = names[sink.id] = sink
            of[sink.id] = writer.id
            behind.setdefault(writer.id, []).append(sink)
            found.append(Link(writer.id, sink.id, REJECTED if is_rejects else MAIN))
        source = _source(sink, writer, names)
        names[source.id] = source
        of[source.id] = writer.id
        before.setdefault(link.target, []).append(source)
        found.append(changed(link, source=source.id, role=_role(link)))
    ordered = (
        one for node in nodes for one in (*before.get(node.id, ()), node, *behind.get(node.id, ()))
    )
    return Kept(tuple(ordered), tuple(found), of)


def _role(link: Link) -> str:
    """What is rejected comes out of its source as rows of any other kind."""
    return MAIN if link.role == REJECTED else link.role


def _sink(writer: Node, kind: Format, *, is_rejects: bool, names: Mapping[str, Node]) -> Sink:
    name = unique(f"{writer.id}-{'rejected' if is_rejects else 'checkpoint'}", names)
    return Sink(
        id=name,
        scenario=writer.scenario,
        uri=f"{SCHEME}{name}",
        format=kind,
        path=f"{name}.{kind.value}",
        dead_letter=is_rejects,
        checkpoint=True,
    )


def _source(sink: Sink, writer: Node, names: Mapping[str, Node]) -> Source:
    return Source(
        id=unique(f"{writer.id}-kept", names),
        scenario=sink.scenario,
        uri=sink.uri,
        format=sink.format,
        path=sink.path,
        staged_from=sink.id,
        checkpoint=True,
    )


def all_kept(
    nodes: Sequence[str], links: Sequence[Link], marked: frozenset[Link]
) -> frozenset[Link]:
    """Return the links that are kept: those marked, and those that would join what they part. `nodes` stand behind what they read."""
    levels = dict.fromkeys(nodes, 0)
    into: dict[str, list[Link]] = {name: [] for name in nodes}
    for link in links:
        into[link.target].append(link)
    for name in nodes:
        levels[name] = max((levels[one.source] + (one in marked) for one in into[name]), default=0)
    whole = marked
    while True:  # Each round keeps one link more at least.
        home = joined(nodes, ((one.source, one.target) for one in links if one not in whole))
        circling = _circling(home, whole)
        more = {
            link
            for link in links
            if home[link.source] in circling
            and home[link.source] == home[link.target]
            and levels[link.source] < levels[link.target]
        }
        if not more - whole:
            return whole
        whole = whole | more


def _circling(home: Mapping[str, str], whole: Iterable[Link]) -> frozenset[str]:
    """Return the parts that wait for themselves, and those between them."""
    after: dict[str, set[str]] = {}
    needs: dict[str, set[str]] = {}
    for link in whole:
        after.setdefault(home[link.source], set()).add(home[link.target])
        needs.setdefault(home[link.target], set()).add(home[link.source])
    rest = set(home.values())
    while free := {
        one for one in rest if not needs.get(one, set()) & rest or not after.get(one, set()) & rest
    }:
        rest -= free
    return frozenset(rest)


def _facts(before: Dag, dag: Dag, of: Mapping[str, str]) -> Iterable[Facts]:
    """Yield the facts of all nodes: a checkpoint needs no right, and holds what its writer gives."""
    known = {one.node: one for one in before.facts}
    meta = {one.node: one.meta for one in before.facts}
    for node, one in zip(dag.nodes, facts_of(dag, meta), strict=True):
        clearances = known[of.get(node.id, node.id)].clearances
        needs = () if is_checkpoint(node) else one.needs
        yield changed(one, clearances=clearances, needs=needs)
