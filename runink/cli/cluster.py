"""`runi cluster`: the members of the Barn, seen and changed by way of any of them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from runink.cli.commands import Commands
from runink.cli.options import output_option, state_option
from runink.cli.runs import with_cluster
from runink.cli.wording import echo_json
from runink.clients.cluster import Cluster
from runink.clients.membership import Membership, MembershipAdmin
from runink.config import Address

CLUSTER_COMMANDS: Final = {
    "status": ("runink.cli.cluster:status", "Say who belongs to the group, who leads, and how far this member is."),
    "add": ("runink.cli.cluster:add", "Take a member in, as a learner."),
    "promote": ("runink.cli.cluster:promote", "Let a learner vote."),
    "remove": ("runink.cli.cluster:remove", "Let a member go."),
    "transfer": ("runink.cli.cluster:transfer", "Have another voter lead."),
}  # fmt: skip
MEMBER: Final = click.IntRange(min=1)


class ClusterCommands(Commands):
    table = CLUSTER_COMMANDS


@click.command(cls=ClusterCommands)
def cluster() -> None:
    """Look after the members of the Barn."""


@click.command()
@output_option
@state_option
def status(output: str, state: Path | None) -> None:
    """Say who belongs to the group, who leads, and how far this member is."""

    async def ask(cluster: Cluster, _: Path) -> Membership:
        return await MembershipAdmin(cluster.barn).look()

    found = with_cluster(state, ask)
    if output == "json":
        echo_json(_document(found))
    else:
        click.echo("\n".join(_lines(found)))


def _lines(found: Membership) -> list[str]:
    seen = found.status
    lines = [
        f"cluster {seen.cluster or 'without a name'}, term {seen.term}, "
        + (
            f"led by member {seen.lead}"
            if seen.lead
            else "nobody leads: a majority of the voters is needed"
        )
    ]
    for member in found.members:
        facts = [found.addresses.get(member, "")]
        if member == seen.member:
            facts.append(f"here: applied {seen.applied_index:,} of {seen.committed_index:,}")
        told = ", ".join(filter(None, facts))
        lines.append(f"member {member:<3} {found.role(member):8} {told}".rstrip())
    return lines


def _document(found: Membership) -> dict[str, object]:
    seen = found.status
    return {
        "cluster": seen.cluster,
        "term": seen.term,
        "lead": seen.lead,
        "member": seen.member,
        "applied_index": seen.applied_index,
        "committed_index": seen.committed_index,
        "members": [
            {
                "member": member,
                "role": found.role(member),
                "address": found.addresses.get(member, ""),
            }
            for member in found.members
        ],
    }


@click.command()
@click.argument("member", type=MEMBER)
@click.argument("address", metavar="HOST:PORT")
@state_option
def add(member: int, address: str, state: Path | None) -> None:
    """Take MEMBER in, as a learner that listens at HOST:PORT. Then start it there, with --join; when it is up to date, promote it."""
    place = str(Address.parse(address))

    async def ask(cluster: Cluster, _: Path) -> None:
        await MembershipAdmin(cluster.barn).add(member, place)

    with_cluster(state, ask)
    click.echo(f"member {member} is a learner; start it with runi server --join, then promote it")


@click.command()
@click.argument("member", type=MEMBER)
@state_option
def promote(member: int, state: Path | None) -> None:
    """Let the learner MEMBER vote."""

    async def ask(cluster: Cluster, _: Path) -> None:
        await MembershipAdmin(cluster.barn).promote(member)

    with_cluster(state, ask)
    click.echo(f"member {member} votes")


@click.command()
@click.argument("member", type=MEMBER)
@state_option
def remove(member: int, state: Path | None) -> None:
    """Let MEMBER go. Its number is not given again: a new machine gets a new one."""

    async def ask(cluster: Cluster, _: Path) -> None:
        await MembershipAdmin(cluster.barn).remove(member)

    with_cluster(state, ask)
    click.echo(f"member {member} is no member any more; stop it")


@click.command()
@click.argument("member", type=MEMBER)
@state_option
def transfer(member: int, state: Path | None) -> None:
    """Have the voter MEMBER lead, as before a machine is shut down."""

    async def ask(cluster: Cluster, _: Path) -> None:
        await MembershipAdmin(cluster.barn).transfer(member)

    with_cluster(state, ask)
    click.echo(f"member {member} is asked to lead; runi cluster status tells whether it does")
