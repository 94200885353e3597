"""Runs whose slices bubblewrap closes off: what comes out, what is told of it, and what becomes of them where bubblewrap, or what it needs, is not there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import denied_calls
import pytest
from debian import install
from runi_project import RUN_S_MAX, Project, Said
from runink.cli.exits import ExitCode
from sandbox_world import children_of, is_alive
from test_cluster_life import gated, running, spawner_of

__all__ = ["gated"]  # a fixture

BUBBLEWRAP = ("--isolation", "bubblewrap")
NOBODY = 65_534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
NO_LANDLOCK = denied_calls.without("landlock_create_ruleset")
NO_SECCOMP = denied_calls.without("seccomp")
NO_USERS = (
    "unshare", "--user", "--map-root-user",
    "sh", "-c", 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"', "sh",
)  # fmt: skip
NEEDED = ("python3", "sh")  # what else is looked for on PATH
STEPS = """
from runink import context

@step(each="record")
def double(row: dict) -> dict:
    print("seen", row["a"])
    return {"a": int(row["a"]) * 2, "b": row["b"], "herd": context().herd}
"""
PIPELINE = """
@source("csv://data/x.csv")
@step("double")
@step(run="./bin/louder", format=csv)
@sink("csv://out/y.csv")
"""


def made(project: Project) -> Project:
    install("bubblewrap")
    project.write("data/x.csv", "a,b\n1,x\n2,y\n3,z\n")
    project.write("bin/louder", "#!/bin/sh\nexec tr a-z A-Z\n").chmod(0o755)
    project.step(STEPS)
    project.pipeline(PIPELINE, herd="h")
    says(project, "")
    return project


@pytest.fixture
def both(project: Project) -> Project:
    """A project with a step in Python and one that is a program."""
    return made(project)


@pytest.fixture
def nobodys() -> Iterator[Project]:
    """The same as an ordinary user's, where that one may go."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    (folder / "runink.toml").touch()
    made(Project(folder))
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    yield Project(folder)
    shutil.rmtree(folder)


def says(project: Project, text: str) -> None:
    """Write the herd's file."""
    project.write("herds/h.toml", f'[herd]\nid = "h"\n{text}\n')


def run_wrapped_in(world: Sequence[str], project: Project) -> Said:
    return project.run("features/p.dsl", *BUBBLEWRAP, world=world)


def sealed(project: Project, *world: str) -> dict[str, str]:
    said = project.runi("slice", "get", "last", "one", "-o", "json", world=world)
    return dict(said.document["sealed"])


def test_what_comes_out_is_what_comes_out_of_cells(both: Project):
    whole = both.run()
    assert (whole.code, whole.document["isolation"]) == (ExitCode.DONE, "full"), whole
    rows, logs = both.read("out/y.csv"), both.runi("logs", "last").out
    wrapped = both.run("features/p.dsl", *BUBBLEWRAP)
    assert (wrapped.code, wrapped.document["isolation"]) == (ExitCode.DONE, "bubblewrap"), wrapped
    assert both.read("out/y.csv") == rows == "A,B,HERD\n2,X,H\n4,Y,H\n6,Z,H\n"
    assert both.runi("logs", "last").out.replace("\n", "").count("seen") == logs.count("seen") == 3
    assert "WARNING" not in wrapped.err
    assert both.processes() == []


def test_its_record_says_what_is_in_force(both: Project):
    assert both.run("features/p.dsl", *BUBBLEWRAP).code == ExitCode.DONE
    found = sealed(both)
    version = subprocess.check_output(["bwrap", "--version"], text=True).split()[-1]
    cgroups = {name: value for name, value in found.items() if name.startswith("cgroup.")}
    assert cgroups
    landlock = found.pop("landlock")
    assert landlock.startswith("abi ")
    assert {name: value for name, value in found.items() if name not in cgroups} == {
        "isolation": "bubblewrap",
        "bubblewrap": version,
        "namespaces": "user mount pid net ipc uts cgroup",
        "network": "none",
        "user": "1000",
        "ids": "the herd's",
        "seccomp": "on",
    }


def test_a_node_tells_that_it_uses_bubblewrap_and_lacks_nothing_by_it(both: Project):
    says(both, '[isolation]\nrequire = ["landlock", "id_ranges"]')
    with both.up(*BUBBLEWRAP):
        node = both.runi("node", "get", "local", "-o", "json").document
        assert node["capabilities"]["isolation"] == "bubblewrap"
        assert node["capabilities"]["bubblewrap"]
        assert not {"namespaces", "seccomp", "landlock", "id_ranges"} & node["missing"].keys()
        assert both.run().document["isolation"] == "bubblewrap", "as the cluster has it"
        assert both.run("features/p.dsl", *BUBBLEWRAP).code == ExitCode.DONE
        for words in (("--isolation", "cells"), ("--no-isolation",)):
            refused = both.run("features/p.dsl", *words)
            assert refused.error["code"] == "cluster_settings"
    with both.up():
        refused = both.run("features/p.dsl", *BUBBLEWRAP)
        assert refused.error["code"] == "cluster_settings"
        assert "does without bubblewrap" in refused.error["text"]


def test_a_cluster_that_is_killed_and_started_again_so_does_its_work_anew_in_bubblewrap(
    gated: Project,
):
    install("bubblewrap")
    with gated.up() as up:
        child = running(gated)
        before = spawner_of(gated)
        up.kill()
        up.wait(timeout=RUN_S_MAX)
    child.communicate(timeout=RUN_S_MAX)
    with gated.popen("up", *BUBBLEWRAP) as again:
        assert again.stderr is not None
        assert b"close slices off otherwise" in again.stderr.readline()
        assert again.stderr.readline().startswith(b"ready")
        assert spawner_of(gated) != before
        gated.write("data/go", "")
        assert gated.runi("logs", "last", "--follow").code == ExitCode.DONE
        again.terminate()
        again.communicate(timeout=RUN_S_MAX)
    (one,) = gated.runi("runs", "-o", "json").document
    assert one["state"] == "succeeded"
    assert sealed(gated)["isolation"] == "bubblewrap"
    assert len(gated.rows("out/o.jsonl")) == 3
    assert gated.processes() == []


def test_a_cluster_that_is_killed_and_started_again_takes_its_slices_up_in_bubblewrap_too(
    gated: Project,
):
    install("bubblewrap")
    with gated.up(*BUBBLEWRAP) as up:
        child = running(gated)
        before = spawner_of(gated)
        up.kill()
        up.wait(timeout=RUN_S_MAX)
    child.communicate(timeout=RUN_S_MAX)
    with gated.up(*BUBBLEWRAP):
        assert spawner_of(gated) == before
        gated.write("data/go", "")
        ended = gated.runi("logs", "last", "--follow")
        assert ended.code == ExitCode.DONE
    assert ended.out.count("begun") == 3, "no row was worked on twice"
    assert len(gated.rows("out/o.jsonl")) == 3
    assert gated.processes() == []


@pytest.mark.parametrize("whose", ["bubblewrap's own", "the slice's first", "the worker"])
def test_a_slice_that_is_killed_is_told_and_leaves_nothing(gated: Project, whose: str):
    install("bubblewrap")
    with gated.up(*BUBBLEWRAP):
        child = running(gated)
        (monitor,) = children_of(spawner_of(gated))
        (first,) = children_of(monitor)
        (worker,) = children_of(first)
        killed = {"bubblewrap's own": monitor, "the slice's first": first, "the worker": worker}
        os.kill(killed[whose], signal.SIGKILL)
        out, _ = child.communicate(timeout=RUN_S_MAX)
        assert child.returncode == ExitCode.FAILED, out
        found = gated.runi("slice", "get", "last", "one", "-o", "json").document
        assert (found["exit"]["cause"], found["exit"]["signal"]) == ("signalled", signal.SIGKILL)
        assert not any(map(is_alive, (monitor, first, worker)))
        assert children_of(spawner_of(gated)) == []
        gated.write("data/go", "")
        assert gated.run().code == ExitCode.DONE
    assert gated.processes() == []


@contextmanager
def service(project: Project, *words: str) -> Iterator[Path]:
    """Run a spawner as a service of our own user's for as long as the block."""
    path = project.root / "service/spawner.sock"
    child = project.popen("spawn", "--socket", str(path), *words)
    try:
        assert child.stderr is not None
        assert child.stderr.readline().startswith(b"listening")
        yield path
    finally:
        child.terminate()
        child.communicate(timeout=RUN_S_MAX)


def test_a_service_closes_slices_off_as_it_was_started_to(both: Project):
    with service(both, *BUBBLEWRAP) as path:
        for words in ((), BUBBLEWRAP):
            said = both.run("features/p.dsl", "--spawner", str(path), *words)
            assert (said.code, said.document["isolation"]) == (ExitCode.DONE, "bubblewrap"), said


def test_a_service_that_was_started_without_bubblewrap_is_not_taken_for_it(both: Project):
    with service(both) as path:
        said = both.run("features/p.dsl", "--spawner", str(path), *BUBBLEWRAP)
        assert said.error["code"] == "bubblewrap_unavailable"
        assert f"the spawner at {path} was started without" in said.error["text"]
        assert "runi spawn --isolation bubblewrap" in said.error["hint"]
        assert both.run("features/p.dsl", "--spawner", str(path)).document["isolation"] == "full"


def without_bubblewrap(folder: Path, other: Path | None = None) -> str:
    """Return a PATH on which there is no bubblewrap, or this in its place."""
    folder.mkdir(parents=True)
    for name in NEEDED:
        (folder / name).symlink_to(str(shutil.which(name)))
    if other is not None:
        shutil.copy(other, folder / "bwrap")
    return str(folder)


@pytest.mark.parametrize("command", ["run", "up"])
def test_where_there_is_none_that_is_said_with_what_to_install(
    both: Project, tmp_path: Path, command: str
):
    both.environment["PATH"] = without_bubblewrap(tmp_path / "path/bin")
    words = ["run", "features/p.dsl", "-o", "json"] if command == "run" else ["up"]
    said = both.runi(*words, *BUBBLEWRAP)
    assert said.code == ExitCode.FAILED
    told = said.out + said.err
    assert "bubblewrap_unavailable" in told
    assert f"there is no bwrap in {both.environment['PATH']}" in told
    assert "apt-get install bubblewrap" in told
    assert not (both.root / "out").exists()
    assert both.processes() == []
    assert not (both.root / ".runink/spawner-local.sock").exists()


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("/usr/bin/true", "it has ended without a word"),
        ("/usr/bin/false", "--version ends with wait status 256"),
        ("script", "it has to be a program, not a script"),
    ],
)
def test_one_that_does_not_work_is_found_out_before_anything_runs(
    both: Project, tmp_path: Path, program: str, told: str
):
    script = both.write("script", "#!/bin/sh\necho bubblewrap 0.5.0\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    other = script if program == "script" else Path(program)
    both.environment["PATH"] = without_bubblewrap(tmp_path / "path/bin", other)
    said = both.run("features/p.dsl", *BUBBLEWRAP)
    assert (said.code, said.error["code"]) == (ExitCode.FAILED, "bubblewrap_unavailable")
    assert told in said.error["text"]
    assert both.processes() == []


def test_without_landlock_slices_run_unless_their_herd_requires_it(both: Project):
    said = run_wrapped_in(NO_LANDLOCK, both)
    assert (said.code, said.document["isolation"]) == (ExitCode.DONE, "bubblewrap")
    assert sealed(both)["landlock"] == "off"
    says(both, '[isolation]\nrequire = ["landlock"]')
    said = run_wrapped_in(NO_LANDLOCK, both)
    assert (said.code, said.error["code"]) == (ExitCode.FAILED, "capability_missing")
    assert "local lacks landlock (" in said.error["text"]


def test_without_seccomp_slices_run_only_if_their_herd_allows_that(both: Project):
    said = run_wrapped_in(NO_SECCOMP, both)
    assert (said.code, said.error["code"]) == (ExitCode.FAILED, "capability_missing")
    says(both, '[isolation]\nallow_missing = ["seccomp"]')
    said = run_wrapped_in(NO_SECCOMP, both)
    assert (said.code, said.document["isolation"]) == (ExitCode.DONE, "partial"), said
    assert "WARNING: node local has no seccomp" in said.err
    found = sealed(both)
    assert (found["seccomp"], bool(found["bubblewrap"])) == ("off", True)


def test_without_user_namespaces_bubblewrap_makes_no_difference(both: Project):
    said = run_wrapped_in(NO_USERS, both)
    assert (said.code, said.error["code"]) == (ExitCode.FAILED, "bubblewrap_unavailable")
    assert "this user namespace has not got the ids" in said.error["text"]


def test_an_ordinary_user_has_it_too_with_the_one_id_that_there_is(nobodys: Project):
    said = run_wrapped_in(AS_NOBODY, nobodys)
    assert (said.code, said.document["isolation"]) == (ExitCode.DONE, "bubblewrap"), said
    assert nobodys.read("out/y.csv").splitlines()[1:] == ["2,X,H", "4,Y,H", "6,Z,H"]
    assert sealed(nobodys, *AS_NOBODY)["ids"] == "shared"
    says(nobodys, '[isolation]\nrequire = ["id_ranges"]')
    said = run_wrapped_in(AS_NOBODY, nobodys)
    assert said.error["code"] == "capability_missing"
    assert json.dumps(said.document).count("one id to give away") >= 1
