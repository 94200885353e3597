"""`runi binding`: who has a role, in a herd or in all of them."""

from __future__ import annotations

from typing import Any, Final

import click

from runink.cli.asking import Where, asked, asks_api
from runink.cli.commands import Commands
from runink.cli.completing import completed
from runink.cli.options import DURATION
from runink.cli.output import Form, echo_items, output_option
from runink.cli.rights_options import ANY, MOMENT, operation, scope_of, scoped, within, written
from runink.clock import now_ms
from runink.identity.roles import NEVER
from runink.quantities import format_moment

BINDING_COMMANDS: Final = {
    "list": ("runink.cli.binding:list_", "List bindings."),
    "get": ("runink.cli.binding:get", "Print a binding."),
    "set": ("runink.cli.binding:set_", "Give a role to people and programs."),
    "delete": ("runink.cli.binding:delete", "Take what a binding gives back."),
}


def _row(one: Any) -> tuple[str, ...]:
    expires = "never" if one.expires_ms == NEVER else format_moment(one.expires_ms)
    return one.binding, one.role, ", ".join(one.subjects), "ended" if one.has_ended else expires


FORM: Final = Form(
    heading=("BINDING", "ROLE", "SUBJECTS", "EXPIRES"), row=_row, name=lambda one: one.binding
)
name_argument = click.argument(
    "name", metavar="BINDING", shell_complete=completed("bindings.list", "binding")
)


class BindingCommands(Commands):
    table = BINDING_COMMANDS


@click.command(cls=BindingCommands)
def binding() -> None:
    """Say who has which role."""


@click.command("list")
@scoped
@output_option
@asks_api
def list_(*, where: Where, herd: str | None, is_cluster: bool, output: str) -> None:
    """List the bindings of a herd, or with --cluster those for all herds."""
    scope = scope_of(where, herd, is_cluster=is_cluster)
    with asked(where) as client:
        echo_items(client.call(operation("bindings", "list", scope), **within(scope)), output, FORM)


@click.command()
@name_argument
@scoped
@output_option
@asks_api
def get(*, where: Where, name: str, herd: str | None, is_cluster: bool, output: str) -> None:
    """Print BINDING."""
    scope = scope_of(where, herd, is_cluster=is_cluster)
    with asked(where) as client:
        found = client.call(operation("bindings", "get", scope), binding=name, **within(scope))
    echo_items([found], output, FORM, is_one=True)


@click.command("set")
@name_argument
@scoped
@click.option("--role", required=True, help="A built-in role, one of the herd, or cluster/NAME.")
@click.option("--subject", "subjects", multiple=True, required=True, help="user:ISSUER:SUBJECT, group:ISSUER:GROUP, service-account:HERD/NAME; may be repeated.")  # fmt: skip
@click.option("--expires", "expires_ms", type=MOMENT, metavar="TIME", help="When it ends: 2027-01-31T18:00Z.")  # fmt: skip
@click.option("--for", "lasts_ms", type=DURATION, metavar="DURATION", help="How long it lasts from now: 8h.")  # fmt: skip
@click.option("--description", default="", help="What it is for.")
@output_option
@asks_api
def set_(  # noqa: PLR0913 - an option each
    *,
    where: Where,
    name: str,
    herd: str | None,
    is_cluster: bool,
    role: str,
    subjects: tuple[str, ...],
    expires_ms: int | None,
    lasts_ms: int | None,
    description: str,
    output: str,
) -> None:
    """Give a role to these subjects, and to nobody else by this BINDING. You hold what is in the role, or may `bind` it.

    Exit code 5 if somebody else has changed it meanwhile.
    """
    if expires_ms is not None and lasts_ms is not None:
        raise click.UsageError("--expires or --for, and not both")
    scope = scope_of(where, herd, is_cluster=is_cluster)
    until_ms = now_ms() + lasts_ms if lasts_ms is not None else expires_ms or NEVER
    said = {
        "role": role,
        "subjects": list(subjects),
        "expires_ms": until_ms,
        "description": description,
    }
    with asked(where) as client:
        found = written(client, "bindings", scope, {"binding": name}, said)
    echo_items([found], output, FORM, is_one=True)


@click.command()
@name_argument
@scoped
@click.option("--take-back", "in_herd", metavar="HERD", help="Of this herd, by the right to delete bindings of the cluster: also where the herd denies you that.")  # fmt: skip
@asks_api
def delete(
    *, where: Where, name: str, herd: str | None, is_cluster: bool, in_herd: str | None
) -> None:
    """Take BINDING away."""
    if in_herd and (herd or is_cluster):
        raise click.UsageError("--take-back names the herd")
    with asked(where) as client:
        if in_herd:
            client.call("cluster-bindings.take-back", in_herd=in_herd, binding=name, if_match=ANY)
        else:
            scope = scope_of(where, herd, is_cluster=is_cluster)
            client.call(
                operation("bindings", "delete", scope), binding=name, if_match=ANY, **within(scope)
            )
    click.echo(f"binding {name} is gone")
