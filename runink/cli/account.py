"""`runi account`: the programs of a herd, and the secrets by which they get tokens."""

from __future__ import annotations

from typing import Any, Final

import click

from runink.cli.asking import Where, asking, asks_api
from runink.cli.commands import Commands
from runink.cli.completing import completed
from runink.cli.options import DURATION
from runink.cli.output import TABLE, Form, echo_items, output_option
from runink.identity.accounts import SECRET_LIFETIME_MS
from runink.quantities import format_moment

ACCOUNT_COMMANDS: Final = {
    "create": ("runink.cli.account:create", "Make a program known."),
    "list": ("runink.cli.account:list_", "List the programs of a herd."),
    "get": ("runink.cli.account:get", "Show a program and its secrets."),
    "secret": ("runink.cli.account:secret", "Make another secret of a program, or take one back."),
    "disable": ("runink.cli.account:disable", "Give a program no tokens, and take none that it has."),
    "enable": ("runink.cli.account:enable", "Let a program in again."),
    "delete": ("runink.cli.account:delete", "Take a program away, with all tokens that it has."),
}  # fmt: skip
FORM: Final = Form(
    heading=("ACCOUNT", "STATE", "SECRETS", "MADE", "DESCRIPTION"),
    row=lambda one: (
        one.account,
        "disabled" if one.disabled else "enabled",
        ", ".join(f"{each.secret} …{each.last}" for each in one.secrets) or "-",
        format_moment(one.made_ms),
        one.description,
    ),
    name=lambda one: one.account,
)
SECRET_FORM: Final = Form(
    heading=("SECRET",),
    row=lambda one: (one.client_secret,),
    name=lambda one: one.secret,
)

account_argument = click.argument(
    "account_name", metavar="ACCOUNT", shell_complete=completed("accounts.list", "account")
)
herd_option = click.option("--herd", help="Its herd; the one of the context otherwise.")


class AccountCommands(Commands):
    table = ACCOUNT_COMMANDS


@click.command(cls=AccountCommands)
def account() -> None:
    """Look after service accounts: programs of a herd, which get tokens by secrets of their own."""


@click.command()
@account_argument
@herd_option
@click.option("--description", default="", help="What it is, for people.")
@output_option
@asks_api
def create(
    *, where: Where, account_name: str, herd: str | None, description: str, output: str
) -> None:
    """Make a program known. It may nothing until a role is bound to `service-account:HERD/ACCOUNT`."""
    with asking(where) as client:
        made = client.accounts.create(
            herd=where.herd(herd), account=account_name, description=description
        )
    echo_items([made], output, FORM, is_one=True)


@click.command("list")
@herd_option
@output_option
@asks_api
def list_(*, where: Where, herd: str | None, output: str) -> None:
    """List the programs of a herd."""
    with asking(where) as client:
        echo_items(list(client.accounts.list(herd=where.herd(herd))), output, FORM)


@click.command()
@account_argument
@herd_option
@output_option
@asks_api
def get(*, where: Where, account_name: str, herd: str | None, output: str) -> None:
    """Show a program and its secrets: of each its id, its last characters, and until when it is good."""
    with asking(where) as client:
        found = client.accounts.get(herd=where.herd(herd), account=account_name)
    echo_items([found], output, FORM, is_one=True)


@click.command()
@account_argument
@herd_option
@click.option("--expires", "lifetime_ms", type=DURATION, default=SECRET_LIFETIME_MS, metavar="DURATION", help="For how long it is good; 90d otherwise.")  # fmt: skip
@click.option("--revoke", metavar="SECRET", help="Make none, but take back the one of this id.")
@output_option
@asks_api
def secret(
    *,
    where: Where,
    account_name: str,
    herd: str | None,
    lifetime_ms: int,
    revoke: str | None,
    output: str,
) -> None:
    """Make another secret of a program, and print it: it is shown once. Those that there are stay good, so that the program can change over.

    The program sends it with its client id, HERD/ACCOUNT, to POST /api/v1/token, and gets a token for an hour.
    """
    of = {"herd": where.herd(herd), "account": account_name}
    with asking(where) as client:
        if revoke is not None:
            client.accounts.secrets.delete(**of, secret=revoke)
            return
        made = client.accounts.secrets.create(**of, lifetime_ms=lifetime_ms)
    if output == TABLE:
        click.echo(made.client_secret)
        click.echo(f"secret {made.secret} of {made.client_id}, good until {format_moment(made.until_ms)}", err=True)  # fmt: skip
        return
    echo_items([made], output, SECRET_FORM, is_one=True)


@click.command()
@account_argument
@herd_option
@asks_api
def disable(*, where: Where, account_name: str, herd: str | None) -> None:
    """Give a program no tokens, and take none that it has, until it is let in again."""
    _set(where, account_name, herd, is_disabled=True)


@click.command()
@account_argument
@herd_option
@asks_api
def enable(*, where: Where, account_name: str, herd: str | None) -> None:
    """Let a program in again that was shut out."""
    _set(where, account_name, herd, is_disabled=False)


@click.command()
@account_argument
@herd_option
@asks_api
def delete(*, where: Where, account_name: str, herd: str | None) -> None:
    """Take a program away, with all tokens that it has. Bindings that name it stay, and give nobody anything."""
    of: dict[str, Any] = {"herd": where.herd(herd), "account": account_name}
    with asking(where) as client:
        client.accounts.delete(**of, if_match=client.accounts.get(**of))


def _set(where: Where, account_name: str, herd: str | None, *, is_disabled: bool) -> None:
    of: dict[str, Any] = {"herd": where.herd(herd), "account": account_name}
    with asking(where) as client:
        found = client.accounts.get(**of)
        said = {"description": found.description, "disabled": is_disabled}
        client.accounts.update(**of, **said, if_match=found)
