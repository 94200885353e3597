"""Metrics: every one that a part of Runink tells, with its name, unit, help and labels, in one table.

A part keeps its numbers as it likes and hands them over as `Reading`s, which travel like any message; only who shows them (`exposition.py`)
needs the table.  A name ends with its unit: seconds, bytes, ratio (of 1), cores; a counter's with `_total` behind that.
"""

from __future__ import annotations

from bisect import bisect_left
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
    """What a metric is. `labels` are those that each of its readings has; `bounds` the upper ends of a histogram's buckets, in the unit that its name ends with."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


# From a sync that a good disk does in a fifth of a millisecond to what a person would call standing still.
SECONDS: Final = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)  # fmt: skip


def _table(*rows: tuple[str, str, str] | tuple[str, str, str, str]) -> dict[str, Metric]:
    return {name: _metric(name, Kind(kind), *rest) for name, kind, *rest in rows}


def _metric(name: str, kind: Kind, text: str, labels: str = "") -> Metric:
    bounds = SECONDS if kind is Kind.HISTOGRAM else ()
    return Metric(name, kind, text, tuple(labels.split()), bounds)


METRICS: Final = _table(
    ("runink_barn_is_leader", "gauge", "1 while this member leads."),
    ("runink_barn_has_leader", "gauge", "1 while this member knows who leads."),
    ("runink_barn_leader_changes_total", "counter", "How often this member has come to know another leader."),
    ("runink_barn_term", "gauge", "The term of consensus."),
    ("runink_barn_committed_index", "gauge", "The last entry of the log that is committed."),
    ("runink_barn_applied_index", "gauge", "The last entry of the log that is applied."),
    ("runink_barn_snapshot_index", "gauge", "The last entry in the newest snapshot."),
    ("runink_barn_members", "gauge", "How many members the group has, by their role.", "role"),
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
    ("runink_barn_snapshots_sent_total", "counter", "Snapshots that were sent to other members, by what came of it.", "outcome"),
    ("runink_barn_snapshots_installed_total", "counter", "States of a leader that took the place of this member's."),
    ("runink_barn_proposals_total", "counter", "Proposals of this member's callers, by what came of them.", "outcome"),
    ("runink_barn_proposal_seconds", "histogram", "How long a proposal took from its coming to its answer."),
    ("runink_barn_reads_total", "counter", "Reads, by how fresh they had to be.", "kind"),
    ("runink_barn_watch_answers_total", "counter", "Answers to watches that had something to tell."),
    ("runink_barn_watch_changes_total", "counter", "Changes in these answers."),
    ("runink_barn_leases_expired_total", "counter", "Leases that ended because nobody kept them, as this member applied it."),
    ("runink_barn_peer_connected", "gauge", "1 while there is a connection to another member.", "member"),
    ("runink_barn_peer_messages_total", "counter", "Messages of consensus that were sent to another member.", "member"),
    ("runink_barn_peer_dropped_total", "counter", "Messages to another member that were lost here.", "member"),
    ("runink_barn_peer_behind_entries", "gauge", "How many entries another member is not known to have; told by the leader.", "member"),
    ("runink_agent_resident_memory_bytes", "gauge", "What the agent's process has in memory."),
    ("runink_agent_cpu_seconds_total", "counter", "Processor time that the agent's process has used."),
    ("runink_agent_open_descriptors", "gauge", "How many descriptors the agent's process has open."),
    ("runink_agent_start_time_seconds", "gauge", "When the agent's process began, seconds of the Unix epoch."),
    ("runink_agent_heartbeats_total", "counter", "Renewals of the node's lease, by what came of them.", "outcome"),
    ("runink_agent_heartbeat_age_seconds", "gauge", "How long ago the node's lease was renewed."),
    ("runink_agent_log_lines_total", "counter", "Lines that slices printed.", "herd pipeline"),
    ("runink_agent_log_bytes_total", "counter", "Bytes that were written to the logs of slices.", "herd pipeline"),
    ("runink_agent_log_dropped_bytes_total", "counter", "Bytes of lines that no log took: it was full, or the disk.", "herd pipeline"),
    ("runink_agent_log_slowed_seconds_total", "counter", "For how long slices were held up because they printed too fast.", "herd pipeline"),
    ("runink_node_info", "gauge", "1, with what the node is and runs.", "node kernel architecture python version"),
    ("runink_node_cores", "gauge", "How many cores the node's agent and slices may use, by affinity and quota."),
    ("runink_node_memory_bytes", "gauge", "How much memory the node's agent and slices may use."),
    ("runink_node_memory_available_bytes", "gauge", "How much memory is to be had, as the kernel estimates it."),
    ("runink_node_disk_bytes", "gauge", "How large the disk of the state folder is."),
    ("runink_node_disk_free_bytes", "gauge", "What is free on the disk of the state folder."),
    ("runink_node_gpus", "gauge", "How many graphics processors the node has."),
    ("runink_node_pressure_seconds_total", "counter", "How long something (some) or everything (full) waited for a resource.", "resource who"),
    ("runink_node_clock_skew_seconds", "gauge", "By how much the node's clock is ahead of the Barn's."),
    ("runink_node_offered_cores", "gauge", "How many cores the node offers to slices; more than it has, as a request is a weight."),
    ("runink_node_offered_memory_bytes", "gauge", "How much memory the node offers to slices."),
    ("runink_node_requested_cores", "gauge", "How many cores the running slices have asked for."),
    ("runink_node_requested_memory_bytes", "gauge", "How much memory the running slices have asked for."),
    ("runink_relay_bytes_total", "counter", "Bytes of edges between nodes that the relay has carried, from this node and to it.", "direction"),
    ("runink_relay_pieces_total", "counter", "Pieces that they came in: what was read at once, from a slice's pipe (out) or from the network. Batches are told by edge, with wire as transport.", "direction"),
    ("runink_relay_streams", "gauge", "How many edges it carries.", "direction"),
    ("runink_relay_connections", "gauge", "How many connections it has, by who has made them: this node (out) or another.", "direction"),
    ("runink_relay_held_bytes", "gauge", "Bytes that it has in memory: until the network takes them (out), or a pipe.", "direction"),
    ("runink_relay_waits_seconds_total", "counter", "For how long edges that had something to send were held back, by the reader on the other node or by the network.", "cause"),
    ("runink_relay_reconnects_total", "counter", "How often it has dialled a node again, because a connection that was needed was lost or did not come about."),
    ("runink_relay_failures_total", "counter", "Connections that were lost while they were needed, edges that were cut, and edges that others opened and that were refused.", "what"),
    ("runink_slices_running", "gauge", "How many slices run.", "herd pipeline"),
    ("runink_slice_launches_total", "counter", "Launches of slices, by what came of them.", "herd pipeline outcome"),
    ("runink_slice_launch_seconds", "histogram", "How long the launch of a slice took, from the request to the spawner's answer."),
    ("runink_slice_exits_total", "counter", "Slices that ended, by how their processes ended.", "herd pipeline cause"),
    ("runink_slice_cpu_seconds_total", "counter", "Processor time of slices that ended.", "herd pipeline"),
    ("runink_slice_wall_seconds_total", "counter", "How long slices that ended had run.", "herd pipeline"),
    ("runink_slice_context_switches_total", "counter", "Context switches of slices that ended: of each slice's own process and of what that waited for, by whether it gave up its core or had to.", "herd pipeline kind"),
    ("runink_slice_memory_peak_bytes", "gauge", "The most memory that a slice that ended has had.", "herd pipeline"),
    ("runink_cgroup_memory_bytes", "gauge", "What the cgroups of running slices hold in memory.", "herd pipeline"),
    ("runink_cgroup_pids", "gauge", "How many processes and threads are in the cgroups of running slices.", "herd pipeline"),
    ("runink_cgroup_cpu_seconds_total", "counter", "Processor time of slices, as their cgroups count it.", "herd pipeline"),
    ("runink_cgroup_throttled_seconds_total", "counter", "How long slices stood still because their quota of processor time was used up.", "herd pipeline"),
    ("runink_cgroup_throttled_periods_total", "counter", "In how many periods slices stood still because their quota of processor time was used up.", "herd pipeline"),
    ("runink_cgroup_oom_kills_total", "counter", "Processes of slices that the kernel killed for want of memory.", "herd pipeline"),
    ("runink_cgroup_pids_refused_total", "counter", "Processes that slices were not allowed to make.", "herd pipeline"),
    ("runink_cgroup_read_bytes_total", "counter", "Bytes that slices read from disks, where the kernel counts them.", "herd pipeline"),
    ("runink_cgroup_written_bytes_total", "counter", "Bytes that slices wrote to disks, where the kernel counts them.", "herd pipeline"),
    ("runink_step_rows_in_total", "counter", "Rows that came into a step.", "herd pipeline step"),
    ("runink_step_rows_out_total", "counter", "Rows that a step has given.", "herd pipeline step"),
    ("runink_step_rejected_rows_total", "counter", "Rows that a contract rejected.", "herd pipeline step"),
    ("runink_step_drifted_rows_total", "counter", "Rows that came in a shape which leaves their contract.", "herd pipeline step"),
    ("runink_step_batches_total", "counter", "Batches that a step has taken, and those that a source has given.", "herd pipeline step"),
    ("runink_step_bytes_total", "counter", "Bytes that a sink has written.", "herd pipeline step"),
    ("runink_step_busy_seconds_total", "counter", "Time that was spent in a step, without its neighbours'.", "herd pipeline step"),
    ("runink_edge_rows_total", "counter", "Rows that went from one step to another.", "herd pipeline source target transport"),
    ("runink_edge_batches_total", "counter", "Batches that went from one step to another.", "herd pipeline source target transport"),
    ("runink_edge_bytes_total", "counter", "Bytes of the batches that went from one step to another.", "herd pipeline source target transport"),
    ("runink_api_requests_total", "counter", "Requests and calls that a member's API has answered, by the class of the status. A stream is one that begins.", "herd operation door status"),
    ("runink_api_request_seconds", "histogram", "How long it took until an answer of the API began.", "door"),
    ("runink_api_received_bytes_total", "counter", "Bytes of bodies of requests, and of the fields of calls.", "herd door"),
    ("runink_api_sent_bytes_total", "counter", "Bytes of answers and of what streams have told.", "herd door"),
    ("runink_api_refused_total", "counter", "Requests and calls that were refused because of a limit.", "door code"),
    ("runink_api_connections", "gauge", "How many connections of clients the API has.", "door"),
    ("runink_api_connections_refused_total", "counter", "Connections that were one too many, of their address or of all.", "door"),
    ("runink_api_connections_cut_total", "counter", "Connections that were reset because they were too slow.", "door why"),
    ("runink_api_streams", "gauge", "How many streams of events and content are open.", "door"),
    ("runink_http_requests_total", "counter", "Requests to the metrics address, by the status of the answer.", "status"),
    ("runink_http_connections_cut_total", "counter", "Connections to it that were ended without an answer, for their slowness or their number."),
)  # fmt: skip


class Reading(msgspec.Struct, frozen=True):
    """What a metric is now, for one set of labels. A histogram's `value` is the sum of all that was observed, `counts` how many fell into each bucket, the last beyond all bounds."""

    name: str
    value: float
    labels: dict[str, str] = {}
    counts: tuple[int, ...] = ()


class Histogram:
    """Observations in buckets."""

    __slots__ = ("_bounds", "_counts", "_labels", "_name", "_sum")

    def __init__(self, name: str, labels: dict[str, str] | None = None) -> None:
        self._name = name
        self._labels = labels or {}
        self._bounds = METRICS[name].bounds
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def reading(self) -> Reading:
        return Reading(self._name, self._sum, self._labels, tuple(self._counts))
