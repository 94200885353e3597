"""What slices run that ask after the home they live in (`sandbox/homes.py`)."""

# ruff: noqa: T201 - printing is what a slice's logs are made of

from __future__ import annotations

import ctypes
import os
import socket
import subprocess

import sandbox_entries
from runink.sandbox.first import let_in

REAPS = True
PORT = 7171
NAME = "\0a home's"


def main(job: bytes, control: int, descriptors: list[int]) -> int | None:
    let_in()
    name, _, argument = job.decode().partition(" ")
    own = globals().get(f"do_{name}")
    if own is None:
        return sandbox_entries.main(job, control, descriptors)
    return own(argument, control, descriptors)


def do_settle(_argument, control, descriptors):
    """Take a port and a name, leave a process behind that holds them as well, and wait."""
    held = []
    for family, address in (
        (socket.AF_INET, ("127.0.0.1", PORT)),
        (socket.AF_UNIX, NAME),
    ):
        one = socket.socket(family)
        one.bind(address)
        one.listen()
        one.set_inheritable(True)
        held.append(one)
    subprocess.Popen(["sleep", "1000"], close_fds=False, start_new_session=True)
    sandbox_entries.do_wait("", control, descriptors)


def do_talk(_argument, _control, _descriptors):
    """Have a connection over the loopback, and close this end first: it is in TIME_WAIT."""
    with socket.create_server(("127.0.0.1", PORT)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
        ours.close()
        theirs.close()
    print("talked")


def do_hand_out(_argument, control, _descriptors):
    """Give a socket of this network to the agent."""
    with socket.socket(fileno=control) as link, socket.socket(socket.AF_INET) as own:
        socket.send_fds(link, [b"s"], [own.fileno()])


def do_core(_argument, _control, _descriptors):
    """Say which core the C library takes this process to be on, on each that it may use."""
    library = ctypes.CDLL(None)
    for core in sorted(os.sched_getaffinity(0)):
        os.sched_setaffinity(0, {core})
        print(core, library.sched_getcpu())


def do_change(_argument, _control, _descriptors):
    """Try to change what the next cell would find."""
    for path in ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/core/somaxconn"):
        try:
            with open(path, "w") as setting:  # noqa: PTH123 - by the plainest means
                setting.write("1")
        except OSError:
            continue
        print("changed", path)
    for kind in (socket.AF_NETLINK, socket.AF_PACKET):
        try:
            socket.socket(kind, socket.SOCK_RAW).close()
        except OSError:
            continue
        print("has", kind)
