"""A node, an internet and herds between them, in network namespaces of the test's own: the machine's network is not touched.

    internet ── 198.51.100.2 ─── 198.51.100.1 ── node ── herds' cables ── herds

The internet has every other address that a test asks for; it knows the way to the node, and none to herds.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from runink.sandbox.network import HELPER, MAKE_S, Answer, Asked, answer, begin, within
from runink.sandbox.network_kernel import new_namespace

PLACE_S: Final = (
    60.0  # what answers at all does so in a millisecond, where nobody else wants the core
)
SILENCE_S: Final = 0.5
PUBLIC: Final = "203.0.113.10"
PRIVATE: Final = "10.20.0.5"
HOME: Final = "192.168.7.7"
METADATA: Final = "169.254.169.254"
NAMESERVER: Final = "10.53.0.53"
UPLINK: Final = "198.51.100.1"
OTHER_OF_NODE: Final = "203.0.113.99"
METADATA_6: Final = "fd00:ec2::254"
PORT: Final = 8080
OTHER_PORT: Final = 8081
STATE: Final = "/srv/state"


def run(namespace: int, *words: str, given: str = "") -> str:
    with within(namespace):
        done = subprocess.run(words, input=given, capture_output=True, text=True, check=False)
    assert not done.returncode, (words, done.stderr)
    return done.stdout


def write(namespace: int, path: str, text: str) -> None:
    with within(namespace):
        Path(path).write_text(text, encoding="ascii")


class World:
    def __init__(self) -> None:
        self._open: list[socket.socket] = []
        self._descriptors: list[int] = []
        self.node = self._kept(new_namespace())
        self.internet = self._kept(new_namespace())
        for namespace in (self.node, self.internet):
            run(namespace, "ip", "link", "set", "lo", "up")
        path = f"/proc/{os.getpid()}/fd/{self.internet}"
        run(self.node, "ip", "link", "add", "up0", "type", "veth", "peer", "in0", "netns", path)
        for namespace, name, number in ((self.node, "up0", 1), (self.internet, "in0", 2)):
            write(namespace, "/proc/sys/net/ipv6/conf/all/disable_ipv6", "0")
            for address in (f"198.51.100.{number}/24", f"fd00:99::{number}/64"):
                run(namespace, "ip", "addr", "add", address, "dev", name, *_without_delay(address))
            run(namespace, "ip", "link", "set", name, "up")
        run(self.node, "ip", "route", "add", "default", "via", "198.51.100.2")
        run(self.node, "ip", "-6", "route", "add", "default", "via", "fd00:99::2")
        for address in (PUBLIC, PRIVATE, HOME, METADATA, NAMESERVER, METADATA_6):
            run(self.internet, "ip", "addr", "add", address, "dev", "lo", *_without_delay(address))
        run(self.node, "ip", "addr", "add", OTHER_OF_NODE, "dev", "lo")

    def _kept(self, descriptor: int) -> int:
        self._descriptors.append(descriptor)
        return descriptor

    def close(self) -> None:
        for one in self._open:
            one.close()
        for descriptor in self._descriptors:
            os.close(descriptor)

    # What the spawner does.

    def begin(self, action: str, *, module: tuple[str, ...] = HELPER, **fields: Any) -> Asked:
        held = fields.pop("held", -1)
        with within(self.node):
            return begin(action, _filled(action, fields), held=held, module=module)

    def ask(self, action: str, *, module: tuple[str, ...] = HELPER, **fields: Any) -> Answer:
        return self.told(self.begin(action, module=module, **fields))

    def told(self, asked: Asked) -> Answer:
        asked.link.settimeout(MAKE_S)
        found = answer(asked)
        os.waitpid(asked.pid, 0)
        if found.namespace >= 0:
            self._kept(found.namespace)
        return found

    def made(self, herd: str = "a", **fields: Any) -> Answer:
        found = self.ask("make", herd=herd, **fields)
        assert not found.code, found
        return found

    # What is there.

    def interfaces(self) -> set[str]:
        lines = run(self.node, "ip", "-o", "link").splitlines()
        return {line.split()[1].partition("@")[0].rstrip(":") for line in lines} - {"lo", "up0"}

    def tables(self, namespace: int | None = None) -> set[str]:
        where = self.node if namespace is None else namespace
        return set(run(where, "nft", "list", "tables").split()) - {"table", "inet"}

    def without_rules(self, *herds: Answer) -> None:
        """Take every rule away but for what hides a herd's address, so that nothing but the network decides."""
        for namespace in (self.node, *(herd.namespace for herd in herds)):
            run(namespace, "nft", "flush", "ruleset")
        rule = 'type nat hook postrouting priority srcnat; oifname "up0" masquerade;'
        run(self.node, "nft", "-f", "-", given=f"table ip test {{\nchain nat {{\n{rule}\n}}\n}}\n")

    # Probes.

    def listens(self, namespace: int, address: str, port: int = PORT) -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with within(namespace):
            server = socket.create_server((address, port), family=family)
        server.settimeout(PLACE_S)
        self._open.append(server)
        return server


@contextmanager
def a_world() -> Iterator[World]:
    world = World()
    try:
        yield world
    finally:
        world.close()


def connected(
    namespace: int, address: str, port: int = PORT, *, timeout: float = PLACE_S
) -> socket.socket:
    """Return a connection from there; raises OSError."""
    with within(namespace):
        return socket.create_connection((address, port), timeout=timeout)


def is_unanswered(namespace: int, address: str, port: int = PORT) -> bool:
    """Say whether nothing comes back at all, not even a refusal."""
    with suppress(TimeoutError):
        connected(namespace, address, port, timeout=SILENCE_S).close()
        return False
    return True


def reaches(namespace: int, address: str, port: int = PORT) -> bool:
    """Say whether a connection is made, or refused at once. What is neither fails."""
    with suppress(ConnectionRefusedError):
        connected(namespace, address, port).close()
        return True
    return False


def _filled(action: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {} if action == "check" else {"node": "n", "state": STATE} | fields


def _without_delay(address: str) -> tuple[str, ...]:
    return ("nodad",) if ":" in address else ()


KILLED: Final = str(Path(__file__).with_name("network_entries.py"))
