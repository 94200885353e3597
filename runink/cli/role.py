"""`runi role`: what may be done under a name, in a herd or in all of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import click

from runink.cli.asking import Where, asked, asks_api
from runink.cli.commands import Commands
from runink.cli.completing import completed
from runink.cli.output import Form, echo_items, output_option
from runink.cli.rights_options import ANY, operation, scope_of, scoped, within, written
from runink.errors import Invalid
from runink.identity.roles import Effect
from runink.textfiles import read_text

ROLE_COMMANDS: Final = {
    "list": ("runink.cli.role:list_", "List roles."),
    "get": ("runink.cli.role:get", "Print a role."),
    "set": ("runink.cli.role:set_", "Make a role, or write it anew."),
    "delete": ("runink.cli.role:delete", "Take a role away."),
}


def _row(one: Any) -> tuple[str, ...]:
    first, *rest = one.rules
    said = [f"{', '.join(first.verbs) or '-'} of {', '.join(first.resources) or '-'}"]
    more = f" and {len(rest)} more" if rest else ""
    return one.role, "built-in" if one.is_built_in else one.herd or "cluster", "".join(said) + more


FORM: Final = Form(heading=("ROLE", "OF", "RULES"), row=_row, name=lambda one: one.role)
name_argument = click.argument(
    "name", metavar="ROLE", shell_complete=completed("roles.list", "role")
)


class RoleCommands(Commands):
    table = ROLE_COMMANDS


@click.command(cls=RoleCommands)
def role() -> None:
    """Say what may be done, under a name: `runi binding` gives it to people and programs."""


@click.command("list")
@scoped
@output_option
@asks_api
def list_(*, where: Where, herd: str | None, is_cluster: bool, output: str) -> None:
    """List the roles of a herd; with --cluster those of the cluster, and the built-in ones."""
    scope = scope_of(where, herd, is_cluster=is_cluster)
    with asked(where) as client:
        echo_items(client.call(operation("roles", "list", scope), **within(scope)), output, FORM)


@click.command()
@name_argument
@scoped
@output_option
@asks_api
def get(*, where: Where, name: str, herd: str | None, is_cluster: bool, output: str) -> None:
    """Print ROLE; `-o json` with all its rules."""
    scope = scope_of(where, herd, is_cluster=is_cluster)
    with asked(where) as client:
        found = client.call(operation("roles", "get", scope), role=name, **within(scope))
    echo_items([found], output, FORM, is_one=True)


@click.command("set")
@name_argument
@scoped
@click.option("--verb", "verbs", multiple=True, help="What may be done; may be repeated.")
@click.option("--resource", "resources", multiple=True, help="To what; may be repeated.")
@click.option("--name", "names", multiple=True, metavar="PATTERN", help="Of these names only.")
@click.option("--field", "fields", multiple=True, metavar="MARK", help="Shows these fields: pii:email, access:finance.")  # fmt: skip
@click.option("--deny", is_flag=True, help="It denies, and allows nothing.")
@click.option("--rules", "file", metavar="FILE", help="A JSON list of rules, in place of one by options.")  # fmt: skip
@click.option("--description", default="", help="What it is for.")
@output_option
@asks_api
def set_(  # noqa: PLR0913 - an option each
    *,
    where: Where,
    name: str,
    herd: str | None,
    is_cluster: bool,
    file: str | None,
    description: str,
    output: str,
    **rule: Any,
) -> None:
    """Make ROLE, or write it anew. You hold what is in it, or may `escalate` it.

    Exit code 5 if somebody else has changed it meanwhile.
    """
    scope = scope_of(where, herd, is_cluster=is_cluster)
    said = {"rules": _rules(file, **rule), "description": description}
    with asked(where) as client:
        found = written(client, "roles", scope, {"role": name}, said)
    echo_items([found], output, FORM, is_one=True)


@click.command()
@name_argument
@scoped
@asks_api
def delete(*, where: Where, name: str, herd: str | None, is_cluster: bool) -> None:
    """Take ROLE away. Exit code 5 if it is bound."""
    scope = scope_of(where, herd, is_cluster=is_cluster)
    with asked(where) as client:
        client.call(operation("roles", "delete", scope), role=name, if_match=ANY, **within(scope))
    click.echo(f"role {name} is gone")


def _rules(file: str | None, *, deny: bool, **words: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the rules that are said. Raises UsageError, Invalid for a file that is no JSON list."""
    said = {key: list(one) for key, one in words.items() if one}
    if file is None:
        return [said | ({"effect": Effect.DENY.value} if deny else {})]
    if said or deny:
        raise click.UsageError("--rules, or one rule by options, and not both")
    try:
        found = json.loads(read_text(Path(file), file))
    except ValueError as error:
        raise Invalid(f"{file} is not JSON: {error}", code="rules_invalid") from error
    if not isinstance(found, list):
        raise Invalid(f"{file} is no list of rules", code="rules_invalid", hint='[{"verbs": …}]')
    return found
