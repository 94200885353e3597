"""What services make of the projects that a herd has brought: compiled, and looked through as what anybody may have sent."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from runink.bundles import Bundle
from runink.clients.bundle_store import fetch_bundle
from runink.clients.herds import get_herd
from runink.clients.uploads import no_bundle, owned_bundle
from runink.contracts.fields import ContractSpec
from runink.dag import Dag, Executable, Function, Step
from runink.dsl.recipes import Recipe
from runink.errors import Invalid, NotFound
from runink.herds.admission import check_open
from runink.herds.record import HerdRecord
from runink.identity.vocabulary import Resource
from runink.names import BundleHash, HerdName
from runink.operations.calls import Caller
from runink.runs.soundness import check_run
from runink.services.behind import Behind, not_hidden
from runink.services.compile_child import Job
from runink.suggestions import near


class Project(NamedTuple):
    """A pipeline of a bundle, compiled. `offered` is what the project's file says of the herd, `files` are its files by path."""

    dag: Dag
    recipe: Recipe | None
    offered: HerdRecord
    notes: tuple[str, ...]
    files: Mapping[str, bytes]

    def has(self, path: str) -> bool:
        """Say whether the project has a file."""
        return path in self.files

    def code(self) -> dict[str, str]:
        """Return the SHA-256 of the project's files that the pipeline's steps name."""
        return {
            name: hashlib.sha256(self.files[name]).hexdigest()
            for name in sorted(set(self._named()))
        }

    def _named(self) -> Iterator[str]:
        for node in self.dag.nodes:
            match node:
                case Step(action=Function(file=file)):
                    yield from (file,) if self.has(file) else ()
                case Step(action=Executable(command=command)):
                    yield from filter(self.has, command)
                case _:
                    pass


async def shown_bundle(behind: Behind, caller: Caller, herd: str, bundle: str, file: str) -> Bundle:
    """Return a bundle as `brought` does, for who names it in a request: one that a rule hides from the caller is not there."""
    if not not_hidden(behind, caller, Resource.BUNDLES, herd)(bundle):
        raise no_bundle(HerdName(herd), BundleHash(bundle))
    return await brought(behind, herd, bundle, file)


async def brought(behind: Behind, herd: str, bundle: str, file: str) -> Bundle:
    """Return a bundle that the herd has brought, and that has this file. Raises NotFound (`no_such_herd`, `no_bundle`, `no_such_file`), Conflict (`herd_deleted`)."""
    name, whole = HerdName(herd), BundleHash(bundle)
    check_open((await get_herd(behind.barn, name)).value)
    await owned_bundle(behind.barn, name, whole)
    found = await fetch_bundle(behind.barn, whole)
    paths = [one.path for one in found.files]
    if file not in paths:
        hint = near(file, paths) or "name it by its path in the archive"
        raise NotFound(f"the bundle has no file {file}", code="no_such_file", hint=hint)
    return found


async def compiled(
    behind: Behind, bundle: Bundle, job: Job, *, herd: str, pipeline: str, project: str
) -> Project:
    """Return a pipeline of a bundle. Raises Invalid with what is wrong in it, also (`pipeline_differs`) for one of another herd or name."""
    made = await behind.compile(bundle, job)
    dag = made.dag
    if dag is None:
        raise nothing_made(job.file)
    if (dag.herd, dag.pipeline) != (herd, pipeline):
        raise Invalid(
            f"{job.file} is pipeline {dag.pipeline} of herd {dag.herd}, and not {pipeline} of {herd}",
            code="pipeline_differs",
            hint="ask for the herd and the name that its file says",
        )
    check_run(dag, {"herd": herd, "pipeline": pipeline}, (project,))
    offered = made.herd or HerdRecord(HerdName(herd))
    if offered.herd != herd:
        raise nothing_made(job.file)
    files = {one.path: one.content for one in bundle.files}
    return Project(dag, made.recipe, offered, made.notes, files)


async def contract_of(behind: Behind, bundle: Bundle, job: Job) -> ContractSpec:
    """Return a contract of a bundle. Raises Invalid with what is wrong in it."""
    made = await behind.compile(bundle, job)
    if made.contract is None:
        raise nothing_made(job.file)
    return made.contract


def nothing_made(file: str) -> Invalid:
    """Return what is told of a compiler that has answered something else than it was asked."""
    return Invalid(
        f"nothing that was asked for was made of {file}",
        code="compile_failed",
        hint="do the project's own files answer in the compiler's place?",
    )
