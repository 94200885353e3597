"""The slice's filter of system calls on the real kernel: what it refuses, each beside the same call without it, and what works behind it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import seal_probes
from object_store import ObjectStore
from runink.sandbox.seccomp_table import REFUSED

HERE = Path(__file__).parent
PROBING_S = 120
WORK_S = 250
REACHED = "EINVAL"  # what the kernel says to a socket type with flags that no socket has, before it looks at the family
SIGSYS = "signal 31"
SIGILL = "signal 4"
NETWORKS = ("none", "egress")


@cache
def outcomes(mode: str) -> dict[str, str]:
    """Return how every probe went: without the filter, or behind one of its kinds."""
    done = subprocess.run(
        [sys.executable, HERE / "seal_probes.py", mode],
        capture_output=True,
        check=True,
        timeout=PROBING_S,
    )
    return json.loads(done.stdout)


def told(name: str) -> tuple[str, str, str]:
    """Return how a probe went without the filter, behind that without a network, and behind that with egress."""
    return outcomes("open")[name], outcomes("none")[name], outcomes("egress")[name]


@pytest.mark.parametrize("group", REFUSED, ids=lambda group: next(iter(group.calls)))
def test_a_call_of_the_table_is_refused(group: Any):
    refusal = {1: "EPERM", 38: "ENOSYS"}[group.errno]
    names = [name for name in group.calls if seal_probes.NUMBERS[name] >= 0]
    for name in names:
        free, none, egress = told(name)
        # Without the filter the kernel answers otherwise: it did it, disliked the arguments, or is built without it.
        assert free not in (refusal, "EPERM"), name
        assert (none, egress) == (refusal, refusal), name


@pytest.mark.parametrize("name", [name for name in seal_probes.NEW if name != "time"])
def test_no_namespace_is_made_or_joined(name: str):
    for probe in (f"clone: {name}", f"clone: {name}, a bit above", f"unshare: {name}"):
        assert told(probe) == ("done", "EPERM", "EPERM"), probe
    assert told(f"clone3: {name}") == ("done", "ENOSYS", "ENOSYS")
    # Nobody may join the user namespace that he is in.
    is_own = "EINVAL" if name == "user" else "done"
    assert told(f"setns: {name}") == (is_own, "EPERM", "EPERM")


def test_no_time_namespace_is_made_or_joined():
    assert told("unshare: time") == ("done", "EPERM", "EPERM")
    assert told("setns: time") == ("done", "EPERM", "EPERM")
    assert told("clone3: time") == ("done", "ENOSYS", "ENOSYS")


def test_processes_are_made():
    for probe in ("fork", "clone: nothing new"):
        assert told(probe) == ("done", "done", "done")


def test_nobody_types_into_a_terminal():
    for probe in ("ioctl: TIOCSTI", "ioctl: TIOCSTI, a bit above"):
        assert told(probe) == ("done", "EPERM", "EPERM")
    assert told("ioctl: TIOCLINUX") == ("EBADF", "EPERM", "EPERM")
    assert told("ioctl: another") == ("EBADF", "EBADF", "EBADF")


def test_a_persona_is_asked_for_and_not_changed():
    for probe in ("personality: query", "personality: Linux"):
        assert told(probe) == ("done", "done", "done")
    assert told("personality: no randomisation") == ("done", "EPERM", "EPERM")


def test_a_call_through_the_door_of_another_architecture_ends_the_process():
    # Elsewhere the probe is no code at all.
    is_there = os.uname().machine == "x86_64"
    assert told("32-bit call") == (("done", SIGSYS, SIGSYS) if is_there else (SIGILL,) * 3)


@pytest.mark.parametrize("family", seal_probes.FAMILIES)
def test_a_family_of_sockets_is_open_or_shut(family: int):
    match family:
        case 1 | 2 | 10:
            wanted = (REACHED, REACHED, REACHED)
        case 16:
            wanted = (REACHED, "EAFNOSUPPORT", REACHED)
        case _:
            wanted = (REACHED, "EAFNOSUPPORT", "EAFNOSUPPORT")
    assert told(f"socket: family {family}") == wanted
    assert told(f"socket: family {family}, a bit above") == wanted
    pair = REACHED if family == 1 else "EAFNOSUPPORT"
    assert told(f"socketpair: family {family}") == (REACHED, pair, pair)


def test_of_netlink_only_routes_are_to_be_asked_for():
    assert told("socket: netlink 0") == (REACHED, "EAFNOSUPPORT", REACHED)
    for protocol in range(1, 32):
        wanted = (REACHED, "EAFNOSUPPORT", "EPROTONOSUPPORT")
        assert told(f"socket: netlink {protocol}") == wanted, protocol


@pytest.mark.parametrize("name", ["inet", "inet6"])
def test_of_the_internet_only_tcp_and_udp_are_open(name: str):
    for kind in range(1, 11):
        sealed = REACHED if kind in (1, 2) else "EPERM"
        assert told(f"socket: {name} type {kind}") == (REACHED, sealed, sealed)
    for word, own in (("stream", 6), ("datagram", 17)):
        for protocol in (1, 6, 17, 58, 132, 136, 262):
            sealed = REACHED if protocol == own else "EPROTONOSUPPORT"
            wanted = (REACHED, sealed, sealed)
            assert told(f"socket: {name} {word} {protocol}") == wanted, protocol
    assert told(f"real socket: {name} tcp") == ("done", "done", "done")
    assert told(f"real socket: {name} udp") == ("done", "done", "done")
    assert told(f"real socket: {name} raw") == ("done", "EPERM", "EPERM")


def test_real_sockets_of_other_families():
    assert told("real socket: unix") == ("done", "done", "done")
    assert told("real socket: packet") == ("done", "EAFNOSUPPORT", "EAFNOSUPPORT")
    assert told("real socket: netlink route") == ("done", "EAFNOSUPPORT", "done")
    assert told("real socket: netlink of uevents") == ("done", "EAFNOSUPPORT", "EPROTONOSUPPORT")
    free, *sealed = told("real socket: vsock")
    # A kernel without vsock has no such family; this test makes the socket only, it never connects one.
    assert free in ("done", "EAFNOSUPPORT")
    assert sealed == ["EAFNOSUPPORT", "EAFNOSUPPORT"]


def work(name: str, network: str, folder: Path, *rest: str, path: str = "") -> Any:
    done = subprocess.run(
        [sys.executable, "-W", "error", HERE / "sealed_work.py", name, network, folder, *rest],
        capture_output=True,
        text=True,
        check=False,
        timeout=WORK_S,
        env=os.environ | ({"PYTHONPATH": path} if path else {}),
    )
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("threads", list(range(8))),
        ("programs", ["here", "here", "here", 0, 3]),
        ("processes", [[1, 2, 3], [1, 2, 3], [1, 2, 3], 7]),
        ("event_loop", ["here", "hello", 1]),
        ("arrow", [19_999_900_000, 7]),
        ("polars", [7, 19_999_900_000]),
        ("duckdb", [True, True]),
    ],
)
def test_what_steps_do_works(tmp_path: Path, name: str, wanted: Any, network: str):
    assert work(name, network, tmp_path) == wanted


def test_numpy_works(tmp_path: Path):
    """From its wheel, as a bundle would bring it: its OpenBLAS has threads and asks for memory of its own."""
    packages = tmp_path / "packages"
    uv = Path(sys.executable).parent / "uv"
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", sys.executable, "--target", packages, "numpy"],
        check=True,
        timeout=WORK_S,
    )  # fmt: skip
    assert work("numpy", "none", tmp_path, path=str(packages)) == [41_541_750.0, 0]


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with ObjectStore().serving() as store:
        yield store


@pytest.mark.parametrize("network", NETWORKS)
def test_servers_are_reached(tmp_path: Path, store: ObjectStore, network: str):
    assert work("http", network, tmp_path, store.url) == 200
    found = work("object_store", network, tmp_path, store.url, f"for-{network}")
    assert found == ["content", [f"for-{network}/key"]]


def test_names_have_addresses_and_with_egress_the_cards_are_told(tmp_path: Path):
    assert work("names", "none", tmp_path) == [True, "EAFNOSUPPORT"]
    assert work("names", "egress", tmp_path) == [True, "done"]


@pytest.mark.parametrize("way", ["installed_without_no_new_privs", "thread_that_was_there"])
def test_the_filter_holds_for_all_or_is_not_put_on(tmp_path: Path, way: str):
    wanted = {
        "installed_without_no_new_privs": ["EACCES", "seccomp: no_new_privs is not set", "done"],
        "thread_that_was_there": ["done", "EPERM"],
    }
    assert work(way, "open", tmp_path) == wanted[way]
