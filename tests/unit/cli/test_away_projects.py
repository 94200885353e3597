"""`runi pipeline push`, `deploy` and `submit` in a context: a project's code goes to the cluster once, is compiled there, and is run there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from asked_cluster import Shell, shell_at
from runink.barn.keys import run_key
from runink.names import HerdName
from runink.runs.records import RunRecord, RunState
from runink.testing.served import bound, person
from served_cluster import ServedCluster, served_cluster

ANN, VIC = person("ann"), person("vic")
DSL = """\
@herd("sales")
@param("day", default="all")
@schedule("0 6 * * *")
Feature: Daily

  @module(layer="bronze")
  Scenario: Take in
    @source("csv://data/${day}.csv")
    @step("clean")
    @sink("jsonl://out/days.jsonl")
"""
STEPS = """\
from runink import step


@step(each="batch")
def clean(batch):
    return batch
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ServedCluster]:
    tokens = {"ann-token": ANN, "vic-token": VIC}
    bindings = [
        bound("ann", "author", ANN.subject, herd="sales"),
        bound("vic", "viewer", VIC.subject, herd="sales"),
    ]
    with served_cluster(tmp_path, "sales", "stock", bindings=bindings, tokens=tokens) as made:
        yield made


@pytest.fixture
def shell(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    cluster: ServedCluster,
) -> Shell:
    """A shell in a project, with a context of an author that is in use, and one of a viewer."""
    made = shell_at(tmp_path, monkeypatch, capfd)
    for path, text in (("features/daily.dsl", DSL), ("steps/days.py", STEPS)):
        file = tmp_path / "project" / path
        file.parent.mkdir()
        file.write_text(text)
    for name, more in (("vic", ()), ("ann", ("--herd", "sales", "--use"))):
        token = tmp_path / f"{name}.token"
        token.write_text(f"{name}-token")
        token.chmod(0o600)
        words = ("context", "add", name, cluster.address, "--token-file", str(token), *more)
        assert made.runi(*words).code == 0
    return made


def test_a_version_is_pushed_once_and_its_code_with_it(shell: Shell) -> None:
    said = shell.runi("pipeline", "push", "features/daily.dsl")
    assert said.code == 0, said.err
    assert "sales/daily@1.0.0 is published in ann" in said.out
    again = shell.runi("pipeline", "push", "features/daily.dsl", "--version", "1.0.0")
    assert "is published there already" in again.out
    found = shell.runi("api", "GET", "/herds/sales/bundles").json["items"]
    assert len(found) == 1
    steps = Path("steps/days.py")
    steps.write_text(steps.read_text() + "# other\n")
    newer = shell.runi("pipeline", "push", "features/daily.dsl", "-o", "json").json
    assert (newer["new"], newer["previous"]) == (True, "1.0.0")


def test_a_pipeline_is_put_in_force_there_and_run(shell: Shell, cluster: ServedCluster) -> None:
    said = shell.runi("deploy", "features/daily.dsl", "--paused", "--folder", "/srv/sales")
    assert said.code == 0, said.err
    assert said.out == "sales/daily is deployed in ann\n"
    in_force = shell.runi("api", "GET", "/herds/sales/schedules/daily").json
    assert in_force["paused"]
    run = shell.runi("submit", "daily", "-p", "day=monday", "-o", "json").json
    assert (run["herd"], run["pipeline"], run["state"]) == ("sales", "daily", RunState.SUBMITTED.value)  # fmt: skip
    assert run["parameters"] == {"day": "monday"}
    assert shell.runi("runs", "-o", "json").json[0]["run"] == run["run"]

    async def stored() -> RunRecord:
        found = await cluster.cluster.barn.get(run_key(HerdName("sales"), run["run"]), RunRecord)
        assert found is not None
        return found.value

    assert cluster.on_loop(stored).project == "/srv/sales"


def test_what_is_not_there_or_not_allowed_is_told(shell: Shell) -> None:
    missing = shell.runi("submit", "daily")
    assert (missing.code, "not_deployed" in missing.err) == (3, True), missing.err
    assert shell.runi("submit", "daily", "-p", "x").code == 2
    denied = shell.runi("deploy", "features/daily.dsl", "--context", "vic")
    assert denied.code == 4, denied.err
    other = shell.runi("deploy", "features/daily.dsl", "--herd", "stock")
    assert (other.code, "other_herd" in other.err) == (8, True), other.err


def test_a_folder_on_nodes_is_said_of_a_context_alone(shell: Shell) -> None:
    assert shell.runi("context", "use", "--none").code == 0
    for words in (("deploy",), ("pipeline", "push")):
        assert shell.runi(*words, "features/daily.dsl", "--folder", "/srv").code == 2


def test_published_pipelines_are_listed_shown_and_told_with_what_has_changed(shell: Shell) -> None:
    assert shell.runi("pipeline", "push", "features/daily.dsl").code == 0
    steps = shell.home / "project/steps/days.py"
    steps.write_text(steps.read_text() + "\n# another day\n")
    assert shell.runi("pipeline", "push", "features/daily.dsl").code == 0
    listed = shell.runi("pipeline", "list")
    assert [line.split()[:3] for line in listed.out.splitlines()[1:]] == [["sales/daily", "1.1.0", "2"]], listed  # fmt: skip
    shown = shell.runi("pipeline", "show", "daily@1.0.0")
    assert "sales/daily@1.0.0" in shown.out
    assert "csv://data/all.csv" in shown.out
    told = shell.runi("pipeline", "history", "sales/daily").out.splitlines()
    assert [line.split()[0] for line in told if not line.startswith(" ")] == ["sales/daily@1.1.0", "sales/daily@1.0.0"]  # fmt: skip
    assert any("code steps/days.py is another" in line for line in told)
    assert shell.runi("pipeline", "show", "nobody").code == 3


def test_contracts_are_published_listed_and_told_with_what_has_changed(shell: Shell) -> None:
    file = shell.home / "project/contracts/rows.py"
    file.parent.mkdir()
    text = 'from runink import Contract\n\n\nclass Row(Contract, version="1.0.0"):\n    a: int\n'
    file.write_text(text)
    would = shell.runi("contract", "publish", "contracts/rows.py:Row", "--herd", "sales", "-n")
    assert "would be published" in would.out, would.err
    assert shell.runi("contract", "history", "Row").code == 3
    first = shell.runi("contract", "publish", "contracts/rows.py:Row", "--herd", "sales")
    assert "the first version" in first.out, first.err
    file.write_text(text.replace("1.0.0", "1.1.0") + "    b: str | None\n")
    assert shell.runi("contract", "publish", "contracts/rows.py:Row", "--herd", "sales").code == 0
    listed = shell.runi("contract", "catalog").out.splitlines()
    assert [line.split()[:3] for line in listed[1:]] == [["Row", "1.1.0", "sales"]]
    told = shell.runi("contract", "history", "Row").out.splitlines()
    assert [line.split()[0] for line in told if not line.startswith(" ")] == ["sales/Row@1.1.0", "sales/Row@1.0.0"]  # fmt: skip
    assert any(line.startswith("  ") and "b" in line for line in told)
