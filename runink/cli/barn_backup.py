"""`runi barn backup` and `restore`: the whole state in one file, and a new cluster from it."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

import click

from runink.barn import image
from runink.barn.backups import HEADER_BYTES, header_of, verified
from runink.barn.image import Image
from runink.barn.refounding import for_new_cluster
from runink.cli.exits import told
from runink.cli.options import COUNT, output_option, project_here, state_folder, state_option
from runink.cli.runs import with_cluster
from runink.cli.wording import echo_json
from runink.clients.barn import new_client_id
from runink.clients.barn_admin import BarnAdmin
from runink.clients.cluster import Cluster
from runink.config import NodeSettings, offered
from runink.errors import Conflict
from runink.quantities import counted, format_bytes
from runink.raft.messages import ConfState, SnapshotMetadata
from runink.storage.disk import RealDisk
from runink.storage.log_storage import begin_directory
from runink.syncing import sync_place

FIRST: Final = 1  # the index and term that a new log begins behind: an entry that nobody wrote
MODE: Final = 0o600  # what is in the Barn is for its owner
_RESTORING: Final = "barn.restoring"

file_argument = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


@click.command()
@file_argument
@output_option
@state_option
def backup(file: Path, output: str, state: Path | None) -> None:
    """Write the whole state of this moment to FILE: keys, their kept past, leases. The cluster goes on meanwhile."""

    async def ask(cluster: Cluster, _: Path) -> str:
        aside = file.with_name(f"{file.name}.{os.getpid()}.new")
        try:
            digest = await _write(BarnAdmin(cluster.barn), aside)
            aside.replace(file)
            sync_place(file.parent)
        except OSError as error:
            raise told(error, where=file) from error
        finally:
            aside.unlink(missing_ok=True)
        return digest

    digest = with_cluster(state, ask)
    state_read = verified(file.read_bytes(), where=str(file))  # what is on disk, not what was sent
    if output == "json":
        echo_json({**_facts(state_read), "file": str(file), "sha256": digest})
        return
    size = format_bytes(file.stat().st_size)
    click.echo(f"{file}: {_words(state_read)}, {size}")
    click.echo(f"sha256 {digest}")


async def _write(admin: BarnAdmin, path: Path) -> str:
    """Write a file whose header is right only when everything is there; return the digest of the body."""
    digest = hashlib.sha256()
    size = 0
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "wb") as file:
        file.write(bytes(HEADER_BYTES))
        async with aclosing(admin.backup()) as parts:
            async for part in parts:
                file.write(part)
                digest.update(part)
                size += len(part)
        file.seek(0)
        file.write(header_of(digest.digest(), size))
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


@click.command()
@file_argument
@click.option(
    "--bump-revision",
    type=COUNT,
    default=0,
    metavar="N",
    help="Move the revision on by N, so that no revision of the old cluster is used twice.",
)
@click.option(
    "--voter",
    "voters",
    type=click.IntRange(min=1),
    multiple=True,
    default=(1,),
    metavar="NUMBER",
    help="A member of the new cluster, once for each; 1 alone otherwise.",
)
@click.option(
    "--cluster",
    metavar="ID",
    help="The new cluster's id, the same for all of its members; made otherwise.",
)
@output_option
@state_option
def restore(
    state: Path | None, output: str, file: Path, bump_revision: int, **options: Any
) -> None:
    """Make a new cluster's state from FILE, where none is yet. Its keys, leases and revision are those of the backup; its id is new.

    For a cluster of several members do it for each, from the same file with the same options.
    """
    voters = tuple(sorted(set(options["voters"])))
    cluster = options["cluster"]
    if cluster is None and len(voters) > 1:
        raise click.BadParameter("several members need one id", param_hint="--cluster")
    folder = state_folder(state, project_here())
    try:
        new = for_new_cluster(
            verified(file.read_bytes(), where=str(file)),
            cluster=cluster or new_client_id(),
            index=FIRST,
            term=FIRST,
            bump=bump_revision,
        )
        _found(NodeSettings(state=folder, capacity=offered()).barn, new, voters)
    except OSError as error:
        raise told(error) from error
    if output == "json":
        echo_json({**_facts(new), "state": str(folder)})
    else:
        click.echo(f"{folder}: {_words(new)}, cluster {new.header.facts.cluster}")


def _found(barn: Path, state: Image, voters: tuple[int, ...]) -> None:
    """Write the directory of a cluster that begins with this state: aside first, so that a crash leaves nothing that looks like one. Raises Conflict."""
    if barn.exists() and any(barn.iterdir()):
        raise Conflict(
            f"there is a state in {barn} already",
            code="state_exists",
            hint="restore to another place with --state, or move it away",
        )
    aside = barn.with_name(_RESTORING)
    shutil.rmtree(aside, ignore_errors=True)
    disk = RealDisk(aside)
    try:
        metadata = SnapshotMetadata(ConfState(voters=voters), FIRST, FIRST)
        begin_directory(disk, metadata, image.encode(state))
    finally:
        disk.shut()
    if barn.exists():
        barn.rmdir()
    aside.rename(barn)
    sync_place(barn.parent)


def _facts(state: Image) -> dict[str, object]:
    header = state.header
    return {
        "cluster": header.facts.cluster,
        "revision": header.revision,
        "compacted": header.compacted,
        "keys": len(state.items),
        "leases": len(state.leases),
    }


def _words(state: Image) -> str:
    return f"{counted(len(state.items), 'key')} and {counted(len(state.leases), 'lease')} at revision {state.header.revision:,}"
