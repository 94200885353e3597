"""What of a herd holds for a run: whose word counts, and whether the herd has its pipeline run as it is.

the Barn's record     a project's file says          what holds
none                  anything                       the project's word, which becomes the record
of a project          anything                       the same: on a machine of one's own the file is all there is
declared              the same                       the record
declared              something else                 the record; only what is compiled into a pipeline has to agree: what its sinks may hold
deleted               anything                       nothing runs (`herd_deleted`)

Roles and bindings hold only where they were declared.  What a role shows is compiled into the sinks that are for it, and has to agree as well; without a declaration it is what
the project's file says, since that only ever leaves something out of what the project has anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from msgspec.structs import replace as changed

from runink.contracts.fields import OnDrift
from runink.dag import Check, Dag, Limit, Limits, Sink, SliceSpec, Step
from runink.errors import Conflict, QuotaExceeded, Refused
from runink.herds.record import HerdRecord, SliceBounds
from runink.identity.roles import shown_by_roles
from runink.names import HerdName
from runink.quantities import format_cpu, format_memory, format_moment

DELETED: Final = "herd_deleted"
SHOWN_MAX: Final = 10  # of the slices that are out of bounds
OF_THE_HERD: Final = 0  # in place of the line of a limit that no pipeline has set


def in_force(offered: HerdRecord, known: HerdRecord | None) -> HerdRecord:
    """Return what holds of a herd. `offered` is what a project says, `known` what is in the Barn. Raises Conflict (`herd_deleted`)."""
    if known is not None:
        check_open(known)
        if known.declared is not None:
            return known
    # Who may submit a run could give himself any right by his project's file.
    return changed(offered, roles=(), bindings=())


def check_open(record: HerdRecord) -> None:
    """Raise Conflict (`herd_deleted`) if nothing new may come into the herd."""
    gone = record.deletion
    if gone is None:
        return
    if gone.is_purging:
        hint = f"all of it is being taken away: runi herd purge {record.herd} goes on with that"
    else:
        hint = f"runi herd undelete {record.herd} takes that back until it is purged"
    text = f"herd {record.herd} was deleted by {gone.by}, {format_moment(gone.at_ms)}"
    raise Conflict(text, code=DELETED, hint=hint)


def as_run(dag: Dag, herd: HerdRecord) -> Dag:
    """Return the pipeline as its herd has it run. Raises QuotaExceeded (`slice_bounds`), Refused (`drift_passes`)."""
    _check_bounds(dag, herd)
    return _blocking(dag, herd.herd) if herd.contracts.blocks_drift else dag


def check_agreed(dag: Dag, offered: HerdRecord, herd: HerdRecord) -> None:
    """Raise Conflict (`herd_differs`) where a pipeline was compiled with another word on what its sinks may hold, or on what their roles show, than the one that holds."""
    sinks = [one for one in dag.nodes if isinstance(one, Sink)]
    if any(one.clearance is not None for one in sinks) and offered.clearances != herd.clearances:
        raise _differs("masking and clearances, which are", dag, herd)
    if herd.declared is None:
        return  # its roles give nobody anything, and the project's were compiled in
    ours, theirs = shown_by_roles(herd.roles), shown_by_roles(offered.roles)
    for role in sorted({one.role for one in sinks if one.role}):
        if ours.get(role) != theirs.get(role):
            raise _differs(f"role {role}, whose view is", dag, herd)


def _differs(what: str, dag: Dag, herd: HerdRecord) -> Conflict:
    return Conflict(
        f"herd {herd.herd} is declared in the cluster, and the project's file says something else of {what} compiled into {dag.file}",
        code="herd_differs",
        hint=f"runi herd get {herd.herd} -o toml > herds/{herd.herd}.toml takes what is declared",
    )


def check_goldens(dag: Dag, herd: HerdRecord, is_there: Callable[[str], bool]) -> None:
    """Raise Refused (`golden_required`) where a herd wants goldens and the pipeline has none, or names one that `is_there` does not find."""
    if not herd.contracts.goldens:
        return
    missing = [one.path for one in dag.goldens if not is_there(one.path)]
    if missing or not dag.goldens:
        why = f"there is no {', '.join(missing)}" if missing else "it has none"
        raise Refused(
            f'herd {herd.herd} wants goldens of its pipelines (golden = "required"), and of {dag.file} {why}',
            code="golden_required",
            hint='write @golden("golden/x.csv", key=["id"]) above a scenario, and runi test --update',
        )


def held_within(limits: Limits, bounds: SliceBounds) -> Limits:
    """Return a slice's limits with those of its herd, where its pipeline sets none: who asks for nothing has no more than who asks for the most."""
    return changed(
        limits,
        cpu=_limit(limits.cpu, bounds.cpu_max_m),
        memory=_limit(limits.memory, bounds.memory_max_bytes),
    )


def _limit(own: Limit | None, most: int) -> Limit | None:
    if own is not None and own.line != OF_THE_HERD:
        return own
    return Limit(most, OF_THE_HERD) if most else None


def _check_bounds(dag: Dag, herd: HerdRecord) -> None:
    if herd.bounds == SliceBounds():
        return
    found = [line for spec in dag.slices for line in _out_of_bounds(dag, spec, herd.bounds)]
    if found:
        more = len(found) - SHOWN_MAX
        lines = [*found[:SHOWN_MAX], *([f"and {more} more"] if more > 0 else [])]
        raise QuotaExceeded(
            f"herd {herd.herd} does not take what slices of {dag.file} ask for: {'; '.join(lines)}",
            code="slice_bounds",
            hint="say @requires(cpu=…, memory=…, disk=…, gpu=…) above the step or its scenario; the bounds are [quotas.slice] of the herd's file",
        )


def _out_of_bounds(dag: Dag, spec: SliceSpec, bounds: SliceBounds) -> Iterator[str]:
    disk_bytes = spec.limits.disk.amount if spec.limits.disk is not None else 0
    for what, asked, least, most, told in (
        ("cpu", spec.resources.cpu_m, bounds.cpu_min_m, bounds.cpu_max_m, format_cpu),
        (
            "memory",
            spec.resources.memory_bytes,
            bounds.memory_min_bytes,
            bounds.memory_max_bytes,
            format_memory,
        ),
        ("disk", disk_bytes, 0, bounds.disk_max_bytes, format_memory),
        ("gpu", spec.wants.gpus, 0, bounds.gpu_max, str),
    ):
        if asked < least:
            yield f"{_named(dag, spec)} asks for {what} {told(asked)}, {told(least)} at least"
        elif most and asked > most:
            yield f"{_named(dag, spec)} asks for {what} {told(asked)}, {told(most)} at most"


def _named(dag: Dag, spec: SliceSpec) -> str:
    steps = [name for name in spec.nodes if isinstance(dag.node(name), Step)]
    return f"step {', '.join(steps)}" if steps else f"slice {spec.id}"


def _blocking(dag: Dag, herd: HerdName) -> Dag:
    """Return the pipeline with every check letting nothing through that leaves its contract: it fails the run, or is set aside where the edge says so."""
    passing = [
        one.id for one in dag.nodes if isinstance(one, Check) and one.on_drift is OnDrift.EVOLVE
    ]
    if passing:
        raise Refused(
            f'herd {herd} lets no drift through (drift = "block"), and {", ".join(passing)} of {dag.file} would: on_drift=evolve',
            code="drift_passes",
            hint="say on_drift=fail or on_drift=deadletter at the contract",
        )
    nodes = tuple(
        changed(one, on_drift=OnDrift.FAIL)
        if isinstance(one, Check) and one.on_drift is OnDrift.NOTE
        else one
        for one in dag.nodes
    )
    return dag if nodes == dag.nodes else changed(dag, nodes=nodes)
