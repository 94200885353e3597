"""The Barn under load: its members as processes on loopback (`runi server`), and the asyncio client that loads them (`barn_client.py`)."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from barn_load import Taken, Workload, free_ports, stop, taken_from, wait_until

CLIENT: Final = Path(__file__).parent / "barn_client.py"
SERVER: Final = [sys.executable, "-m", "runink.cli.main", "server"]


@dataclass(frozen=True)
class BarnLoad:
    """A Barn that runs: where its members listen, and the file with their secret."""

    members: tuple[str, ...]
    secret: Path
    pids: tuple[int, ...]

    def fill(self) -> None:
        subprocess.run(self._words("fill"), check=True)

    def run(self, workload: Workload, clients: int, *, seconds: float) -> Taken:
        words = self._words(workload.value)
        return taken_from([*words, f"--clients={clients}", f"--seconds={seconds}"])

    def _words(self, workload: str) -> list[str]:
        at = ",".join(self.members)
        return [sys.executable, str(CLIENT), at, workload, f"--secret={self.secret}"]


@contextmanager
def barn_members(count: int, folder: Path) -> Iterator[BarnLoad]:
    """Run a Barn of so many members for as long as the block, with their states in the folder."""
    secret = new_secret(folder)
    members = [f"127.0.0.1:{port}" for port in free_ports(count)]
    addresses = [f"--address={number}={at}" for number, at in enumerate(members, start=1)]
    children: list[subprocess.Popen[bytes]] = []
    try:
        for number in range(1, count + 1):
            state = folder / f"barn{count}-{number}"
            words = [f"--state={state}", f"--member={number}", *addresses, f"--secret={secret}"]
            with (folder / f"barn{count}-{number}.log").open("wb") as log:
                children.append(subprocess.Popen([*SERVER, *words], stderr=log))
        wait_until(lambda: all(map(is_ready, folder.glob(f"barn{count}-*.log"))), children)
        yield BarnLoad(tuple(members), secret, tuple(child.pid for child in children))
    finally:
        stop(children)


def is_ready(log: Path) -> bool:
    """Say whether a member has said that it is."""
    return log.read_bytes().startswith(b"ready")


def new_secret(folder: Path) -> Path:
    """Return a file with what members and clients show each other."""
    secret = folder / "secret"
    secret.touch(mode=0o600)
    secret.write_text(secrets.token_hex(32))
    return secret
