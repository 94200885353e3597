"""Runs that are submitted over the API: of what is deployed, once however often they are asked for, by who may run that pipeline."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from msgspec.structs import replace as changed
from run_records import BUNDLE, PIPELINE, RUN, dag_of, deploy, put_failed, put_run, run_record
from runink.barn.keys import herd_key, pipeline_key
from runink.clients.herds import create_herd, delete_herd
from runink.dag import STANDARD, Dag, Format, Source
from runink.dsl.compiler import SourceText
from runink.dsl.recipes import Recipe
from runink.dsl.recorded import compiled_and_recorded
from runink.errors import Conflict, Forbidden, Invalid, NotFound
from runink.governance.registry import Origin, PipelineVersion
from runink.herds.lifecycle import By
from runink.herds.record import HerdRecord
from runink.identity.roles import Binding, Role, RoleOf, Rule
from runink.identity.vocabulary import Resource, Verb
from runink.names import BindingName, HerdName, RoleName
from runink.operations.catalog import runs
from runink.runs.records import RunState
from runink.testing.brought import bring
from runink.testing.projects import MemoryProject
from runink.testing.served import NOW_MS, Served, person, served

pytestmark = pytest.mark.anyio
ONCE = f"{NOW_MS:012x}{'ab' * 32}"
TEXT = """@herd("sales")
@param("day")
Feature: Daily
  Scenario: S
    @source("csv://in/${day}.csv")
    @sink("csv://out/${day}.csv")
"""


async def submit(cluster: Served, once: str = "", **asked: object) -> runs.RunDocument:
    return await cluster.ask(runs.SUBMIT, once=once, herd="sales", pipeline=PIPELINE, **asked)


async def test_what_is_deployed_is_run_with_what_is_asked_for():
    async with served() as cluster:
        dag = await deploy(cluster.barn, "sales")
        told = await submit(cluster, priority=7, timeout_s=60.0)
        assert (told.state, told.version, told.bundle) == (RunState.SUBMITTED, dag.hash, BUNDLE)
        assert (told.priority, told.herd, told.pipeline) == (7, "sales", PIPELINE)
        again = await submit(cluster)
        assert again.run != told.run, "without a key each call is a run"
        page = await cluster.ask(runs.LIST, herd="sales")
        assert {one.run for one in page.items} == {told.run, again.run}


async def test_the_same_call_again_is_the_same_run_and_its_id_has_the_time_of_the_first():
    async with served() as cluster:
        await deploy(cluster.barn, "sales")
        first = await submit(cluster, ONCE)
        cluster.now_ms += 60_000
        again = await submit(cluster, ONCE)
        assert again.run == first.run
        page = await cluster.ask(runs.LIST, herd="sales", since_ms=NOW_MS, until_ms=NOW_MS + 1)
        assert [one.run for one in page.items] == [first.run]
        assert (await submit(cluster, ONCE.replace("ab", "cd"))).run != first.run


def version_of(dag: Dag, number: str, **more: str) -> PipelineVersion:
    return PipelineVersion(number, dag, "h", Origin(dag.file, "ann", NOW_MS), **more)


async def publish(cluster: Served, *versions: PipelineVersion) -> None:
    for one in versions:
        key = pipeline_key(one.dag.herd, one.dag.pipeline, one.version)
        await cluster.barn.put(key, one)


async def test_a_pipeline_of_another_herd_or_of_another_version_is_not_there():
    async with served() as cluster:
        await deploy(cluster.barn, "stock")
        with pytest.raises(NotFound) as refused:
            await submit(cluster)
        assert refused.value.code == "not_deployed"
        dag = await deploy(cluster.barn, "sales")
        older = dag_of("sales", title="as it was")
        await publish(cluster, version_of(older, "0.9.0"), version_of(dag, "1.0.0"))
        assert (await submit(cluster, version="1.0.0")).version == dag.hash
        assert (await submit(cluster, version=dag.hash)).version == dag.hash
        for version, code in (
            ("0.9.0", "version_without_code"),
            ("1.0.1", "no_such_pipeline"),
            ("0" * 64, "no_such_pipeline"),
        ):
            with pytest.raises(NotFound) as refused:
                await submit(cluster, version=version)
            assert refused.value.code == code


async def test_a_version_that_came_with_its_code_is_run_with_that_whatever_is_deployed():
    async with served() as cluster:
        older, newer = dag_of("sales", title="older"), dag_of("sales", title="newer")
        code = {"bundle": "c" * 64, "project": "/srv/other"}
        await publish(cluster, version_of(older, "1.0.0", **code), version_of(newer, "2.0.0"))
        told = await submit(cluster)
        assert (told.version, told.bundle) == (older.hash, "c" * 64), "the highest with its code"
        deployed = await deploy(cluster.barn, "sales")
        assert (await submit(cluster)).version == deployed.hash
        told = await submit(cluster, version="1.0.0")
        assert (told.version, told.bundle) == (older.hash, "c" * 64)


async def test_parameters_of_a_version_with_its_code_are_compiled_into_it():
    async with served() as cluster:
        await create_herd(cluster.barn, HerdRecord(HerdName("sales")), By("operator:root", NOW_MS))
        bundle = await bring(cluster, "sales", {"features/daily.dsl": TEXT})
        dag, _ = recipe_of({"day": "1"})
        await publish(cluster, version_of(dag, "1.0.0", bundle=bundle, project="/srv/p"))
        told = await submit(cluster, parameters={"day": "7"})
        assert (told.parameters, told.bundle) == ({"day": "7"}, bundle)
        foreign = await bring(cluster, "stock", {"features/daily.dsl": TEXT, "x": "y"})
        await publish(cluster, version_of(dag, "2.0.0", bundle=foreign, project="/srv/p"))
        with pytest.raises(Invalid) as refused:
            await submit(cluster, parameters={"day": "7"})
        assert refused.value.code == "parameters_fixed"


async def test_a_right_to_run_some_pipelines_is_none_to_run_others():
    ann = person("ann")
    rule = Rule((Verb.RUN, Verb.GET), (Resource.PIPELINES, Resource.RUNS), ("other",))
    role = Role(RoleName("one"), "sales", (rule,))
    binding = Binding(BindingName("one"), "sales", role.name, RoleOf.HERD, (ann.subject,))
    async with served(roles=[role], bindings=[binding]) as cluster:
        await deploy(cluster.barn, "sales")
        await deploy(cluster.barn, "sales", "other")
        with pytest.raises(Forbidden):
            await cluster.ask(runs.SUBMIT, ann, herd="sales", pipeline=PIPELINE)
        with pytest.raises(Forbidden):
            await cluster.ask(runs.SUBMIT, ann, herd="sales", pipeline="nothing")
        told = await cluster.ask(runs.SUBMIT, ann, herd="sales", pipeline="other")
        assert told.pipeline == "other"


async def test_no_run_comes_into_a_herd_that_is_deleted():
    async with served() as cluster:
        by = By("operator:root", NOW_MS)
        await create_herd(cluster.barn, HerdRecord(HerdName("sales")), by)
        await deploy(cluster.barn, "sales")
        await delete_herd(cluster.barn, HerdName("sales"), by, kept_ms=1000)
        with pytest.raises(Conflict) as refused:
            await submit(cluster)
        assert refused.value.code == "herd_deleted"


async def test_a_project_s_word_about_its_herd_is_not_taken_from_outside():
    """What is known of the herd stays as it is, bounds and all."""
    async with served() as cluster:
        said = HerdRecord(HerdName("sales"), priority_max=3)
        await create_herd(cluster.barn, said, By("operator:root", NOW_MS))
        before = await cluster.barn.get(herd_key(said.herd), HerdRecord)
        await deploy(cluster.barn, "sales")
        assert (await submit(cluster, priority=100)).priority == 3
        assert await cluster.barn.get(herd_key(said.herd), HerdRecord) == before


def recipe_of(given: Mapping[str, str]) -> tuple[Dag, Recipe]:
    source = SourceText(TEXT, "features/daily.dsl", "features/daily.dsl", "/srv/project")
    found, recipe = compiled_and_recorded(source, given, {"day": "1"}, MemoryProject())
    return found.dag, recipe


async def test_parameters_take_the_place_of_those_that_were_deployed():
    async with served() as cluster:
        dag, recipe = recipe_of({})
        await deploy(cluster.barn, "sales", dag=dag, recipe=recipe)
        assert (await submit(cluster)).parameters == {"day": "1"}
        told = await submit(cluster, parameters={"day": "2"})
        assert told.parameters == {"day": "2"}
        assert told.version != dag.hash
        with pytest.raises(Invalid) as refused:
            await submit(cluster, parameters={"dya": "2"})
        assert refused.value.hint == "did you mean day?"
        await deploy(cluster.barn, "sales", dag=dag)
        assert (await submit(cluster, parameters={"day": "1"})).parameters == {"day": "1"}
        with pytest.raises(Invalid) as refused:
            await submit(cluster, parameters={"day": "2"})
        assert refused.value.code == "parameters_fixed"


async def test_no_run_is_of_another_herd_whatever_the_recipe_says():
    async with served() as cluster:
        dag, recipe = recipe_of({})
        text = recipe.text.replace('@herd("sales")', '@herd("stock")')
        forged = changed(recipe, text=text)
        await deploy(cluster.barn, "sales", dag=dag, recipe=forged)
        with pytest.raises(Invalid) as refused:
            await submit(cluster, parameters={"day": "2"})
        assert refused.value.code == "pipeline_differs"


async def test_what_reads_standard_input_cannot_be_run_from_elsewhere():
    async with served() as cluster:
        dag = dag_of("sales")
        source = Source("gold.source", "gold", "csv://-", Format.CSV, STANDARD)
        await deploy(cluster.barn, "sales", dag=dag_of("sales", nodes=(source, *dag.nodes[1:])))
        with pytest.raises(Invalid) as refused:
            await submit(cluster)
        assert refused.value.code == "standard_io"


async def test_a_failed_run_is_gone_on_from_once_by_a_run_of_its_own():
    async with served() as cluster:
        old = await put_failed(cluster.barn, "sales")
        await cluster.seen(RUN)
        told = await cluster.ask(runs.RETRY, once=ONCE, herd="sales", run=RUN)
        assert (told.resumes, told.bundle, told.version) == (RUN, old.bundle, old.version)
        again = await cluster.ask(runs.RETRY, once=ONCE, herd="sales", run=RUN)
        assert again.run == told.run
        assert (await cluster.ask(runs.GET, herd="sales", run=RUN)).resumed_by == told.run
        with pytest.raises(Conflict) as refused:
            await cluster.ask(runs.RETRY, herd="sales", run=RUN)
        assert refused.value.code == "resumed_already"


async def test_nothing_goes_on_from_a_run_that_lives():
    async with served() as cluster:
        await put_run(cluster.barn, run_record("sales"))
        with pytest.raises(Conflict) as refused:
            await cluster.ask(runs.RETRY, herd="sales", run=RUN)
        assert refused.value.code == "run_alive"
