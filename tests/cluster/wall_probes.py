"""What a process can do behind Landlock's rules: `python wall_probes.py open|VERSION network|none FOLDER PORT NAME PID`.

FOLDER holds `shown` (to be read only), `own` (to be written) and `hidden` (in no list); PORT listens on loopback, NAME is an abstract socket that listens,
PID a process outside.  The outcomes are written as JSON: what is in force, and of each probe "done" or the name of the errno.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

from runink.sandbox import landlock, privileges

SYSTEM = ("/usr", "/lib", "/lib64", "/dev/zero", "/proc")


def probes(folder: Path, hidden: int, port: int, name: str, pid: int) -> dict[str, Callable[[], object]]:  # fmt: skip
    shown, own, secret = folder / "shown", folder / "own", folder / "hidden"
    return {
        "read shown": (shown / "file").read_bytes,
        "list shown": lambda: [*shown.iterdir()],
        "run shown": lambda: subprocess.run([shown / "true"], check=True),
        "write shown": lambda: (shown / "file").open("ab").close(),
        "make in shown": (shown / "new").mkdir,
        "remove in shown": (shown / "spare").unlink,
        "cut shown": lambda: os.truncate(shown / "cut", 1),
        "read hidden": (secret / "file").read_bytes,
        "list hidden": lambda: [*secret.iterdir()],
        "run hidden": lambda: subprocess.run([secret / "true"], check=True),
        "read hidden by a link": (own / "link").read_bytes,
        "read hidden by /proc": Path(f"/proc/self/root{secret}/file").read_bytes,
        "read hidden by its folder": lambda: os.close(os.open("file", os.O_RDONLY, dir_fd=hidden)),
        "cut hidden": lambda: os.truncate(secret / "cut", 1),
        "write own": lambda: (own / "file").write_bytes(b"new"),
        "make in own": (own / "folder").mkdir,
        "make a pipe in own": lambda: os.mkfifo(own / "pipe"),
        "listen in own": lambda: bound(own / "socket"),
        "move within own": lambda: (own / "file").rename(own / "folder" / "file"),
        "link shown into own": lambda: os.link(shown / "file", own / "linked"),
        "remove in own": (own / "spare").unlink,
        "ask a device of own": lambda: asked("/dev/null"),
        "ask a device of shown": lambda: asked("/dev/zero"),
        "listen on tcp": lambda: socket.create_server(("127.0.0.1", 0)).close(),
        "connect by tcp": lambda: socket.create_connection(("127.0.0.1", port)).close(),
        "connect to an abstract socket": lambda: connected(name),
        "connect to an abstract socket of ours": connected_to_ours,
        "signal who is outside": lambda: os.kill(pid, 0),
        "signal a child": signalled_child,
    }


def bound(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(path))


def asked(device: str) -> None:
    """Ask a device for something that it does not have: ENOTTY shows that it was asked."""
    with Path(device).open("rb") as file:
        fcntl.ioctl(file, termios.TCGETS)


def connected(name: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"\0{name}")


def connected_to_ours() -> None:
    name = f"runink-ours-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        connected(name)


def signalled_child() -> None:
    pid = os.fork()
    if not pid:
        os.read(0, 1)  # its parent's standard input stays open until it is killed
        os._exit(0)
    os.kill(pid, 9)
    os.waitpid(pid, 0)


def outcome(probe: Callable[[], object]) -> str:
    try:
        probe()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


def main() -> None:
    version, network, place, port, name, pid = sys.argv[1:]
    folder = Path(place)
    hidden = os.open(folder / "hidden", os.O_RDONLY)
    own = os.open(folder / "own", os.O_PATH)
    in_force: landlock.InForce | None = None
    if version != "open":
        rules = landlock.prepared(
            read_only=[*filter(os.path.exists, SYSTEM), os.fspath(folder / "shown")],
            read_write=[own, "/dev/null"],
            network=network == "network",
            version=int(version),
        )
        privileges.forbid_new_privileges()
        in_force = landlock.restrict(rules)
    outcomes = {
        name: outcome(probe)
        for name, probe in probes(folder, hidden, int(port), name, int(pid)).items()
    }
    json.dump({"in_force": in_force and in_force.guards, "outcomes": outcomes}, sys.stdout)


if __name__ == "__main__":
    main()
