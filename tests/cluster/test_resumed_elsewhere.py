"""`runi resume` and `runi restart --from` on several machines: what is kept on a node that is there is taken from there, what was kept on one that is lost is made anew."""

from __future__ import annotations

import shutil
from typing import Any

import anyio
import pytest
from barn_group import until
from runi_project import Project, Said
from team_world import HELD_BY_FILES, Team, team

pytestmark = pytest.mark.anyio

ROWS = 300
ALL = list(range(ROWS))


@pytest.fixture
def anyio_backend() -> str:
    """The processes are the same whatever the test's own loop is."""
    return "asyncio"


@pytest.fixture
def kept(project: Project) -> Project:
    """A checkpoint stands before a step that goes on, fails or waits as files beside its output say; both sinks add to what is there."""
    project.write("data/in.csv", "a\n" + "".join(f"{number}\n" for number in ALL))
    project.write("out/fail", "")
    project.step(HELD_BY_FILES)
    project.pipeline(
        '@source("csv://data/in.csv")\n@step("first")\n@sink("jsonl://out/early", mode=append)\n@checkpoint\n'
        '@step("second")\n@sink("jsonl://out/late", mode=append)'
    )
    return project


async def failed(made: Team, project: Project) -> str:
    """Have a run fail behind its checkpoint; return the node that keeps it."""
    project.write("out/fail", "")
    (project.root / "out/go").unlink(missing_ok=True)
    said = await anyio.to_thread.run_sync(project.run)
    assert (said.code, said.error["code"]) == (1, "step_raised"), said
    assert said.document["kept_until_ms"]
    (node,) = {one["node"] for one in said.document["slices"] if not one["name"].startswith("@")}
    assert list((made.group.folder / node / "runs" / said.document["run"]).glob("checkpoints/.*"))
    return node


def check_whole(said: Said, project: Project) -> dict[str, dict[str, Any]]:
    """Check that a run has ended well and that its output is all of its input, once; take that away, and return its slices."""
    assert said.code == 0, said
    for folder in ("early", "late"):
        found = [row["a"] for path in project.files(f"out/{folder}") for row in project.rows(path)]
        assert sorted(map(int, found)) == ALL, f"{folder}: all rows, and none twice"
        shutil.rmtree(project.root / "out" / folder)
    assert list(project.root.rglob(".runink-*")) == []
    return {one["name"]: one for one in said.document["slices"]}


def go(project: Project) -> None:
    (project.root / "out/fail").unlink()
    project.write("out/go", "")


async def test_a_run_goes_on_from_what_is_there_and_makes_anew_what_is_lost_with_its_node(
    tmp_path_factory: pytest.TempPathFactory, kept: Project
) -> None:
    # Not in the project: what nodes unpack would be new code of it.
    async with team(tmp_path_factory.mktemp("nodes") / "team", kept, "w1", "w2", "w3") as made:
        # Its node is there.
        home = await failed(made, kept)
        go(kept)
        words = ("restart", "last", "--from", "second", "-o", "json", "-q")
        said = await anyio.to_thread.run_sync(kept.runi, *words)
        slices = check_whole(said, kept)
        assert slices["one.source"]["taken_from"] == said.document["resumes"]
        assert slices["one.first-kept"]["taken_from"] is None
        assert {one["node"] for one in slices.values()} == {home}

        # Its node is lost, and all that lies there is out of reach.
        home = await failed(made, kept)
        await made.lose(home)
        folder = made.group.folder / home / "runs"
        folder.rename(folder.with_name("away"))
        go(kept)
        said = await anyio.to_thread.run_sync(kept.runi, "resume", "last", "-o", "json", "-q")
        slices = check_whole(said, kept)
        assert slices["one.source"]["attempt"] == 2
        assert home not in {one["node"] for one in slices.values()}

        # The node is back, with what nobody wants of it any more.
        folder.with_name("away").rename(folder)
        assert list(folder.glob("*/checkpoints/.*"))
        logs = list(folder.glob("*/logs/*"))
        made.hire(home)
        told = made.group.folder / f"{home}.log"

        async def has_cleared() -> bool:
            return "left aside cleared" in told.read_text()

        await until(has_cleared, "a node that has cleared what was left there")
        assert not [*folder.glob("*/checkpoints/.*"), *folder.glob("*/aside")]
        assert logs
        assert all(one.exists() for one in logs), "they may be read"
