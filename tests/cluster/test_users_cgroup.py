"""A cgroup of v2 that was given to an ordinary user, as systemd does with `Delegate=yes`: the slices of that one are held by it as root's are."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cgroup_world import HERE, a_name
from ordinary_user import OrdinaryUser, ordinary_user
from runi_project import RUN_S_MAX
from runink.sandbox import cgroup_files as files
from runink.sandbox import cgroup_tree as tree
from runink.sandbox.cgroup_layout import V2_CONTROLLERS, make_base

LAUNCH = (sys.executable, Path(__file__).with_name("launch_limited.py"))
GIVEN = ("", "/cgroup.procs", "/cgroup.threads", "/cgroup.subtree_control")
JOINED = ("sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"')


@pytest.fixture
def user() -> Iterator[OrdinaryUser]:
    with ordinary_user() as user:
        yield user


@pytest.fixture
def group(user: OrdinaryUser) -> Iterator[str]:
    """Give the user a cgroup beneath our own."""
    unified = next(one for one in HERE if one.is_v2)
    above = make_base(unified, a_name(), wanted=V2_CONTROLLERS).directory
    made = f"{above}/users"
    files.make(made, may_exist=False)
    for name in GIVEN:
        os.chown(made + name, user.number, user.number)
    yield made
    left = list(tree.below(above))
    assert tree.remove(left), left


def test_what_a_users_cgroup_has_controllers_for_limits_the_slices(user: OrdinaryUser, group: str):
    offered = files.read(f"{group}/cgroup.controllers").split()
    done = user.run([*LAUNCH, user.home], before=[*JOINED, group], timeout=RUN_S_MAX)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    for name in ("memory", "cpu", "pids"):
        assert found["sealed"][f"cgroup.{name}"] == ("v2" if name in offered else "none"), name
    assert found["sealed"]["cgroup.kill"] == "cgroup.kill"
    assert found["sealed"]["cgroup.join"] == "clone"
    assert found.get("cause") == ("oom" if "memory" in offered else None)
    assert user.processes() == []
