"""A project's pipelines in a cluster elsewhere, by its API: the code goes there in parts, and is compiled there again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runink.bundle_archives import archived
from runink.bundles import pack
from runink.cli.asking import Asker
from runink.cli.choosing import Away
from runink.cli.exits import told as told_here
from runink.cli.git import working_copy
from runink.errors import Invalid, NotFound
from runink.operations.catalog import bundles, pipelines
from runink.operations.catalog.bundles import UploadDocument
from runink.operations.catalog.pipelines import DeployedPipeline, PublishedPipeline
from runink.projects import Compiled


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of a pipeline's file beside its code. `folder` is where its relative paths start on the nodes."""

    parameters: dict[str, str]
    folder: str
    commit: str
    is_dirty: bool


def told_of(compiled: Compiled, parameters: dict[str, str], folder: str | None) -> Told:
    """Return what is told of a project's file: where it is here, unless a folder is named, and the commit that it is at."""
    copy = working_copy(compiled.root)
    return Told(parameters, folder or str(compiled.root), copy.commit or "", copy.is_dirty)


def deploy_away(
    client: Asker, away: Away, compiled: Compiled, told: Told, *, paused: bool
) -> DeployedPipeline:
    """Put a pipeline in force there. Raises Invalid (`other_herd`), and what uploading and deploying raise."""
    fields = _fields(client, away, compiled, told)
    found: DeployedPipeline = client.call(pipelines.DEPLOY, paused=paused, **fields)
    return found


def push_away(
    client: Asker, away: Away, compiled: Compiled, told: Told, *, version: str
) -> PublishedPipeline:
    """Publish a version there, the next one if none is wanted. Raises as `deploy_away`."""
    fields = _fields(client, away, compiled, told)
    found: PublishedPipeline = client.call(pipelines.PUBLISH, version=version, **fields)
    return found


def _fields(client: Asker, away: Away, compiled: Compiled, told: Told) -> dict[str, Any]:
    """Bring the project's code, and return what says which file of it is meant."""
    herd = herd_of(away, compiled)
    return {
        "herd": herd,
        "pipeline": compiled.dag.pipeline,
        "bundle": bring(client, herd, compiled.root),
        "file": compiled.dag.file,
        "parameters": told.parameters,
        "project": told.folder,
        "commit": told.commit,
        "dirty": told.is_dirty,
    }


def herd_of(away: Away, compiled: Compiled) -> str:
    """Return the herd that a project is of. Raises Invalid (`other_herd`) if another one is meant."""
    herd = compiled.herd.herd
    if away.herd not in ("", herd):
        raise Invalid(
            f"the project is of herd {herd}, and herd {away.herd} is meant",
            code="other_herd",
            hint=f"--herd {herd} says it, or a context with that herd",
        )
    return herd


def bring(client: Asker, herd: str, project: Path) -> str:
    """Have a herd there own the bundle of a project, and return its hash; only what is missing there is sent. Raises Invalid, QuotaExceeded, Forbidden."""
    try:
        bundle = pack(project)
    except OSError as error:
        raise told_here(error, where=error.filename or project) from error
    try:
        client.call(bundles.GET, herd=herd, bundle=bundle.hash)
    except NotFound:
        pass
    else:
        return bundle.hash
    archive = archived(bundle)
    where: dict[str, Any] = {"herd": herd}
    begun: UploadDocument = client.call(
        bundles.BEGIN,
        sha256=hashlib.sha256(archive).hexdigest(),
        size_bytes=len(archive),
        **where,
    )
    where["upload"] = begun.upload
    for number in begun.missing:
        part = archive[number * begun.part_bytes : (number + 1) * begun.part_bytes]
        client.call(bundles.PUT_PART, number=str(number), content=part, **where)
    return str(client.call(bundles.FINISH, **where).bundle)
