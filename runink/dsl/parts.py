"""A scenario as far as it is built, and whether all that it gives is read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from runink.contracts.expected import Golden
from runink.dag import REJECTED, Assertion, Check, Format, Link, Node, Sink, Source, Sql, Step
from runink.dsl.chain import Chain
from runink.dsl.clauses import GoldenClause
from runink.dsl.diagnostics import Findings
from runink.dsl.scenarios import ScenarioOutline
from runink.dsl.slicing import Wish
from runink.dsl.syntax import Text
from runink.dsl.uris import Location
from runink.errors import Span

_NOUNS: Final[dict[type[Node], str]] = {
    Source: "this source",
    Check: "what keeps this contract",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """That rows are kept as a checkpoint: how, which line says so, and which links stand above it."""

    format: Format
    span: Span
    above: frozenset[Link] = frozenset()


@dataclass(slots=True)
class Parts:
    """A scenario as far as it is built; `wishes` are what its nodes ask of their process, `checkpoints` by node what is kept behind it."""

    outline: ScenarioOutline
    nodes: dict[str, Node] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    wishes: dict[str, Wish] = field(default_factory=dict)
    default: Wish = field(default_factory=Wish)
    assertions: list[Assertion] = field(default_factory=list)
    goldens: list[tuple[Golden, GoldenClause]] = field(default_factory=list)
    locations: dict[str, Location] = field(default_factory=dict)
    roles: dict[str, Text] = field(default_factory=dict)  # whom sinks are for
    spans: dict[str, Span] = field(default_factory=dict)  # of the lines that the nodes come from
    meta: dict[str, dict[str, str]] = field(default_factory=dict)  # what people say of nodes
    called: dict[str, str] = field(default_factory=dict)  # steps by the names that they are given
    notes: list[str] = field(default_factory=list)
    checkpoints: dict[str, Mark] = field(default_factory=dict)
    checkpoint_all: Mark | None = None  # behind each step


def check_ends(parts: Parts, chain: Chain, findings: Findings) -> None:
    """Tell what is given and read by nothing."""
    if not parts.nodes:
        hint = 'it needs a @source or a @step, as in @source("csv://data/x.csv")'
        findings.add("D020", "the scenario does nothing", parts.outline.span, hint)
    read = {link.source for link in parts.links if link.role != REJECTED}
    told: set[str] = set()
    for name, alias in chain.unread.items():
        nodes = set(chain.named[name].nodes)
        if not nodes <= read:  # else it flows on, and the name is only a name
            told |= nodes
            hint = _unread_hint(parts, name)
            findings.add("D054", f"nothing reads {name}", alias.span, hint)
    for node_id, node in parts.nodes.items():
        if isinstance(node, Sink) or node_id in read | told:
            continue
        if isinstance(node, Step) and chain.main.nodes == (node_id,):
            parts.notes.append(f"what step {node_id} gives is not written anywhere")
        else:
            what = _NOUNS.get(type(node), "this step")
            hint = "a @step or a @sink below reads it"
            findings.add("D023", f"{what} goes nowhere", parts.spans[node_id], hint)


def _unread_hint(parts: Parts, name: str) -> str:
    steps: Iterable[Step] = (one for one in parts.nodes.values() if isinstance(one, Step))
    if any(not isinstance(step.action, Sql) for step in steps):
        return f"a step reads it by an argument called {name}, or by from={name}"
    return f"a query reads it as the table {name}; a step or sink by from={name}"
