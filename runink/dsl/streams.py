"""From a scenario's clauses to its nodes and links: what reads what.

The lines of a scenario are a chain, read from top to bottom:

    @source …           together they are the stream, unless they have a name (as=…): then they are side inputs
    @contract …         checks the stream where it stands; `on=NAME` checks a named one
    @step …             reads the stream, or those it names (from=…), and side inputs by its arguments' names; what it gives is the stream.
                        A step may name what stands further down; `ordering.py` then says what comes first
    @sink …             takes the stream where it stands; the lines below go on with it
    @deadletter …       takes what the scenario's contracts reject
    @checkpoint       keeps the stream where it stands; the lines below read what was kept
    @requires, @affinity, @retry, @timeout    of the step above; of the whole scenario before its first step
    @golden             of the sink or the dead letter above; below a step, of the sink that it feeds; above all of them, of the scenario's one sink

A name means the stream as it is behind all contracts on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, assert_never

from msgspec.structs import replace as changed

from runink.contracts.fields import ContractSpec, OnDrift
from runink.contracts.leeway import parsed_by
from runink.contracts.versions import is_within
from runink.dag import (
    MAIN,
    REJECTED,
    Check,
    Format,
    Link,
    Node,
    OnInvalid,
    Sink,
    Source,
)
from runink.dsl.actions import Actions, Scene
from runink.dsl.assertions import assertion_of
from runink.dsl.chain import UNREAD, Chain, Stream
from runink.dsl.checker import unique
from runink.dsl.checkpointing import check_marks, mark
from runink.dsl.clauses import (
    AffinityClause,
    AssertClause,
    CheckpointClause,
    ContractClause,
    DeadLetterClause,
    GoldenClause,
    NodeClause,
    RequiresClause,
    RetryClause,
    SinkClause,
    SourceClause,
    StepClause,
    TimeoutClause,
)
from runink.dsl.contracts import Contracts
from runink.dsl.diagnostics import Findings
from runink.dsl.expressions import UNKNOWN, condition, fields_of
from runink.dsl.ordering import ordered
from runink.dsl.parts import Parts, check_ends
from runink.dsl.promises import promise
from runink.dsl.scenarios import ScenarioOutline
from runink.dsl.slicing import Wish
from runink.dsl.syntax import Text
from runink.dsl.wishes import ask

_TYPED: Final = frozenset({Format.PARQUET, Format.ARROW})  # where text is text


@dataclass(frozen=True, slots=True)
class Means:
    """What building a scenario needs from around it."""

    actions: Actions
    contracts: Contracts
    findings: Findings


def built(outline: ScenarioOutline, means: Means) -> Parts:
    """Return the scenario's nodes and links. What is wrong is told, and left out."""
    builder = _Builder(outline, means)
    builder.build()
    return builder.parts


class _Builder:
    def __init__(self, outline: ScenarioOutline, means: Means) -> None:
        self.parts = Parts(outline)
        self._outline = outline
        self._means = means
        self._findings = means.findings
        self._chain = Chain(means.findings)
        self._rejecting: list[str] = []  # checks whose rejected rows go to the dead letter
        self._has_all_contracts = True
        self._last_step = ""
        self._last_end: str | None = (
            ""  # a step or a sink; nothing: the dead letter, which is made at the end
        )

    def build(self) -> None:
        order = ordered(self._outline.clauses, self._findings)
        dead = next((one for one in order.clauses if isinstance(one, DeadLetterClause)), None)
        goldens: list[tuple[GoldenClause, str | None]] = []
        asserts: list[AssertClause] = []
        self._sources()
        self._chain.circling, self._chain.below = order.circling, order.names
        for clause in order.clauses:
            match clause:
                case SourceClause():
                    pass  # made already: a side input may stand below the step that reads it
                case ContractClause():
                    self._contract(clause, has_dead_letter=dead is not None)
                case StepClause():
                    self._step(clause)
                case SinkClause():
                    self._sink(clause)
                case DeadLetterClause():
                    self._last_end = None  # made at the end, when all checks are there
                case RequiresClause() | AffinityClause() | RetryClause() | TimeoutClause():
                    ask(clause, self._last_step, self.parts, self._findings)
                case CheckpointClause():
                    mark(clause, self._chain.main.nodes, self.parts, self._findings)
                case AssertClause():
                    asserts.append(clause)  # of the stream as it is at the end
                case GoldenClause():
                    goldens.append((clause, "" if clause.of_scenario else self._last_end))
                case _:
                    assert_never(clause)
        letter = self._dead_letter(dead) if dead is not None else ""
        for golden, sink in goldens:
            holder = letter if sink is None else sink
            promise(golden, holder, self.parts, self._means.actions.project, self._findings)
        for one in asserts:
            self._assert(one)
        self._parse_by_contract()
        if not self._outline.is_broken and not order.circling:
            check_ends(self.parts, self._chain, self._findings)
            check_marks(self.parts, self._findings)

    # Nodes.

    def _name(self, name: str) -> str:
        prefix = f"{self._outline.id}."
        return unique(f"{prefix}{name}", self.parts.nodes)

    def _add(self, node: Node, clause: NodeClause) -> None:
        self.parts.nodes[node.id] = node
        self.parts.spans[node.id] = clause.span
        if clause.meta:
            self.parts.meta[node.id] = clause.meta
        if not isinstance(clause, DeadLetterClause) and clause.isolate:
            self.parts.wishes[node.id] = Wish(isolate=True)

    def _link(self, stream: Stream, target: str, role: str = MAIN) -> None:
        self.parts.links.extend(Link(node, target, role) for node in stream.nodes)

    def _sources(self) -> None:
        main: list[str] = []
        is_open = True
        for clause in self._outline.clauses:
            match clause:
                case SourceClause(alias=None):
                    if not is_open:
                        hint = "put it above, or give it a name: as=NAME"
                        self._findings.add(
                            "D021", "a @source stands before what reads it", clause.span, hint
                        )
                    main.append(self._source(clause))
                case SourceClause(alias=Text() as alias):
                    self._chain.call(alias, Stream((self._source(clause),)))
                case ContractClause(on=None) | StepClause(inputs=()) | SinkClause(inputs=()):
                    is_open = False
        if not main and self._outline.is_broken:
            # The source may stand in what could not be read; what is behind it is checked as if it did.
            main = [UNREAD]
        self._chain.main = Stream(tuple(main))

    def _source(self, clause: SourceClause) -> str:
        location = clause.location
        alias = clause.alias.value if clause.alias is not None else ""
        node = Source(
            id=self._name(alias or "source"),
            scenario=self._outline.id,
            uri=location.uri,
            format=location.format,
            path=location.path,
            alias=alias,
            nulls=clause.nulls,
            delimiter=clause.delimiter,
        )
        self._add(node, clause)
        self.parts.locations[node.id] = location
        return node.id

    def _contract(self, clause: ContractClause, *, has_dead_letter: bool) -> None:
        stream = (
            self._chain.main if clause.on is None else self._chain.called(clause.on, is_use=False)
        )
        spec = clause.spec or self._means.contracts.load(clause.path)
        if stream is None:
            return
        if not stream.nodes:
            if not self._outline.is_broken:
                self._findings.add(
                    "D021",
                    "there is nothing above that the contract could check",
                    clause.span,
                    "put it below a @source or a @step",
                )
            return
        if stream.contract is not None:
            self._findings.add(
                "D016",
                f"the stream keeps a contract already: {stream.contract.name}",
                clause.span,
                "one contract holds all rules; put a @step between, or take one away",
            )
            return
        if spec is None:
            self._has_all_contracts = False
            return
        self._check_version(clause, spec)
        policy = clause.on_invalid or (OnInvalid.DEAD_LETTER if has_dead_letter else OnInvalid.FAIL)
        drift = clause.on_drift or spec.on_drift
        sets_aside = policy is OnInvalid.DEAD_LETTER or drift is OnDrift.DEAD_LETTER
        if sets_aside and not has_dead_letter and not self._outline.is_broken:
            self._findings.add(
                "D022",
                "there is no @deadletter for the rows that break the contract",
                clause.span,
                'as in @deadletter("jsonl://out/dead/x.jsonl")',
            )
        node = Check(
            self._name("contract"), self._outline.id, spec, policy, drift, self._is_typed(stream)
        )
        self._add(node, clause)
        self._link(stream, node.id)
        if sets_aside:
            self._rejecting.append(node.id)
        self._chain.replace(stream, Stream((node.id,), spec))

    def _check_version(self, clause: ContractClause, spec: ContractSpec) -> None:
        """Tell if the contract in the file is not of the version that the edge speaks."""
        wanted = clause.version
        if wanted is None or is_within(spec.version, wanted.value):
            return
        hint = f"write the version that the edge is to speak now, or take the contract of {wanted.value}"
        text = f"{spec.name} is {spec.version}, and this edge speaks {wanted.value}"
        labels = [(clause.span, "the contract")]
        self._findings.add("D043", text, wanted.span, hint, labels=labels)

    def _is_typed(self, stream: Stream) -> bool:
        """Say whether all of a stream comes right out of formats that have types."""
        sources = [self.parts.nodes.get(name) for name in stream.nodes]
        return all(isinstance(one, Source) and one.format in _TYPED for one in sources)

    # Steps.

    def _step(self, clause: StepClause) -> None:
        stream = self._chain.inputs(clause.inputs)
        scene = Scene(self._outline.id, tuple(self._chain.named), has_input=bool(stream.nodes))
        acting = self._means.actions.acting(clause, scene)
        node_id = self._name(acting.name)
        self._link(stream, node_id)
        if acting.step is not None:
            self._add(changed(acting.step, id=node_id), clause)
            for side in acting.sides:
                self._chain.unread.pop(side, None)
                self._link(self._chain.named[side], node_id, side)
        else:
            # What could not be found still stands in the chain, so that what is behind it is checked.
            self._chain.unread.clear()
        self._last_step = self._last_end = node_id
        self._chain.main = Stream((node_id,))
        if clause.alias is not None:
            self._chain.call(clause.alias, self._chain.main)
            self.parts.called[clause.alias.value] = node_id

    # Sinks, and what belongs to lines above.

    def _sink(self, clause: SinkClause) -> None:
        stream = self._chain.inputs(clause.inputs)
        scope = UNKNOWN if stream.contract is None else fields_of(stream.contract)
        when = None if clause.when is None else condition(clause.when, scope, self._findings)
        location = clause.location
        node = Sink(
            id=self._name("sink"),
            scenario=self._outline.id,
            uri=location.uri,
            format=location.format,
            path=location.path,
            mode=clause.mode,
            when=when,
            contract=stream.contract,
            role=clause.role.value if clause.role is not None else "",
        )
        if clause.role is not None:
            self.parts.roles[node.id] = clause.role
        if not stream.nodes and not clause.inputs and not self._outline.is_broken:
            self._findings.add(
                "D021",
                "there is nothing above that the sink could take",
                clause.span,
                "put it below a @source or a @step",
            )
        self._add(node, clause)
        self._link(stream, node.id)
        self.parts.locations[node.id] = location
        self._last_end = node.id

    def _dead_letter(self, clause: DeadLetterClause) -> str:
        """Add the sink of rejected rows and return its id."""
        location = clause.location
        node = Sink(
            id=self._name("deadletter"),
            scenario=self._outline.id,
            uri=location.uri,
            format=location.format,
            path=location.path,
            mode=clause.mode,
            dead_letter=True,
        )
        if not self._rejecting and self._has_all_contracts and not self._outline.is_broken:
            self._findings.add(
                "D022",
                "nothing is set aside here",
                clause.span,
                "it takes the rows that break a @contract of the scenario",
            )
        self._add(node, clause)
        self._link(Stream(tuple(self._rejecting)), node.id, REJECTED)
        self.parts.locations[node.id] = location
        return node.id

    def _assert(self, clause: AssertClause) -> None:
        found = assertion_of(clause, self._outline.id, self._chain.main, self._findings)
        if found is not None:
            self.parts.assertions.append(found)

    # The whole.

    def _parse_by_contract(self) -> None:
        """Give a contract to the sources right in front of its check, so that text is parsed straight to its types.

        Not where somebody else reads the source as well: what they see must not depend on a contract that is not theirs.
        """
        for check in [one for one in self.parts.nodes.values() if isinstance(one, Check)]:
            for link in [one for one in self.parts.links if one.target == check.id]:
                source = self.parts.nodes.get(link.source)
                readers = [one for one in self.parts.links if one.source == link.source]
                if isinstance(source, Source) and len(readers) == 1:
                    contract = parsed_by(check.contract, check.on_drift)
                    self.parts.nodes[source.id] = changed(source, contract=contract)
