"""Metrics: every one that a part of Runink tells, its meaning in one table, and their text as Prometheus reads it.

A part keeps its numbers as it likes and hands them over as `Reading`s, which travel like any message; only who shows them needs the table.

The text is the exposition format 0.0.4: a name's HELP and TYPE, then a line for each reading of it.  Label values are escaped: one quotation mark in one
would otherwise make all of it unreadable.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

import msgspec


class Kind(Enum):
    COUNTER = "counter"  # only grows, from 0 at the start of its process
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """What a metric is. `bounds` are the upper ends of a histogram's buckets, in the unit that its name ends with."""

    name: str
    kind: Kind
    help: str
    bounds: tuple[float, ...] = ()


# From a sync that a good disk does in a fifth of a millisecond to what a person would call standing still.
SECONDS: Final = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)  # fmt: skip


def _table(*rows: tuple[str, str, str]) -> dict[str, Metric]:
    return {
        name: Metric(name, Kind(kind), text, SECONDS if Kind(kind) is Kind.HISTOGRAM else ())
        for name, kind, text in rows
    }


METRICS: Final = _table(
    ("runink_barn_is_leader", "gauge", "1 while this member leads."),
    ("runink_barn_has_leader", "gauge", "1 while this member knows who leads."),
    ("runink_barn_leader_changes_total", "counter", "How often this member has come to know another leader."),
    ("runink_barn_term", "gauge", "The term of consensus."),
    ("runink_barn_committed_index", "gauge", "The last entry of the log that is committed."),
    ("runink_barn_applied_index", "gauge", "The last entry of the log that is applied."),
    ("runink_barn_snapshot_index", "gauge", "The last entry in the newest snapshot."),
    ("runink_barn_members", "gauge", "How many members the group has, by their role."),
    ("runink_barn_revision", "gauge", "The newest revision."),
    ("runink_barn_compacted_revision", "gauge", "The newest revision whose changes are not kept."),
    ("runink_barn_keys", "gauge", "How many keys there are."),
    ("runink_barn_leases", "gauge", "How many leases there are."),
    ("runink_barn_sessions", "gauge", "How many clients' answers are kept, for their retries."),
    ("runink_barn_watches", "gauge", "How many watches wait here."),
    ("runink_barn_waiting_requests", "gauge", "How many proposals and reads are under way here."),
    ("runink_barn_size_bytes", "gauge", "What counts against the quota."),
    ("runink_barn_quota_bytes", "gauge", "How large the store may become."),
    ("runink_barn_history_changes", "gauge", "How many changes are kept for watches and reads of the past."),
    ("runink_barn_history_bytes", "gauge", "What the kept changes count for."),
    ("runink_barn_is_alarmed", "gauge", "1 while puts are refused because the quota was reached."),
    ("runink_barn_takes_no_writes", "gauge", "1 while the disk is full."),
    ("runink_barn_disk_free_bytes", "gauge", "What is free on the disk of the state."),
    ("runink_barn_log_segments", "gauge", "How many files the log has."),
    ("runink_barn_log_entries_total", "counter", "Entries that were written to the log."),
    ("runink_barn_log_bytes_total", "counter", "Bytes of their commands."),
    ("runink_barn_log_write_seconds", "histogram", "How long a batch took to be on disk, with its sync."),
    ("runink_barn_snapshot_write_seconds", "histogram", "How long a snapshot of this member's state took."),
    ("runink_barn_snapshots_sent_total", "counter", "Snapshots that were sent to other members, by what came of it."),
    ("runink_barn_snapshots_installed_total", "counter", "States of a leader that took the place of this member's."),
    ("runink_barn_proposals_total", "counter", "Proposals of this member's callers, by what came of them."),
    ("runink_barn_proposal_seconds", "histogram", "How long a proposal took from its coming to its answer."),
    ("runink_barn_reads_total", "counter", "Reads, by how fresh they had to be."),
    ("runink_barn_watch_answers_total", "counter", "Answers to watches that had something to tell."),
    ("runink_barn_watch_changes_total", "counter", "Changes in these answers."),
    ("runink_barn_leases_expired_total", "counter", "Leases that ended because nobody kept them, as this member applied it."),
    ("runink_barn_peer_connected", "gauge", "1 while there is a connection to another member."),
    ("runink_barn_peer_messages_total", "counter", "Messages of consensus that were sent to another member."),
    ("runink_barn_peer_dropped_total", "counter", "Messages to another member that were lost here."),
    ("runink_barn_peer_behind_entries", "gauge", "How many entries another member is not known to have; told by the leader."),
)  # fmt: skip


class Reading(msgspec.Struct, frozen=True):
    """What a metric is now, for one set of labels. A histogram's `value` is the sum of all that was observed, `counts` how many fell into each bucket, the last beyond all bounds."""

    name: str
    value: float
    labels: dict[str, str] = {}
    counts: tuple[int, ...] = ()


class Histogram:
    """Observations in buckets."""

    __slots__ = ("_bounds", "_counts", "_name", "_sum")

    def __init__(self, name: str) -> None:
        self._name = name
        self._bounds = METRICS[name].bounds
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def reading(self) -> Reading:
        return Reading(self._name, self._sum, counts=tuple(self._counts))


def exposition(readings: Iterable[Reading]) -> str:
    """Return the readings as text. Raises KeyError for a metric that the table does not have: a newer member's are left out by who asks."""
    by_name: defaultdict[str, list[Reading]] = defaultdict(list)
    for reading in readings:
        by_name[reading.name].append(reading)
    return "".join(
        line + "\n" for name, some in by_name.items() for line in _lines(METRICS[name], some)
    )


def _lines(metric: Metric, readings: Iterable[Reading]) -> Iterator[str]:
    yield f"# HELP {metric.name} {metric.help}"
    yield f"# TYPE {metric.name} {metric.kind.value}"
    for reading in readings:
        if metric.kind is not Kind.HISTOGRAM:
            yield f"{metric.name}{_braced(reading.labels)} {_number(reading.value)}"
            continue
        total = 0
        for bound, count in zip((*metric.bounds, float("inf")), reading.counts, strict=True):
            total += count
            labels = reading.labels | {"le": "+Inf" if bound == float("inf") else _number(bound)}
            yield f"{metric.name}_bucket{_braced(labels)} {total}"
        yield f"{metric.name}_sum{_braced(reading.labels)} {_number(reading.value)}"
        yield f"{metric.name}_count{_braced(reading.labels)} {total}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _braced(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
