"""`runi barn recover`: makes the member that a lost majority left the founder of a new group of one, after it has said what that means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from runink.actors import recovering
from runink.actors.recovering import Survivor
from runink.cli.barn_check import state_argument, stopped_barn
from runink.cli.barn_copies import copied
from runink.cli.options import COUNT, output_option
from runink.cli.wording import echo_json
from runink.clients.barn import new_client_id
from runink.config import IDENTITY, read_identity
from runink.errors import Refused
from runink.quantities import counted
from runink.storage.disk import RealDisk

ONLY: Final = 1  # the member of an embedded cluster


@click.command()
@state_argument
@click.option("-y", "--yes", is_flag=True, help="Recover without asking.")
@click.option(
    "--bump-revision",
    type=COUNT,
    default=0,
    metavar="N",
    help="Move the revision on by N, so that no revision that a lost member gave is used twice.",
)
@output_option
def recover(
    state: Path | None,
    yes: bool,  # noqa: FBT001 - click gives it by name
    bump_revision: int,
    output: str,
) -> None:
    """When the majority of a group is lost for good: make this stopped member the only one of a new group, with all that it has.

    It says what it has and what will be lost, asks, copies the folder, and takes effect in one write. Answer no to look only: of several survivors
    recover the one whose log ends last. STATE_DIR is the folder of the member's state.
    """
    with stopped_barn(state) as disk:
        identity = read_identity(Path(disk.where).parent)
        survivor = recovering.look(disk, identity.member if identity else ONLY)
        if survivor.is_alone:
            _tell_alone(disk, survivor, output)
            return
        if identity is None:
            raise _unnamed(disk)
        if output == "text":
            click.echo("\n".join(lines(disk.where, survivor, bump_revision)))
        if not yes:
            click.confirm("Make it a group of its own?", abort=True, err=True)
        copy = copied(disk, "recovery")
        new = recovering.recover(disk, survivor, cluster=new_client_id(), bump=bump_revision)
    if output == "json":
        facts = {"recovered": True, "taken_in": survivor.uncertain, "copy": copy}
        after = {"cluster": new.cluster, "revision": new.revision, "index": new.applied_index}
        echo_json({**_facts(disk, survivor), **facts, "new": after})
        return
    click.echo(f"what was there before is in {copy}")
    click.echo(
        f"{disk.where}: member {survivor.member} is the only one of cluster {new.cluster}, at revision {new.revision:,}"
    )


def _unnamed(disk: RealDisk) -> Refused:
    return Refused(
        f"{disk.where} holds the state of a member of a group, and no {IDENTITY} beside it says which",
        code="no_identity",
        hint="name the folder that `runi server --state` has",
    )


def _tell_alone(disk: RealDisk, survivor: Survivor, output: str) -> None:
    if output == "json":
        echo_json({**_facts(disk, survivor), "recovered": False})
    else:
        click.echo(
            f"{disk.where}: member {survivor.member} is a group of one already; nothing is to be done"
        )


def _facts(disk: RealDisk, survivor: Survivor) -> dict[str, object]:
    store = survivor.store
    return {
        "barn": disk.where,
        "member": survivor.member,
        "voters": survivor.group.voters,
        "learners": survivor.group.learners,
        "cluster": store.cluster,
        "last_index": survivor.last.index,
        "last_term": survivor.last.term,
        "commit": survivor.promise.commit,
        "term": survivor.promise.term,
        "revision": store.revision,
        "keys": len(store),
    }


def lines(where: str, survivor: Survivor, bump: int) -> Iterator[str]:
    """Yield what a member has, and what will be, for people."""
    store, last = survivor.store, survivor.last
    yield f"{where}: member {survivor.member} of cluster {store.cluster or 'without an id'}"
    yield f"  its group   {_group_text(survivor)}"
    yield f"  its log     ends with entry {last.index:,} of term {last.term}; {survivor.promise.commit:,} are known to be committed; term {survivor.promise.term}"
    yield f"  its state   revision {store.revision:,}, {counted(len(store), 'key')}, {counted(len(store.leases()), 'lease')}"
    yield "It becomes the only member of a new group, with all of that and a new id."
    if survivor.uncertain:
        yield f"- Entries of its log that it does not know to be committed, {survivor.uncertain:,} at its end, will count: they may have been acknowledged. A write of unknown outcome among them takes effect."
    yield f"- What only lost members had, behind entry {last.index:,}, is lost. If another member is left, look at it with this command first: recover"
    yield "  the one whose log ends in the higher term, and of these the one that ends with the higher entry."
    yield "- The others of the old group must never be started again with what is in their folders: two or more could go on as a second group, and take"
    yield "  writes. This one takes nothing from them. Empty their folders, and let them join it under new numbers."
    if bump:
        yield f"- The revision is moved on by {bump:,}; its past counts as compacted, so watches read anew."
    else:
        yield f"- Who has seen a later revision than {store.revision:,} on a lost member will take a new one for it: --bump-revision 1000000 prevents that."


def _group_text(survivor: Survivor) -> str:
    group = survivor.group
    voters = sorted({*group.voters, *group.voters_outgoing})
    words = f"voters {', '.join(map(str, voters))}"
    if group.learners:
        words += f"; learners {', '.join(map(str, group.learners))}"
    if survivor.member not in {*voters, *group.learners, *group.learners_next}:
        words += f"; this one, {survivor.member}, was removed: it has nothing from after that"
    return words
