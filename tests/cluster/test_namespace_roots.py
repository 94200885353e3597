"""Root of a user namespace that has one id: who that is behind the number decides how slices are closed off there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ordinary_user import ordinary_user
from runi_project import RUN_S_MAX

LAUNCH = (sys.executable, Path(__file__).with_name("launch_without.py"))
OPTIONS = ([], ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])


@pytest.mark.parametrize("options", OPTIONS, ids=["alone", "with mounts and processes"])
def test_where_an_ordinary_user_is_behind_it_slices_have_that_ones_id(options: list[str]):
    with ordinary_user() as user:
        words = ["unshare", "--map-root-user", *options, *LAUNCH, user.home]
        done = user.run(words, timeout=RUN_S_MAX)
        assert (done.returncode, done.stderr) == (0, "")
        sealed = json.loads(done.stdout)["sealed"]
        assert (sealed["isolation"], sealed["ids"], sealed["user"]) == ("full", "shared", "1000")
        assert user.processes() == []


@pytest.mark.parametrize("number", [0, 1000], ids=["as root", "as another number"])
def test_where_the_machines_root_is_behind_it_no_slice_gets_that_id(tmp_path: Path, number: int):
    words = ["unshare", f"--map-user={number}", f"--map-group={number}", *LAUNCH, tmp_path]
    said = subprocess.check_output(words, text=True, timeout=RUN_S_MAX)
    assert "its own id is that of the machine's root" in json.loads(said)["refused"]
