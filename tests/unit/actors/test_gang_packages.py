"""When a gang gets packages of its own, what is told meanwhile, and that nothing is launched without them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace as changed
from runink.actors.launching import Launching, Workplace, gang_descriptors, launches_of
from runink.actors.packages import Packages, TakenBack
from runink.clients.barn import BarnClient
from runink.dag import Dag, Each, Function, Resources, Sql, Step
from runink.documents import decode_document
from runink.environments.holding import is_used, try_lock
from runink.environments.lock import NAME, parsed_lock
from runink.environments.packages import installed
from runink.environments.store import Places
from runink.errors import Invalid
from runink.jobs import ChainJob
from runink.names import BundleHash, HerdName, RunId, SliceId
from runink.runs.records import RunRecord, RunState, SliceRecord, SliceState, Task

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))

from run_world import staged_dag

pytestmark = pytest.mark.anyio

HERD = HerdName("default")
RUN = RunId("0" * 26)
HASH = f"--hash=sha256:{'0' * 64}"
LOCK = f"six==1.0 {HASH}\n"
FUNCTION = Function("steps/s.py", "work", Each.RECORD)


class Written(list):
    """The agent's records: keeps what it is to write."""

    def write(self, record: SliceRecord) -> None:
        self.append(record)


class World:
    """An agent's packages, and a run of one slice with one step."""

    def __init__(self, state: Path) -> None:
        self.places = Places(state / "environments")
        self.written = Written()
        self.workplace = Workplace(state)
        self.packages = Packages(BarnClient(None), self.workplace, self.written, now_ms=lambda: 7)
        self.launching = Launching(frozenset({"key"}))
        self.bundle = state / "bundles/b"
        self.bundle.mkdir(parents=True)
        self.record = SliceRecord(SliceId("a"), RUN, HERD, "a", SliceState.PLACED, Resources())

    def lock(self, text: str) -> str:
        (self.bundle / NAME).write_text(text)
        return parsed_lock(text).key

    def made(self, key: str, *packages: tuple[str, str]) -> None:
        """Put an environment there, as if it had been made before."""
        self.places.make_all()
        folder = self.places.environment(key)
        folder.mkdir()
        listed = [{"name": n, "version": v, "modules": [n]} for n, v in packages]
        (folder / "runink-environment.json").write_text(json.dumps({"packages": listed}))

    async def ready(self, action: Function | Sql = FUNCTION, task: Task = Task.CHAIN):
        dag = dag_with(action)
        records = [changed(self.record, task=task)]
        return await self.packages.ready(dag, self.run_of(dag), records, self.launching)

    def run_of(self, dag: Dag) -> RunRecord:
        place = ("P", "p", "/p", BundleHash("b"))
        return RunRecord(RUN, HERD, dag.pipeline, dag.hash, *place, RunState.PLACED, 1)


def dag_with(action: Function | Sql) -> Dag:
    dag = staged_dag("a")
    (spec,) = dag.slices
    step = Step("a.step", "a", action)
    return changed(
        dag,
        nodes=(*dag.nodes, step),
        slices=(changed(spec, nodes=(*spec.nodes, step.id)),),
    )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_a_project_without_lock_has_no_packages_of_its_own(world: World):
    with await world.ready() as packages:
        assert packages.environment == ""
        assert packages.leases == ()
    assert not world.places.root.exists()


@pytest.mark.parametrize(
    ("action", "task"), [(Sql("SELECT 1"), Task.CHAIN), (FUNCTION, Task.PUBLISH)]
)
async def test_what_has_no_code_of_the_project_needs_no_packages(
    world: World, action: Function | Sql, task: Task
):
    world.lock(LOCK)
    with await world.ready(action, task) as packages:
        assert packages.environment == ""


async def test_an_environment_that_is_there_is_used_until_the_last_slice_has_ended(world: World):
    key = world.lock(LOCK)
    world.made(key, ("six", "1.0"))
    with await world.ready() as packages:
        assert packages.environment == str(world.places.environment(key))
        (lease,) = packages.leases
        in_a_slice = os.dup(lease)
    assert is_used(world.places.leases, key)
    os.close(in_a_slice)
    assert not is_used(world.places.leases, key)
    assert world.written == []  # nobody had to wait


async def test_slices_get_the_lease_behind_what_their_jobs_name(world: World):
    world.made(world.lock(LOCK), ("six", "1.0"))
    dag = staged_dag("a")
    run, records = world.run_of(dag), [world.record]
    with await world.ready() as packages:
        launches = launches_of(
            dag, run, records, {"a": world.record}, world.workplace, packages.environment
        )
        (job,) = (decode_document(one.document).job for one in launches)
        assert isinstance(job, ChainJob)
        assert job.environment == packages.environment
        with gang_descriptors(launches, packages.leases) as (descriptors, _):
            assert descriptors == [list(packages.leases)]
        os.fstat(packages.leases[0])  # the lease is not the gang's to close


async def test_a_use_moves_the_time_of_the_last_use(world: World):
    key = world.lock(LOCK)
    world.made(key, ("six", "1.0"))
    folder = world.places.environment(key)
    os.utime(folder, (0, 0))
    with await world.ready():
        assert folder.stat().st_mtime > 0


async def test_slices_say_what_they_wait_for_until_another_run_is_ready(world: World):
    key = world.lock(LOCK)
    world.made(key, ("six", "1.0"))
    other = try_lock(world.places.lock(key))
    assert other is not None
    async with anyio.create_task_group() as group:
        group.start_soon(world.ready)
        while not world.written:
            await anyio.lowlevel.checkpoint()
        os.close(other)
    (said,) = world.written
    assert said.state is SliceState.LAUNCHING
    assert said.launched_ms == 7
    assert "packages of requirements.lock (1)" in said.waits_for


async def test_a_gang_that_is_taken_back_meanwhile_is_not_launched(world: World):
    key = world.lock(LOCK)
    world.made(key, ("six", "1.0"))
    other = try_lock(world.places.lock(key))
    assert other is not None
    world.launching.take_back("key")
    with pytest.raises(TakenBack):
        await world.ready()
    os.close(other)
    assert not is_used(world.places.leases, key)


async def test_a_version_that_is_not_the_preloaded_one_is_refused_before_anything_is_made(
    world: World,
):
    world.lock(f"pyarrow==0.1 {HASH}\n")
    with pytest.raises(Invalid) as caught:
        await world.ready()
    assert caught.value.code == "packages_conflict"
    assert not world.places.root.exists()


async def test_one_that_only_this_machine_gets_is_refused_once_it_is_known(world: World):
    key = world.lock(f"pyarrow==0.1 ; os_name == 'posix' {HASH}\n")
    world.made(key, ("pyarrow", "0.1"))
    with pytest.raises(Invalid) as caught:
        await world.ready()
    assert caught.value.code == "packages_conflict"
    assert caught.value.findings[0].span is not None
    assert not is_used(world.places.leases, key)


async def test_the_preloaded_version_is_taken(world: World):
    version = installed(sys.path)["pyarrow"]
    key = world.lock(f"pyarrow=={version} {HASH}\n")
    world.made(key, ("pyarrow", version))
    with await world.ready() as packages:
        assert packages.environment


async def test_a_lock_that_cannot_be_is_refused(world: World):
    (world.bundle / NAME).write_text("six\n")
    with pytest.raises(Invalid) as caught:
        await world.ready()
    assert caught.value.code == "lock_invalid"
