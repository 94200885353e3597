"""Where what a run has written lies: its outputs, where they are published; its dead letters, published or aside of a run that may still be resumed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from runink.dag import Dag, Sink
from runink.jobs import Done, Prepared
from runink.runs.records import RunRecord, RunState, SliceRecord


class Written(NamedTuple):
    """What a sink has written, and where it lies: a path of its run's machine, or a URI."""

    sink: Sink
    place: str
    prepared: Prepared

    @property
    def is_file(self) -> bool:
        """Whether only its machine reaches it."""
        return self.prepared.kind == "file" and "://" not in self.place


def dead_sinks(dag: Dag) -> dict[str, Sink]:
    """Return the sinks that rejected rows go to, by their ids."""
    return {node.id: node for node in dag.nodes if isinstance(node, Sink) and node.dead_letter}


def outputs_of(record: RunRecord, dag: Dag) -> list[Written]:
    """Return what a run has published for people to use: all that it has written but dead letters, and nothing before it has succeeded."""
    if record.state is not RunState.SUCCEEDED:
        return []
    dead = dead_sinks(dag)
    sinks = {one.id: one for one in dag.nodes if isinstance(one, Sink) and one.id not in dead}
    return [
        Written(sinks[one.sink], one.target, one) for one in record.prepared if one.sink in sinks
    ]


def letters_of(record: RunRecord, dag: Dag, slices: Iterable[SliceRecord]) -> list[Written]:
    """Return the dead letters that hold rows: what a run that succeeded has published, or what one that did not has aside and keeps."""
    sinks = dead_sinks(dag)
    if record.state is RunState.SUCCEEDED:
        return [
            Written(sinks[one.sink], one.target, one)
            for one in record.prepared
            if one.sink in sinks and one.rows
        ]
    reports = [one.report for one in slices if one.slice in record.kept]
    return [
        Written(sinks[one.sink], one.aside, one)
        for report in reports
        if isinstance(report, Done)
        for one in report.prepared
        if one.sink in sinks and one.rows
    ]
