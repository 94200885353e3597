"""A run in a world of values: applies decisions, and lets scheduler and agent do what they would do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec.structs import replace as changed
from runink.dag import (
    Dag,
    Format,
    Link,
    Resources,
    Scenario,
    Sink,
    SliceSpec,
    Source,
)
from runink.jobs import Done, Failed, NodeFacts, Prepared
from runink.names import BundleHash, HerdName, NodeId, PipelineName, RunId, SliceId
from runink.runs.durations import NOTHING_KNOWN, Durations
from runink.runs.lifecycle import Decision, decide, target_hash
from runink.runs.records import RunRecord, RunState, SliceRecord, SliceState
from runink.runs.views import RunView, World, Yielding
from runink.topology import topological
from runink.wants import GRACE_MS_MAX, Wants

RUN = RunId("0" * 26)
NODE = NodeId("local")


def staged_dag(*scenarios: str, assertions: tuple = (), fan: int = 1) -> Dag:
    """Scenarios that read each other's output one after the other, each a source and a sink in `fan` slices."""
    nodes, links, slices = [], [], []
    for place, name in enumerate(scenarios):
        before = f"{scenarios[place - 1]}.sink" if place else ""
        nodes += [
            Source(f"{name}.source", name, "x", Format.CSV, "x.csv", staged_from=before),
            Sink(f"{name}.sink", name, f"csv://{name}", Format.CSV, f"{name}.csv"),
        ]
        links.append(Link(f"{name}.source", f"{name}.sink"))
        homes = (
            [(f"{name}.source", f"{name}.sink")]
            if fan == 1
            else [(f"{name}.source",), (f"{name}.sink",)]
        )
        for at, home in enumerate(homes):
            slices.append(SliceSpec(f"{name}-{at}" if at else name, name, name, home, Resources()))
    dag = Dag(
        PipelineName("p"),
        HerdName("default"),
        "P",
        "p.dsl",
        tuple(Scenario(name, name, {}, 1) for name in scenarios),
        tuple(nodes),
        tuple(links),
        tuple(slices),
        assertions,
    )
    assert topological(tuple(dag.gangs()), dag.gang_needs())
    return dag


def patient(dag: Dag, grace_ms: int = 120_000) -> Dag:
    """Return the pipeline with a grace for all of its slices."""
    slices = (changed(spec, asks=Wants(grace_ms=grace_ms)) for spec in dag.slices)
    return changed(dag, slices=tuple(slices))


def prepared(name: str) -> Prepared:
    return Prepared(
        f"{name}.sink",
        f"csv://{name}",
        "file",
        f"/p/.{name}",
        f"/p/{name}.csv",
        "overwrite",
        1,
        1,
        "",
    )


@dataclass
class RunWorld:
    dag: Dag
    record: RunRecord = field(
        default_factory=lambda: RunRecord(
            RUN,
            HerdName("default"),
            PipelineName("p"),
            "v",
            "P",
            "p.dsl",
            "/p",
            BundleHash("b"),
            RunState.SUBMITTED,
            1,
        )
    )
    slices: dict[str, SliceRecord] = field(default_factory=dict)
    claims: dict[str, RunId] = field(default_factory=dict)
    nodes: set[NodeId] = field(default_factory=lambda: {NODE})
    placed: set[SliceId] = field(default_factory=set)
    told: set[SliceId] = field(default_factory=set)
    session: str = ""
    refused: str = ""
    draining: set[NodeId] = field(default_factory=set)
    cordoned: set[NodeId] = field(default_factory=set)
    yielding: dict[str, Yielding] = field(default_factory=dict)
    durations: Durations = NOTHING_KNOWN
    grace_max_ms: int = GRACE_MS_MAX
    now_ms: int = 1000
    states: list[RunState] = field(default_factory=list)

    def world(self) -> World:
        return World(
            self.now_ms,
            self.session,
            frozenset(self.nodes),
            dict(self.claims),
            frozenset(self.placed),
            self.refused,
            frozenset(self.draining),
            frozenset(self.draining | self.cordoned),
            dict(self.yielding),
            self.durations,
            told=frozenset(self.told),
            grace_max_ms=self.grace_max_ms,
        )

    def decide(self) -> Decision:
        return decide(RunView(self.record, self.dag, dict(self.slices)), self.world())

    def settle(self) -> None:
        """Carry decisions out until there is nothing more to decide."""
        for _ in range(50):
            decision = self.decide()
            if decision.is_nothing(self.record):
                return
            if decision.record.state is not self.record.state:
                self.states.append(decision.record.state)
            self.record = decision.record
            self.slices |= {one.slice: one for one in decision.slices}
            for one in decision.stop:
                self.placed.discard(one.slice)
                self.told.discard(one.slice)
                self.stopping(one.slice)
            self.told |= {one.slice for one in decision.tell}
            for name in decision.claims:
                assert name not in self.claims or self.claims[name] == RUN
                self.claims[name] = RUN
            for name in decision.releases:
                del self.claims[name]
        raise AssertionError("it never settles")

    def stopping(self, name: SliceId) -> None:
        """What the agent does when a placement is taken back."""
        if self.slices[name].state.is_on_node:
            self.put(name, state=SliceState.CANCELLED, ended_ms=self.now_ms)

    def put(self, name: str, **changes: object) -> None:
        self.slices[name] = changed(self.slices[name], **changes)

    def place(self) -> None:
        """What the scheduler does."""
        for name, one in self.slices.items():
            if one.state is SliceState.PENDING and one.not_before_ms <= self.now_ms:
                self.put(name, state=SliceState.PLACED, node=NODE, waits_for="")
                self.placed.add(SliceId(name))

    def run(self, *names: str) -> None:
        for name in names:
            self.put(name, state=SliceState.RUNNING, launched_ms=self.now_ms)

    def end(self, name: str, report: Done | Failed | None, state: SliceState | None = None) -> None:
        """What the agent does when a slice's process has ended."""
        ended = state or (SliceState.SUCCEEDED if isinstance(report, Done) else SliceState.FAILED)
        self.now_ms += 1
        self.put(
            name,
            state=ended,
            report=report,
            launched_ms=self.slices[name].launched_ms or 1,
            ended_ms=self.now_ms,
        )
        self.placed.discard(SliceId(name))
        self.told.discard(SliceId(name))

    def succeed(self, name: str) -> None:
        facts = (NodeFacts(f"{name}.source", rows_out=10), NodeFacts(f"{name}.sink", rows_in=10))
        self.end(
            name, Done(nodes=facts, prepared=() if name.startswith("@") else (prepared(name),))
        )

    def go(self, names: Iterable[str]) -> None:
        """Let these slices be placed, run and succeed, one after the other."""
        for name in names:
            self.settle()
            self.place()
            self.settle()
            self.run(name)
            self.settle()
            self.succeed(name)
        self.settle()

    @property
    def claimed(self) -> str:
        return target_hash(prepared(self.dag.scenarios[-1].id))
