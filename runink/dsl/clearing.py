"""Personal data on its way to sinks: what each of them is cleared for, what it gets masked, and what must not reach it.

The Dag is gone through in the order of its streams (`carried.py`, `queries.py`).  A sink gets its `Clearance`: the fields to be masked, and the columns that
are known to come.  Where something reaches a sink that is neither cleared nor masked, that is a finding at the sink.

    the column has a contract's field as it is     masked by the contract, or as the herd's file says
    it was made of such fields                     the contract in front of the sink names it and a mask; else it must be cleared
    columns are not known                          it must be cleared for all that may be in them
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace as changed

from runink.clearances import EVERYTHING, ClearancePolicy
from runink.contracts.fields import FieldSpec, Kind
from runink.contracts.hidden import Clearance, hidden_field, is_keyed
from runink.contracts.masks import BadMask, read_mask
from runink.dag import (
    MAIN,
    REJECTED,
    Check,
    Dag,
    Executable,
    Function,
    Link,
    Node,
    Sink,
    Source,
    Sql,
    Step,
)
from runink.dsl.carried import (
    NONE,
    NOTHING,
    Carried,
    Held,
    Inputs,
    Origin,
    Origins,
    as_text,
    checked,
    mapped,
    merged,
    opaque,
    origins_of,
)
from runink.dsl.diagnostics import Findings
from runink.dsl.queries import queried
from runink.errors import Span
from runink.topology import topological

SHOWN_MAX: Final = 3  # fields or columns in a message: who mends three has seen what is wrong
_MADE: Final = ", in a form of its own: no @contract in front of the sink names it and a mask"


def cleared(
    dag: Dag, policy: ClearancePolicy, spans: Mapping[str, Span], findings: Findings
) -> Dag:
    """Return the pipeline with what its sinks are cleared for. `spans` are the sinks' places in the file."""
    if not any(_has_personal(node) for node in dag.nodes):
        return dag
    walk = _Walk(dag, policy)
    nodes: list[Node] = []
    for node in walk.nodes():
        if isinstance(node, Sink):
            found = walk.sinks[node.id]
            for text, hint in found.problems:
                findings.add("D080", text, spans.get(node.id), hint)
            nodes.append(changed(node, clearance=found.clearance))
        else:
            nodes.append(node)
    for source, field, contract in walk.misread:
        text = f"{contract} takes {field.name} for a {field.kind.value}, and comes behind its mask, {field.mask}, which makes text of it"
        hint = "tokenise keeps the kind; or let the contract say str"
        findings.add("D081", text, spans.get(source), hint)
    facts = tuple(
        changed(one, clearances=tuple(sorted(walk.reaching[one.node]))) for one in dag.facts
    )
    return changed(dag, nodes=tuple(nodes), facts=facts)


def _has_personal(node: Node) -> bool:
    return isinstance(node, Check) and any(
        True for spec in node.contract.fields for _ in origins_of("", spec)
    )


class _Found:
    """What was found of one sink."""

    def __init__(self, node: Sink, cleared_for: frozenset[str]) -> None:
        self.node = node
        self.cleared_for = cleared_for
        self.refused: dict[tuple[Origins, str], list[str]] = {}  # columns, by what and why
        self.problems: list[tuple[str, str]] = []
        self.clearance: Clearance | None = None

    def lacking(self, origins: Origins) -> Origins:
        if EVERYTHING in self.cleared_for:
            return frozenset()
        return frozenset(one for one in origins if one.pii not in self.cleared_for)


class _Walk:
    """Goes through the nodes so that each comes behind all that it reads."""

    def __init__(self, dag: Dag, policy: ClearancePolicy) -> None:
        self._dag = dag
        self._policy = policy
        self._carried: dict[str, Carried] = {}
        self._into: dict[str, list[Link]] = {node.id: [] for node in dag.nodes}
        for link in dag.links:
            self._into[link.target].append(link)
        self.sinks: dict[str, _Found] = {}
        self.reaching: dict[str, set[str]] = {}  # kinds of personal data
        self.misread: list[tuple[str, FieldSpec, str]] = []  # source, field, contract

    def nodes(self) -> Iterable[Node]:
        """Return the nodes as they stand in the Dag; then all of them have been gone through."""
        known = self._dag.index.nodes
        needs = {
            name: frozenset(link.source for link in links) for name, links in self._into.items()
        }
        for node in self._dag.nodes:
            if isinstance(node, Source) and node.staged_from:
                needs[node.id] |= {node.staged_from}
        ordered = topological(tuple(known), needs)
        assert ordered is not None, "circles are told before"
        for name in ordered:
            came = self._came(known[name])
            found = self._carried[name] = self._behind(known[name])
            self.reaching[name] = {one.pii for one in (*came, *found.origins)}
        return self._dag.nodes

    def _came(self, node: Node) -> Origins:
        return NONE.union(*(self._carried[link.source].origins for link in self._into[node.id]))

    def _behind(self, node: Node) -> Carried:
        match node:
            case Source():
                return self._carried[node.staged_from] if node.staged_from else NOTHING
            case Check():
                self._check_masked(node)
                return checked(self._main(node), node.contract, node.on_drift)
            case Step():
                return _done(node, self._inputs(node))
            case Sink(dead_letter=True):
                return self._at_sink(node, self._rejected(node))
            case Sink():
                return self._at_sink(node, self._main(node))

    def _main(self, node: Node) -> Carried:
        links = self._into[node.id]
        return merged(self._carried[link.source] for link in links if link.role in (MAIN, REJECTED))

    def _inputs(self, node: Step) -> Inputs:
        sides: dict[str, list[Carried]] = {}
        for link in self._into[node.id]:
            if link.role != MAIN:
                sides.setdefault(link.role, []).append(self._carried[link.source])
        return Inputs(self._main(node), {name: merged(found) for name, found in sides.items()})

    def _rejected(self, node: Sink) -> Carried:
        """Return what a dead letter gets: rows as they came to a check, in which the contract's fields are personal already."""
        checks = {one.id: one for one in self._dag.nodes if isinstance(one, Check)}
        found = []
        for link in self._into[node.id]:
            check = checks[link.source]
            came = self._main(check)
            behind = checked(came, check.contract).columns or {}
            named = {name: Held(held.origins, as_text(held.field)) for name, held in behind.items()}
            # Columns that the contract does not name are set aside, too.
            others = {
                name: held for name, held in (came.columns or {}).items() if name not in behind
            }
            found.append(Carried(others | named, came.rest))
        return merged(found)

    def _check_masked(self, check: Check) -> None:
        """Note where a contract reads a field whose mask has made text of it, which none of its values would pass."""
        for link in self._into[check.id]:
            source = next(one for one in self._dag.nodes if one.id == link.source)
            if not isinstance(source, Source) or not source.staged_from:
                continue
            sink = self.sinks[source.staged_from]
            masked = sink.clearance.masked if sink.clearance is not None else ()
            for field in masked:
                wanted = [one for one in check.contract.fields if one.name == field.name]
                if (
                    field.kind is not hidden_field(field).kind
                    and wanted
                    and wanted[0].kind is field.kind
                ):
                    self.misread.append((source.id, field, check.contract.name))

    # Sinks.

    def _at_sink(self, node: Sink, came: Carried) -> Carried:
        found = _Found(node, self._policy.cleared(node.uri))
        self.sinks[node.id] = found
        reaching = {one.pii for one in came.origins}
        relied = found.cleared_for & reaching if EVERYTHING not in found.cleared_for else reaching
        found.clearance = Clearance(tuple(sorted(relied))) if reaching else None
        if not found.lacking(came.origins):
            return came
        masked: list[FieldSpec] = []
        behind: dict[str, Held] = {}
        for name, held in (came.columns or {}).items():
            field = self._masked(name, held, found)
            if field is None:
                behind[name] = held
            else:
                masked.append(field)
                kept = held.origins - found.lacking(held.origins)
                behind[name] = Held(kept, hidden_field(field))
        self._tell(came, found)
        is_open = came.columns is None or came.is_open or node.dead_letter
        found.clearance = Clearance(
            tuple(sorted(relied)),
            tuple(masked),
            None if is_open else tuple(behind),
            any(is_keyed(field) for field in masked),
        )
        columns = behind if came.columns is not None else None
        return Carried(columns, came.rest, came.why, is_open=is_open)

    def _masked(self, name: str, held: Held, found: _Found) -> FieldSpec | None:
        """Return the field that says how a column is masked, nothing where it need not be; what cannot be masked is told."""
        lacking = found.lacking(held.origins)
        if not lacking:
            return None
        problem = _MADE
        if held.field is not None:
            contract = min(lacking).contract
            field, problem = self._with_masks(held.field, contract, found)
            if not problem:
                return changed(field, name=name)
        found.refused.setdefault((lacking, problem), []).append(name)
        return None

    def _tell(self, came: Carried, found: _Found) -> None:
        """Tell what reaches a sink that it must not: columns that hold the same for the same reason in one."""
        node = found.node
        lacking = found.lacking(came.rest)
        if lacking:
            text = f"{node.uri} may hold {_listed(lacking)}, which it is not cleared for: {came.why or 'what comes in is not known'}"
            found.problems.append((text, _clearing(node, lacking)))
        for (lacking, problem), names in found.refused.items():
            one = "column" if len(names) == 1 else "columns"
            hold = "holds" if len(names) == 1 else "hold"
            text = f"{one} {_some(names)} of {node.uri} {hold} {_listed(lacking)}, which the sink is not cleared for{problem}"
            why = f" ({came.why})" if came.why else ""
            found.problems.append((f"{text}{why}", _clearing(node, lacking)))

    def _with_masks(self, field: FieldSpec, contract: str, found: _Found) -> tuple[FieldSpec, str]:
        """Return a field that has a mask wherever it is or holds personal data, and what prevents that, if something does."""
        inner = (*field.fields, *((field.items,) if field.items is not None else ()))
        holds = [bool(found.lacking(frozenset(origins_of(contract, one)))) for one in inner]
        is_personal = bool(field.pii and found.lacking(frozenset({Origin("", "", field.pii)})))
        if is_personal or not any(holds):
            return self._with_mask(field, contract)
        fields = list(inner)
        for at, one in enumerate(inner):
            if holds[at]:
                fields[at], problem = self._with_masks(one, contract, found)
                if problem:
                    return field, problem
        if field.items is not None:
            return changed(field, mask="", items=fields[-1]), ""
        return changed(field, mask="", fields=tuple(fields)), ""

    def _with_mask(self, field: FieldSpec, contract: str) -> tuple[FieldSpec, str]:
        mask = field.mask or self._policy.mask_of(contract, field.name)
        if not mask:
            return field, ", and nothing says how it is masked"
        try:
            read_mask(mask, field.kind)
        except BadMask as error:
            if field.mask or field.kind not in (Kind.RECORD, Kind.LIST):
                return field, f": {error}"
            mask = "redact"  # the herd's mask is meant for values, and these are several
        return changed(field, mask=mask), ""


def _done(node: Step, inputs: Inputs) -> Carried:
    """Return what a step gives."""
    match node.action:
        case Sql(query=query):
            return queried(inputs, query)
        case Function(maps=dict() as maps, name=name):
            return mapped(inputs, maps, f"step {name} passes on columns that are not known")
        case Function(name=name):
            return opaque(inputs, f"step {name} does not say which columns it makes of which")
        case Executable(command=command):
            return opaque(inputs, f"{command[0]} is a program, which nobody can look into")


def _listed(origins: Origins) -> str:
    return _some(sorted({f"{one} (pii={one.pii})" for one in origins}))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN_MAX} more" if len(names) > SHOWN_MAX else ""
    return ", ".join(names[:SHOWN_MAX]) + more


def _clearing(node: Sink, lacking: Origins) -> str:
    kinds = ", ".join(f'"{kind}"' for kind in sorted({one.pii for one in lacking}))
    return f'name a mask= for the field, or clear the sink in the herd\'s file: [[clearances]] sink = "{node.uri}", pii = [{kinds}]'
