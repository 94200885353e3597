"""Landlock's rules on the real kernel: each refusal beside the same deed without them, for every version of the interface that the kernel has."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from runink.sandbox import landlock
from runink.sandbox.syscalls import NUMBERS
from seal_children import answering, in_child, put_on

HERE = Path(__file__).parent
PROBING_S = 60
# What is refused by which guard, and what the kernel says then; without the rules all of it is done, but for devices, which are asked in vain.
REFUSED = {
    "write shown": ("files", "EACCES"),
    "make in shown": ("files", "EACCES"),
    "remove in shown": ("files", "EACCES"),
    "cut shown": ("truncate", "EACCES"),
    "read hidden": ("files", "EACCES"),
    "list hidden": ("files", "EACCES"),
    "run hidden": ("files", "EACCES"),
    "read hidden by a link": ("files", "EACCES"),
    "read hidden by /proc": ("files", "EACCES"),
    "read hidden by its folder": ("files", "EACCES"),
    "cut hidden": ("truncate", "EACCES"),
    "ask a device of shown": ("ioctl_dev", "EACCES"),
    "listen on tcp": ("tcp", "EACCES"),
    "connect by tcp": ("tcp", "EACCES"),
    "connect to an abstract socket": ("abstract_unix", "EPERM"),
    "signal who is outside": ("signal", "EPERM"),
}
ASKED_IN_VAIN = ("ask a device of own", "ask a device of shown")
# The first version moves and links nothing from one folder to another.
BETWEEN_FOLDERS = ("move within own", "link shown into own")


def probed(folder: Path, version: str, network: str = "none") -> dict[str, Any]:
    """Make the folders and try everything, behind the rules of that version or `open`."""
    for name in ("shown", "own", "hidden"):
        (folder / name).mkdir()
        for file in ("file", "spare", "cut"):
            (folder / name / file).write_bytes(b"content")
        shutil.copy("/bin/true", folder / name)
    (folder / "own" / "link").symlink_to(folder / "hidden" / "file")
    name = f"runink-outside-{os.getpid()}-{folder.name}"
    with (
        socket.create_server(("127.0.0.1", 0)) as internet,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        abstract.bind(f"\0{name}")
        abstract.listen()
        port = str(internet.getsockname()[1])
        done = subprocess.run(
            [sys.executable, HERE / "wall_probes.py", version, network, folder, port, name, str(os.getpid())],
            stdin=subprocess.PIPE,
            capture_output=True,
            text=True,
            check=False,
            timeout=PROBING_S,
        )  # fmt: skip
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


def test_without_rules_everything_is_done(tmp_path: Path):
    outcomes = probed(tmp_path, "open")["outcomes"]
    assert {name for name, said in outcomes.items() if said != "done"} == set(ASKED_IN_VAIN)
    assert [outcomes[name] for name in ASKED_IN_VAIN] == ["ENOTTY", "ENOTTY"]


@pytest.mark.parametrize("network", ["none", "network"])
def test_every_version_refuses_what_it_guards_and_nothing_else(tmp_path: Path, network: str):
    kernel = landlock.abi()
    assert kernel >= 1, "this kernel has no Landlock: the second wall cannot be tested here"
    for version in range(1, kernel + 1):
        folder = tmp_path / str(version)
        folder.mkdir()
        found = probed(folder, str(version), network)
        guards = found["in_force"]
        wanted = {name: said for name, (guard, said) in REFUSED.items() if guard in guards}
        for name in ASKED_IN_VAIN:
            wanted.setdefault(name, "ENOTTY")
        if "refer" in guards:
            # The link would be more than what it shows: it could be written.
            wanted["link shown into own"] = "EXDEV"
        else:
            wanted |= dict.fromkeys(BETWEEN_FOLDERS, "EXDEV")
        outcomes = found["outcomes"]
        assert {name: said for name, said in outcomes.items() if said != "done"} == wanted, version


def test_what_is_in_force_grows_with_the_version():
    def guards(version: int, *, network: bool = False) -> tuple[str, ...]:
        rules = landlock.prepared(read_only=(), read_write=(), network=network, version=version)
        return rules.in_force.guards

    everything = tuple(guard.name for guard in landlock.GUARDS)
    assert [len(guards(version)) for version in range(8)] == [0, 1, 2, 3, 4, 5, 7, 7]
    assert guards(7) == everything
    assert set(everything) - set(guards(7, network=True)) == {"tcp"}


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP])
def test_where_there_is_no_landlock_it_says_so(tmp_path: Path, code: int):
    def work() -> Any:
        put_on(answering(NUMBERS["landlock_create_ruleset"], code))
        version = landlock.abi()
        rules = landlock.prepared(
            read_only=[], read_write=["/missing"], network=False, version=version
        )
        return [*landlock.restrict(rules), tmp_path.is_dir()]

    assert in_child(work) == [0, [], True]


def test_another_refusal_is_not_taken_for_its_absence():
    def work() -> Any:
        put_on(answering(NUMBERS["landlock_create_ruleset"], errno.ENOMEM))
        try:
            return landlock.abi()
        except OSError as error:
            return error.errno

    assert in_child(work) == errno.ENOMEM


def test_a_path_that_is_not_there_is_named(tmp_path: Path):
    assert failure(tmp_path / "missing", forbids=True) == [
        True,
        errno.ENOENT,
        f"landlock: {tmp_path / 'missing'}: No such file or directory",
    ]


def test_rules_without_no_new_privs_are_not_put_in_force(tmp_path: Path):
    assert failure(tmp_path, forbids=False) == [
        True,
        errno.EPERM,
        "landlock: no_new_privs is not set",
    ]


def failure(path: Path, *, forbids: bool) -> Any:
    """Return how putting a rule for the path in force fails, after whether everything can still be read."""

    def work() -> Any:
        from runink.sandbox.privileges import forbid_new_privileges

        if forbids:
            forbid_new_privileges()
        rules = landlock.prepared(
            read_only=[os.fspath(path)], read_write=[], network=False, version=1
        )
        try:
            landlock.restrict(rules)
        except OSError as error:
            return [any(Path("/").iterdir()), error.errno, error.strerror]
        return None

    return in_child(work)
