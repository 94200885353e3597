"""`runi runs`, `logs` and `cancel` of a cluster elsewhere: the context's, and nobody else's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from asked_cluster import Shell, shell_at
from click.shell_completion import ShellComplete
from run_records import RUN, put_failed, put_run, run_at, run_record, slice_record, write_log
from runink.cli.commands import runi
from runink.cli.completion import VARIABLE
from runink.contracts.yaml_text import read_yaml
from runink.runs.records import RunState
from runink.testing.served import bound, person
from served_cluster import ServedCluster, served_cluster

ANN = person("ann")
LATER, OTHER = run_at(5), run_at(9)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ServedCluster]:
    tokens, bindings = {"ann-token": ANN}, [bound("ann", "operator", ANN.subject, herd="sales")]
    nodes = {"w1": tmp_path / "w1"}
    with served_cluster(tmp_path, "sales", "stock", bindings=bindings, tokens=tokens, nodes=nodes) as made:  # fmt: skip

        async def put() -> None:
            barn = made.cluster.barn
            await put_failed(barn, "sales")
            done = run_record("sales", LATER, state=RunState.CANCELLED)
            await put_run(barn, done, slice_record(done), slice_record(done, "silver"))
            await put_run(barn, run_record("stock", OTHER))

        made.on_loop(put)
        write_log(nodes["w1"], LATER, "gold", "first", "third")
        yield made


@pytest.fixture
def shell(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    cluster: ServedCluster,
) -> Shell:
    made = shell_at(tmp_path, monkeypatch, capfd)
    file = tmp_path / "token"
    file.write_text("ann-token")
    file.chmod(0o600)
    added = made.runi("context", "add", "prod", cluster.address, "--token-file", str(file), "--use")
    assert added.code == 0
    return made


def test_runs_of_herds_that_one_sees_are_listed_the_newest_first(shell: Shell) -> None:
    said = shell.runi("runs")
    first, second = said.out.splitlines()
    assert first.startswith(LATER[:8])
    assert "cancelled" in first
    assert "step_failed" in second
    assert "daily · sales" in second
    found = shell.runi("runs", "-o", "json", "-n", "1").json
    assert [one["run"] for one in found] == [LATER]
    assert shell.runi("runs", "--herd", "stock").code == 3
    assert shell.runi("runs", "-n", "0").out == ""


def test_runs_and_slices_are_printed_as_yaml_and_as_names_for_other_commands(shell: Shell) -> None:
    assert shell.runi("runs", "-o", "name").out.splitlines()[0] == LATER
    assert shell.runi("runs", "-o", "table").out == shell.runi("runs").out
    found = read_yaml(shell.runi("runs", "-o", "yaml", "-n", "1").out, file="x").value
    assert found == shell.runi("runs", "-o", "json", "-n", "1").json
    assert shell.runi("slice", "list", LATER, "-o", "name").out.split() == ["gold", "silver"]
    one = read_yaml(shell.runi("slice", "get", LATER, "silver", "-o", "yaml").out, file="x").value
    assert one == shell.runi("slice", "get", LATER, "silver", "-o", "json").json


def test_the_cluster_here_is_meant_where_that_is_said(shell: Shell) -> None:
    nowhere = str(shell.home / "nowhere")
    assert "no runs yet" in shell.runi("runs", "--state", nowhere).err
    assert shell.runi("context", "use", "--none").code == 0
    assert "no runs yet" in shell.runi("runs").err
    assert "no runs in sales" in shell.runi("runs", "--herd", "sales").err


def test_a_run_is_named_by_its_id_its_beginning_or_as_the_last(shell: Shell) -> None:
    for name in (LATER, LATER.lower(), "last", LATER[:10]):
        said = shell.runi("logs", name)
        assert said.code == 0, said.err
        assert [line.split(": ", 1)[1] for line in said.out.splitlines()] == ["first", "third"]
    assert shell.runi("logs", RUN[:4]).code == 8
    assert shell.runi("logs", "0" * 26).code == 3
    assert shell.runi("logs", OTHER).code == 3


def test_logs_are_followed_up_to_the_run_s_end(shell: Shell) -> None:
    said = shell.runi("logs", "last", "--follow", "-o", "json")
    assert [(one["slice"], one["text"]) for one in said.json] == [("gold", "first"), ("gold", "third")]  # fmt: skip


def test_a_run_that_has_ended_is_not_cancelled(shell: Shell) -> None:
    said = shell.runi("cancel", RUN)
    assert said.code == 5
    assert "has failed already" in said.err


def test_a_run_that_lives_is_cancelled_and_its_end_waited_for(
    shell: Shell, cluster: ServedCluster
) -> None:
    async def put() -> None:
        await put_run(cluster.cluster.barn, run_record("sales", run_at(20)))

    cluster.on_loop(put)
    said = shell.runi("cancel", "last", "-o", "json")
    assert (said.code, said.json["state"]) == (0, "cancelled")


def test_why_a_run_waits_is_said_by_the_cluster(shell: Shell, cluster: ServedCluster) -> None:
    async def put() -> None:
        run = run_record("sales", run_at(20))
        await put_run(cluster.cluster.barn, run, slice_record(run))

    cluster.on_loop(put)
    said = shell.runi("why", "last")
    assert said.out.startswith(f"run {run_at(20)[:8]}"), said.err
    assert shell.runi("why", "last", "-o", "json", "--if", "priority 7").json["if"] == [
        "priority 7"
    ]
    assert shell.runi("why", "last", "--if", "nonsense").code == 8
    assert shell.runi("why", "--replay", "7").code == 4


def test_how_a_context_s_cluster_is_is_told_as_far_as_the_caller_may_know(shell: Shell) -> None:
    said = shell.runi("status")
    assert said.code == 0, said.err
    assert said.out.splitlines() == ["herd sales: declared, 0 runs not ended"]
    found = shell.runi("status", "-o", "json").json
    assert (found["members"], found["nodes"]) == (None, None)
    assert [one["herd"] for one in found["herds"]] == ["sales"]


def test_rejected_rows_of_a_context_s_run_are_shown_or_it_is_said_that_there_are_none(
    shell: Shell,
) -> None:
    said = shell.runi("dead", "show", LATER)
    assert said.code == 0, said.err
    assert "rejected no rows" in said.err
    assert shell.runi("dead", "show", OTHER).code == 3


def test_only_what_failed_is_gone_on_with_in_a_context(
    shell: Shell, cluster: ServedCluster
) -> None:
    async def put() -> None:
        await put_run(cluster.cluster.barn, run_record("sales", run_at(20)))

    cluster.on_loop(put)
    assert shell.runi("resume", "last").code == 5
    assert shell.runi("restart", "last", "--from", "x").code == 5


def test_slices_of_a_context_s_run_are_told(shell: Shell) -> None:
    said = shell.runi("slice", "list", LATER)
    assert [line.split()[0] for line in said.out.splitlines()] == ["gold", "silver"], said.err
    assert shell.runi("slice", "get", LATER, "gold").out.startswith("slice         gold")
    assert shell.runi("slice", "get", LATER, "bronze").code == 3
    assert shell.runi("slice", "list", OTHER).code == 3


def test_what_becomes_of_runs_is_told_as_it_happens(shell: Shell, cluster: ServedCluster) -> None:
    assert shell.runi("runs", "--watch").code == 8  # of which herd
    assert shell.runi("runs", "--watch", "--state", str(shell.home)).code == 8
    changes: list[str] = []

    async def change() -> None:
        for place in (30, 31):
            await put_run(cluster.cluster.barn, run_record("sales", run_at(place)))
            changes.append(run_at(place))

    command = [sys.executable, "-m", "runink.cli.main", "runs", "--watch", "--herd", "sales", "-o", "json"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        cluster.until_watched()
        cluster.on_loop(change)
        told = [json.loads(process.stdout.readline())["run"] for _ in changes]
        process.terminate()
    assert told == changes


def test_runs_are_completed_as_the_context_has_them(shell: Shell) -> None:
    completing = ShellComplete(runi, {}, "runi", VARIABLE)
    found = completing.get_completions(["logs"], LATER[:6])
    assert {one.value for one in found} == {RUN, LATER}
    assert shell.home.exists()
