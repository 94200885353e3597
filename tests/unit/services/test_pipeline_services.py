"""Pipelines are published and put in force from bundles that the herd has brought, and from no others; what is in force is not taken away."""

from __future__ import annotations

from typing import Any

import pytest
from runink.barn.keys import DEPLOYMENTS
from runink.clients.herds import create_herd
from runink.contracts.compatibility import ContractPolicy
from runink.dag import Dag
from runink.errors import Conflict, Forbidden, Invalid, NotFound, Refused
from runink.herds.lifecycle import By
from runink.herds.record import HerdRecord
from runink.names import HerdName, PipelineName
from runink.operations.calls import Condition
from runink.operations.catalog import approvals, contracts, pipelines, runs, schedules
from runink.runs.schedule_records import DeploymentRecord
from runink.services.compile_child import Made
from runink.services.compiling import Confined
from runink.testing.brought import bring
from runink.testing.served import NOW_MS, Served, bound, person, served

pytestmark = pytest.mark.anyio
ANN, VIC = person("ann"), person("vic")
BINDINGS = [
    bound("authors", "author", ANN.subject, herd="sales"),
    bound("viewers", "viewer", VIC.subject, herd="sales"),
]
DSL = """\
@herd("{herd}")
@schedule("0 6 * * *")
Feature: Daily

  @module(layer="bronze")
  Scenario: Take in
    @source("csv://data/in.csv")
    @contract("contracts/day.py:Day")
    @step("clean")
    @sink("parquet://out/{out}.parquet")
"""
CONTRACT = """\
from runink import Contract


class Day(Contract, version="1.0.0"):
    day: str
"""
STEPS = """\
from runink import step


@step(each="batch")
def clean(batch):
    return batch
"""
AT = {"herd": "sales", "pipeline": "daily"}


def project(herd: str = "sales", out: str = "days") -> dict[str, str]:
    return {
        "features/daily.dsl": DSL.format(herd=herd, out=out),
        "contracts/day.py": CONTRACT,
        "steps/days.py": STEPS,
    }


async def declare(cluster: Served, *names: str, **said: Any) -> None:
    for name in names:
        herd = HerdRecord(HerdName(name), **said)
        await create_herd(cluster.barn, herd, By("operator:root", NOW_MS))


async def publish(cluster: Served, bundle: str, **more: Any) -> Any:
    said = {**AT, "bundle": bundle, "file": "features/daily.dsl", **more}
    return await cluster.ask(pipelines.PUBLISH, ANN, **said)


async def deploy(cluster: Served, bundle: str, **more: Any) -> Any:
    said = {**AT, "bundle": bundle, "file": "features/daily.dsl", **more}
    return await cluster.ask(pipelines.DEPLOY, ANN, **said)


async def test_a_version_is_published_from_a_bundle_and_told_with_its_graph():
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, "sales")
        bundle = await bring(cluster, "sales", project())
        tried = await publish(cluster, bundle, dry_run=True)
        assert (tried.version, tried.new, tried.dry_run) == ("1.0.0", True, True)
        assert (await cluster.ask(pipelines.LIST, VIC, herd="sales")).items == ()
        made = await publish(cluster, bundle, commit="3f2c91d", project="/srv/daily")
        assert (made.version, made.new, made.previous) == ("1.0.0", True, None)
        assert (made.bundle, made.by, made.commit) == (bundle, ANN.subject, "3f2c91d")
        assert list(made.code) == ["steps/days.py"]
        again = await publish(cluster, bundle)
        assert (again.version, again.new, again.revision) == ("1.0.0", False, made.revision)
        shown = await cluster.ask(pipelines.GET, VIC, **AT)
        kinds = {one.kind for one in shown.dag.nodes}
        assert kinds == {"source", "check", "step", "sink"}
        assert shown.dag.schedule is not None
        assert {node for one in shown.dag.slices for node in one.nodes} == {one.id for one in shown.dag.nodes}  # fmt: skip


async def test_a_version_that_came_with_its_code_is_run_without_being_in_force():
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, "sales")
        bundle = await bring(cluster, "sales", project())
        made = await publish(cluster, bundle, project="/srv/daily")
        told = await cluster.ask(runs.SUBMIT, ANN, version="1.0.0", **AT)
        assert (told.bundle, told.version) == (bundle, made.dag.hash)
        whichever = await cluster.ask(runs.SUBMIT, ANN, **AT)
        assert whichever.version == told.version


async def test_the_next_version_goes_up_by_what_has_changed():
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, "sales")
        await publish(cluster, await bring(cluster, "sales", project()))
        other = await bring(cluster, "sales", project(out="weeks"))
        made = await publish(cluster, other)
        assert made.version in {"1.1.0", "2.0.0"}
        assert made.previous == "1.0.0"
        (listed,) = (await cluster.ask(pipelines.LIST, VIC, herd="sales")).items
        assert (listed.version, listed.versions) == (made.version, ("1.0.0", made.version))
        page = await cluster.ask(pipelines.VERSIONS, VIC, limit=1, **AT)
        assert ([one.version for one in page.items], bool(page.after)) == (["1.0.0"], True)
        first = await cluster.ask(pipelines.GET_VERSION, VIC, version="1.0.0", **AT)
        assert first.version == "1.0.0"
        with pytest.raises(Conflict) as refused:
            await publish(cluster, other, version="1.0.0")
        assert refused.value.code == "version_taken"


async def test_a_bundle_that_another_herd_has_brought_is_not_there():
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, "sales", "stock")
        bundle = await bring(cluster, "stock", project())
        for ask in (publish, deploy):
            with pytest.raises(NotFound) as refused:
                await ask(cluster, bundle)
            assert refused.value.code == "no_bundle"


async def test_a_pipeline_of_another_herd_or_name_is_refused():
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, "sales")
        bundle = await bring(cluster, "sales", project(herd="stock"))
        with pytest.raises(Invalid) as refused:
            await publish(cluster, bundle)
        assert refused.value.code == "pipeline_differs"
        with pytest.raises(NotFound) as missing:
            await publish(cluster, bundle, file="features/dayly.dsl")
        assert missing.value.code == "no_such_file"
        assert "features/daily.dsl" in missing.value.hint


async def test_mistakes_in_a_project_are_told_with_their_places():
    files = project() | {"steps/days.py": "x = 1\n"}
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, "sales")
        with pytest.raises(Invalid) as refused:
            await publish(cluster, await bring(cluster, "sales", files))
        assert refused.value.code == "pipeline_invalid"
        assert refused.value.findings[0].span is not None


async def test_what_is_made_is_looked_through_whoever_made_it(monkeypatch):
    answers = [
        (Made(), "compile_failed"),
        (Made(dag=Dag(PipelineName("daily"), HerdName("sales"), "", "x.dsl", (), (), (), ())), "pipeline_unsound"),
        (Made(dag=Dag(PipelineName("daily"), HerdName("stock"), "", "x.dsl", (), (), (), ())), "pipeline_differs"),
    ]  # fmt: skip
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, "sales")
        bundle = await bring(cluster, "sales", project())
        for made, code in answers:

            async def answer(*_: object, made: Made = made) -> Made:
                return made

            # A contract's file that writes the answer in the compiler's place.
            monkeypatch.setattr(Confined, "__call__", answer)
            with pytest.raises(Invalid) as refused:
                await publish(cluster, bundle)
            assert refused.value.code == code


async def test_a_pipeline_is_put_in_force_and_its_version_is_not_taken_away_then():
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, "sales")
        bundle = await bring(cluster, "sales", project())
        await publish(cluster, bundle)
        deployed = await deploy(cluster, bundle, project="/srv/daily")
        assert deployed.replaced is None
        assert deployed.next_ms > NOW_MS
        found = await cluster.barn.range(DEPLOYMENTS.prefix("sales"), DeploymentRecord)
        record = found.items[0].value
        assert (record.bundle, record.project, record.by) == (bundle, "/srv/daily", ANN.subject)
        shown = await cluster.ask(schedules.GET, VIC, **AT)
        assert (shown.bundle, shown.revision) == (bundle, deployed.revision)
        version = {**AT, "version": "1.0.0", "condition": Condition(is_any=True)}
        with pytest.raises(Conflict) as refused:
            await cluster.ask(pipelines.DELETE_VERSION, ANN, **version)
        assert refused.value.code == "version_in_use"
        again = await deploy(cluster, await bring(cluster, "sales", project(out="weeks")))
        assert again.replaced == "features/daily.dsl"
        await cluster.ask(pipelines.DELETE_VERSION, ANN, **version)
        with pytest.raises(NotFound):
            await cluster.ask(pipelines.GET, ANN, **AT)


async def test_what_a_herd_wants_of_its_pipelines_is_asked_for():
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, "sales", contracts=ContractPolicy(goldens=True))
        bundle = await bring(cluster, "sales", project())
        for ask in (publish, deploy):
            with pytest.raises(Refused) as refused:
                await ask(cluster, bundle)
            assert refused.value.code == "golden_required"


async def test_a_pipeline_is_published_and_not_put_in_force_before_its_contract_is_approved():
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, "sales", contracts=ContractPolicy(approvals=1))
        bundle = await bring(cluster, "sales", project())
        assert (await publish(cluster, bundle)).new
        with pytest.raises(Refused, match=r"Day 1\.0\.0 is not published") as refused:
            await deploy(cluster, bundle)
        assert refused.value.code == "contract_not_approved"
        of = {"herd": "sales", "contract": "Day"}
        file = {"bundle": bundle, "file": "contracts/day.py"}
        await cluster.ask(contracts.PUBLISH, ANN, **of, **file)
        with pytest.raises(Refused, match=r"Day 1\.0\.0 is pending"):
            await deploy(cluster, bundle)
        await cluster.ask(approvals.APPROVE, version="1.0.0", **of)
        assert (await deploy(cluster, bundle)).pipeline == "daily"


async def test_who_may_only_look_publishes_and_deploys_nothing():
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, "sales")
        for operation in (pipelines.PUBLISH, pipelines.DEPLOY):
            with pytest.raises(Forbidden):
                await cluster.ask(operation, VIC, bundle="0" * 64, file="x.dsl", **AT)
