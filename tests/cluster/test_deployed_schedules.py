"""Pipelines that are due, with real processes: each tick makes one run, also where the cluster is killed in the middle; and what the commands say."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from runi_project import Project

WAIT_S_MAX = 60.0  # without anything new
DAILY = """@herd("sales")
@param("interval_date")
@schedule("0 6 * * *", tz="Europe/Berlin")
Feature: Daily
  Scenario: one
    @source("csv://data/*.csv")
    @sink("jsonl://out/${interval_date}.jsonl", mode=append)
"""
OFTEN = """@schedule(every=1s, missed=all)
Feature: Often
  Scenario: one
    @source("csv://data/*.csv")
    @sink("jsonl://out/often", mode=append)
"""


@pytest.fixture
def deployed(project: Project) -> Project:
    project.write("data/in.csv", "a,b\n1,x\n2,y\n")
    project.write("features/daily.dsl", DAILY)
    project.write("features/often.dsl", OFTEN)
    return project


def shown(project: Project, name: str, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Ask about a schedule until it is as wanted: each question is a process, and so takes its time."""
    before, deadline_s = None, 0.0
    while True:
        document = project.runi("schedule", "show", name, "-o", "json").document
        if until(document):
            return document
        if document != before:
            before, deadline_s = document, time.monotonic() + WAIT_S_MAX
        assert time.monotonic() < deadline_s, document


def runs_of(project: Project, pipeline: str) -> list[dict[str, Any]]:
    listed = project.runi("runs", "-n", "1000", "-o", "json").document
    return [run for run in listed if run["pipeline"] == pipeline]


def test_a_backfill_runs_each_tick_once_though_the_cluster_is_killed_in_the_middle(
    deployed: Project,
) -> None:
    assert deployed.runi("deploy", "features/daily.dsl").code == 0
    days = [f"2026-03-{day}" for day in range(26, 32)]  # clocks are put forward on the 29th
    words = ("--from", days[0], "--to", days[-1], "--at-once", "2")
    asked = deployed.runi("schedule", "backfill", "daily", *words, "-o", "json")
    assert asked.code == 0, asked
    ticks = asked.document["ticks_ms"]
    assert len(ticks) == len(days)

    def has_begun(document: dict[str, Any]) -> bool:
        return any(run["state"] == "succeeded" for run in document["runs"])

    def is_done(document: dict[str, Any]) -> bool:
        (one,) = document["backfills"]
        states = Counter(run["state"] for run in document["runs"])
        return one["begun"] == len(ticks) and states["succeeded"] == len(ticks)

    with deployed.up() as up:
        shown(deployed, "daily", has_begun)
        up.kill()
        up.wait(timeout=60)
    with deployed.up():
        shown(deployed, "daily", is_done)
    made = runs_of(deployed, "daily")
    assert sorted(run["tick_ms"] for run in made) == ticks
    parts = Counter(path.split("/")[1] for path in deployed.files("out"))
    days_before = ["2026-03-25", *days[:-1]]
    assert parts == {f"{day}.jsonl": 1 for day in days_before}, "every interval is published once"


def test_ticks_that_pass_while_the_cluster_is_dead_are_run_once_each_when_it_is_back(
    deployed: Project,
) -> None:
    assert deployed.runi("deploy", "features/often.dsl").code == 0

    def several(count: int) -> Callable[[dict[str, Any]], bool]:
        return lambda _: len(runs_of(deployed, "often")) >= count

    with deployed.up() as up:
        shown(deployed, "often", several(2))
        up.kill()
        up.wait(timeout=60)
    before = len(runs_of(deployed, "often"))
    with deployed.up():
        shown(deployed, "often", several(before + 3))
        assert deployed.runi("schedule", "pause", "often").code == 0
        shown(
            deployed,
            "often",
            lambda found: all(run["state"] == "succeeded" for run in found["runs"]),
        )
    ticks = sorted(run["tick_ms"] for run in runs_of(deployed, "often"))
    assert ticks == list(range(ticks[0], ticks[-1] + 1, 1000)), "none twice, none forgotten"
    assert len(deployed.files("out/often")) == len(ticks)


def test_what_is_deployed_outlives_its_project_and_its_submitter(deployed: Project) -> None:
    assert deployed.runi("deploy", "features/daily.dsl").code == 0
    (deployed.root / "features/daily.dsl").unlink()
    assert deployed.runi("clean", "--keep", "0").code == 0
    with deployed.up():
        asked = deployed.runi("schedule", "run", "daily", "--tick", "2026-11-03T06:00")
        assert asked.code == 0, asked
        assert "for 2026-11-03T06:00:00+01:00" in asked.out
        shown(
            deployed,
            "daily",
            lambda found: [run["state"] for run in found["runs"]] == ["succeeded"],
        )
    assert [path.split("/")[1] for path in deployed.files("out")] == ["2026-11-02.jsonl"]


def test_the_commands_say_what_there_is_and_what_is_wrong(deployed: Project) -> None:
    assert "nothing is deployed yet" in deployed.runi("schedule", "list").err
    assert deployed.runi("schedule", "show", "daily").code == 3
    deployed.write("features/plain.dsl", OFTEN.partition("\n")[2])
    plain = deployed.runi("deploy", "features/plain.dsl")
    assert (plain.code, "error[no_schedule]" in plain.err) == (8, True), plain
    deployed.write("features/piped.dsl", OFTEN.replace("csv://data/*.csv", "csv://-"))
    piped = deployed.runi("deploy", "features/piped.dsl")
    assert (piped.code, "error[standard_io]" in piped.err) == (8, True), piped

    first = deployed.runi("deploy", "features/daily.dsl", "--paused")
    assert "sales/daily is deployed: 0 6 * * * in Europe/Berlin" in first.out
    assert "it is paused" in first.out
    assert "runi up" in first.err
    deployed.write("features/other/daily.dsl", DAILY)
    other = deployed.runi("deploy", "features/other/daily.dsl")
    assert "note: it takes the place of features/daily.dsl" in other.err
    paused = deployed.runi("schedule", "pause", "sales/daily")
    assert paused.out == "sales/daily was paused already\n"
    assert deployed.runi("schedule", "resume", "daily").out == "sales/daily goes on\n"
    assert deployed.runi("schedule", "resume", "daily").out == "sales/daily was not paused\n"
    assert "did you mean sales/daily?" in deployed.runi("schedule", "pause", "sales/dialy").err

    (row,) = deployed.runi("schedule", "list", "-o", "json").document
    assert (row["herd"], row["pipeline"], row["paused"]) == ("sales", "daily", False)
    assert row["schedule"]["zone"] == "Europe/Berlin"
    no_tick = deployed.runi("schedule", "run", "daily", "--tick", "2026-11-03T07:00")
    assert "the next one is 2026-11-04T06:00:00+01:00" in no_tick.err
    dry = deployed.runi(
        "schedule", "backfill", "daily", "--from", "2026-11-01", "--to", "2026-11-03", "-n"
    )
    assert "would be 3 runs, 2026-11-01T06:00:00+01:00 to 2026-11-03T06:00:00+01:00" in dry.out
    turned = deployed.runi(
        "schedule", "backfill", "daily", "--from", "2026-11-03", "--to", "2026-11-01"
    )
    assert (turned.code, "--from is the earlier one" in turned.err) == (8, True)
    assert "no backfill that is under way" in deployed.runi("schedule", "stop", "daily").err


def test_a_backfill_leaves_out_what_another_one_does_and_can_be_stopped(deployed: Project) -> None:
    deployed.runi("deploy", "features/daily.dsl")
    words = ("schedule", "backfill", "daily", "--to", "2026-11-04", "--from")
    assert "2 runs" in deployed.runi(*words, "2026-11-03").out
    second = deployed.runi(*words, "2026-11-01").out
    assert "2 runs, 2026-11-01T06:00:00+01:00 to 2026-11-02T06:00:00+01:00" in second
    assert "2 ticks left away" in second
    assert "4 runs" in deployed.runi(*words, "2026-11-01", "--again").out
    stopped = deployed.runi("schedule", "stop", "daily").out.splitlines()
    assert len(stopped) == 3
    assert stopped[0].endswith("is stopped: 0 of 2 runs were made")
    assert "2 runs" in deployed.runi(*words, "2026-11-03").out
    assert deployed.runi("schedule", "remove", "daily").code == 0
    assert "nothing is deployed" in deployed.runi("schedule", "list").err
