"""Checkpoints in a store that several machines share: who goes on elsewhere begins from them, when their node is drained, when it is lost, and when the run has failed since."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from barn_group import WAIT_S, until
from runi_project import Project, Said
from runink.runs.records import SliceRecord
from team_world import HELD_BY_FILES, Team, team

pytestmark = pytest.mark.timeout(180)

ROWS = 300


@pytest.fixture
def anyio_backend() -> str:
    """The processes are the same whatever the test's own loop is."""
    return "asyncio"


@pytest.fixture
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What each machine would have mounted by the same name. Not in the project: it is no part of that."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture
def stored(project: Project, shared: Path) -> Project:
    """A checkpoint stands before a step that goes on, fails or waits as files beside its output say."""
    project.write("data/in.csv", "a\n" + "".join(f"{number}\n" for number in range(ROWS)))
    project.write("herds/crm.toml", f'[herd]\nid = "crm"\nstore = "{shared}"\n')
    (project.root / "out").mkdir()
    project.step(HELD_BY_FILES)
    project.pipeline(
        '@source("csv://data/in.csv")\n@step("first")\n@checkpoint\n@step("second")\n@sink("jsonl://out/o.jsonl")',
        herd="crm",
    )
    return project


async def waiting(made: Team, seen: Sequence[str | None]) -> SliceRecord:
    """Return the slice behind the checkpoint when its step waits, on a node that none of `seen` is."""

    async def found() -> SliceRecord | None:
        chains = await made.chains()
        return next((one for one in chains if made.has_begun(one) and one.node not in seen), None)

    return await until(found, "a step that has begun behind the checkpoint")


def go(project: Project) -> None:
    (project.root / "out/fail").unlink(missing_ok=True)
    project.write("out/go", "")


def check_begun_from_it(said: Said, project: Project, shared: Path, *, at: str) -> None:
    """Check that a run has ended well, elsewhere than what it began from was made, that its output is whole and that nothing is left in the store."""
    assert said.code == 0, said
    slices: dict[str, dict[str, Any]] = {one["name"]: one for one in said.document["slices"]}
    assert (slices["one.source"]["node"], slices["one.source"]["attempt"]) == (at, 1)
    assert slices["one.first-kept"]["node"] != at
    rows = project.rows("out/o.jsonl")
    assert sorted(int(row["a"]) for row in rows) == list(range(ROWS))
    assert list(shared.iterdir()) == []
    for name in ("out/go", "out/o.jsonl"):
        (project.root / name).unlink()


async def ended(child: subprocess.Popen[bytes]) -> Said:
    out, _ = await anyio.to_thread.run_sync(lambda: child.communicate(timeout=WAIT_S))
    return Said(child.returncode, out.decode(), "")


def kept_in(shared: Path) -> list[str]:
    """Return the endings of the files in the store."""
    return [path.suffix for path in shared.glob("*/checkpoints/.runink-*")]


def hide(made: Team, node: str) -> None:
    """Have all that lies in a lost node's folder be out of reach."""
    runs = made.group.folder / node / "runs"
    runs.rename(runs.with_name("away"))


@pytest.mark.anyio
async def test_a_run_goes_on_from_a_checkpoint_in_the_store_when_its_node_is_drained_or_lost(
    tmp_path_factory: pytest.TempPathFactory, stored: Project, shared: Path
) -> None:
    async with team(tmp_path_factory.mktemp("nodes") / "team", stored, "w1", "w2", "w3") as made:
        # Its node is to be emptied.
        child = stored.popen("run", "features/p.dsl", "-o", "json", "-q")
        home = (await waiting(made, ())).node
        assert home is not None
        assert kept_in(shared) == [".arrow"]
        drained = await anyio.to_thread.run_sync(
            stored.runi, "node", "drain", home, "--timeout", "60s", "-o", "json"
        )
        assert drained.document == {"node": home, "standing": "cordoned", "moved": 1}
        await waiting(made, (home,))
        go(stored)
        check_begun_from_it(await ended(child), stored, shared, at=home)

        # Its node is lost, and all that lies there is out of reach. The one that was emptied stays out of it.
        child = stored.popen("run", "features/p.dsl", "-o", "json", "-q")
        lost = (await waiting(made, (home,))).node
        assert lost is not None
        await made.lose(lost)
        hide(made, lost)
        await waiting(made, (home, lost))
        go(stored)
        check_begun_from_it(await ended(child), stored, shared, at=lost)

        # The run has failed behind it, and its node is lost before somebody goes on from it.
        stored.write("out/fail", "")
        said = await anyio.to_thread.run_sync(stored.run)
        assert (said.code, said.error["code"]) == (1, "step_raised"), said
        (last,) = made.agents.keys() - {home}
        assert kept_in(shared) == [".arrow"], "for who goes on from it"
        assert stored.runi("node", "uncordon", home).code == 0
        await made.lose(last)
        hide(made, last)
        go(stored)
        said = await anyio.to_thread.run_sync(stored.runi, "resume", "last", "-o", "json", "-q")
        check_begun_from_it(said, stored, shared, at=last)


def test_a_cluster_that_ends_with_its_run_leaves_nothing_in_the_store(
    stored: Project, shared: Path
) -> None:
    go(stored)
    said = stored.run()
    assert said.code == 0, said
    assert {one["node"] for one in said.document["slices"]} == {"local"}
    assert list(shared.iterdir()) == []
