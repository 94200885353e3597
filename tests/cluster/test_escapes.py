"""A slice tries to get out, one probe after the other, in a cell and where bubblewrap closes it off; each is also made by a plain process of root, which shows that it works, and in bubblewrap
as a person would ask for it, without what a slice has beside it.

Where the tests are an ordinary user's, so is the plain process: it shows that a probe works as far as such a one can do what it tries.

docs/security.md says for every line which of these tests shows it.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import escape_probes
import pytest
import seal_probes
from debian import install
from escape_world import (
    HERE,
    NEW_NAMESPACES,
    Ground,
    ground,
    in_bubblewrap,
    in_slice,
    without,
)
from ordinary_user import ROOT, ordinary_user
from runink.sandbox.arguments import ENVIRONMENT_KEPT
from runink.sandbox.mounts import MASKED, MASKED_FOLDERS
from runink.sandbox.seccomp_table import REFUSED as REFUSED_CALLS
from runink.sandbox.skeleton import DEVICES, FILES, SHOWN, SYSTEM
from sandbox_world import HAS_RANGES, WALLED, Way, probes, shown, world_in

REFUSED = {"EPERM", "EACCES", "EROFS", "ENOENT", "EXDEV", "EINVAL", "EOVERFLOW", "ENOSYS", "empty"}
# Where bubblewrap, asked for about the same, lets through what a slice may not: docs/security.md tells.
OPEN_IN_BUBBLEWRAP = {
    "files": {
        "make a file in /",
        "make a file in /var/tmp",
        "write a namespace's sysctl",
        "leave a link",
        *(name for name in escape_probes.FILES if name.startswith("leave a set-user-id")),
    },
    "machine": {"read /proc/cmdline", "read /proc/kallsyms"},
    "powers": {"leave a core", "have a terminal"},
    "harmful": set(),
    "first": set(escape_probes.FIRST),
}
# Calls of Linux 6.6: an older kernel has none of them for anybody.
YOUNG = {"leave a set-user-id program by fchmodat2"}
OWN_MOUNTS = {"/", "/proc", "/tmp", "/etc", "/dev", "/dev/shm"}
SCRATCH_BYTES = 4 << 20
# What is told, not done, where the slice's own id is root's of the spawner's namespace: the numbers of its first process's descriptors.
TOLD_TO_ONE_ID = set() if HAS_RANGES else {"its descriptors"}
IS_IN_ROOTS = ROOT.is_relative_to(
    "/root"
)  # then a slice has a /root, in which there is the way to its runtime
if IS_IN_ROOTS:
    OPEN_IN_BUBBLEWRAP["files"] |= {"make a file in /root"}
if not HAS_RANGES:
    OPEN_IN_BUBBLEWRAP["files"] |= {"write into a pipe that is shown"}
ATTEMPTS = [
    (table, name)
    for table in ("files", "powers", "harmful", "first")
    for name in escape_probes.TABLES[table]
    if not (name == "list /root" and IS_IN_ROOTS)
]


class Told:
    """What slices said, plain processes of root, and bubblewrap, by the table of probes."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.slices: dict[str, Any] = {}
        self.plain: dict[str, Any] = {}
        self.bubblewrap: dict[str, Any] = {}


@pytest.fixture(scope="module", params=WALLED, ids=lambda way: way.value)
def told(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Told]:
    """Have everything tried once, with one spawner."""
    install("bubblewrap")
    told = Told(request.param)
    with ground() as made, ordinary_user() as user:
        world = made.world()
        plain = world | {"first": os.getpid()}
        wrap = in_bubblewrap(made, user)
        for table in ("files", "open", "disk", "machine", "powers", "harmful", "first"):
            before = NEW_NAMESPACES if table == "harmful" else ()
            told.plain[table] = without(table, plain, before=before)
            told.bubblewrap[table] = without(table, world | {"first": 1}, before=wrap)
        told.bubblewrap["caller"] = without("caller", world, before=wrap)
        told.plain["caller"] = without("caller", world, before=NEW_NAMESPACES)
        folder = tmp_path_factory.mktemp("escapes")
        anyio.run(try_in_slices, told, folder, made, world | {"first": 1})
        yield told


def left_out(way: Way) -> set[str]:
    """Return the tables that are not for these slices: one that is alone has no other first process."""
    return {"others", "first"} if way is Way.ALONE else {"others"}


async def try_in_slices(told: Told, folder: Path, made: Ground, world: dict[str, Any]) -> None:
    with shown(made.folder, is_writable=True) as own, shown(made.shown) as other:
        async with world_in(folder, way=told.way, entry=probes(told.way)) as spawner:
            for table in (*escape_probes.TABLES, "facts", "caller"):
                if table not in left_out(told.way):
                    told.slices[table] = await in_slice(spawner, table, world, binds=[*own, *other], cwd=str(made.folder))  # fmt: skip
            places = {"folders": ["/tmp", "/dev/shm", str(made.folder)]}
            told.slices["executor"] = await in_slice(spawner, "executor", places, binds=own)
            places = {"folders": ["/tmp", "/dev/shm"], "bytes": 4 * SCRATCH_BYTES}
            told.slices["hoarder"] = await in_slice(spawner, "hoarder", places, scratch_bytes=SCRATCH_BYTES)  # fmt: skip
            told.slices["made"] = made


# What is refused.


@pytest.mark.parametrize(("table", "name"), ATTEMPTS)
def test_a_slice_is_refused_what_root_can_do(told: Told, table: str, name: str):
    if table in left_out(told.way):
        assert table not in told.slices
        return
    plain = told.plain[table][name]
    works = plain == "done" or (name in YOUNG and plain == "ENOSYS")
    assert works or (not HAS_RANGES and plain in REFUSED), "the probe works"
    assert told.slices[table][name] in REFUSED or name in TOLD_TO_ONE_ID
    in_bubblewrap = told.bubblewrap[table][name]
    if name in OPEN_IN_BUBBLEWRAP[table]:
        assert in_bubblewrap in {"done", plain}
    else:
        assert in_bubblewrap in REFUSED


def test_a_plain_process_does_most_of_what_slices_are_refused(told: Told):
    outcomes = [told.plain[table][name] for table, name in ATTEMPTS]
    least = len(ATTEMPTS) - len(YOUNG) if HAS_RANGES else len(ATTEMPTS) // 2
    assert outcomes.count("done") >= least, outcomes


@pytest.mark.parametrize("name", escape_probes.MACHINE)
def test_a_slice_is_not_told_of_the_machine(told: Told, name: str):
    """Not every kernel has all of it, or anything to say there."""
    assert told.plain["machine"][name] in {"done", "ENOENT", "EPERM", "EACCES", "empty"}
    assert told.slices["machine"][name] in REFUSED
    if name in OPEN_IN_BUBBLEWRAP["machine"]:
        assert told.bubblewrap["machine"][name] == told.plain["machine"][name]
    else:
        assert told.bubblewrap["machine"][name] in REFUSED


def test_of_the_machine_most_can_be_told_here(told: Told):
    least = 5 if HAS_RANGES else 2
    assert list(told.plain["machine"].values()).count("done") >= least, "the probes work"


def test_a_disk_that_lies_in_a_folder_is_not_opened(told: Told):
    # Past the mount: it is opened, or the devices cgroup refuses it, or the driver knows no such disk.
    assert told.plain["disk"]["open"] in {"done", "EPERM", "ENXIO"}
    assert told.slices["disk"]["open"] == told.bubblewrap["disk"]["open"] == "EACCES"


@pytest.mark.parametrize("name", escape_probes.OPEN)
def test_what_is_shown_may_be_used(told: Told, name: str):
    """Also a socket in a folder that is only to be read: who shows it lets the slice talk to who listens there."""
    assert told.slices["open"][name] == told.plain["open"][name] == "done"


# System calls.


def test_a_slice_makes_and_joins_no_namespace(told: Told):
    ways = {"unshare": "EPERM", "setns": "EPERM", "clone": "EPERM", "clone3": "ENOSYS"}
    for way, refusal in ways.items():
        for name in seal_probes.NEW:
            probe = f"{way}: {name}"
            if probe == "clone: time":  # its bit is part of the exit signal there
                continue
            assert told.slices["caller"][probe] == refusal, probe
            # Nobody may join the user namespace that he is in, and in those of the machine nobody but root another.
            closed = {"EPERM"} if way == "setns" and not HAS_RANGES else set()
            wanted = {"EINVAL" if probe == "setns: user" else "done"}
            assert told.plain["caller"][probe] in wanted | closed, probe
    assert told.slices["caller"]["fork"] == "done"
    # bubblewrap brings no filter of its own.
    assert told.bubblewrap["caller"]["unshare: user"] == "done"
    assert told.bubblewrap["caller"]["clone3: user"] == "done"


def test_a_slice_is_refused_every_call_of_the_table(told: Told):
    codes = {name: group.errno for group in REFUSED_CALLS for name in group.calls}
    for name, number in seal_probes.NUMBERS.items():
        if number < 0:
            continue
        refusal = errno.errorcode[codes[name]]
        assert told.slices["caller"][name] == refusal, name
        if HAS_RANGES:
            assert told.plain["caller"][name] not in {"EPERM", refusal}, name


def test_a_slice_has_unix_and_internet_sockets_only(told: Told):
    for family in seal_probes.FAMILIES:
        is_open = family in (1, 2, 10)
        found = told.slices["caller"][f"socket: family {family}"]
        assert found == ("EINVAL" if is_open else "EAFNOSUPPORT"), family
        assert told.plain["caller"][f"socket: family {family}"] == "EINVAL", family
    for name in ("unix", "inet tcp", "inet udp", "inet6 tcp", "inet6 udp"):
        assert told.slices["caller"][f"real socket: {name}"] == "done"
    for name in ("inet raw", "inet6 raw"):
        assert told.slices["caller"][f"real socket: {name}"] == "EPERM"
        assert told.plain["caller"][f"real socket: {name}"] == ("done" if HAS_RANGES else "EPERM")
    for name in ("packet", "netlink route", "netlink of uevents", "vsock"):
        assert told.slices["caller"][f"real socket: {name}"] == "EAFNOSUPPORT"
    for name in ("netlink route", "netlink of uevents", *(("packet",) if HAS_RANGES else ())):
        assert told.plain["caller"][f"real socket: {name}"] == "done"


# Facts.


def test_a_slice_has_one_user_and_no_power(told: Told):
    facts = told.slices["facts"]
    assert facts["ids"] == [1000] * 6
    assert facts["groups"] == []
    status = facts["status"]
    powers = {value for name, value in status.items() if name.startswith("Cap")}
    assert powers == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert set(map(tuple, facts["limits"].values())) == {(0, 0)}, "no core, nothing real-time"


def test_a_slice_has_exactly_these_descriptors(told: Told):
    facts = told.slices["facts"]
    assert facts["descriptors"] == {"0": "/dev/null", "1": "pipe", "2": "pipe", "3": "socket"}
    assert facts["given"] == [3]


def test_a_slice_sees_its_own_processes_and_names(told: Told):
    facts = told.slices["facts"]
    first, own = (0, 1) if told.way is Way.ALONE else (1, 2)
    assert facts["processes"] == list(range(1, own + 1))
    assert facts["own"] == [first, own, own]
    assert facts["host"] == "slice"
    assert facts["cards"] == ["lo"]
    assert {line.split(":", 2)[2] for line in facts["cgroup"]} == {"/"}
    assert set(facts["environment"]) <= set(ENVIRONMENT_KEPT)


def test_a_slice_has_exactly_these_devices(told: Told):
    numbers = {"null": "1:3", "zero": "1:5", "full": "1:7", "random": "1:8", "urandom": "1:9"}
    wanted = {name: f"c {numbers[name]}" for name in DEVICES}
    wanted |= dict.fromkeys(("fd", "stdin", "stdout", "stderr"), "l")
    assert told.slices["facts"]["devices"] == wanted | {"shm": "d", "empty": "d"}


def test_a_slice_has_exactly_these_mounts(told: Told):
    """Each shows the path of the host that it stands at, a mask, or nothing of the host."""
    made, mounts = told.slices["made"], told.slices["facts"]["mounts"]
    # An ordinary user's are no mounts with mapped ids, unless what they are of is one.
    ignored = set() if HAS_RANGES else {"idmapped"}
    found = {place: set(one["flags"]) - ignored for place, one in mounts.items()}
    assert found == {place: flags - ignored for place, flags in flags_wanted(made).items()}
    assert not any(one["shared"] for one in mounts.values()), "nothing is mounted from outside"
    for place, one in mounts.items():
        if place in OWN_MOUNTS:
            kind = "proc" if place == "/proc" else "tmpfs"
            # bubblewrap's new root is a folder of its own in what it makes for that.
            of = "/newroot" if (told.way, place) == (Way.BUBBLEWRAP, "/") else "/"
            assert (one["of"], one["kind"]) == (of, kind), place
        elif place.startswith("/proc/"):
            assert one["of"] in {"/null", "/empty"}, place
        elif place.startswith("/dev/"):
            assert (one["of"], one["kind"]) == (f"/{Path(place).name}", "devtmpfs"), place
        else:
            assert within_host(one["of"], place), place


def within_host(path: str, place: str) -> bool:
    """Say whether a path within a file system is the place's own, wherever that file system is mounted here."""
    return str(Path(place).resolve()).endswith(path)


def flags_wanted(made: Ground) -> dict[str, set[str]]:
    """Return the flags of every mount by its place."""
    code = [sys.prefix, str(HERE), str(HERE.parents[1] / "runink")]
    system = [f"/{name}" for name in SYSTEM if is_folder(f"/{name}")]
    shown_of_etc = [f"/etc/{name}" for name in SHOWN if Path(f"/etc/{name}").exists()]
    masks = [f"/{path}" for path in MASKED if Path("/", path).exists()]
    mask_folders = [f"/{path}" for path in MASKED_FOLDERS if Path("/", path).exists()]
    flags = {
        "ro nodev": ["/", "/etc", "/dev", *system, *shown_of_etc, *code, *mask_folders],
        "ro noexec": [*masks, *(f"/dev/{name}" for name in DEVICES)],
        "rw nodev noexec": ["/proc", "/dev/shm"],
        "rw nodev": ["/tmp"],
        "rw nodev idmapped": [str(made.folder)],
        "ro nodev idmapped": [str(made.shown)],
    }
    return {
        place: {"nosuid", "relatime", *words.split()}
        for words, places in flags.items()
        for place in places
    }


def is_folder(path: str) -> bool:
    return Path(path).is_dir() and not Path(path).is_symlink()


def test_a_slice_is_in_its_root_which_holds_only_what_leads_to_mounts(told: Told):
    facts, made = told.slices["facts"], told.slices["made"]
    assert facts["cwd"] == str(made.folder)
    names = {place.split("/")[1] for place in facts["mounts"]} - {""}
    names |= {name for name in SYSTEM if Path(f"/{name}").is_symlink()}
    assert set(facts["root"]) == names
    shown_of_etc = {name for name in SHOWN if Path(f"/etc/{name}").exists()}
    assert set(facts["etc"]) == set(FILES) | shown_of_etc


# What it may do to itself.


def test_programs_run_from_memory_and_folders_of_its_own_without_more_power(told: Told):
    found = dict(told.slices["executor"])
    powerless = {"CapBnd": "0" * 16, "CapEff": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2"}
    assert found.pop("/dev/shm") == "EACCES"
    assert list(found.values()) == [powerless] * 3, "memfd, /tmp and a folder that may be written"


def test_a_slice_fills_its_own_memory_file_systems_and_no_more(told: Told):
    assert told.slices["hoarder"] == {
        "/tmp": [SCRATCH_BYTES, "ENOSPC"],
        "/dev/shm": [SCRATCH_BYTES, "ENOSPC"],
    }
