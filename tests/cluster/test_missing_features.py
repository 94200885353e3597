"""Machines that lack something of what closes slices off: what the node tells of it, who is refused, and who runs without because a herd allows that."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import denied_calls
import pytest
from ordinary_user import OrdinaryUser, ordinary_user
from runi_project import RUN_S_MAX, RUNI, Project
from runink.cli.exits import ExitCode
from sandbox_world import HAS_RANGES

NO_LANDLOCK = denied_calls.without("landlock_create_ruleset")
NO_SECCOMP = denied_calls.without("seccomp")
# Namespaces of users are at an end in there, for root too.
NO_USERS = (sys.executable, str(Path(__file__).with_name("without_namespaces.py")), "user")

LOOKS = """
@step(each="batch")
def look(batch):
    import os
    from pathlib import Path
    with open("out/seen", "w") as file:
        filters = [line.split()[1] for line in open("/proc/self/status") if line.startswith("Seccomp_filters")]
        file.write(f"{filters[0]} {Path('data/other.csv').exists()}")
    return batch
"""
ONE_ID = "who is not the machine's root has one id to give away: its own"
REQUIRED = '[isolation]\nrequire = ["{}"]'
ALLOWED = '[isolation]\nallow_missing = ["{}"]'


@pytest.fixture
def looking(project: Project) -> Project:
    return made(project)


@pytest.fixture
def user() -> Iterator[OrdinaryUser]:
    with ordinary_user() as user:
        yield user


@pytest.fixture
def users(user: OrdinaryUser) -> Project:
    """A project of an ordinary user's."""
    (user.home / "runink.toml").touch()
    project = made(Project(user.home))
    user.give(user.home)
    return project


def made(project: Project) -> Project:
    project.write("data/x.csv", "a\n1\n")
    project.write("data/other.csv", "secret")
    project.step(LOOKS)
    project.pipeline(
        '@source("csv://data/x.csv")\n@step("look")\n@sink("csv://out/y.csv")', herd="h"
    )
    says(project, "")
    return project


def says(project: Project, text: str) -> None:
    """Write the herd's file."""
    project.write("herds/h.toml", f'[herd]\nid = "h"\n{text}\n')


def sealed(project: Project) -> dict[str, str]:
    found = project.runi("slice", "get", "last", "one", "-o", "json").document
    return dict(found["sealed"])


def seen(project: Project) -> tuple[int, bool]:
    """Return behind how many filters the step was, and whether it saw what its pipeline does not name."""
    filters, sees = project.read("out/seen").split()
    return int(filters), sees == "True"


def node_in(world: Sequence[str], project: Project) -> dict[str, dict[str, str]]:
    """Return a node's record, as it stands in the Barn of a cluster that runs there."""
    cluster = subprocess.Popen(
        [*world, *RUNI, "up"], cwd=project.root, stderr=subprocess.PIPE, text=True
    )
    try:
        assert cluster.stderr is not None
        assert cluster.stderr.readline().startswith("ready")
        words = [*world, *RUNI, "node", "get", "local"]
        said = subprocess.check_output(words, cwd=project.root, text=True)
        document = json.loads(subprocess.check_output([*words, "-o", "json"], cwd=project.root))
    finally:
        cluster.terminate()
        cluster.communicate(timeout=RUN_S_MAX)
    for name, why in document["missing"].items():
        assert f"lacks         {name}: {why}" in said.splitlines()
    return dict(document)


def test_a_node_tells_what_it_has_and_what_it_lacks(looking: Project):
    whole = node_in((), looking)
    assert whole["capabilities"]["isolation"] == "full"
    assert whole["capabilities"]["seccomp"] == "on"
    assert whole["capabilities"]["namespaces"] == "user mount pid net ipc uts cgroup"
    assert whole["capabilities"]["landlock"].startswith("abi ")
    assert not {"namespaces", "seccomp", "landlock"} & whole["missing"].keys()
    if HAS_RANGES:
        assert whole["capabilities"]["id_ranges"] == "65536 for each herd"
    else:
        assert whole["missing"]["id_ranges"] == ONE_ID
    without = node_in(NO_LANDLOCK, looking)
    assert without["capabilities"]["isolation"] == "full"
    assert "the kernel has none" in without["missing"]["landlock"]
    without = node_in(NO_SECCOMP, looking)
    assert without["capabilities"]["isolation"] == "partial"
    assert "Function not implemented" in without["missing"]["seccomp"]
    without = node_in(NO_USERS, looking)
    assert without["capabilities"]["isolation"] == "refused"
    assert "No space left on device" in without["missing"]["namespaces"]
    assert without["missing"]["seccomp"] == "slices are plain processes here"


def test_an_agent_that_takes_a_spawner_over_tells_what_that_has_found(looking: Project):
    with looking.up() as killed:
        before = looking.runi("node", "get", "local", "-o", "json").document
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        with looking.up():
            after = looking.runi("node", "get", "local", "-o", "json").document
    assert after["capabilities"] == before["capabilities"]
    assert after["missing"] == before["missing"]
    log = looking.read(".runink/spawner-local.log")
    assert log.count('"agent came"') == 2, "of one spawner"


def test_plain_processes_that_ask_for_a_network_have_the_nodes(looking: Project):
    body = '@source("csv://data/x.csv")\n@step("look")\n@requires(network="egress")\n@sink("csv://out/y.csv")'
    looking.pipeline(body, herd="h")
    said = looking.run("features/p.dsl", "--no-isolation")
    assert (said.code, said.document["isolation"]) == (ExitCode.DONE, "none")


def test_nothing_of_what_a_spawner_has_told_is_left_when_it_has_ended(looking: Project):
    assert looking.run().code == ExitCode.DONE
    assert [path for path in looking.files(".runink") if "spawner" in path] == [
        ".runink/spawner-local.log"
    ]


def test_without_landlock_slices_run_and_their_records_say_so(looking: Project):
    said = looking.run(world=NO_LANDLOCK)
    assert (said.code, said.document["isolation"]) == (ExitCode.DONE, "full")
    assert sealed(looking)["landlock"] == "off"
    assert "WARNING" not in said.err


def test_a_herd_that_requires_landlock_is_not_run_without(looking: Project):
    says(looking, REQUIRED.format("landlock"))
    said = looking.run(world=NO_LANDLOCK)
    assert (said.code, said.error["code"]) == (ExitCode.FAILED, "capability_missing")
    assert "local lacks landlock (" in said.error["text"]
    assert "herd h requires it" in said.error["hint"]
    assert not (looking.root / "out/seen").exists()
    assert looking.run().code == ExitCode.DONE


def test_without_seccomp_no_slice_runs(looking: Project):
    said = looking.run(world=NO_SECCOMP)
    assert (said.code, said.error["code"]) == (ExitCode.FAILED, "capability_missing")
    assert "local lacks seccomp (" in said.error["text"]
    assert 'allow_missing = ["seccomp"]' in said.error["hint"]
    assert "WARNING: node local has no seccomp" in said.err
    assert not (looking.root / "out/seen").exists()


def test_a_herd_that_allows_it_runs_without_seccomp_and_is_told_each_time(looking: Project):
    says(looking, ALLOWED.format("seccomp"))
    said = looking.run(world=NO_SECCOMP)
    assert (said.code, said.document["isolation"]) == (ExitCode.DONE, "partial")
    assert said.err.count("WARNING: node local has no seccomp") == 1
    found = sealed(looking)
    assert (found["seccomp"], found["isolation"]) == ("off", "partial")
    assert found["landlock"].startswith("abi ")
    assert seen(looking) == (1, False), "the test's own filter, and no file more than otherwise"
    whole = looking.run()
    assert (whole.code, whole.document["isolation"]) == (ExitCode.DONE, "full")
    assert "WARNING" not in whole.err


def test_without_user_namespaces_no_slice_runs(looking: Project):
    says(looking, ALLOWED.format("seccomp"))
    said = looking.run(world=NO_USERS)
    assert (said.code, said.error["code"]) == (ExitCode.FAILED, "isolation_unavailable")
    assert "local lacks namespaces (" in said.error["text"]
    assert "--no-isolation" in said.error["hint"]
    assert not (looking.root / "out/seen").exists()


def test_a_herd_that_allows_it_runs_as_plain_processes_and_is_told_each_time(looking: Project):
    says(looking, ALLOWED.format("namespaces"))
    said = looking.run(world=NO_USERS)
    assert (said.code, said.document["isolation"]) == (ExitCode.DONE, "none")
    assert said.err.count("WARNING: node local has no namespaces") == 1
    assert "plain processes" in said.err
    assert sealed(looking)["isolation"] == "none"
    assert seen(looking)[1], "it sees all"
    whole = looking.run()
    assert (whole.code, whole.document["isolation"]) == (ExitCode.DONE, "full")
    assert not seen(looking)[1]


def test_a_herd_that_requires_namespaces_does_not_run_where_plain_processes_are_asked_for(
    looking: Project,
):
    says(looking, REQUIRED.format("namespaces"))
    said = looking.run("features/p.dsl", "--no-isolation")
    assert (said.code, said.error["code"]) == (ExitCode.FAILED, "isolation_unavailable")
    assert "started with --no-isolation" in said.error["text"]


def test_an_ordinary_users_slices_share_an_id_unless_their_herd_requires_ranges(
    user: OrdinaryUser, users: Project
):
    said = users.run(world=user.command(()))
    assert (said.code, said.document["isolation"]) == (ExitCode.DONE, "full"), said
    found = json.loads(
        subprocess.check_output(
            user.command([*RUNI, "slice", "get", "last", "one", "-o", "json"]), cwd=users.root
        )
    )
    assert found["sealed"]["ids"] == "shared"
    says(users, REQUIRED.format("id_ranges"))
    said = users.run(world=user.command(()))
    assert said.error["code"] == "capability_missing"
    assert ONE_ID in said.error["text"]


def test_an_ordinary_users_limits_that_nothing_enforces_are_told(
    user: OrdinaryUser, users: Project
):
    users.pipeline(
        '@source("csv://data/x.csv")\n@step("look")\n@requires(memory=512Mi)\n@sink("csv://out/y.csv")',
        herd="h",
    )
    assert users.run(world=user.command(())).code == ExitCode.DONE
    words = [*RUNI, "slice", "get", "last", "one"]
    said = subprocess.check_output(user.command(words), cwd=users.root, text=True)
    assert "memory 512Mi, from @requires in line 7, which nothing enforces" in said
    assert "cgroup.memory none" in said


def test_an_ordinary_users_node_is_not_asked_for_a_herds_network(
    user: OrdinaryUser, users: Project
):
    users.pipeline(
        '@source("csv://data/x.csv")\n@step("look")\n@requires(network="egress")\n@sink("csv://out/y.csv")',
        herd="h",
    )
    said = users.run(world=user.command(()))
    assert said.error["code"] == "capability_missing"
    assert "local lacks network.egress (only root" in said.error["text"]


@pytest.mark.parametrize("without", [(), ("landlock",), ("seccomp",)], ids=str)
def test_the_spawner_itself_makes_no_cell_without_a_wall_for_who_may_not_do_without(
    tmp_path: Path, without: tuple[str, ...]
):
    program = Path(__file__).with_name("launch_without.py")
    said = subprocess.check_output(
        [*NO_SECCOMP, sys.executable, program, tmp_path, ",".join(without)],
        text=True,
        timeout=RUN_S_MAX,
    )
    found = json.loads(said)
    if "seccomp" in without:
        assert found["sealed"]["seccomp"] == "off"
        assert found["sealed"]["isolation"] == "partial"
    else:
        assert "this node has no seccomp (" in found["refused"]
        assert "herd herd does not allow that" in found["refused"]
