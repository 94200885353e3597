"""The token of a slice between real processes: an isolated slice of a joined node asks its agent, and the API takes it for its own run, as long as that runs."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
import trustme
from barn_group import until
from barn_networks import free_port
from plain_client import PeerError, PlainClient, connect_tcp, trusting
from runi_project import Project
from runink.certificates.roles import CONTROL
from runink.client import AsyncClient
from runink.errors import RuninkError
from test_trusted_nodes import Farm, farm

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]
ENDS_S = 2.0  # within which the token of a slice is refused after its run
STEP = """
import os, time
from runink import context
@step(each="batch")
def work(rows):
    token = context().token()
    assert token == context().token()
    assert token not in str(os.environ)
    print("run", context().run, "has", token, flush=True)
    while not context().stopping:
        time.sleep(0.05)
    return rows
"""


@pytest.fixture
def anyio_backend() -> str:
    """The processes are the same whatever the test's own loop is."""
    return "asyncio"


async def code_of(made: Farm, token: str, herd: str, run: str) -> str:
    """Return with which code a run is refused to who shows the token, empty if it is told."""
    async with AsyncClient(f"unix:{made.folder / 'm1' / 'api.sock'}", token=token) as client:
        try:
            await client.runs.get(herd=herd, run=run)
        except RuninkError as error:
            return error.code
    return ""


async def printed(made: Farm) -> tuple[str, str]:
    """Wait for what the step prints: its run, and its token."""

    async def found() -> tuple[str, str] | None:
        for path in (made.folder / "w1").rglob("*.jsonl"):
            said = re.search(r"run (\w+) has ([\w-]+\.[\w-]+\.[\w-]+)", path.read_text())
            if said is not None:
                return said[1], said[2]
        return None

    return await until(found, "the step's token")


@contextmanager
def standing(folder: Path, project: Project, *more: str) -> Iterator[Farm]:
    """A cluster of a member and a node, not ready yet, which the project's commands are about."""
    folder.mkdir()
    with farm(folder) as made:
        made.member("--init", *more)
        project.environment |= {"RUNINK_SERVER": made.place, "RUNINK_TRUST": str(folder / "ann")}
        yield made


async def join(made: Farm, *more: str) -> None:
    """Have the node join, and the client."""
    await made.says("m1", "ready")
    joining = made.runi("node", "token", "--name", "w1")["token"]
    made.start("w1", "agent", "--server", made.place, "--join", joining, *more)
    await made.says("w1", "ready")
    client = made.runi("node", "token", "--role", "client", "--name", "ann")["token"]
    joined = made.asked("node", "join", "--token", client, "--trust", "ann", "--server", made.place)
    assert joined.returncode == 0, joined


def on_the_wire(made: Farm, token: str) -> PlainClient:
    host, _, port = made.place.rpartition(":")
    authority = (made.folder / "m1/trust/authority.pem").read_text()
    link = connect_tcp(host, int(port), trusting(authority), name=CONTROL)
    return PlainClient(link, credentials=token.encode())


def ask_on_the_wire(wire: PlainClient, run: str) -> None:
    """Read the run that the token is of, and nothing beside it."""
    assert wire.operate("runs.get", herd="sales", run=run)["document"]["run"] == run
    for operation, fields in (
        ("runs.get", {"herd": "stock", "run": run}),
        ("runs.get", {"herd": "sales", "run": "01JDYX5K3QW8R2M4N6P7S9T0V1"}),
        ("runs.cancel", {"herd": "sales", "run": run}),
        ("herds.get", {"herd": "stock"}),
    ):
        with pytest.raises(PeerError) as info:
            wire.operate(operation, **fields)
        assert info.value.code in ("not_found", "forbidden"), operation
    with pytest.raises(PeerError) as info:
        wire.call("barn", "Read", {"spans": [["/", "0"]]})
    assert info.value.code == "message_forbidden"


async def test_an_isolated_slice_reads_its_own_run_by_its_token_until_that_ends(
    tmp_path: Path, project: Project
) -> None:
    in_thread = anyio.to_thread.run_sync
    with standing(tmp_path / "farm", project) as made:
        await join(made)
        async with AsyncClient(f"unix:{made.folder / 'm1' / 'api.sock'}") as operator:
            for herd in ("sales", "stock"):
                await operator.herds.create(says={"herd": {"id": herd}})
            project.step(STEP)
            project.write("in.csv", "a\n1\n")
            project.pipeline('@source("csv://in.csv")\n@step("work")\n@sink("jsonl://out/o.jsonl")', herd="sales")  # fmt: skip
            child = project.popen("run", "features/p.dsl", "-q")
            run, token = await printed(made)
            assert await code_of(made, token, "sales", run) == ""
            assert await code_of(made, token, "sales", "01JDYX5K3QW8R2M4N6P7S9T0V1")
            assert await code_of(made, token, "stock", run)
            wire = await in_thread(on_the_wire, made, token)
            with wire:
                await in_thread(ask_on_the_wire, wire, run)
                await operator.runs.cancel(herd="sales", run=run)
                await in_thread(child.communicate)
                began_s = time.monotonic()
                assert (await in_thread(wire.until_closed)).code == "unauthenticated"

            async def is_refused() -> bool:
                return await code_of(made, token, "sales", run) == "unauthenticated"

            await until(is_refused, "that the token has ended with its run")
            assert time.monotonic() - began_s < ENDS_S
            with pytest.raises(PeerError) as info:
                await in_thread(on_the_wire, made, token)
            assert info.value.code == "unauthenticated"
        kept = [path for path in (made.folder / "m1").rglob("*") if path.is_file()]
        assert not [path for path in kept if token.encode() in path.read_bytes()]
        assert token not in made.said("w1") + made.said("m1")


ASKS = """
from runink import context
from runink.client import Client
from runink.errors import RuninkError
@step(each="batch")
def ask(rows):
    run = context().run
    with Client("https://PLACE", token=context(), authority=CA) as api:
        told = api.runs.get(herd="sales", run=run)
        try:
            api.herds.list()
        except RuninkError as error:
            refused = error.code
        else:
            refused = ""
    return [{"run": run, "told": told.run, "state": told.state.value, "refused": refused}]
"""


async def test_a_step_asks_the_api_over_its_slices_network_with_its_context(
    tmp_path: Path, project: Project
) -> None:
    place, authority = f"127.0.0.1:{free_port()}", trustme.CA()
    certified = authority.issue_cert("127.0.0.1")
    certified.private_key_pem.write_to_path(tmp_path / "key.pem")
    certified.cert_chain_pems[0].write_to_path(tmp_path / "chain.pem")
    words = ["--api", place, "--api-certificate", str(tmp_path / "chain.pem"), "--api-key", str(tmp_path / "key.pem")]  # fmt: skip
    with standing(tmp_path / "farm", project, *words) as made:
        await join(made, "--allow-host-network")
        async with AsyncClient(f"unix:{made.folder / 'm1' / 'api.sock'}") as operator:
            await operator.herds.create(says={"herd": {"id": "sales"}})
            trusted = f"CA = {authority.cert_pem.bytes().decode()!r}\n"
            project.step(trusted + ASKS.replace("PLACE", place))
            project.write("in.csv", "a\n1\n")
            project.pipeline('@source("csv://in.csv")\n@step("ask")\n@requires(network="host")\n@sink("jsonl://out/o.jsonl")', herd="sales")  # fmt: skip
            done = await anyio.to_thread.run_sync(project.runi, "run", "features/p.dsl")
            assert done.code == 0, done.out
            (run,) = [one async for one in operator.runs.list(herd="sales")]
            path = next((made.folder / "w1").rglob("o.jsonl"), project.root / "out/o.jsonl")
            said = json.loads(path.read_text())
    assert said == {"run": run.run, "told": run.run, "state": "running", "refused": said["refused"]}
    assert said["refused"] in ("", "forbidden")
