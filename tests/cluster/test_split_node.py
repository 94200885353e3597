"""A node in two parts, the spawner root's and the agent somebody else's: whole runs, restarts of either part, and how root is given up."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import runink
from agent_user_world import AGENT, ENVIRONMENT, WAIT_S, Estate, as_user, ended, estate_in_tmp
from runi_project import RUNI, Project, first_of, named, proc_text, ready
from runink.cli.accounts import place_of
from runink.sandbox.ids import FIRST
from runink.sandbox.rights import User
from test_cluster_life import GATED, running

NAMED = f"{AGENT.uid}:{AGENT.gid}"
POWERLESS = {
    "Uid": f"{AGENT.uid}\t" * 3 + f"{AGENT.uid}",
    "Gid": f"{AGENT.gid}\t" * 3 + f"{AGENT.gid}",
    "Groups": "",
    **dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), "0" * 16),
    "NoNewPrivs": "1",
}


@dataclass
class TheirProject(Project):
    """The agent's user's own project. Whatever is run in it is run as that user, unless root is named."""

    def popen(
        self, *words: str, user: User | None = AGENT, **options: Any
    ) -> subprocess.Popen[bytes]:
        for path in (self.root, *self.root.rglob("*")):
            if not path.is_relative_to(self.state):
                os.chown(path, *AGENT)
        settings = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }
        return subprocess.Popen(
            as_user(user, *RUNI, *words),
            cwd=self.root,
            env={**ENVIRONMENT, "HOME": "/root", **self.environment},
            **settings | options,
        )

    @property
    def state(self) -> Path:
        return self.root / ".runink"


@pytest.fixture
def estate() -> Iterator[Estate]:
    with estate_in_tmp() as estate:
        yield estate


@pytest.fixture
def gated(estate: Estate) -> Iterator[TheirProject]:
    """A project whose step waits until a file is there."""
    project = TheirProject(estate.folder("home/p", 0o700, AGENT))
    estate.folder("home/p/.runink", 0o700, AGENT)
    project.write("runink.toml", "")
    project.write("data/in.csv", "a,b\n1,x\n2,y\n3,z\n")
    project.step(GATED)
    project.pipeline('@source("csv://data/*.csv")\n@step("work")\n@sink("jsonl://out/o.jsonl")')
    yield project
    for pid in project.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(place_of(project.state).parent, ignore_errors=True)


@contextmanager
def spawn_service(estate: Estate) -> Iterator[subprocess.Popen[str]]:
    """Run `runi spawn`, as a service manager does: it is there when it says so."""
    words = [
        "spawn",
        "--agent-user",
        NAMED,
        "--socket",
        str(estate.socket),
        "--state",
        str(estate.home),
    ]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        place = estate.root / "notify"
        place.unlink(missing_ok=True)
        manager.bind(str(place))
        manager.settimeout(WAIT_S)
        child = subprocess.Popen(
            as_user(None, *RUNI, *words),
            env={**ENVIRONMENT, "NOTIFY_SOCKET": str(place)},
            stderr=subprocess.PIPE,
            text=True,
        )
        with ended(child):
            assert manager.recv(100) == b"READY=1"
            yield child


@contextmanager
def node_of(project: TheirProject, estate: Estate, how: str) -> Iterator[subprocess.Popen[bytes]]:
    """Keep the agent running: with the service's spawner, or started as root that is given up."""
    if how == "service":
        child = project.popen("up", "--spawner", str(estate.socket))
    else:
        child = project.popen("up", "--user", NAMED, user=None)
    with ready(child):
        yield child


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: text.strip() for name, _, text in (line.partition(":") for line in lines)}


def slices_of(project: TheirProject) -> set[int]:
    """Return the workers that are shown the project: the one slice that runs, and cells that wait."""
    shown = str(project.root)
    return {pid for pid in named("runi-slice") if shown in proc_text(pid, "mountinfo")}


def test_a_run_is_isolated_by_root_and_all_that_it_leaves_is_the_users(estate, gated):
    gated.write("data/go", "")
    with spawn_service(estate) as spawn:
        with node_of(gated, estate, "service"):
            said = gated.run()
            assert said.code == 0, said
            node = gated.runi("node", "get", "local", "-o", "json").document
            one = gated.runi("slice", "get", "last", "one", "-o", "json").document
            text = gated.runi("node", "get", "local").out
            roots = gated.runi("node", "get", "local", user=None)
        assert spawn.poll() is None, "who is the service's agent does not end it"
        assert estate.socket.exists()
    assert not estate.socket.exists()
    assert spawn.returncode == 0
    assert node["users"] == {"agent": str(AGENT.uid), "spawner": "root (0)"}
    assert "spawner as    root (0)" in text
    assert "not_ours" in roots.err
    assert f"is user {AGENT.uid}" in roots.err
    assert node["capabilities"]["isolation"] == "full"
    assert "id_ranges" in node["capabilities"]
    assert one["sealed"]["isolation"] == "full"
    assert one["sealed"]["ids"] == "the herd's"
    left = [path for path in gated.root.rglob("*") if path.lstat().st_uid != AGENT.uid]
    assert left == []
    assert len(gated.rows("out/o.jsonl")) == 3


@pytest.mark.parametrize("how", ["service", "given up"])
def test_an_agent_that_is_killed_and_started_again_takes_its_slices_up(estate, gated, how):
    with ExitStack() as stack:
        if how == "service":
            stack.enter_context(spawn_service(estate))
        with node_of(gated, estate, how) as node:
            child = running(gated)
            told = status_of(node.pid)
            assert {name: told[name] for name in POWERLESS} == POWERLESS
            before = slices_of(gated)
            users = {int(status_of(pid)["Uid"].split()[0]) for pid in before}
            assert min(users) >= FIRST, "each has an id of its herd's range"
            node.kill()
        child.communicate(timeout=WAIT_S)
        with node_of(gated, estate, how):
            until_s = time.monotonic() + WAIT_S
            while len(before & slices_of(gated)) > 1:  # what only waited is about to end
                assert time.monotonic() < until_s
            assert len(before & slices_of(gated)) == 1
            gated.write("data/go", "")
            over = gated.runi("logs", "last", "--follow")
            assert over.code == 0, over
            (run,) = gated.runi("runs", "-o", "json").document
    assert run["state"] == "succeeded"
    assert len(gated.rows("out/o.jsonl")) == 3
    assert over.out.count("begun") == 3, "no row was worked on twice"
    assert estate.owner_of("p/out/o.jsonl") == AGENT


def test_a_spawner_that_is_killed_is_started_again_though_its_agent_is_not_root(estate, gated):
    with node_of(gated, estate, "given up"):
        child = running(gated)
        os.kill(spawner_of(gated), signal.SIGKILL)
        gated.write("data/go", "")
        out, _ = child.communicate(timeout=WAIT_S)
        assert child.returncode == 0, out
    assert len(gated.rows("out/o.jsonl")) == 3


def spawner_of(project: TheirProject) -> int:
    """Return the process of the spawner that a keeper has started."""
    place = str(place_of(project.state))
    pids = named("runi-spawner")
    return first_of([pid for pid in pids if place in proc_text(pid, "cmdline").split("\0")])


def test_a_service_that_is_started_again_is_found_again(estate, gated):
    gated.write("data/go", "")
    with ExitStack() as stack:
        first = stack.enter_context(spawn_service(estate))
        with node_of(gated, estate, "service"):
            assert gated.run().code == 0
            first.terminate()
            first.communicate(timeout=WAIT_S)
            stack.enter_context(spawn_service(estate))
            said = gated.run()
            assert said.code == 0, said


def test_there_is_one_service_at_a_place(estate):
    with spawn_service(estate):
        words = ["spawn", "--agent-user", NAMED, "--socket", str(estate.socket)]
        second = subprocess.run(
            [*RUNI, *words], capture_output=True, text=True, check=False, timeout=WAIT_S
        )
        assert second.returncode == 5
        assert "listens" in second.stderr


def up_as(project: TheirProject, *words: str, user: User | None = None) -> tuple[int, str]:
    child = project.popen("up", *words, user=user)
    _, err = child.communicate(timeout=WAIT_S)
    return child.returncode, err.decode()


def test_a_state_that_is_not_the_users_is_refused_with_what_to_do(gated):
    """Nothing is given away, nor made, without a word."""
    (gated.state / "barn").mkdir()
    code, said = up_as(gated, "--user", NAMED)
    assert (code, f"{gated.state}/barn (root (0))" in said) == (4, True)
    assert f"chown -R {NAMED} {gated.state}" in said
    assert (gated.state / "barn").stat().st_uid == 0
    shutil.rmtree(gated.state)
    code, said = up_as(gated, "--user", NAMED)
    assert (code, f"install -d -m 700 -o {AGENT.uid} -g {AGENT.gid} {gated.state}" in said) == (
        4,
        True,
    )
    assert not gated.state.exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--user", "root"), 1, "name a user of its own"),
        (("--user", "0:0"), 1, "name a user of its own"),
        (("--user", f"{AGENT.uid}:0"), 1, "name a user of its own"),
        (("--user", "no-such-user"), 1, "no user 'no-such-user'"),
        (("--user", f"{AGENT.uid}:no-such-group"), 1, "no group 'no-such-group'"),
        (("--user", NAMED, "--spawner", "/run/s"), 1, "one of the two"),
        (("--user", NAMED, "--no-isolation"), 8, "as plain processes"),
    ],
)
def test_what_cannot_be_meant_is_refused(gated, words, code, said):
    assert (found := up_as(gated, *words))[0] == code, found
    assert said in found[1]


def test_who_is_not_root_cannot_give_it_up(gated):
    code, said = up_as(gated, "--user", "12345:12345", user=AGENT)
    assert (code, "only root" in said) == (4, True)


def test_root_runs_no_code_that_the_user_can_change(estate, gated):
    """As where somebody's own checkout is run by sudo."""
    package = gated.root / "own" / "runink"
    shutil.copytree(runink.__path__[0], package, ignore=shutil.ignore_patterns("__pycache__"))
    gated.environment["PYTHONPATH"] = str(package.parent)
    code, said = up_as(gated, "--user", NAMED)
    assert (code, f"can change {estate.home}" in said) == (4, True), said
