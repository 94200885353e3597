"""What the doctor says about facts: each can be good or bad by itself."""

from __future__ import annotations

import os
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from runink.cli.doctor import Disk, Facts, Users, Verdict, facts_of, judged, looked_at
from runink.sandbox.door import listen

NOBODY = 4_711_000  # a number without a name
GOOD = Facts(
    python=(3, 11, 7),
    system="linux",
    release="6.18.44-generic",
    packages={"pyarrow": "20.0", "lark": "1.2"},
    files=(1024, 4096),
    pipe_bytes=1 << 20,
    disk=Disk("/state", free=10 << 30, sync_ms=2.0),
    users=Users(NOBODY),
)


def verdicts(facts: Facts) -> dict[str, Verdict]:
    return {found.name: found.verdict for found in judged(facts)}


def test_a_good_machine_has_nothing_to_mend():
    found = list(judged(GOOD))
    assert {one.verdict for one in found} == {Verdict.OK}
    assert all(not one.hint for one in found)
    assert [one.text for one in found] == [
        "3.11.7",
        "Linux 6.18.44-generic",
        "20.0",
        "1.2",
        "1024 open files, up to 4096",
        "hold 1024 KiB",
        "11 GB free, a sync takes 2.0 ms",
        f"would run as {NOBODY}",
        f"would run as {NOBODY}",
    ]


@pytest.mark.parametrize(
    ("name", "verdict", "changes"),
    [
        ("python", Verdict.BAD, {"python": (3, 10, 1)}),
        ("kernel", Verdict.BAD, {"release": "5.3.18-59"}),
        ("kernel", Verdict.BAD, {"release": "4.19"}),
        ("kernel", Verdict.BAD, {"system": "darwin"}),
        ("pyarrow", Verdict.BAD, {"packages": {"pyarrow": None}}),
        ("files", Verdict.WARNING, {"files": (256, 512)}),
        ("pipes", Verdict.WARNING, {"pipe_bytes": 64 << 10}),
        ("disk", Verdict.WARNING, {"disk": Disk("/state", free=10 << 20, sync_ms=2.0)}),
        ("disk", Verdict.WARNING, {"disk": Disk("/state", free=10 << 30, sync_ms=80.0)}),
        ("disk", Verdict.BAD, {"disk": Disk("/state", error="Permission denied")}),
        ("agent", Verdict.WARNING, {"users": Users(0)}),
        ("spawner", Verdict.BAD, {"users": Users(NOBODY, "/s", error="Connection refused")}),
        ("spawner", Verdict.BAD, {"users": Users(NOBODY, "/s", served=NOBODY + 1)}),
    ],
)
def test_one_thing_that_will_not_do_is_found_with_how_to_mend_it(
    name: str, verdict: Verdict, changes: dict[str, Any]
):
    found = [one for one in judged(replace(GOOD, **changes)) if one.verdict is not Verdict.OK]
    assert [(one.name, one.verdict) for one in found] == [(name, verdict)]
    assert found[0].hint


def test_a_package_that_is_missing_is_told_with_what_brings_it():
    [found] = [one for one in judged(replace(GOOD, packages={"lark": None})) if one.name == "lark"]
    assert found.hint == "pip install 'runink[server]'"


def test_files_without_a_limit_are_enough():
    assert verdicts(replace(GOOD, files=(1024, resource.RLIM_INFINITY)))["files"] is Verdict.OK


def test_a_disk_is_measured_where_the_state_will_be_and_left_as_it_was(tmp_path: Path):
    facts = facts_of(tmp_path / "not/there/yet")
    assert facts.disk.folder == str(tmp_path)
    assert facts.disk.error == ""
    assert facts.disk.free > 0
    assert list(tmp_path.iterdir()) == []


def test_each_pipeline_of_the_project_is_compiled(tmp_path: Path):
    features = tmp_path / "features"
    features.mkdir()
    text = 'Feature: x\n  Scenario: s\n    @source("csv://a.csv")\n    @sink("csv://b.csv")\n'
    (features / "good.dsl").write_text(text)
    (features / "wrong.dsl").write_text("Feature: x\n  Scenario: s\n    @what()\n")
    good, wrong = [one for one in looked_at(tmp_path, tmp_path) if one.name == "pipeline"]
    assert (good.verdict, good.text) == (Verdict.OK, "features/good.dsl: 1 slice")
    assert (wrong.verdict, wrong.hint) == (Verdict.WARNING, "runi compile features/wrong.dsl")


def test_a_spawner_of_roots_is_told_with_its_place():
    found = {one.name: one for one in judged(replace(GOOD, users=Users(NOBODY, "/run/s")))}
    assert found["spawner"].verdict is Verdict.OK
    assert found["spawner"].text == "/run/s runs as root (0)"


def test_whose_a_spawner_is_is_found_at_its_socket(tmp_path: Path):
    path = tmp_path / "s"
    with listen(str(path)):
        assert facts_of(tmp_path, path).users == Users(os.geteuid(), str(path), os.geteuid())
    assert facts_of(tmp_path, path).users.error == "Connection refused"
    path.unlink()
    assert facts_of(tmp_path, path).users.error == "No such file or directory"
    assert facts_of(tmp_path).users == Users(os.geteuid())
