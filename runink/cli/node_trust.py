"""`runi node token`, `join`, `rejoin`, `revoke`, `trust`, `rotate`: who belongs to a cluster, and by which certificate."""

from __future__ import annotations

import getpass
import shlex
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import click

from runink.certificates.join_tokens import LIFETIME_S
from runink.certificates.renewal import Standing
from runink.certificates.roles import NodeRole
from runink.certificates.rotation import Phase
from runink.cli.options import DURATION, output_option, state_option
from runink.cli.runs import with_cluster
from runink.cli.servers import addresses_of, server_option
from runink.cli.wording import columns, echo_json, harmless
from runink.clients.cluster import WITHIN_S, Cluster
from runink.clients.trust_requests import (
    Minted,
    MintJoin,
    NodeTrust,
    RevokeNode,
    Rotate,
    Step,
    TrustFacts,
    TrustOf,
)
from runink.names import NodeId, herd_name
from runink.quantities import format_moment
from runink.trust.enrolling import enrolled

SHOWN: Final = 16  # digits of a fingerprint: nobody compares more by eye

role_option = click.option(
    "--role",
    type=click.Choice([one.value for one in NodeRole]),
    default=NodeRole.AGENT.value,
    show_default=True,
    help="What the node is to be.",
)


@click.command()
@role_option
@click.option("--name", default="", help="The only name that it is good for; any otherwise.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label that the node may give itself, and no others; may be repeated.")  # fmt: skip
@click.option("--herd", "herds", multiple=True, help="A herd that the node may work for, and no others; may be repeated.")  # fmt: skip
@click.option("--expires", "lifetime_ms", type=DURATION, metavar="TIME", help="For how long it is good (1h).")  # fmt: skip
@output_option
@state_option
def token(  # noqa: PLR0913 - what may be asked for
    role: str,
    name: str,
    labels: tuple[str, ...],
    herds: tuple[str, ...],
    *,
    lifetime_ms: int | None,
    output: str,
    state: Path | None,
) -> None:
    """Make a token that lets one node join, once. It is shown now and never again."""
    asked = MintJoin(
        NodeRole(role),
        getpass.getuser(),
        name,
        labels,
        tuple(map(herd_name, herds)),
        lifetime_s=LIFETIME_S if lifetime_ms is None else lifetime_ms // 1000,
    )
    _tell_token(_minted(state, asked), asked, output)


@click.command()
@role_option
@click.argument("name", metavar="NODE")
@click.option("--expires", "lifetime_ms", type=DURATION, metavar="TIME", help="For how long it is good (1h).")  # fmt: skip
@output_option
@state_option
def rejoin(role: str, name: str, lifetime_ms: int | None, output: str, state: Path | None) -> None:
    """Make a token that lets NODE in anew: what it was given before counts no more then."""
    asked = MintJoin(
        NodeRole(role),
        getpass.getuser(),
        name,
        rejoins=True,
        lifetime_s=LIFETIME_S if lifetime_ms is None else lifetime_ms // 1000,
    )
    _tell_token(_minted(state, asked), asked, output)


def _minted(state: Path | None, asked: MintJoin) -> Minted:
    async def ask(cluster: Cluster, _: Path) -> Minted:
        return await cluster.trusting.ask(asked, within=WITHIN_S)

    return with_cluster(state, ask)


def _tell_token(minted: Minted, asked: MintJoin, output: str) -> None:
    if output == "json":
        echo_json({"token": minted.word, "id": minted.id, "until_ms": minted.until_s * 1000})
        return
    click.echo(minted.word)
    until = format_moment(minted.until_s * 1000)
    whom = f"{asked.role.value} {asked.name}" if asked.name else f"one {asked.role.value}"
    click.echo(f"it lets {whom} in, once, until {until}; there:", err=True)
    command = {
        NodeRole.AGENT: "runi agent --state DIR --server HOST:PORT --join",
        NodeRole.SERVER: "runi server --state DIR --member N --address N=HOST:PORT --server HOST:PORT --join",
        NodeRole.IDENTITY: "runi identity --state DIR --server HOST:PORT --join",
    }.get(asked.role, "runi node join --trust DIR --server HOST:PORT --token")
    click.echo(f"  {command} {shlex.quote(minted.word)}", err=True)


@click.command()
@click.option("--token", "word", required=True, metavar="TOKEN", help="What `runi node token` has made.")  # fmt: skip
@click.option("--trust", type=click.Path(path_type=Path), required=True, help="The folder for certificate and key.")  # fmt: skip
@click.option("--name", default="", help="The name to join under, where the token has none.")
@server_option
@output_option
def join(word: str, trust: Path, name: str, places: tuple[str, ...], output: str) -> None:
    """Join a cluster, and run nothing: for commands that ask it (RUNINK_TRUST), and to prepare a machine."""
    joining = partial(enrolled, trust, word, addresses_of(places), name=name)
    shown, _ = anyio.run(joining)
    if output == "json":
        echo_json({"cluster": shown.cluster, "role": shown.role.value, "name": shown.name})
    else:
        click.echo(f"joined cluster {shown.cluster} as {shown}; its certificate is in {trust}")


@click.command()
@role_option
@click.argument("name", metavar="NODE")
@click.option("--reason", default="it was revoked", help="What it is told, and stands in its record.")  # fmt: skip
@output_option
@state_option
def revoke(role: str, name: str, reason: str, output: str, state: Path | None) -> None:
    """Let NODE in no more, and cut it off at once."""
    asked = RevokeNode(NodeRole(role), NodeId(name), reason)

    async def ask(cluster: Cluster, _: Path) -> NodeTrust:
        return await cluster.trusting.ask(asked, within=WITHIN_S)

    found = with_cluster(state, ask)
    if output == "json":
        echo_json(found)
    else:
        click.echo(f"{role} {name} is revoked: {harmless(found.reason)}")


@click.command()
@output_option
@state_option
def trust(output: str, state: Path | None) -> None:
    """List who is certified, and by which authority."""

    async def ask(cluster: Cluster, _: Path) -> TrustFacts:
        return await cluster.trusting.ask(TrustOf(), within=WITHIN_S)

    _tell(with_cluster(state, ask), output)


@click.command()
@click.argument("step", type=click.Choice([one.value for one in Step]))
@click.option("--force", is_flag=True, help="Go on without nodes that have not come along, and cut them off.")  # fmt: skip
@output_option
@state_option
def rotate(step: str, force: bool, output: str, state: Path | None) -> None:  # noqa: FBT001 - click gives it by name
    """Take a step towards another authority: begin, advance (twice), or abandon what has issued nothing."""

    async def ask(cluster: Cluster, _: Path) -> TrustFacts:
        return await cluster.trusting.ask(Rotate(Step(step), force), within=WITHIN_S)

    _tell(with_cluster(state, ask), output)


def _tell(facts: TrustFacts, output: str) -> None:
    if output == "json":
        echo_json(facts)
        return
    for line in _lines(facts):
        click.echo(line)


def _lines(facts: TrustFacts) -> Iterator[str]:
    yield f"cluster {facts.cluster}"
    for fingerprint, until_s in facts.authorities:
        issues = ", issues certificates" if fingerprint == facts.issuer else ""
        yield f"authority {fingerprint[:SHOWN]} until {format_moment(until_s * 1000)}{issues}"
    if facts.phase is not Phase.ONE:
        waits = f"; waits: {facts.waits_for}" if facts.waits_for else "; may go on"
        yield f"rotation: {facts.phase.value}{waits}"
    yield ""
    rows = [_row(one) for one in facts.nodes]
    yield from columns([("node", "role", "certificate", "until", "standing"), *rows])


def _row(one: NodeTrust) -> tuple[str, ...]:
    why = f": {harmless(one.reason)}" if one.standing is not Standing.GOOD else ""
    return (
        one.name,
        one.role.value,
        f"{one.generation}, {one.serial[:SHOWN]}",
        format_moment(one.not_after_s * 1000),
        f"{one.standing.value}{why}",
    )
