"""`@schedule` says when the whole pipeline is due, wherever in the file it stands."""

from __future__ import annotations

import msgspec
import pytest
from dsl_world import SINK, SOURCE, codes, compile_lines
from runink.calendars import Missed, Overlap, Schedule, moment
from runink.dag import Dag
from runink.dsl.difference import difference


def scheduled(line: str) -> Schedule:
    found = compile_lines(SOURCE, SINK, head=f"{line}\nFeature: F").schedule
    assert isinstance(found, Schedule)
    return found


def test_everything_that_can_be_said_is_in_the_dag() -> None:
    line = (
        '@schedule("0  6 * * MON-FRI", tz="Europe/Berlin", missed=all, overlap=allow, '
        'deadline=90m, start="2026-12-01", end="2027-01-01T00:00Z")'
    )
    assert scheduled(line) == Schedule(
        cron="0 6 * * mon-fri",
        zone="Europe/Berlin",
        missed=Missed.ALL,
        overlap=Overlap.ALLOW,
        deadline_ms=90 * 60_000,
        start_ms=moment("2026-11-30T23:00Z", "UTC"),
        end_ms=moment("2027-01-01T00:00Z", "UTC"),
    )


def test_what_is_not_said_is_utc_the_last_of_what_was_missed_and_one_at_a_time() -> None:
    assert scheduled("@schedule(every=15m)") == Schedule(
        every_ms=15 * 60_000, zone="UTC", missed=Missed.LAST, overlap=Overlap.FORBID
    )


@pytest.mark.parametrize("word", ["daily", '"@daily"', '"0 0 * * *"', "midnight"])
def test_a_word_is_the_line_of_cron_that_it_stands_for(word: str) -> None:
    assert scheduled(f"@schedule({word})").cron == "0 0 * * *"


def test_tz_and_timezone_are_one_thing() -> None:
    ours = scheduled('@schedule(daily, timezone="Asia/Tokyo")')
    assert ours == scheduled('@schedule(daily, tz="Asia/Tokyo")')


@pytest.mark.parametrize(
    "lines",
    [
        ("@schedule(daily)", SOURCE, SINK),
        (SOURCE, SINK, "@schedule(daily)", "Scenario: T", '@source("csv://c.csv")', "@sink(csv:d.csv)"),
    ],
)  # fmt: skip
def test_one_that_stands_in_a_scenario_is_the_pipelines(lines: tuple[str, ...]) -> None:
    lines = tuple(line.replace("@sink(csv:d.csv)", '@sink("csv://d.csv")') for line in lines)
    assert compile_lines(*lines).schedule == Schedule(cron="0 0 * * *")


def test_a_pipeline_has_one() -> None:
    other = ("Scenario: T", '@source("csv://c.csv")', '@sink("csv://d.csv")')
    twice = ("@schedule(daily)", SOURCE, SINK, *other)
    assert codes(*twice, "@schedule(weekly)") == ["D016"]
    assert compile_lines(*twice, "@schedule(daily)").schedule


def test_a_parameter_may_say_when() -> None:
    head = '@param("when", default="0 1 * * *")\n@schedule("${when}")\nFeature: F'
    found = compile_lines(SOURCE, SINK, head=head, when="0 2 * * *").schedule
    assert found == Schedule(cron="0 2 * * *")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('@schedule("0 1 * *")', "D015"),
        ('@schedule("0 0 1 * * *")', "D015"),
        ('@schedule("60 1 * * *")', "D015"),
        ('@schedule("0 5-1 * * *")', "D015"),
        ('@schedule("0 1-2-3 * * *")', "D015"),
        ('@schedule("*/0 1 * * *")', "D015"),
        ('@schedule("0 1 * foo *")', "D015"),
        ('@schedule("0 0 31 2 *")', "D015"),
        ("@schedule(every=1500ms)", "D015"),
        ("@schedule(every=53w)", "D015"),
        ("@schedule(daily, every=1h)", "D016"),
        ('@schedule(daily, tz="../etc/passwd")', "D015"),
        ('@schedule(daily, tz="Mars/Olympus")', "D015"),
        ("@schedule(daily, deadline=soon)", "D015"),
        ('@schedule(daily, start="1969-01-01")', "D015"),
        ("@schedule(daily, missed=all, overlap=replace)", "D016"),
        ("@schedule()", "D014"),
        ("@schedule(daily, jitter=1m)", "D011"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(line: str, code: str) -> None:
    assert codes(line, SOURCE, SINK) == [code]


def test_a_pipeline_without_one_has_the_bytes_and_the_hash_that_it_always_had() -> None:
    dag = compile_lines(SOURCE, SINK)
    assert b"schedule" not in msgspec.json.encode(dag)
    assert dag.hash[:12] == "69335f0004f8"


def test_the_hash_covers_it_and_a_difference_tells_it() -> None:
    before = compile_lines("@schedule(daily)", SOURCE, SINK)
    now = compile_lines("@schedule(weekly)", SOURCE, SINK)
    assert before.hash != now.hash
    assert [change.what for change in difference(before, now)] == ["schedule"]
    assert msgspec.json.decode(msgspec.json.encode(now), type=Dag) == now
