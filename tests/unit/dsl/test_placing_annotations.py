"""Where steps want to stand: what `@requires`, `@affinity` and `@priority` become in the compiled pipeline."""

from __future__ import annotations

import msgspec
import pytest
from dsl_world import codes, compile_lines
from runink.dag import Dag
from runink.dsl.difference import difference
from runink.testing.projects import compile_text
from runink.wants import NOTHING_MORE, Wants

SOURCE = '@source("csv+s3://lake/a.csv")'
SINK = '@sink("parquet+s3://lake/b.parquet")'
STEP = '@step("plain")'


def scenarios(*bodies: str, head: str = "") -> Dag:
    """Compile scenarios `a`, `b`, … that each read and write a bucket of their own, with a query called as they are, and these lines below it."""
    text = f"{head}\nFeature: F\n"
    for name, body in zip("abcd", bodies, strict=False):
        text += f"""
  @module(layer="{name}")
  Scenario: {name}
    @source("csv+s3://lake/{name}.csv")
    @step(sql="SELECT * FROM input", as={name}s)
    {body}
    @sink("parquet+s3://lake/out/{name}.parquet")
"""
    return compile_text(text).dag


def test_all_that_a_step_asks_of_its_place_is_its_slices() -> None:
    (spec,) = compile_lines(
        SOURCE,
        STEP,
        '@requires(gpu=2, label="zone = eu", sees=[crm, "s3://lake"])',
        '@affinity(label=["disk in (ssd, nvme)", "!spot"], anti=heavy, domain=rack)',
        SINK,
    ).slices
    assert spec.labels == ("!spot", "disk in (nvme, ssd)", "zone=eu")
    assert spec.wants == Wants(
        gpus=2,
        sees=("crm", "s3://lake"),
        groups=("heavy", "pipeline:x"),
        anti=("heavy",),
        domain="rack",
    )


def test_a_spread_that_is_a_rule_asks_for_the_label_that_it_counts_by() -> None:
    (ruled,) = compile_lines(SOURCE, STEP, "@affinity(domain=rack, skew=2)", SINK).slices
    assert ruled.labels == ("rack",)
    assert ruled.wants == Wants(groups=("pipeline:x",), domain="rack", skew=2)
    (each,) = compile_lines(SOURCE, STEP, "@affinity(domain=node, skew=1)", SINK).slices
    assert each.labels == (), "a node is a domain of its own"
    (wish,) = compile_lines(SOURCE, STEP, "@affinity(domain=rack)", SINK).slices
    assert (wish.labels, wish.wants.skew) == ((), 0)
    assert "skew" not in msgspec.to_builtins(wish)["asks"]


def test_a_step_takes_the_rule_of_its_scenario_back_and_leaves_the_wish() -> None:
    whole = "@affinity(domain=zone, skew=1)"
    first, last = compile_lines(whole, SOURCE, STEP, STEP, "@affinity(skew=0)", SINK).slices
    assert (first.labels, first.wants.domain, first.wants.skew) == (("zone",), "zone", 1)
    assert (last.labels, last.wants.domain, last.wants.skew) == ((), "zone", 0)


def test_a_pipeline_that_asks_for_nothing_says_nothing_of_it_in_its_bytes() -> None:
    dag = compile_lines(SOURCE, STEP, SINK)
    assert dag.slices[0].wants == NOTHING_MORE
    assert {"asks", "priority"}.isdisjoint(msgspec.to_builtins(dag))
    assert "asks" not in msgspec.to_builtins(dag.slices[0])


def test_a_step_says_otherwise_than_its_scenario_part_by_part() -> None:
    dag = compile_lines(
        '@requires(gpu=1, label="zone=eu")',
        "@affinity(label=fast, domain=zone)",
        SOURCE,
        STEP,
        "@requires(gpu=0)",
        "@affinity(label=[])",
        STEP,
        SINK,
    )
    first, last = dag.slices
    assert (first.wants.gpus, first.labels, first.wants.domain) == (0, ("zone=eu",), "zone")
    assert (last.wants.gpus, last.labels, last.wants.domain) == (1, ("fast", "zone=eu"), "zone")


def test_steps_that_ask_for_different_places_share_no_process() -> None:
    dag = compile_lines(SOURCE, STEP, STEP, "@requires(gpu=1)", STEP, SINK)
    assert [spec.wants.gpus for spec in dag.slices] == [0, 1, 0]


def test_scenarios_that_are_to_stand_together_are_one_gang_with_all_their_labels() -> None:
    dag = scenarios("@affinity(label=gpu)", '@affinity(colocate_with="step:as", label=fast)', "")
    assert [spec.gang for spec in dag.slices] == ["a", "a", "c"]
    assert [spec.labels for spec in dag.slices] == [("fast", "gpu"), ("fast", "gpu"), ()]
    assert set(dag.gang_needs()) == {"a", "c"}


def test_who_is_together_with_one_is_together_with_all() -> None:
    dag = scenarios(
        "", '@affinity(colocate_with="step:as")', "", '@affinity(colocate_with=["step:bs"])'
    )
    assert [spec.gang for spec in dag.slices] == ["a", "a", "c", "a"]


READER = """
  @module(layer="r")
  Scenario: Reader
    @source("parquet+s3://lake/out/a.parquet")
    @step(sql="SELECT 1 FROM input", as=late)
    @affinity(colocate_with="step:a.sql")
    @sink("parquet+s3://lake/out/r.parquet")
"""


def test_a_scenario_that_reads_the_other_ones_output_goes_where_that_was() -> None:
    text = f"""Feature: F
  @module(layer="a")
  Scenario: First
    @source("csv+s3://lake/a.csv")
    @step(sql="SELECT * FROM input")
    @sink("parquet+s3://lake/out/a.parquet")
{READER}"""
    first, late = compile_text(text).dag.slices
    assert (first.gang, late.gang) == ("a", "r")
    assert (first.wants.beside, late.wants.beside) == ((), ("a",))


def test_a_gang_that_waits_for_another_by_a_third_is_not_made_one_with_it() -> None:
    chain = """Feature: F
  @module(layer="a")
  Scenario: First
    @source("csv+s3://lake/a.csv")
    @step(sql="SELECT * FROM input", as=first)
    @affinity(colocate_with="step:last")
    @sink("parquet+s3://lake/b.parquet")
  @module(layer="b")
  Scenario: Second
    @source("parquet+s3://lake/b.parquet")
    @sink("parquet+s3://lake/c.parquet")
  @module(layer="c")
  Scenario: Third
    @source("parquet+s3://lake/c.parquet")
    @step(sql="SELECT * FROM input", as=last)
    @sink("parquet+s3://lake/d.parquet")
"""
    dag = compile_text(chain).dag
    assert [(spec.gang, spec.wants.beside) for spec in dag.slices] == [
        ("a", ()),
        ("b", ()),
        ("c", ("a",)),
    ]


def test_a_step_that_others_stand_apart_from_is_known_by_its_id() -> None:
    first, other = scenarios("", '@affinity(anti="step:as")').slices
    assert (first.wants.groups, first.wants.anti) == (("step:a.sql",), ())
    assert (other.wants.groups, other.wants.anti) == ((), ("step:a.sql",))


def test_one_name_means_another_step_in_another_scenario() -> None:
    text = """Feature: F"""
    for name in "ab":
        text += f"""
  @module(layer="{name}")
  Scenario: {name}
    @source("csv+s3://lake/{name}.csv")
    @step(sql="SELECT * FROM input", as=clean)
    @sink("parquet+s3://lake/{name}.parquet")
  @module(layer="{name}{name}")
  Scenario: {name}{name}
    @source("csv+s3://lake/{name}{name}.csv")
    @step(sql="SELECT * FROM input")
    @affinity(anti="step:{name}.clean")
    @sink("parquet+s3://lake/{name}{name}.parquet")
"""
    slices = compile_text(text).dag.slices
    assert [spec.wants.anti for spec in slices] == [(), ("step:a.sql",), (), ("step:b.sql",)]


@pytest.mark.parametrize(
    ("head", "priority"), [("", None), ("@priority(5)", 5), ("@priority(level=-100)", -100)]
)
def test_a_pipeline_says_its_priority(head: str, priority: int | None) -> None:
    assert (scenarios("", head=head).priority or None) == priority


@pytest.mark.parametrize("head", ["@priority(1.5)", "@priority(high)", "@priority(101)"])
def test_a_priority_is_a_whole_number_within_its_range(head: str) -> None:
    assert codes(SOURCE, STEP, SINK, head=f"{head}\nFeature: F") == ["D015"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["@affinity"], ["D014"]),
        (["@affinity(label=[])"], ["D014"]),
        (['@affinity(anti="heavy")', "@affinity(domain=zone)"], ["D016"]),
        (["@requires(gpu=1)", "@requires(sees=crm)"], ["D016"]),
        (["@requires(gpu=-1)"], ["D015"]),
        (['@affinity(colocate_with="heavy stuff")'], ["D015"]),
        (['@affinity(anti="step:nobody")'], ["D050"]),
        (["@affinity(skew=1)"], ["D014"]),
        (["@affinity(label=gpu, skew=0)"], ["D014"]),
        (["@affinity(domain=zone, skew=-1)"], ["D015"]),
        (["@affinity(domain=zone, skew=even)"], ["D015"]),
        (['@affinity(label="!zone", domain=zone, skew=1)'], ["D028"]),
        (["@affinity(domain=zone, skew=1)", STEP, "@affinity(domain=rack, skew=1)"], ["D028"]),
    ],
)
def test_what_cannot_be_meant_is_told(lines: list[str], expected: list[str]) -> None:
    assert codes(SOURCE, STEP, *lines, SINK) == expected


def test_what_a_step_asks_of_its_place_is_a_difference() -> None:
    before = scenarios("", "@affinity(anti=heavy)")
    after = scenarios(
        "@requires(gpu=1, sees=crm)", "@affinity(domain=zone, skew=2)", head="@priority(3)"
    )
    told = " ".join(change.text for change in difference(before, after))
    assert "gpus 0 is now 1" in told
    assert "what its node must see nothing is now crm" in told
    assert "what it stands apart of heavy is now nothing" in told
    assert "what it is spread by nothing is now zone" in told
    assert "how many more of it may stand where most do any number is now 2" in told
    assert "priority 0 is now 3" in told
    assert difference(after, after) == ()


def test_what_a_checkpoint_parts_asks_for_its_place_as_before() -> None:
    dag = compile_lines(
        SOURCE, STEP, "@checkpoint", STEP, "@affinity(anti=heavy, domain=zone)", SINK
    )
    wants = {spec.id: spec.wants for spec in dag.slices if spec.wants != NOTHING_MORE}
    assert list(wants.values()) == [
        Wants(groups=("heavy", "pipeline:x"), anti=("heavy",), domain="zone")
    ]
