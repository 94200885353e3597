"""`runi logs` and `runi dead show` of a cluster whose nodes are other machines: what they keep of a run is fetched from them."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import anyio
import pytest
from barn_group import WAIT_S, until
from runi_project import Project, Said
from runink.cli.exits import ExitCode
from team_world import ended, gate, team

pytestmark = pytest.mark.anyio
# Runs a command as on a machine that has the project, and nothing of what it has published.
ELSEWHERE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", 'mkdir -p out; mount -t tmpfs none out; exec "$@"', "sh")  # fmt: skip
LOSES = ("--lost-after", "10s")


@pytest.fixture
def anyio_backend() -> str:
    """The processes are the same whatever the test's own loop is."""
    return "asyncio"


@pytest.fixture
def gated(project: Project) -> Project:
    return gate(project)


async def test_logs_are_followed_fetched_and_told_to_be_away(
    tmp_path: Path, gated: Project
) -> None:
    async with team(tmp_path / "team", gated, "w1", "w2", options=LOSES) as made:
        child = made.submit()
        first = await made.slice()
        assert first.node is not None
        agent = made.agents.pop(first.node)
        agent.kill()
        agent.wait()

        async def another() -> bool:
            return any(one.attempt == 2 and made.has_begun(one) for one in await made.chains())

        await until(another, "the next attempt")
        follow = gated.popen(
            "logs", "last", "--follow", stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert follow.stdout is not None
        line = await anyio.to_thread.run_sync(follow.stdout.readline)
        assert b"(attempt 2)" in line
        assert b"begun" in line
        gated.write("data/go", "")
        await anyio.to_thread.run_sync(ended, child, gated)
        _, told = follow.communicate(timeout=WAIT_S)
        assert follow.returncode == ExitCode.FAILED, told.decode()
        assert f"what {first.node} keeps" in told.decode()

        said = await anyio.to_thread.run_sync(gated.runi, "logs", "last", "-o", "json")
        assert said.code == ExitCode.FAILED
        assert f"what {first.node} keeps of the run cannot be read now" in said.err
        assert {one["attempt"] for one in said.document} == {2}, "the node of the first is lost"
        second = ("logs", "last", "--attempt", "2", "-o", "json")
        said = await anyio.to_thread.run_sync(gated.runi, *second)
        assert said.code == ExitCode.DONE, "of another attempt nothing is missing"
        made.hire(first.node)
        await made.is_there(first.node)
        said = await anyio.to_thread.run_sync(gated.runi, "logs", "last", "-o", "json")
        assert said.code == ExitCode.DONE, said
        nodes = {one["attempt"]: one["node"] for one in said.document}
        assert nodes == {1: first.node, 2: (await made.chains())[0].node}

        last = made.agents[(await made.chains())[0].node or ""]
        last.send_signal(signal.SIGSTOP)
        try:
            said = await anyio.to_thread.run_sync(gated.runi, "logs", "last")
        finally:
            last.send_signal(signal.SIGCONT)
        assert said.code == ExitCode.FAILED
        assert "(attempt" not in said.out, "only the first attempt's node answers"
        assert "begun" in said.out
        assert "cannot be read now" in said.err


async def test_rows_that_a_run_rejected_are_fetched_from_its_node(
    tmp_path: Path, project: Project
) -> None:
    project.write("c.py", "from runink import Contract\n\nclass Row(Contract):\n    a: int\n")
    project.write("in.csv", "a\n1\nx\n")
    project.step("@step(each='record')\ndef fails(row):\n    raise ValueError('no')\n")
    project.pipeline(
        '@source("csv://in.csv")\n@contract("c.py:Row")\n@step("fails")\n'
        '@sink("jsonl://out/o.jsonl")\n@deadletter("jsonl://out/dead.jsonl.gz")'
    )

    async def shown(*world: str) -> Said:
        words = ("dead", "show", "last", "-o", "json")
        return await anyio.to_thread.run_sync(lambda: project.runi(*words, world=world))

    async with team(tmp_path / "team", project, "w1") as made:
        for state in ("failed", "succeeded"):
            run = await anyio.to_thread.run_sync(project.run)
            assert run.document["state"] == state
            said = await shown(*ELSEWHERE)
            assert said.code == ExitCode.DONE, said
            assert [one["a"] for one in said.document] == ["x"]
            project.step("@step(each='record')\ndef fails(row):\n    return row\n")
        await made.lose("w1")
        said = await shown(*ELSEWHERE)
        assert said.code == ExitCode.FAILED, said
        assert "what w1 keeps of the run cannot be read now" in said.err
        said = await shown()
        assert [one["a"] for one in said.document] == ["x"], "this machine has it, too"
        project.write("out/dead.jsonl.gz", "of a later run")
        said = await shown()
        assert said.code == ExitCode.FAILED, said
