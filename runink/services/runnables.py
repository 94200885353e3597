"""What can be run of a pipeline that is in a herd: what is deployed, or a published version that came with its code.

    asked for                            is run
    no version                           what is deployed; else the highest version with its code
    the hash of what is deployed         that
    a published version                  that, with its code; without, what is deployed if it is the same pipeline

With parameters it is compiled again: by its recipe where a tick fills some in, else from its bundle, if the herd has brought that itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from runink.actors.offload import in_thread
from runink.barn.keys import deployment_key
from runink.clients.barn import BarnClient
from runink.clients.publishing import pipeline_versions, published_pipeline
from runink.dag import Dag
from runink.dsl.recipes import Recipe
from runink.errors import Invalid, NotFound
from runink.governance.registry import PipelineVersion
from runink.names import BundleHash, HerdName, PipelineName
from runink.runs.schedule_records import DeploymentRecord
from runink.services.behind import Behind
from runink.services.compile_child import Job
from runink.services.projects import brought, compiled
from runink.suggestions import near_or_all


class Runnable(NamedTuple):
    """What a run is made of."""

    dag: Dag
    project: str
    bundle: BundleHash
    recipe: Recipe | None = None


async def runnable_of(
    barn: BarnClient, herd: HerdName, pipeline: PipelineName, version: str
) -> Runnable:
    """Return what is to be run (an empty version: whichever there is). Raises NotFound (`not_deployed`, `no_such_pipeline`, `version_without_code`)."""
    found = await barn.get(deployment_key(herd, pipeline), DeploymentRecord)
    deployed = None if found is None else _deployed(found.value)
    if deployed is not None and version in ("", deployed.dag.hash):
        return deployed
    if not version:
        return await _highest(barn, herd, pipeline)
    published = (await published_pipeline(barn, herd, pipeline, version)).value
    if published.bundle:
        return _published(published)
    if deployed is not None and deployed.dag.hash == published.dag.hash:
        return deployed
    raise NotFound(
        f"{published.reference} was published without its code, and is not what is deployed",
        code="version_without_code",
        hint="publish it from a bundle, or deploy it",
    )


async def _highest(barn: BarnClient, herd: HerdName, pipeline: PipelineName) -> Runnable:
    versions = [one.value for one in await pipeline_versions(barn, herd, pipeline)]
    whole = [one for one in versions if one.bundle]
    if not whole:
        raise NotFound(
            f"herd {herd} has no pipeline {pipeline} that is deployed, or published with its code",
            code="not_deployed",
            hint="deploy it, or publish it from a bundle",
        )
    return _published(whole[-1])


def _deployed(found: DeploymentRecord) -> Runnable:
    return Runnable(found.dag, found.project, found.bundle, found.recipe)


def _published(found: PipelineVersion) -> Runnable:
    return Runnable(found.dag, found.project, BundleHash(found.bundle))


async def with_parameters(behind: Behind, found: Runnable, given: Mapping[str, str]) -> Dag:
    """Return the pipeline with these parameters in place of those that it has. Raises Invalid (`unknown_parameter`, `parameters_fixed`), and as the compiler does."""
    dag = found.dag
    if all(dag.parameters.get(name) == text for name, text in given.items()):
        return dag
    unknown = next((name for name in given if name not in dag.parameters), None)
    if unknown is not None:
        raise Invalid(
            f"pipeline {dag.pipeline} has no parameter {unknown}",
            code="unknown_parameter",
            hint=near_or_all(unknown, dag.parameters) or "it has none",
        )
    values = {**dag.parameters, **given}
    if found.recipe is not None:
        from runink.dsl.recorded import compiled_again  # noqa: PLC0415 - a fifth of a second that most servers do without

        again: Dag = await in_thread(compiled_again, found.recipe, values)
        if (again.herd, again.pipeline) != (dag.herd, dag.pipeline):
            # Who may deploy in one herd could run in another by a recipe that says so.
            text = (
                f"what is deployed as {dag.pipeline} says that it is {again.herd}/{again.pipeline}"
            )
            raise Invalid(text, code="pipeline_differs", hint="deploy it again")
        return again
    return await _from_bundle(behind, found, values)


async def _from_bundle(behind: Behind, found: Runnable, values: dict[str, str]) -> Dag:
    dag = found.dag
    try:
        bundle = await brought(behind, dag.herd, found.bundle, dag.file)
    except NotFound as error:
        raise Invalid(
            f"what there is of {dag.pipeline} has its parameters for good: its code did not come over the API, so it cannot be compiled with others",
            code="parameters_fixed",
            hint="deploy or publish it from a bundle",
        ) from error
    job = Job(dag.file, values)
    made = await compiled(
        behind, bundle, job, herd=dag.herd, pipeline=dag.pipeline, project=found.project
    )
    return made.dag
