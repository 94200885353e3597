"""The units that are delivered, under a real systemd: what they allow is what a node needs, and the agent's limits hold for its slices."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import runink
from agent_user_world import estate_in_tmp
from debian import install
from runink.sandbox.rights import User
from systemd_world import Manager, manager_of

CHECKOUT = Path(runink.__path__[0]).parent
PACKAGING = CHECKOUT / "packaging" / "systemd"
UNITS = ("runi-spawn.service", "runi-up.service", "runink.slice")
MEMORY_BYTES = 2 << 30
PROGRAM = "/opt/runink/bin/runi"
HIDDEN = [Path(one) for one in ("/root", "/home", "/tmp", "/var/tmp")]
LOGGED = "[Service]\nStandardOutput=append:/srv/{0}.log\nStandardError=append:/srv/{0}.log\n"
PIPELINE = """Feature: a test

  Scenario: one
    @source("csv://data/in.csv")
    @sink("jsonl://{}/o.jsonl")
"""


@pytest.fixture(scope="module", autouse=True)
def systemd() -> None:
    install("systemd")


def test_systemd_understands_every_line(tmp_path):
    for name in UNITS:
        text = (PACKAGING / name).read_text()
        (tmp_path / name).write_text(text.replace(PROGRAM, str(Path(sys.prefix, "bin", "runi"))))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in UNITS)],
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_the_units_run_are_commands_of_ours():
    """With options that there are: what cannot be parsed ends with 2."""
    for name in UNITS[:2]:
        (line,) = [
            one
            for one in (PACKAGING / name).read_text().splitlines()
            if one.startswith("ExecStart=")
        ]
        program, *words = line.removeprefix("ExecStart=").split()
        assert program == PROGRAM
        done = subprocess.run(
            [sys.executable, "-m", "runink.cli.main", *words, "--help"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")


@dataclass
class Machine:
    manager: Manager
    user: User

    def runi(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.manager.run(PROGRAM, *words, user=self.user, cwd="/var/lib/runink/p")

    def log_of(self, unit: str) -> str:
        return (self.manager.shared / f"{unit}.log").read_text()

    def ran(self, folder: str) -> subprocess.CompletedProcess[str]:
        """Run a pipeline that writes there."""
        script = f"mkdir -p features data && cat > features/p.dsl && printf 'a\\n1\\n' > data/in.csv && exec {PROGRAM} run features/p.dsl -q"
        words = ("sh", "-c", script)
        text = PIPELINE.format(folder)
        return self.manager.run(*words, user=self.user, cwd="/var/lib/runink/p", given=text)


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """A machine on which a node was installed as docs/nodes.md says."""
    with estate_in_tmp() as estate:
        etc = estate.root / "root" / "etc"
        etc.mkdir(parents=True)
        for name in ("passwd", "group"):
            shutil.copy(f"/etc/{name}", etc)
        words = ["systemd-sysusers", f"--root={etc.parent}", str(PACKAGING / "runink.sysusers")]
        subprocess.run(words, check=True, capture_output=True, timeout=60)
        (entry,) = [
            line.split(":")
            for line in (etc / "passwd").read_text().splitlines()
            if line.startswith("runink:")
        ]
        units = {name: (PACKAGING / name).read_text() for name in UNITS}
        units["runink.slice.d/limits.conf"] = f"[Slice]\nMemoryMax={MEMORY_BYTES}\n"
        units |= {f"{name}.d/log.conf": LOGGED.format(name) for name in UNITS[:2]}
        needed = (CHECKOUT, Path(sys.prefix), Path(sys.base_prefix))
        if any(one.is_relative_to(folder) for folder in HIDDEN for one in needed):
            shown = f"BindReadOnlyPaths={CHECKOUT} {sys.prefix} {sys.base_prefix}"
            units["runi-up.service.d/code.conf"] = f"[Service]\nProtectHome=tmpfs\n{shown}\n"
        shared = estate.folder("shared", 0o755)
        with manager_of(shared, units, etc) as manager:
            machine = Machine(manager, User(int(entry[2]), int(entry[3])))
            done = manager.run("systemctl", "start", *UNITS[:2])  # which waits for them
            assert done.returncode == 0, manager.run("systemctl", "status", *UNITS[:2]).stdout
            manager.run("mkdir", "p", user=machine.user, cwd="/var/lib/runink")
            yield machine


def test_a_node_runs_as_its_units_say(machine):
    assert machine.manager.asked("is-active", *UNITS[:2]) == "active active"
    done = machine.ran("out")
    assert done.returncode == 0, done
    told = machine.runi("node", "get", "local").stdout
    assert "isolation: full" in told
    assert f"agent as      runink ({machine.user.uid})" in told
    assert "spawner as    root (0)" in told


def test_what_both_are_held_to_holds_for_all_slices_and_no_more_is_offered(machine):
    """A slice's own limits are its agent's to choose."""
    assert machine.ran("out").returncode == 0
    script = (
        "for one in /proc/[0-9]*; do grep -q runi-slice $one/comm && echo && cat $one/cgroup; done"
    )
    told = machine.manager.run("sh", "-c", script).stdout.split("\n\n")
    groups = [one for one in told if one.strip()]  # some have ended before one could look
    assert groups, "cells wait for the next run"
    assert all("runink.slice/runi-spawn.service/" in one for one in groups), groups
    node = json.loads(machine.runi("node", "get", "local", "-o", "json").stdout)
    if "limit.memory" in node["capabilities"]:  # else this machine's manager has none to give
        assert node["capacity"]["memory_bytes"] < MEMORY_BYTES


def test_what_the_agents_unit_does_not_let_it_write_no_slice_writes(machine):
    """Though it is the user's own folder, and root's spawner could write everywhere."""
    folder = machine.manager.shared / "out"
    folder.mkdir()
    os.chown(folder, *machine.user)
    done = machine.ran("/srv/out")
    assert done.returncode == 1
    assert "/srv/out is read-only where its agent lives" in done.stdout + done.stderr
    drop_in = machine.manager.shared / "units" / "runi-up.service.d" / "data.conf"
    drop_in.write_text("[Service]\nReadWritePaths=/srv/out\n")
    machine.manager.run("systemctl", "daemon-reload")
    assert machine.manager.run("systemctl", "restart", "runi-up.service").returncode == 0
    done = machine.ran("/srv/out")
    assert done.returncode == 0, done
    assert (folder / "o.jsonl").stat().st_uid == machine.user.uid


def test_a_spawner_that_is_killed_is_started_again_by_systemd(machine):
    words = ("systemctl", "kill", "--signal=KILL", "--kill-whom=all", "runi-spawn.service")
    assert machine.manager.run(*words).returncode == 0
    done = machine.ran("out")
    assert done.returncode == 0, done
    restarts = machine.manager.asked("show", "--property=NRestarts", *UNITS[:2])
    assert restarts == "NRestarts=1 NRestarts=0", "the agent waits for it"


def test_both_stop_in_order(machine):
    done = machine.manager.run("systemctl", "stop", *UNITS[:2])
    assert done.returncode == 0, done
    said = "".join(machine.log_of(name) for name in UNITS[:2])
    assert machine.manager.asked("is-failed", *UNITS[:2]) == "inactive inactive", said
    assert '"spawner ended", "survivors": 0' in machine.log_of(UNITS[0])
