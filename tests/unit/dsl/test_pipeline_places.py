"""How places are written: two slashes or none, one URI or its parts, a dataset by its name. Each place has one URI."""

from __future__ import annotations

import pytest
from dsl_world import SINK, SOURCE, codes, compile_lines
from runink.dag import Format, Sink, Source
from runink.errors import Invalid

DATASET = "parquet://out/bronze/flights.parquet"


@pytest.mark.parametrize(
    ("written", "uri", "form"),
    [
        ('"csv:data/x.csv"', "csv://data/x.csv", Format.CSV),
        ('"csv://data/x.csv"', "csv://data/x.csv", Format.CSV),
        ('"csv:/srv/x.csv"', "csv:///srv/x.csv", Format.CSV),
        ('"CSV:./data//x.csv"', "csv://data/x.csv", Format.CSV),
        ('"sf:bronze.flights"', DATASET, Format.PARQUET),
        ('"sf://bronze.flights"', DATASET, Format.PARQUET),
        (f'"{DATASET}"', DATASET, Format.PARQUET),
        ('"parquet+s3:bucket/x"', "parquet+s3://bucket/x", Format.PARQUET),
        ('type=csv, path="data/x.csv"', "csv://data/x.csv", Format.CSV),
        ('type="csv", path="data/x.csv", format=csv', "csv://data/x.csv", Format.CSV),
        ('type=file, path="/srv/x", format=jsonl', "jsonl:///srv/x", Format.JSONL),
        ('type=s3, path="bucket/x", format=parquet', "parquet+s3://bucket/x", Format.PARQUET),
        ("type=sf, schema=bronze, table=flights", DATASET, Format.PARQUET),
        ("type=sf, table=bronze.flights", DATASET, Format.PARQUET),
    ],
)
def test_a_place_has_one_uri_however_it_is_written(written: str, uri: str, form: Format) -> None:
    source = compile_lines(f"@source({written})", '@sink("csv://b.csv")').node("s.source")
    assert isinstance(source, Source)
    assert (source.uri, source.format) == (uri, form)
    sink = compile_lines(SOURCE, f"@sink({written})").node("s.sink")
    assert isinstance(sink, Sink)
    assert sink.uri == uri


def test_scenarios_are_joined_by_datasets_however_those_are_written() -> None:
    dag = compile_lines(
        SOURCE,
        '@sink("sf:bronze.flights")',
        "Scenario: T",
        "@source(type=sf, schema=bronze, table=flights)",
        SINK,
    )
    source = dag.node("t.source")
    assert isinstance(source, Source)
    assert source.staged_from == "s.sink"


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ('"kafka:topics.x"', "D012"),
        ('"kafka://topics.x"', "D012"),
        ('type=kafka, topic="topics.x", format=json', "D012"),
        ("type=postgres, schema=public, table=x", "D012"),
        ("type=snowflake, table=x", "D012"),
        ('"sf:"', "D030"),
        ('"sf:bronze/flights"', "D030"),
        ('"sf:bronze..x"', "D030"),
        ('"sf:../x"', "D030"),
        ("type=cvs, path=x", "D030"),
        ('type=csv, path="../x.csv"', "D031"),
        ("type=csv", "D014"),
        ("type=sf", "D014"),
        ("type=s3, path=x", "D014"),
        ("type=csv, table=x", "D011"),
        ("type=csv, path=x, topic=y", "D011"),
        ("type=csv, path=x, format=json", "D015"),
        ('"csv://a.csv", format=csv', "D015"),
        ('"csv://a.csv", type=csv', "D016"),
        ("path=x", "D014"),
    ],
)
def test_what_is_no_place_is_told(written: str, code: str) -> None:
    assert code in codes(f"@source({written})", SINK)


def test_a_mistake_in_a_part_is_told_at_that_part() -> None:
    with pytest.raises(Invalid) as caught:
        compile_lines('@source(type=csv, path="data/../../x.csv")', SINK)
    (finding,) = caught.value.findings
    assert finding.span is not None
    assert (finding.span.column, finding.span.length) == (25, len("data/../../x.csv"))


def test_a_query_that_nothing_reaches_is_told_unless_it_makes_its_rows_itself() -> None:
    assert codes('@step(sql="SELECT * FROM input")', SINK) == ["D025"]
    assert compile_lines('@step(sql="SELECT 1 AS input")', SINK).nodes
    assert compile_lines('@step(sql="WITH input AS (SELECT 1) SELECT * FROM input")', SINK).nodes


def test_a_list_of_no_names_is_told() -> None:
    assert codes(SOURCE, '@step("plain", after=[])', SINK) == ["D015"]
