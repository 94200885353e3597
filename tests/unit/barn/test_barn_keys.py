"""The table of keys."""

from __future__ import annotations

import pytest
from runink.barn import keys
from runink.errors import Invalid
from runink.names import BundleHash, HerdName, NodeId, PipelineName, RunId, SliceId

HERD, RUN, SLICE = HerdName("analytics"), RunId("01J"), SliceId("silver.join")


def test_each_builder_makes_the_key_that_the_table_tells():
    assert keys.herd_key(HERD) == "/herds/analytics"
    assert keys.pipeline_key(HERD, PipelineName("flights"), "3") == "/pipelines/analytics/flights/3"
    assert keys.deployment_key(HERD, PipelineName("flights")) == "/deployments/analytics/flights"
    assert keys.schedule_key(HERD, PipelineName("flights")) == "/schedules/analytics/flights"
    assert keys.backfill_key(HERD, PipelineName("a"), "01K") == "/backfills/analytics/a/01K"
    assert keys.run_key(HERD, RUN) == "/runs/analytics/01J"
    assert keys.slice_key(HERD, RUN, SLICE) == "/slices/analytics/01J/silver.join"
    assert keys.node_key(NodeId("n1")) == "/nodes/n1"
    assert keys.placement_key(NodeId("n1"), RUN, SLICE) == "/placements/n1/01J/silver.join"
    assert keys.publishing_key("ab12") == "/publishing/ab12"
    assert keys.lineage_key(HERD, RUN) == "/lineage/analytics/01J"
    assert keys.BUNDLES.key(BundleHash("ff"), "head") == "/bundles/ff/head"
    assert keys.audit_key(HERD, "01K") == "/audit/analytics/01K"


def test_each_parser_reads_what_its_builder_made_and_nothing_else():
    assert keys.parse_run(keys.run_key(HERD, RUN)) == (HERD, RUN)
    assert keys.parse_slice(keys.slice_key(HERD, RUN, SLICE)) == (HERD, RUN, SLICE)
    assert keys.parse_node("/nodes/n1") == "n1"
    assert keys.parse_placement("/placements/n1/01J/s") == ("n1", "01J", "s")
    for other in ("", "/", "/runs", "/runs/a", "/runs/a/b/c", "/runs/a/", "runs/a/b", "/herds/a/b"):
        assert keys.parse_run(other) is None


def test_a_prefix_ends_at_a_part_so_that_similar_names_stay_apart():
    assert keys.RUNS.prefix() == "/runs/"
    assert keys.SLICES.prefix(HERD, RUN) == "/slices/analytics/01J/"
    assert not keys.run_key(HerdName("analytics2"), RUN).startswith(keys.RUNS.prefix(HERD))


@pytest.mark.parametrize("part", ["", "a/b"])
def test_a_part_that_would_change_the_meaning_of_a_key_is_refused(part: str):
    with pytest.raises(Invalid):
        keys.run_key(HERD, RunId(part))
    with pytest.raises(Invalid):
        keys.RUNS.prefix(part)


def test_every_row_of_the_table_is_the_control_planes_own():
    rows = [one for one in vars(keys).values() if isinstance(one, keys.Keys)]
    assert {one.root for one in rows} <= set(keys.OWN_ROOTS)
    assert len({one.root for one in rows}) == len(rows)
