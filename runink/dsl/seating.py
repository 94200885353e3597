"""Who stands with whom: `colocate_with` and `anti` of steps, found out for the slices that these are in.

    colocate_with="step:X"   both slices are on one node: their gangs are one from then on, or, where one reads what the other has prepared, the later one
                             goes to the node of the earlier one.  What one of them asks of the node's labels, both do
    anti="step:X"            never on a node with X of the same run
    anti=WORD                never on a node with another slice of the herd that says the word
    domain=LABEL             the pipeline's slices are spread over the label's values; with skew=N no value ever has more than N more of them than another
    grace=TIME               all of its gang have as much when they are told to give way: the most that one of them asks for

What contradicts itself is told: slices that are joined by pipes share a node, and so do all of a run that writes files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace as changed

from runink.dag import Dag, SliceSpec, Step
from runink.dsl.asks import Asks
from runink.dsl.diagnostics import Findings
from runink.dsl.parts import Parts
from runink.dsl.slicing import Wish
from runink.dsl.syntax import Text
from runink.errors import Span
from runink.gang_parts import writes_files
from runink.labels import contradiction, label_rules
from runink.quantities import format_duration
from runink.suggestions import near, near_or_all
from runink.topology import joined
from runink.wants import NOTHING_MORE, PIPELINE, STEP


@dataclass(frozen=True, slots=True)
class _Asked:
    """That a step names another one."""

    text: Text
    step: str
    other: str


def seated(dag: Dag, parts: Sequence[Parts], findings: Findings) -> Dag:
    """Return the pipeline with its slices where their steps want to stand; what contradicts itself is told."""
    asks = dict(_asks(parts))
    steps = _Steps(parts)
    together = list(steps.asked(asks, "together", findings))
    apart = list(steps.asked(asks, "apart", findings))
    dag = _joined(dag, together)
    seats = _Seats(dag, parts, together, findings)
    seats.check_labels(together)
    seats.check_apart(apart)
    seats.check_words(asks)
    seats.check_spread()
    dag = changed(dag, slices=tuple(_placed(dag, seats, apart)))
    facts = (changed(one, labels=dag.slice_of(one.node).labels) for one in dag.facts)
    return changed(dag, facts=tuple(facts))


def _asks(parts: Sequence[Parts]) -> Iterator[tuple[str, Asks]]:
    for part in parts:
        for name, node in part.nodes.items():
            if isinstance(node, Step):
                yield name, part.wishes.get(name, Wish()).asks.over(part.default.asks)


class _Steps:
    """Finds the steps that others name: by the name that they are given, by their own, or with the scenario in front."""

    def __init__(self, parts: Sequence[Parts]) -> None:
        self._scenario = {name: part.outline.id for part in parts for name in part.nodes}
        self._called: dict[tuple[str, str], str] = {}
        for part in parts:
            for name, node in part.nodes.items():
                if isinstance(node, Step):
                    self._called[part.outline.id, name.partition(".")[2]] = name
            for name, step in part.called.items():
                self._called[part.outline.id, name] = step

    def asked(self, asks: Mapping[str, Asks], field: str, findings: Findings) -> Iterator[_Asked]:
        """Yield what steps say of others; a step that is not there is told once."""
        told: set[Span] = set()
        for step, said in asks.items():
            for text in getattr(said, field) or ():
                if not text.value.startswith(STEP) or text.span in told:
                    continue
                other = self._found(text, self._scenario[step], findings)
                if other is None:
                    told.add(text.span)
                else:
                    yield _Asked(text, step, other)

    def _found(self, text: Text, scenario: str, findings: Findings) -> str | None:
        name = text.value.removeprefix(STEP)
        own = self._called.get((scenario, name))
        if own is not None:
            return own
        home, _, bare = name.partition(".")
        there = [step for (_, called), step in self._called.items() if called == name]
        found = self._called.get((home, bare)) or (there[0] if len(there) == 1 else None)
        if found is None:
            if there:
                listed = " or ".join(f"{STEP}{one}" for one in there)
                told, hint = f"several scenarios have a step {name}", f"say which: {listed}"
            else:
                told = f"there is no step {name} in the pipeline"
                known = sorted({called for _, called in self._called})
                hint = near(name, known, prefix=STEP) or near_or_all("", known)
            findings.add("D050", told, text.span, hint)
        return found


def _joined(dag: Dag, together: Iterable[_Asked]) -> Dag:
    """Make one gang of those that are to stand together, unless one of them waits for the other."""
    for one in together:
        gangs = dag.gangs()
        ours, theirs = (dag.slice_of(name).gang for name in (one.step, one.other))
        if ours == theirs or _waits(dag, ours, theirs) or _waits(dag, theirs, ours):
            continue
        keep, lose = sorted((ours, theirs), key=list(gangs).index)
        slices = (changed(spec, gang=keep) if spec.gang == lose else spec for spec in dag.slices)
        dag = changed(dag, slices=tuple(slices))
    for one in together:
        spec, mate = dag.slice_of(one.step), dag.slice_of(one.other)
        if spec.gang != mate.gang:
            late, early = (spec, mate) if _waits(dag, spec.gang, mate.gang) else (mate, spec)
            beside = tuple(sorted({*late.wants.beside, early.gang}))
            dag = _with(dag, changed(late, asks=changed(late.wants, beside=beside)))
    return dag


def _with(dag: Dag, spec: SliceSpec) -> Dag:
    return changed(dag, slices=tuple(spec if one.id == spec.id else one for one in dag.slices))


def _waits(dag: Dag, late: str, early: str) -> bool:
    """Say whether a gang begins only when the other has prepared its output."""
    needs = dag.gang_needs()
    seen, left = {late}, [late]
    while left:
        for name in needs[left.pop()] - seen:
            seen.add(name)
            left.append(name)
    return early in seen


class _Seats:
    """Which slices share a node because somebody says so, and what contradicts that."""

    def __init__(
        self, dag: Dag, parts: Sequence[Parts], together: Iterable[_Asked], findings: Findings
    ) -> None:
        self._dag = dag
        self._findings = findings
        self._spans = {name: span for part in parts for name, span in part.spans.items()}
        self._scenarios = {part.outline.id: part.outline.span for part in parts}
        pairs = ((dag.slice_of(one.step).id, dag.slice_of(one.other).id) for one in together)
        self._first = joined((spec.id for spec in dag.slices), pairs)
        mates: dict[str, list[SliceSpec]] = {}
        for spec in dag.slices:
            mates.setdefault(self._first[spec.id], []).append(spec)
        self._mates = {name: tuple(specs) for name, specs in mates.items()}

    def mates(self, spec: SliceSpec) -> tuple[SliceSpec, ...]:
        """Return the slices that are to be on one node with this one, itself among them."""
        return self._mates[self._first[spec.id]]

    def labels(self, spec: SliceSpec) -> tuple[str, ...]:
        return tuple(sorted({label for one in self.mates(spec) for label in one.labels}))

    def check_labels(self, together: Iterable[_Asked]) -> None:
        told: set[str] = set()
        for spec in self._dag.slices:
            found = contradiction(label_rules(spec.labels))
            if found is not None:
                told.add(self._first[spec.id])
                text = f"no node has labels as {spec.id} asks for: {found[0]} and {found[1]}"
                self._findings.add("D028", text, self._span(spec), "take one of them away")
        for one in together:
            spec = self._dag.slice_of(one.step)
            found = contradiction(label_rules(self.labels(spec)))
            if found is None or self._first[spec.id] in told:
                continue
            told.add(self._first[spec.id])
            text = f"{one.step} and {one.other} cannot stand together: they ask for {found[0]} and {found[1]}"
            labels = [(self._spans[one.other], "the other step")]
            hint = "take colocate_with away, or one of the labels"
            self._findings.add("D028", text, one.text.span, hint, labels=labels)

    def check_spread(self) -> None:
        """Tell of gangs that are held to an even spread by several labels: a gang has one node where that can be, and is counted by one of them."""
        for specs in self._dag.gangs().values():
            held = {spec.wants.domain: spec for spec in specs if spec.wants.skew}
            if len(held) > 1:
                (domain, first), (other_domain, other), *_ = held.items()
                text = f"{first.id} is spread by {domain} and {other.id} by {other_domain}, each with a skew, and they start together"
                labels = [(self._span(first), "the other one")]
                hint = "take one skew away, or name one domain"
                self._findings.add("D028", text, self._span(other), hint, labels=labels)

    def _span(self, spec: SliceSpec) -> Span:
        """Return where a slice begins in the file."""
        spans = (self._spans[name] for name in spec.nodes if name in self._spans)
        return next(spans, self._scenarios[spec.scenario])

    def check_apart(self, apart: Iterable[_Asked]) -> None:
        for one in apart:
            why = self._why_together(self._dag.slice_of(one.step), self._dag.slice_of(one.other))
            if why:
                text = f"{one.step} cannot stand apart from {one.other}: {why}"
                labels = [(self._spans[one.other], "the other step")]
                self._findings.add("D028", text, one.text.span, "take anti away", labels=labels)

    def check_words(self, asks: Mapping[str, Asks]) -> None:
        """Tell of words that two slices of a run say that share a node."""
        first: dict[tuple[str, str], str] = {}
        for step, said in asks.items():
            for text in said.apart or ():
                if text.value.startswith(STEP):
                    continue
                for (word, _), other in first.items():
                    ours, theirs = self._dag.slice_of(step), self._dag.slice_of(other)
                    if word != text.value or ours.id == theirs.id:
                        continue
                    why = self._why_together(ours, theirs)
                    if why:
                        told = (
                            f"{step} cannot stand apart from {other}, which says {word}, too: {why}"
                        )
                        hint = "take anti away from one of them"
                        self._findings.add("D028", told, text.span, hint)
                        break
                first.setdefault((text.value, self._dag.slice_of(step).id), step)

    def _why_together(self, ours: SliceSpec, theirs: SliceSpec) -> str:
        """Say why two slices of a run share a node, nothing if they need not."""
        if ours.id == theirs.id:
            return "they share a process"
        if self._first[ours.id] == self._first[theirs.id]:
            return "colocate_with puts them on one node"
        if ours.gang == theirs.gang:
            return "they are joined by pipes, and on one node where that can be"
        if writes_files(self._dag):
            return "all of a run that writes files is on one node"
        return ""


def _placed(dag: Dag, seats: _Seats, apart: Iterable[_Asked]) -> Iterator[SliceSpec]:
    named: dict[tuple[str, str], str] = {}
    groups: dict[str, set[str]] = {}
    for one in apart:
        named[dag.slice_of(one.step).id, one.text.value] = f"{STEP}{one.other}"
        groups.setdefault(dag.slice_of(one.other).id, set()).add(f"{STEP}{one.other}")
    patience_ms: dict[str, int] = {}
    for spec in dag.slices:
        patience_ms[spec.gang] = max(patience_ms.get(spec.gang, 0), spec.wants.grace_ms)
    for spec in dag.slices:
        wants = spec.wants
        grace_ms = patience_ms[spec.gang]
        mine = groups.get(spec.id, set()) | {one for one in wants.anti if not one.startswith(STEP)}
        if wants.domain:
            mine.add(f"{PIPELINE}{dag.pipeline}")
        wants = changed(
            wants,
            groups=tuple(sorted(mine)),
            anti=tuple(sorted({named.get((spec.id, one), one) for one in wants.anti})),
            grace_ms=grace_ms,
        )
        mates = seats.mates(spec)
        if len(mates) > 1:
            wants = changed(wants, together=mates[0].id)
        others = [one.id for one in mates if one.id != spec.id]
        why = f"{spec.why}; on one node with {', '.join(others)}" if others else spec.why
        if grace_ms > spec.wants.grace_ms:
            why = f"{why}; grace {format_duration(grace_ms)}, as another of its gang asks"
        asks = msgspec.UNSET if wants == NOTHING_MORE else wants
        yield changed(spec, labels=seats.labels(spec), asks=asks, why=why)
