"""The token of a slice between real processes: an isolated slice of a joined node asks its agent, and the API takes it for its own run, as long as that runs."""

from __future__ import annotations

import re
import time
from pathlib import Path

import anyio
import pytest
from barn_group import until
from runi_project import Project
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


async def test_an_isolated_slice_reads_its_own_run_by_its_token_until_that_ends(
    tmp_path: Path, project: Project
) -> None:
    (tmp_path / "farm").mkdir()
    with farm(tmp_path / "farm") as made:
        made.member("--init")
        await made.says("m1", "ready")
        joining = made.runi("node", "token", "--name", "w1")["token"]
        made.start("w1", "agent", "--server", made.place, "--join", joining)
        await made.says("w1", "ready")
        client = made.runi("node", "token", "--role", "client", "--name", "ann")["token"]
        joined = made.asked("node", "join", "--token", client, "--trust", "ann", "--server", made.place)  # fmt: skip
        assert joined.returncode == 0, joined
        async with AsyncClient(f"unix:{made.folder / 'm1' / 'api.sock'}") as operator:
            for herd in ("sales", "stock"):
                await operator.herds.create(says={"herd": {"id": herd}})
            project.environment |= {
                "RUNINK_SERVER": made.place,
                "RUNINK_TRUST": str(made.folder / "ann"),
            }
            project.step(STEP)
            project.write("in.csv", "a\n1\n")
            project.pipeline('@source("csv://in.csv")\n@step("work")\n@sink("jsonl://out/o.jsonl")', herd="sales")  # fmt: skip
            child = project.popen("run", "features/p.dsl", "-q")
            run, token = await printed(made)
            assert await code_of(made, token, "sales", run) == ""
            assert await code_of(made, token, "sales", "01JDYX5K3QW8R2M4N6P7S9T0V1")
            assert await code_of(made, token, "stock", run)

            await operator.runs.cancel(herd="sales", run=run)
            await anyio.to_thread.run_sync(child.communicate)
            began_s = time.monotonic()

            async def is_refused() -> bool:
                return await code_of(made, token, "sales", run) == "unauthenticated"

            await until(is_refused, "that the token has ended with its run")
            assert time.monotonic() - began_s < ENDS_S
        kept = [path for path in (made.folder / "m1").rglob("*") if path.is_file()]
        assert not [path for path in kept if token.encode() in path.read_bytes()]
        assert token not in made.said("w1") + made.said("m1")
