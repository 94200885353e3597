"""Slices where nothing closes them off: only when asked for, told each time; and the networks that a node keeps for itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from runi_project import Project
from runink.cli.exits import ExitCode
from runink.cli.settings import BANNER

# Namespaces of processes are at an end in there: nothing can be isolated.
NO_PIDS = (sys.executable, str(Path(__file__).with_name("without_namespaces.py")), "pid")

LOOKS = """
@step(each="batch")
def look(batch):
    import os
    with open("out/seen", "w") as file:
        file.write(f"{os.getuid()} {os.getpid()} {os.path.exists('data/other.csv')}")
    return batch
"""


@pytest.fixture
def looking(project: Project) -> Project:
    project.write("data/x.csv", "a\n1\n")
    project.write("data/other.csv", "secret")
    project.step(LOOKS)
    project.pipeline('@source("csv://data/x.csv")\n@step("look")\n@sink("csv://out/y.csv")')
    return project


def seen(project: Project) -> tuple[int, int, bool]:
    uid, pid, sees = project.read("out/seen").split()
    return int(uid), int(pid), sees == "True"


def test_a_slice_is_closed_off_unless_one_says_otherwise(looking: Project):
    said = looking.run()
    assert (said.code, said.document["isolation"]) == (ExitCode.DONE, "full")
    assert BANNER not in said.err
    uid, pid, sees = seen(looking)
    assert (uid, sees) == (1000, False)
    assert pid < 10
    found = looking.runi("slice", "get", "last", "one", "-o", "json").document
    assert found["sealed"]["isolation"] == "full"
    assert found["shown"][str(looking.root / "out")] == "rw"
    assert found["shown"][str(looking.root / "data/x.csv")] == "ro"
    assert f"rw {looking.root / 'out'}" in looking.runi("slice", "get", "last", "one").out
    listed = looking.runi("slice", "list", "last").out.splitlines()
    assert all("isolation full" in line for line in listed)


@pytest.mark.parametrize("way", ["option", "environment"])
def test_plain_slices_are_told_with_each_run(looking: Project, way: str):
    words = ["--no-isolation"] if way == "option" else []
    if way == "environment":
        looking.environment["RUNINK_NO_ISOLATION"] = "1"
    said = looking.run("features/p.dsl", *words)
    assert (said.code, said.document["isolation"]) == (ExitCode.DONE, "none")
    assert said.err.count(BANNER) == 1
    _, pid, sees = seen(looking)
    assert sees
    assert pid > 10
    listed = looking.runi("slice", "list", "last", "-o", "json").document
    assert {one["sealed"]["isolation"] for one in listed} == {"none"}


def test_where_isolation_is_impossible_a_run_fails_and_says_which_option_there_is(
    looking: Project,
):
    failed = looking.runi("run", "features/p.dsl", world=NO_PIDS)
    assert failed.code == ExitCode.FAILED
    assert "error[isolation_unavailable]" in failed.out
    assert "clone" in failed.out  # the reason
    assert "--no-isolation" in failed.out
    assert not Path(looking.root / "out/seen").exists()
    plain = looking.runi("run", "features/p.dsl", "--no-isolation", world=NO_PIDS)
    assert plain.code == ExitCode.DONE
    assert BANNER in plain.err


def test_a_cluster_that_runs_slices_otherwise_is_not_used(looking: Project):
    with looking.up("--no-host-network"):
        node = looking.runi("node", "get", "local", "-o", "json").document
        assert node["capabilities"]["isolation"] == "full"
        assert node["capabilities"]["network.host"] == "refused"
        for word in ("--no-isolation", "--allow-host-network"):
            refused = looking.run("features/p.dsl", word)
            assert refused.error["code"] == "cluster_settings"
            assert word in refused.error["text"]
        assert looking.run("features/p.dsl", "--no-host-network").code == ExitCode.DONE
    with looking.up("--no-isolation"):
        said = looking.run()  # which insists on nothing, and is told
        assert (said.code, said.document["isolation"]) == (ExitCode.DONE, "none")
        assert BANNER in said.err


def test_a_node_may_keep_its_network_to_itself(looking: Project):
    file = looking.pipeline(
        '@source("csv://data/x.csv")\n@step("look")\n@requires(network="host")\n@sink("csv://out/y.csv")'
    )
    refused = looking.run(file, "--no-host-network")
    assert refused.error["code"] == "network_host_refused"
    assert "--allow-host-network" in refused.error["hint"]
    assert looking.run(file, "--allow-host-network").code == ExitCode.DONE
