"""`runi why`: why a run waits, why its slices are where they are, what would change that, and decisions of the past made again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import click
import msgspec

from runink.cli.asked_runs import find_run
from runink.cli.asking import Asker, Where, asked, asks_cluster
from runink.cli.exits import ExitCode
from runink.cli.options import output_option
from runink.cli.summary import short
from runink.cli.wording import echo_json, harmless
from runink.errors import NotFound
from runink.operations.catalog import slices
from runink.operations.catalog.nodes import REPLAY, ReplayDocument
from runink.operations.catalog.slices import PlacedSlice, WhyDocument
from runink.quantities import counted, format_moment
from runink.runs.records import no_slice
from runink.scheduling.answers import (
    AwaitedNodes,
    Candidate,
    GangAnswer,
    MovedFrom,
    Replayed,
    ShutNode,
    WhyAnswer,
)

SHUT_TOLD_MAX: Final = 5  # nodes that take nothing new; one of them is enough
_BY = {"solver": "the solver"}
_OF_RUN = "the run's"  # `--replay` without a revision


@click.command()
@click.argument("run_id", metavar="RUN", required=False)
@click.argument("name", metavar="SLICE", required=False)
@click.option(
    "--if",
    "changes",
    multiple=True,
    metavar="CHANGE",
    help='What if this were so: "drain w1", "node w9 cpu=8 memory=32Gi", "quota HERD cpu=8", "priority 7"; may be repeated.',
)
@click.option(
    "--replay",
    metavar="[REVISION]",
    is_flag=False,
    flag_value=_OF_RUN,
    help="Make the decision on this revision of the Barn again, or the one that placed the run.",
)
@output_option
@asks_cluster
def why(
    run_id: str | None,
    name: str | None,
    *,
    changes: tuple[str, ...],
    replay: str | None,
    output: str,
    where: Where,
) -> None:
    """Say why RUN waits, or why its slices are where they are. RUN is an id, its beginning, or `last`.

    For what waits it counts which rule keeps it from how many nodes, says what would make it fit, and who is ahead. For what has a node: which nodes it could have had and what each would have
    cost, when that was decided.
    """
    if replay is not None and replay != _OF_RUN and not replay.isdecimal():
        if run_id is not None:
            raise click.BadParameter("a revision is a number", param_hint="--replay")
        run_id, replay = replay, _OF_RUN
    if run_id is None and replay in (None, _OF_RUN):
        raise click.UsageError("name a run, or a revision: runi why RUN, runi why --replay 123")
    if replay is not None:
        if changes:
            raise click.UsageError("--if is about now, --replay about then")
        with asked(where) as client:
            decision = replay if replay != _OF_RUN else _decision(client, where, run_id or "", name)
            found: ReplayDocument = client.call(REPLAY, decision=decision)
        _tell_replayed(found, output)
        return
    with asked(where) as client:
        run = find_run(client, where, run_id or "")
        fields: dict[str, Any] = {"herd": run.herd, "run": run.run, "changes": changes}
        answer: WhyDocument = client.call(slices.WHY, slice=name, **fields)
    if output == "json":
        echo_json(answer)
    else:
        click.echo("\n".join(map(harmless, lines_of(answer))))


# Why.


def lines_of(answer: WhyAnswer | WhyDocument) -> Iterator[str]:
    """Say an answer to a person."""
    yield f"run {short(answer.run)} of herd {answer.herd}: {answer.state}"
    if answer.if_:
        yield f"if {'; '.join(answer.if_)}"
    if not answer.gangs:
        yield f"  it has no slices yet{f': {answer.waits_for}' if answer.waits_for else ''}"
    for gang in answer.gangs:
        yield from _gang_lines(gang, answer.nodes)
    if answer.if_:
        yield from _difference_lines(answer)


def _gang_lines(gang: GangAnswer, nodes: int) -> Iterator[str]:
    what = (
        f"{gang.gang}" if gang.slices == (gang.gang,) else f"{gang.gang} ({', '.join(gang.slices)})"
    )
    match gang.stands:
        case "waiting":
            yield f"  {what} waits: {gang.text}"
            yield f"    place {gang.position} of {gang.queue} in the queue{_behind(gang)}, priority {gang.priority}"
            yield f"    of {counted(nodes, 'node')}: {_counts(gang.counts)}"
            if gang.awaits is not None:
                yield f"    {_awaits(gang.awaits, gang.decided_ms)}"
            if gang.shut:
                yield f"    {_shut(gang.shut)}"
            if gang.is_final:
                yield "    it will never fit as things are"
            for part in gang.parts:
                for remedy in part.remedies:
                    yield f"    it would fit with {remedy}"
            if gang.kept:
                yield f"    kept for it: {', '.join(gang.kept)}{_from(gang.kept_ms)}"
            if gang.stops:
                yield f"    stopped for it: {', '.join(gang.stops)}"
        case "placed":
            yield f"  {what} is placed on {', '.join(gang.nodes)}"
            yield f"    decided on revision {gang.decision}, {format_moment(gang.decided_ms)}, priority {gang.priority}"
            for part, node in zip(gang.parts, gang.nodes, strict=True):
                refused = f"{_counts(part.counts)}, " if part.counts else ""
                yield f"    of {counted(sum(part.counts.values()) + part.fitting, 'node')}: {refused}fits {part.fitting}"
                for one in part.candidates:
                    yield f"      {_candidate(one)}{', taken' if one.node == node else ''}"
            if gang.moved is not None:
                yield f"    {_moved(gang.moved)}"
        case _:
            yield f"  {what}: {gang.text}"
    if gang.remark:
        yield f"    {gang.remark}"


def _moved(moved: MovedFrom) -> str:
    """Say that the finish of a plan put a gang elsewhere."""
    others = f", and {moved.more} more {'find' if moved.more > 1 else 'finds'} a place" * bool(
        moved.more
    )
    return (
        f"it was first to go to {', then to '.join(moved.nodes)}, and {_BY.get(moved.by, moved.by)} moved it before that was done:"
        f" what was moved with it cost {moved.cost_before} and costs {moved.cost_after}{others}"
    )


def _awaits(awaits: AwaitedNodes, now_ms: int) -> str:
    nodes = f"node{'s' * (len(awaits.nodes) > 1)} {', '.join(awaits.nodes)}"
    if not awaits.lost_ms:
        return f"{nodes} would fit, and went away just now"
    ago_s = max(now_ms - awaits.lost_ms, 0) // 1000
    return (
        f"{nodes}, lost {ago_s:,} s ago, would fit: waiting until {format_moment(awaits.back_ms)}"
    )


def _shut(nodes: Sequence[ShutNode]) -> str:
    named = ", ".join(f"{one.node} ({one.state})" for one in nodes[:SHUT_TOLD_MAX])
    more = len(nodes) - SHUT_TOLD_MAX
    others = f" and {more:,} more" if more > 0 else ""
    return f"only {named}{others} could hold it, and nothing new goes there: it waits for as long as that is so"


def _behind(gang: GangAnswer) -> str:
    return f", behind {', '.join(gang.ahead)}" if gang.ahead else ""


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{rule} {count}" for rule, count in counts.items())


def _candidate(one: Candidate) -> str:
    parts = ", ".join(f"{name.replace('_', ' ')} {cost}" for name, cost in one.of.items())
    return f"{one.node} costs {one.cost}{f' ({parts})' if parts else ''}"


def _from(at_ms: int) -> str:
    return f", from about {format_moment(at_ms)}" if at_ms else ""


def _difference_lines(answer: WhyAnswer | WhyDocument) -> Iterator[str]:
    if not answer.differences:
        yield "  nothing that waits would get another place"
    for one in answer.differences:
        yield f"  {one.unit}"
        yield f"    now   {one.before}"
        yield f"    then  {one.after}"


# Replay.


def _decision(client: Asker, where: Where, run_id: str, name: str | None) -> str:
    """Return the revision on which a run, or one of its slices, was placed last. Raises NotFound."""
    run = find_run(client, where, run_id)
    placed: list[PlacedSlice] = list(client.call(slices.PLACEMENTS, herd=run.herd, run=run.run))
    if name is not None and name not in {one.slice for one in placed}:
        raise no_slice(name, [one.slice for one in placed])
    decision = max((one.decision for one in placed if name in (None, one.slice)), default=0)
    if not decision:
        raise NotFound(
            f"nothing of run {short(run.run)} has been placed yet",
            code="no_such_decision",
            hint="runi why RUN says why it waits",
        )
    return str(decision)


def _tell_replayed(found: ReplayDocument, output: str) -> None:
    if output == "json":
        document: dict[str, Any] = msgspec.to_builtins(found.decision)
        echo_json({**document, "same": found.is_same})
    else:
        click.echo("\n".join(map(harmless, replay_lines(found.decision))))
    if not found.is_same:
        raise SystemExit(ExitCode.FAILED)


def replay_lines(found: Replayed) -> Iterator[str]:
    """Say a decision that was made again."""
    yield f"decision on revision {found.revision}, {format_moment(found.decided_ms)}"
    for placed in found.placed:
        yield f"  placed   {placed.unit} on {', '.join(placed.nodes)}"
    for one_moved in found.moved:
        yield f"  moved    {one_moved.unit}: {_moved(one_moved.moved)}"
    for stopped in found.stopped:
        yield f"  stopped  {stopped.unit} for {stopped.by}"
    for one in found.waiting:
        yield f"  waits    {one.unit}, place {one.position}: {_counts(one.counts)}"
    if found.finish:
        yield f"finished: {found.finish}"
    told = "as it was then" if found.digest == found.stored else f"then it was {found.stored}"
    yield f"digest {found.digest}, {told}"
