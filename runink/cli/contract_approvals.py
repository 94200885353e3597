"""`runi contract approve`, `reject` and `approvals`: what people say of published versions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import click

from runink.cli.asking import Where, asked, asks_cluster
from runink.cli.contract_versions import herd_here
from runink.cli.options import output_option
from runink.cli.wording import clock, columns, echo_json, harmless
from runink.errors import Invalid
from runink.governance.approvals import Standing
from runink.operations.catalog import approvals
from runink.operations.catalog.approvals import REASON_MAX, ApprovalDocument
from runink.operations.declarations import Operation

HASH_SHOWN: Final = 12
_MEANT: Final = re.compile(r"(?:(?P<herd>[a-z][a-z0-9_-]{0,62})/)?(?P<name>[^/@:.\s]+)@(?P<version>[^/@\s]+)")  # fmt: skip


class Meant(NamedTuple):
    """A published version; `herd` is empty where the name does not say it."""

    herd: str
    name: str
    version: str


def meant_version(reference: str) -> Meant:
    """Return which version is meant. Raises Invalid: who says what holds says of which version."""
    match = _MEANT.fullmatch(reference)
    if match is None:
        raise Invalid(
            f"{reference!r} names no version of a contract",
            code="contract_reference",
            hint="write NAME@1.2.0, or HERD/NAME@1.2.0",
        )
    return Meant(match["herd"] or "", match["name"], match["version"])


def herd_meant(where: Where, said: str = "") -> str:
    """Return whose contract is meant: of the herd that the name says, the command line, the context, or the project here. Raises Invalid where they differ, or none says it."""
    if said and where.said and said != where.said:
        raise Invalid(
            f"the name says herd {said}, and --herd says {where.said}",
            code="which_herd",
            hint="say one of them",
        )
    herd = said or where.scope
    if herd or where.context is not None:
        return where.herd(herd)
    return herd_here(None)


reference_argument = click.argument("reference", metavar="NAME@VERSION")
hash_option = click.option("--hash", "content", metavar="HASH", help="The content that you have looked at; another one is refused.")  # fmt: skip


@click.command()
@reference_argument
@hash_option
@click.option("-m", "--reason", default="", metavar="TEXT", help="Why; everybody reads it.")
@output_option
@asks_cluster
def approve(reference: str, content: str | None, reason: str, output: str, where: Where) -> None:
    """Approve a published version of a contract. Nobody approves what they have published.

    NAME@VERSION is as in Flight@1.2.0, or analytics/Flight@1.2.0.
    """
    _say(reference, output, where, approvals.APPROVE, hash=content, reason=reason)


@click.command()
@reference_argument
@hash_option
@click.option("-m", "--reason", required=True, metavar="TEXT", help="Why; who meets the refusal is told.")  # fmt: skip
@output_option
@asks_cluster
def reject(reference: str, content: str | None, reason: str, output: str, where: Where) -> None:
    """Reject a published version of a contract, also one that was approved. It holds until you approve it.

    NAME@VERSION is as in Flight@1.2.0, or analytics/Flight@1.2.0.
    """
    _say(reference, output, where, approvals.REJECT, hash=content, reason=reason)


def _say(
    reference: str, output: str, where: Where, operation: Operation, **said: str | None
) -> None:
    reason = said["reason"] or ""
    if len(reason) > REASON_MAX:
        raise Invalid(
            f"the reason has {len(reason)} characters, and {REASON_MAX} at most are kept",
            code="bad_request",
            hint="say it shorter, and where more of it stands",
        )
    which = meant_version(reference)
    herd = herd_meant(where, which.herd)
    fields = {key: value for key, value in said.items() if value is not None}
    with asked(where) as client:
        found: ApprovalDocument = client.call(
            operation, herd=herd, contract=which.name, version=which.version, **fields
        )
    if output == "json":
        echo_json(found)
        return
    for line in told(found):
        click.echo(harmless(line))


@click.command("approvals")
@click.option("--only", "standing", type=click.Choice([one.value for one in Standing]), help="Only those that stand so.")  # fmt: skip
@output_option
@asks_cluster
def list_approvals(standing: str | None, output: str, where: Where) -> None:
    """List the published versions of contracts, with what people have said of each."""
    herd = herd_meant(where)
    fields: dict[str, Any] = {"state": Standing(standing)} if standing is not None else {}
    with asked(where) as client:
        found: list[ApprovalDocument] = list(client.call(approvals.LIST, herd=herd, **fields))
    if output == "json":
        echo_json(found)
        return
    if not found:
        click.echo(f"herd {herd} has no such version of a contract", err=True)
        return
    head = ("contract", "state", "approvals", "published by", "said")
    rows = [
        (
            one.reference,
            one.state.value,
            f"{one.approvals} of {one.needed}",
            one.by,
            "; ".join(_words(one)),
        )
        for one in found
    ]
    for line in columns([head, *rows]):
        click.echo(harmless(line))


def told(found: ApprovalDocument) -> Iterator[str]:
    """Say how it is with a version, and what people have said of it."""
    yield f"{found.reference} is {found.state.value}: {found.approvals} of {found.needed} approvals, {found.hash[:HASH_SHOWN]}, published by {found.by}"
    for text in _words(found):
        yield f"  {text}"


def _words(found: ApprovalDocument) -> Iterator[str]:
    for one in found.words:
        verb = "approved" if one.approves else "rejected"
        reason = f": {one.reason}" if one.reason else ""
        yield f"{verb} by {one.by}, {clock(one.at_ms):%Y-%m-%d %H:%M:%S}{reason}"
