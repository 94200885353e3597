"""Where the dead letters of a run lie: published, or aside of one that may still be resumed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from runink.dag import Dag, Sink
from runink.jobs import Done, Prepared
from runink.runs.records import RunRecord, RunState, SliceRecord


class Letter(NamedTuple):
    """A dead letter that holds rows, and where it lies: a path of its run's machine, or a URI."""

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


def letters_of(record: RunRecord, dag: Dag, slices: Iterable[SliceRecord]) -> list[Letter]:
    """Return what a run that succeeded has published, or what one that did not has aside and keeps."""
    sinks = dead_sinks(dag)
    if record.state is RunState.SUCCEEDED:
        return [
            Letter(sinks[one.sink], one.target, one)
            for one in record.prepared
            if one.sink in sinks and one.rows
        ]
    reports = [one.report for one in slices if one.slice in record.kept]
    return [
        Letter(sinks[one.sink], one.aside, one)
        for report in reports
        if isinstance(report, Done)
        for one in report.prepared
        if one.sink in sinks and one.rows
    ]
