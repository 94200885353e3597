"""What slices are seen to do is counted once, by herd, pipeline and step, whatever they tell and however often the agent begins anew."""

from __future__ import annotations

import math
from pathlib import Path

from msgspec.structs import replace as changed
from runink.actors.slice_meters import NODES_MAX, UNKNOWN, CgroupFigures, SliceMeter, SliceMeters
from runink.dag import Resources
from runink.errors import Refused
from runink.jobs import Done, EdgeFacts, NodeFacts, Transport
from runink.names import BundleHash, HerdName, NodeId, PipelineName, RunId, SliceId
from runink.observe.metrics import METRICS, Reading
from runink.observe.slice_logs import SliceLog, Stream
from runink.runs.records import Exit, RunRecord, RunState, SliceRecord, SliceState

HERD = HerdName("h")
RUN = RunRecord(
    RunId("0" * 26), HERD, PipelineName("p"), "v", "P", "p.dsl", "/p", BundleHash("b"),
    RunState.RUNNING, 1,
)  # fmt: skip
RECORD = SliceRecord(
    SliceId("s"), RUN.run, HERD, "g", SliceState.RUNNING, Resources(500, 1 << 20),
    node=NodeId("local"),
)  # fmt: skip
PAIR = ("h", "p")
ENDED = Exit("exited", cpu_s=1.5, memory_bytes_max=1000, wall_s=2.0)


def meters() -> SliceMeters:
    return SliceMeters(now_s=lambda: 0.0)


def launched(of: SliceMeters, slice_id: str = "s") -> SliceMeter:
    return of.launched(changed(RECORD, slice=SliceId(slice_id)), RUN, 0.002)


def values(of: SliceMeters, name: str) -> dict[tuple[str, ...], float]:
    """Return the readings of a metric by its labels' values."""
    found = [one for one in of.readings() if one.name == f"runink_{name}"]
    return {tuple(one.labels.values()): one.value for one in found}


def test_progress_is_cumulative_and_is_counted_once():
    found = meters()
    one, other = launched(found, "s"), launched(found, "s-1")
    one.progress((NodeFacts("a.in", rows_in=10, rows_out=9, rejected=1, batches=1, bytes=90),))
    one.progress(
        (NodeFacts("a.in", rows_in=15, rows_out=14, rejected=1, batches=2, bytes=140, drifted=4),)
    )
    other.progress((NodeFacts("a.in", rows_in=1, busy_s=0.5), NodeFacts("a.out", rows_in=3)))
    assert values(found, "step_rows_in_total") == {(*PAIR, "a.in"): 16, (*PAIR, "a.out"): 3}
    assert values(found, "step_rows_out_total")[*PAIR, "a.in"] == 14
    assert values(found, "step_rejected_rows_total")[*PAIR, "a.in"] == 1
    assert values(found, "step_drifted_rows_total")[*PAIR, "a.in"] == 4
    assert values(found, "step_batches_total")[*PAIR, "a.in"] == 2
    assert values(found, "step_bytes_total")[*PAIR, "a.in"] == 140
    assert values(found, "step_busy_seconds_total")[*PAIR, "a.in"] == 0.5


def test_the_last_word_counts_what_progress_had_not_told_and_what_went_over_edges():
    found = meters()
    meter = launched(found)
    meter.progress((NodeFacts("a.in", rows_in=10),))
    assert values(found, "slices_running") == {PAIR: 1}
    assert values(found, "node_requested_cores") == {(): 0.5}
    done = Done((NodeFacts("a.in", rows_in=12),), (EdgeFacts("a.in", "b.in", "main", 12, 2, 99),))
    found.ended(meter, done, ENDED)
    assert values(found, "step_rows_in_total") == {(*PAIR, "a.in"): 12}
    edge = (*PAIR, "a.in", "b.in", "none")
    assert values(found, "edge_rows_total") == {edge: 12}
    assert values(found, "edge_batches_total") == {edge: 2}
    assert values(found, "edge_bytes_total") == {edge: 99}
    assert values(found, "slices_running") == {}
    assert values(found, "node_requested_cores") == {(): 0}


def test_an_edge_between_slices_is_counted_by_the_one_that_writes():
    found = meters()
    edges = (EdgeFacts("a", "b", "main", 12, 2, 99, Transport.SLOTS),)
    found.ended(launched(found, "s"), Done((NodeFacts("a"),), edges), ENDED)
    found.ended(launched(found, "s-1"), Done((NodeFacts("b"),), edges), ENDED)
    assert values(found, "edge_rows_total") == {(*PAIR, "a", "b", "slots"): 12}


def test_ends_are_counted_by_their_cause_with_what_was_used():
    found = meters()
    for exit_ in (ENDED, changed(ENDED, memory_bytes_max=700), Exit("timeout", wall_s=9.0)):
        found.ended(launched(found), None, exit_)
    assert values(found, "slice_exits_total") == {(*PAIR, "exited"): 2, (*PAIR, "timeout"): 1}
    assert values(found, "slice_cpu_seconds_total") == {PAIR: 3.0}
    assert values(found, "slice_wall_seconds_total") == {PAIR: 13.0}
    assert values(found, "slice_memory_peak_bytes") == {PAIR: 1000}


def test_context_switches_are_counted_by_their_kind_where_somebody_counted_them():
    found = meters()
    for exit_ in (
        changed(ENDED, voluntary_switches=40, involuntary_switches=2),
        changed(ENDED, voluntary_switches=2, involuntary_switches=0),
        Exit("killed", signal=9),
    ):
        found.ended(launched(found), None, exit_)
    assert values(found, "slice_context_switches_total") == {
        (*PAIR, "voluntary"): 42,
        (*PAIR, "involuntary"): 2,
    }


def test_launches_are_counted_and_timed():
    found = meters()
    launched(found)
    found.refused(RUN, Refused("x", code="x"))
    assert values(found, "slice_launches_total") == {(*PAIR, "launched"): 1, (*PAIR, "refused"): 1}
    (seconds,) = (one for one in found.readings() if one.name == "runink_slice_launch_seconds")
    assert (seconds.value, sum(seconds.counts)) == (0.002, 1)


def test_a_new_life_of_the_agent_goes_on_with_what_it_attends():
    found = meters()
    meter = launched(found)
    meter.progress((NodeFacts("a.in", rows_in=10),))
    gone = launched(found, "gone")
    found.begin()
    assert found.adopted(RECORD, "p") is meter
    meter.progress((NodeFacts("a.in", rows_in=25),))
    assert values(found, "step_rows_in_total") == {(*PAIR, "a.in"): 25}
    assert values(found, "slices_running") == {PAIR: 1}
    found.ended(gone, None, ENDED)
    assert values(found, "slices_running") == {PAIR: 1}


def test_what_an_adopted_slice_did_for_an_earlier_process_is_not_told_again():
    found = meters()
    found.begin()
    meter = found.adopted(RECORD, "p")
    meter.progress((NodeFacts("a.in", rows_in=1000),))
    meter.used(CgroupFigures(cpu_s=50.0, memory_bytes=7))
    meter.progress((NodeFacts("a.in", rows_in=1003),))
    meter.used(CgroupFigures(cpu_s=50.5, memory_bytes=8))
    assert values(found, "step_rows_in_total") == {(*PAIR, "a.in"): 3}
    assert values(found, "cgroup_cpu_seconds_total") == {PAIR: 0.5}
    assert values(found, "cgroup_memory_bytes") == {PAIR: 8}


def test_a_slice_whose_run_is_not_known_any_more_is_counted_all_the_same():
    found = meters()
    found.ended(found.adopted(RECORD, ""), None, ENDED)
    assert values(found, "slice_exits_total") == {("h", UNKNOWN, "exited"): 1}


def test_cgroup_figures_are_cumulative_save_for_what_is_in_it_now():
    found = meters()
    one, other = launched(found), launched(found, "s-1")
    one.used(CgroupFigures(1.0, 0.25, 3, 0, 1, memory_bytes=100, pids=4))
    one.used(CgroupFigures(1.5, 0.25, 4, 1, 1, memory_bytes=60, pids=2))
    other.used(CgroupFigures(2.0, memory_bytes=40, pids=1))
    assert values(found, "cgroup_cpu_seconds_total") == {PAIR: 3.5}
    assert values(found, "cgroup_throttled_seconds_total") == {PAIR: 0.25}
    assert values(found, "cgroup_throttled_periods_total") == {PAIR: 4}
    assert values(found, "cgroup_oom_kills_total") == {PAIR: 1}
    assert values(found, "cgroup_pids_refused_total") == {PAIR: 1}
    assert values(found, "cgroup_memory_bytes") == {PAIR: 100}
    assert values(found, "cgroup_pids") == {PAIR: 3}


def test_an_end_tells_what_its_cgroup_had_counted_by_then():
    found = meters()
    meter = launched(found)
    meter.used(CgroupFigures(cpu_s=1.0, throttled_s=0.5, throttled_periods=5, memory_bytes=7))
    last = Exit(
        "oom", cpu_s=1.5, oom_kills=3, processes_refused=2, throttled_s=0.75, read_bytes=10,
        written_bytes=20,
    )  # fmt: skip
    found.ended(meter, None, last)
    found.ended(found.adopted(RECORD, "p"), None, Exit("oom", oom_kills=1))
    assert values(found, "cgroup_cpu_seconds_total") == {PAIR: 1.5}
    assert values(found, "cgroup_throttled_seconds_total") == {PAIR: 0.75}
    assert values(found, "cgroup_throttled_periods_total") == {PAIR: 5}
    assert values(found, "cgroup_oom_kills_total") == {PAIR: 4}
    assert values(found, "cgroup_pids_refused_total") == {PAIR: 2}
    assert values(found, "cgroup_read_bytes_total") == {PAIR: 10}
    assert values(found, "cgroup_written_bytes_total") == {PAIR: 20}
    assert values(found, "slice_exits_total") == {(*PAIR, "oom"): 2}
    assert values(found, "cgroup_memory_bytes") == {}


def test_printed_lines_are_counted_when_somebody_looks(tmp_path: Path):
    found = meters()
    meter = launched(found)
    log = SliceLog(tmp_path / "logs" / "s.1.jsonl")
    meter.logs_to(log)
    log.write(Stream.STDOUT, ["one", "two"], at_ms=1)
    assert values(found, "agent_log_lines_total") == {PAIR: 2}
    log.write(Stream.STDOUT, ["three"], at_ms=1)
    found.ended(meter, None, ENDED)
    log.close()
    assert values(found, "agent_log_lines_total") == {PAIR: 3}
    written = (tmp_path / "logs" / "s.1.jsonl").stat().st_size
    assert values(found, "agent_log_bytes_total") == {PAIR: written}
    assert values(found, "agent_log_dropped_bytes_total") == {PAIR: 0}


def test_a_log_in_a_new_life_is_counted_from_its_beginning(tmp_path: Path):
    found = meters()
    meter = launched(found)
    for texts in (["one"], ["two", "three"]):
        log = SliceLog(tmp_path / "logs" / "s.1.jsonl")
        meter.logs_to(log)
        log.write(Stream.STDOUT, texts, at_ms=1)
        log.close()
    assert values(found, "agent_log_lines_total") == {PAIR: 3}


def test_a_slice_that_lies_makes_no_counter_shrink_or_absurd():
    found = meters()
    meter = launched(found)
    meter.progress((NodeFacts("a", rows_in=10, busy_s=1.0),))
    meter.progress((NodeFacts("a", rows_in=-5, busy_s=math.nan),))
    meter.progress((NodeFacts("a", rows_in=1 << 63, busy_s=math.inf),))
    done = Done((NodeFacts("a"),), (EdgeFacts("a", "b", "main", -1, 1 << 62, 5),))
    found.ended(meter, done, Exit("exited"))
    assert values(found, "step_rows_in_total") == {(*PAIR, "a"): 10}
    assert values(found, "step_busy_seconds_total") == {(*PAIR, "a"): 1.0}
    assert values(found, "edge_rows_total") == {(*PAIR, "a", "b", "none"): 0}
    assert values(found, "edge_bytes_total") == {(*PAIR, "a", "b", "none"): 5}


def test_a_slice_that_tells_of_ever_new_nodes_fills_nothing():
    found = meters()
    meter = launched(found)
    for part in range(5):
        names = range(part * NODES_MAX, (part + 1) * NODES_MAX)
        meter.progress(tuple(NodeFacts(f"n{number}", rows_in=1) for number in names))
    assert len(meter._seen) == NODES_MAX
    assert sum(values(found, "step_rows_in_total").values()) == NODES_MAX
    assert len(values(found, "step_rows_in_total")) < NODES_MAX


def test_every_reading_stands_in_the_table_with_its_labels():
    found = meters()
    meter = launched(found)
    meter.used(CgroupFigures(memory_bytes=1))
    done = Done((NodeFacts("a"),), (EdgeFacts("a", "b", "main", 1, 1, 1),))
    found.ended(launched(found, "s-1"), done, ENDED)
    readings: list[Reading] = list(found.readings())
    for one in readings:
        assert METRICS[one.name].labels == tuple(one.labels), one
