"""Completion: what shells load, and names that live in a cluster, quickly and in silence."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from asked_cluster import Shell, shell_at
from click.shell_completion import ShellComplete
from run_records import dag_of
from runink.barn.keys import contract_key, pipeline_key
from runink.cli.commands import runi
from runink.cli.completion import SHELLS, VARIABLE
from runink.contracts.fields import ContractSpec
from runink.governance.registry import ContractVersion, Origin, PipelineVersion
from runink.names import herd_name
from runink.testing.served import NOW_MS
from served_cluster import ServedCluster, served_cluster


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Shell:
    return shell_at(tmp_path, monkeypatch, capfd)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ServedCluster]:
    with served_cluster(tmp_path, "sales", "stock", tokens={}) as made:
        yield made


def completed(*words: str, typed: str = "") -> list[str]:
    completing = ShellComplete(runi, {}, "runi", VARIABLE)
    return [one.value for one in completing.get_completions(list(words), typed)]


def test_contexts_are_completed_by_their_names(shell: Shell) -> None:
    for name in ("prod", "prod-2", "test"):
        shell.runi("context", "add", name, "https://api.example")
    assert completed("context", "use", typed="pr") == ["prod", "prod-2"]
    assert completed("api", "GET", "/herds", "--context") == ["prod", "prod-2", "test"]


def test_herds_are_completed_as_the_cluster_has_them(shell: Shell, cluster: ServedCluster) -> None:
    state = ("--state", str(shell.home))
    assert completed("herd", "get", *state) == ["sales", "stock"]
    assert completed("herd", "get", *state, typed="st") == ["stock"]


def test_pipelines_are_completed_with_their_herd_where_one_is_typed(
    shell: Shell, cluster: ServedCluster
) -> None:
    async def put() -> None:
        for herd, name in (("sales", "daily"), ("sales", "hourly"), ("stock", "daily-stock")):
            dag = dag_of(herd, name)
            version = PipelineVersion(
                "1.0.0", dag, "h", Origin("daily.dsl", "operator:root", NOW_MS)
            )
            await cluster.cluster.barn.put(pipeline_key(dag.herd, dag.pipeline, "1.0.0"), version)

    cluster.on_loop(put)
    state = ("--state", str(shell.home))
    assert completed("pipeline", "show", *state, typed="da") == ["daily", "daily-stock"]
    assert completed("pipeline", "show", *state, typed="sales/") == ["sales/daily", "sales/hourly"]


def test_contracts_are_completed_with_their_herd_where_one_is_typed(
    shell: Shell, cluster: ServedCluster
) -> None:
    async def put() -> None:
        for herd, name in (("sales", "Flight"), ("sales", "Gate"), ("stock", "Flow")):
            spec = ContractSpec(name, "1.0.0", ())
            version = ContractVersion(
                herd_name(herd), spec, spec.hash, Origin("f.py", "operator:root", NOW_MS)
            )
            await cluster.cluster.barn.put(contract_key(version.herd, name, "1.0.0"), version)

    cluster.on_loop(put)
    state = ("--state", str(shell.home))
    assert completed("contract", "history", *state, typed="Fl") == ["Flight", "Flow"]
    assert completed("contract", "history", *state, typed="sales/") == [
        "sales/Flight",
        "sales/Gate",
    ]


def test_nobody_who_answers_is_no_word_on_the_line_that_is_typed(shell: Shell) -> None:
    said = shell.runi("context", "list")
    assert completed("herd", "get", "--state", str(shell.home / "nowhere")) == []
    (shell.home / "config/runink").mkdir(parents=True)
    (shell.home / "config/runink/contexts.json").write_text("broken")
    assert completed("context", "use") == []
    assert said.code == 0


@pytest.mark.parametrize("name", SHELLS)
def test_each_shell_has_its_script(shell: Shell, name: str) -> None:
    said = shell.runi("completion", name)
    assert said.code == 0
    assert f"{VARIABLE}={name}_complete" in said.out
    if name == "bash":
        subprocess.run(["bash", "-n"], input=said.out, text=True, check=True)
    assert shell.runi("completion", "csh").code == 2
