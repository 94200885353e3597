"""etcd as the reference: its members as processes on loopback, and the Go client that loads them.

The members are Debian's etcd-server 3.4 with its settings as they are, which sync every commit with fdatasync. The client is `etcd_load/`, over gRPC with
etcd's own clientv3, built of Debian's golang-etcd-server-dev into a folder that git ignores.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from barn_load import (
    FILLERS,
    KEYS,
    VALUE_BYTES,
    WARM_UP_S,
    Taken,
    Workload,
    connections_for,
    free_ports,
    stop,
    taken_from,
    wait_until,
)

SOURCE: Final = Path(__file__).parent / "etcd_load"
GOPATH: Final = "/usr/share/gocode"  # where Debian puts the sources of Go packages
NEEDED: Final = "apt-get install etcd-server golang-go golang-etcd-server-dev"


@dataclass(frozen=True)
class EtcdLoad:
    """A cluster of etcd that runs; `client` is the program that loads it."""

    client: Path
    endpoints: tuple[str, ...]

    def fill(self) -> None:
        subprocess.run(self._words("fill", FILLERS), check=True)

    def run(self, workload: Workload, clients: int, *, seconds: float) -> Taken:
        return taken_from([*self._words(workload.value, clients), f"-duration={seconds}s"])

    def _words(self, workload: str, clients: int) -> list[str]:
        return [
            str(self.client),
            f"-endpoints={','.join(self.endpoints)}",
            f"-workload={workload}",
            f"-clients={clients}",
            f"-connections={connections_for(clients)}",
            f"-warmup={WARM_UP_S}s",
            f"-keys={KEYS}",
            f"-value-bytes={VALUE_BYTES}",
        ]


def built(cache: Path) -> Path:
    """Build the client into the folder and return it. Raises SystemExit where what it needs is not installed."""
    for program in ("etcd", "go"):
        if shutil.which(program) is None:
            raise SystemExit(f"{program} is missing: {NEEDED}")
    made = cache / "etcd_load"
    environment = {"GO111MODULE": "off", "GOPATH": GOPATH, "GOCACHE": str(cache / "go-cache")}
    done = subprocess.run(
        ["go", "build", "-o", str(made), "."],
        cwd=SOURCE,
        env=os.environ | environment,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"bench/etcd_load does not build: {NEEDED}")
    return made


@contextmanager
def etcd_members(count: int, folder: Path, client: Path) -> Iterator[EtcdLoad]:
    """Run a cluster of so many members for as long as the block, with their data in the folder."""
    ports = free_ports(2 * count)
    endpoints = [f"http://127.0.0.1:{port}" for port in ports[:count]]
    peers = [f"http://127.0.0.1:{port}" for port in ports[count:]]
    cluster = ",".join(f"m{place}={peer}" for place, peer in enumerate(peers))
    children = []
    for place in range(count):
        words = {
            "name": f"m{place}",
            "data-dir": str(folder / f"etcd{count}-{place}"),
            "listen-client-urls": endpoints[place],
            "advertise-client-urls": endpoints[place],
            "listen-peer-urls": peers[place],
            "initial-advertise-peer-urls": peers[place],
            "initial-cluster": cluster,
            "log-level": "error",
            "logger": "zap",
        }
        children.append(
            subprocess.Popen(["etcd", *(f"--{name}={word}" for name, word in words.items())])
        )
    try:
        wait_until(lambda: all(map(is_healthy, endpoints)), children)
        yield EtcdLoad(client, tuple(one.removeprefix("http://") for one in endpoints))
    finally:
        stop(children)


def is_healthy(endpoint: str) -> bool:
    """Say whether the member has a leader."""
    try:
        with urllib.request.urlopen(f"{endpoint}/health", timeout=1) as answer:
            return bool(json.load(answer)["health"] == "true")
    except (OSError, urllib.error.HTTPError):
        return False
