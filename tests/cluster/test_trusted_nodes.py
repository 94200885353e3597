"""Trust between real processes: a cluster grows by tokens, and who is not of it, or is no more, gets nothing from a member's port."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from barn_group import DYING_WITH_US, WAIT_S, BarnGroup, barn_group, until
from barn_networks import free_port
from runi_project import RUNI, Project
from runink.barn.keyvalue import one_key
from runink.certificates.roles import CONTROL, NodeRole
from runink.clients.barn_requests import Read, Status
from runink.clients.cluster import BARN
from runink.errors import Forbidden, LinkLost, RuninkError
from runink.runtime.connections import Dialled, Peer, connect_tcp
from runink.runtime.directory import Directory
from runink.testing.founded import stranger
from runink.testing.node_certificates import NOW_S, Node, certified
from runink.trust.entrance import JOINING
from runink.wire.tls import TlsIdentity, connecting_from

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]


@pytest.fixture
def anyio_backend() -> str:
    """The processes are the same whatever the test's own loop is."""
    return "asyncio"


class Farm:
    """A cluster that is begun with `--init`, its processes and what people say to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = f"127.0.0.1:{free_port()}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def asked(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """Run a command in the farm's folder."""
        command = [*RUNI, *words]
        return subprocess.run(command, capture_output=True, timeout=WAIT_S, check=False, cwd=self.folder)  # fmt: skip

    def runi(self, *words: str) -> Any:
        """Run a command about the first member's cluster, and return the document that it prints."""
        done = self.asked(*words, "-o", "json", "--state", "m1")
        assert done.returncode == 0, done
        return json.loads(done.stdout)

    def start(self, name: str, *words: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            asked = [*DYING_WITH_US, *RUNI, *words, "--state", str(self.folder / name)]
            self._processes[name] = subprocess.Popen(asked, stdout=log, stderr=log)

    def member(self, *more: str) -> None:
        self.start("m1", "server", "--member", "1", "--address", f"1={self.place}", *more)

    def stop(self, name: str) -> int:
        process = self._processes.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(timeout=WAIT_S)

    def kill(self, name: str) -> None:
        process = self._processes.pop(name)
        process.kill()
        process.wait(timeout=WAIT_S)

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    async def says(self, name: str, words: str, *, times: int = 1) -> None:
        """Wait until a process has said something, so often in all of its lives."""

        async def found() -> bool:
            is_said = self.said(name).count(words) >= times
            assert is_said or self._processes[name].poll() is None, self.said(name)
            return is_said

        await until(found, f"{words!r} of {name}")

    def end(self) -> None:
        for name in list(self._processes):
            self.stop(name)


@contextmanager
def farm(folder: Path) -> Iterator[Farm]:
    made = Farm(folder)
    try:
        yield made
    finally:
        made.end()


async def test_a_cluster_begins_with_one_member_and_grows_by_tokens(
    tmp_path: Path, project: Project
) -> None:
    (tmp_path / "farm").mkdir()
    with farm(tmp_path / "farm") as made:
        made.member("--init")
        await made.says("m1", "ready")
        token = made.runi("node", "token", "--name", "w1")["token"]
        made.start("w1", "agent", "--server", made.place, "--join", token)
        await made.says("w1", "ready")
        made.start("w2", "agent", "--server", made.place, "--join", token)
        await made.says("w2", "[join_token_used]")
        client = made.runi("node", "token", "--role", "client", "--name", "ann")["token"]
        joined = made.asked("node", "join", "--token", client, "--trust", "ann", "--server", made.place)  # fmt: skip
        assert joined.returncode == 0, joined
        nodes = {one["name"]: one["role"] for one in made.runi("node", "trust")["nodes"]}
        assert nodes == {"w1": "agent", "ann": "client", "member-1": "server"}
        # A run over it: submitted by the client's certificate, done by the agent that has joined.
        project.environment |= {
            "RUNINK_SERVER": made.place,
            "RUNINK_TRUST": str(made.folder / "ann"),
        }
        project.pipeline('@source("csv://in.csv")\n@sink("jsonl://out/o.jsonl")')
        project.write("in.csv", "a\n1\n2\n")
        said = await anyio.to_thread.run_sync(project.run)
        assert said.code == 0, said
        assert len(project.rows("out/o.jsonl")) == 2
        # Both start anew without any token, and know each other.
        made.stop("w1")
        made.stop("m1")
        made.member()
        made.start("w1", "agent", "--server", made.place)
        await made.says("m1", "ready in", times=2)
        await made.says("w1", "ready in", times=2)
        await until(lambda: _has_node(made, "w1"), "the node that joined")
        await _grow(made)


async def _has_node(made: Farm, name: str) -> bool:
    return name in {one["node"] for one in made.runi("node", "list") if one["state"] == "ready"}


async def _grow(made: Farm) -> None:
    """Let a second member in, which then votes."""
    place = f"127.0.0.1:{free_port()}"
    token = made.runi("node", "token", "--role", "server", "--name", "member-2")["token"]
    assert made.asked("cluster", "add", "2", place, "--state", "m1").returncode == 0
    words = ("--member", "2", "--address", f"2={place}", "--server", made.place, "--join", token)
    made.start("m2", "server", *words)
    await made.says("m2", "ready")

    async def promoted() -> bool:
        return made.asked("cluster", "promote", "2", "--state", "m1").returncode == 0

    await until(promoted, "a member that has caught up")
    assert (made.folder / "m2" / "root.key").read_bytes() == (made.folder / "m1" / "root.key").read_bytes()  # fmt: skip


# Who may not come in.


@asynccontextmanager
async def guarded(folder: Path) -> AsyncIterator[BarnGroup]:
    """Run a member whose cluster knows the agents w1 and w2."""
    async with barn_group(folder, size=1, has_tls=True) as group:
        yield group


@asynccontextmanager
async def visiting(
    group: BarnGroup, identity: TlsIdentity | None, name: str, **more: Any
) -> AsyncIterator[Peer]:
    tls = Dialled(connecting_from(identity), CONTROL) if identity else None
    host, _, port = group.place(1).rpartition(":")
    more = {"tls": tls, "directory": Directory(name)} | more
    async with connect_tcp(host, int(port), **more) as peer:
        yield peer


async def turned_away(group: BarnGroup, identity: TlsIdentity | None, name: str, **more: Any) -> str:  # fmt: skip
    """Return with which code somebody is refused."""
    with pytest.raises(RuninkError) as info:
        async with visiting(group, identity, name, **more) as peer:
            await peer.ref(BARN).ask(Status(), within=WAIT_S)
    return info.value.code


async def test_who_is_not_of_the_cluster_is_refused_at_its_port(tmp_path: Path) -> None:
    async with guarded(tmp_path) as group:
        founded = group.founded
        assert founded is not None
        trusted = founded.authority

        def shows(node: Node) -> TlsIdentity:
            return node.identity(trusted)

        operator = shows(founded.nodes["operator"])
        bare = TlsIdentity(trusted.trusted.pem.encode())
        expired = certified(trusted, NodeRole.CLIENT, "operator", span=(NOW_S - 7200, 3600))
        unknown = certified(trusted, NodeRole.AGENT, "w9")
        other = stranger("operator")[0]
        old = Dialled(connecting_from(operator), CONTROL)
        old.context.minimum_version = ssl.TLSVersion.TLSv1_2
        old.context.maximum_version = ssl.TLSVersion.TLSv1_2
        wrong = Dialled(connecting_from(operator), "member-2.server.runink.internal")
        cases = {
            "no certificate": await turned_away(group, bare, "x"),
            "another authority's": await turned_away(group, shows(other), "operator"),
            "an expired one": await turned_away(group, shows(expired), "operator"),
            "TLS 1.2": await turned_away(group, operator, "operator", tls=old),
            "wrong name of the server": await turned_away(group, operator, "operator", tls=wrong),
            "no TLS": await turned_away(group, None, "x"),
            "unknown to the cluster": await turned_away(group, shows(unknown), "w9"),
            "the name of another": await turned_away(group, operator, "member-2"),
            "joining, and asking else": await turned_away(group, bare, "x", credentials=JOINING),
        }
        assert cases == {
            "no certificate": "no_certificate",
            "another authority's": "link_lost",
            "an expired one": "link_lost",
            "TLS 1.2": "link_lost",
            "wrong name of the server": "link_lost",
            "no TLS": "link_lost",
            "unknown to the cluster": "node_unknown",
            "the name of another": "other_node",
            "joining, and asking else": "no_certificate",
        }
        async with visiting(group, operator, "operator") as peer:
            assert (await peer.ref(BARN).ask(Status(), within=WAIT_S)).member == 1


async def test_a_revoked_node_is_cut_off_while_it_is_connected(tmp_path: Path) -> None:
    async with guarded(tmp_path) as group:
        assert group.founded is not None
        client = group.founded.nodes["client"].identity(group.founded.authority)
        async with visiting(group, client, "client") as peer:
            await peer.ref(BARN).ask(Read((one_key("/a"),)), within=WAIT_S)
            words = ["node", "revoke", "client", "--role", "client", "--reason", "left the company"]
            done = await anyio.run_process([*RUNI, *words, "--state", str(group.state(1))])
            assert b"left the company" in done.stdout
            with anyio.fail_after(WAIT_S):
                await peer.link.wait_over()
        assert isinstance(peer.link.error, Forbidden)
        assert peer.link.error.code == "node_revoked"
        assert await turned_away(group, client, "client") == "node_revoked"


async def test_an_authority_takes_over_while_nodes_work_and_the_old_one_opens_nothing_then(
    tmp_path: Path,
) -> None:
    with farm(tmp_path) as made:
        made.member("--init")
        await made.says("m1", "ready")
        token = made.runi("node", "token", "--name", "w1")["token"]
        made.start("w1", "agent", "--server", made.place, "--join", token)
        await made.says("w1", "ready")
        trust = made.folder / "w1" / "trust"
        old = TlsIdentity(*((trust / name).read_bytes() for name in ("authority.pem", "certificate.pem", "key.pem")))  # fmt: skip
        made.runi("node", "rotate", "begin")

        async def advanced() -> bool:
            done = made.asked("node", "rotate", "advance", "--state", "m1")
            assert done.returncode == 0 or b"rotation_waits" in done.stderr, done
            return done.returncode == 0

        await until(advanced, "nodes that trust both")
        await until(advanced, "nodes that show the new one's certificates")
        facts = made.runi("node", "trust")
        assert len(facts["authorities"]) == 1
        assert {one["authority"] for one in facts["nodes"]} == {facts["issuer"]}
        host, _, port = made.place.rpartition(":")
        with pytest.raises(LinkLost):
            async with connect_tcp(host, int(port), directory=Directory("w1"), tls=Dialled(connecting_from(old), CONTROL)):  # fmt: skip
                pass
        assert await _has_node(made, "w1")
        assert "lost" not in made.said("w1")
