"""`runi barn lease`: keys that go when nobody keeps them."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

import click

from runink.barn.commands import GrantLease
from runink.cli.commands import Commands
from runink.cli.options import output_option, state_option
from runink.cli.runs import with_cluster
from runink.cli.wording import echo_json
from runink.clients.barn_admin import BarnAdmin
from runink.clients.barn_requests import LeaseFacts
from runink.clients.cluster import Cluster
from runink.errors import Invalid
from runink.quantities import counted, parse_duration

LEASE_COMMANDS: Final = {
    "grant": ("runink.cli.barn_lease:grant", "Make a lease that lasts so long without a renewal."),
    "list": ("runink.cli.barn_lease:list_", "List the leases."),
    "show": ("runink.cli.barn_lease:show", "Print how long a lease lasts still, and its keys."),
    "keep": ("runink.cli.barn_lease:keep", "Renew a lease until Ctrl-C, or once."),
    "revoke": ("runink.cli.barn_lease:revoke", "End a lease, and every key with it."),
}  # fmt: skip
RENEWED_PART: Final = 3  # two renewals may be lost before a lease ends

lease_argument = click.argument("lease", type=click.IntRange(min=1))


class LeaseCommands(Commands):
    table = LEASE_COMMANDS


@click.command(cls=LeaseCommands)
def lease() -> None:
    """Grant leases, look at them, keep them and end them: their keys go when nobody keeps them."""


@click.command()
@click.argument("duration", metavar="TTL")
@output_option
@state_option
def grant(duration: str, output: str, state: Path | None) -> None:
    """Make a lease that lasts for TTL (`30s`, `5m`) without a renewal, and print its number."""
    try:
        ttl_ms = parse_duration(duration)
    except Invalid as error:
        raise click.BadParameter(f"{error.text}; {error.hint}", param_hint="TTL") from None
    answer = with_cluster(state, lambda cluster, _: cluster.barn.propose(GrantLease(ttl_ms)))
    if output == "json":
        echo_json({"lease": answer.lease, "ttl_ms": ttl_ms})
    else:
        click.echo(answer.lease)


@click.command("list")
@output_option
@state_option
def list_(output: str, state: Path | None) -> None:
    """List the leases, with how long each lasts still."""
    found = with_cluster(state, lambda cluster, _: BarnAdmin(cluster.barn).leases())
    if output == "json":
        echo_json([_json(one) for one in found])
        return
    for one in found:
        click.echo(_line(one))


@click.command()
@lease_argument
@output_option
@state_option
def show(lease: int, output: str, state: Path | None) -> None:
    """Print how long a lease lasts still, and its keys."""
    found = with_cluster(state, lambda cluster, _: BarnAdmin(cluster.barn).lease(lease))
    if output == "json":
        echo_json({**_json(found), "keys": found.keys})
        return
    click.echo(f"{_line(found)}, {counted(len(found.keys), 'key')}")
    for key in found.keys:
        click.echo(f"  {key}")


@click.command()
@lease_argument
@click.option("--once", is_flag=True, help="Renew it now, and end.")
@state_option
def keep(lease: int, once: bool, state: Path | None) -> None:  # noqa: FBT001 - click gives it by name
    """Renew a lease until Ctrl-C, or once."""

    async def renew(cluster: Cluster, _: Path) -> None:
        admin = BarnAdmin(cluster.barn)
        every_s = (await admin.lease(lease)).ttl_ms / 1000 / RENEWED_PART
        async with aclosing(admin.keep_alive(lease, every_s=every_s)) as renewals:
            async for times in renewals:
                if times == 1:
                    click.echo(f"lease {lease} is renewed", err=True)
                if once:
                    return

    with_cluster(state, renew)


@click.command()
@lease_argument
@state_option
def revoke(lease: int, state: Path | None) -> None:
    """End a lease, and every key with it."""
    with_cluster(state, lambda cluster, _: cluster.barn.revoke_lease(lease))
    click.echo(f"lease {lease} has ended", err=True)


def _json(facts: LeaseFacts) -> dict[str, Any]:
    return {
        "lease": facts.lease,
        "ttl_ms": facts.ttl_ms,
        "left_ms": facts.left_ms,
        "renewals": facts.renewals,
    }


def _line(facts: LeaseFacts) -> str:
    left = f"{facts.left_ms / 1000:.1f} s of {facts.ttl_ms / 1000:g} s left"
    return f"lease {facts.lease}: {left}, renewed {facts.renewals} times"
