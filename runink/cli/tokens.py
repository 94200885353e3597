"""`runi token`: tokens of programs, made, listed and taken back."""

from __future__ import annotations

from typing import Any, Final

import click

from runink.cli.account import account_argument, herd_option
from runink.cli.asking import Where, asking, asks_api
from runink.cli.commands import Commands
from runink.cli.completing import completed
from runink.cli.given_texts import given_word
from runink.cli.options import DURATION
from runink.cli.output import TABLE, Form, echo_items, output_option
from runink.operations.catalog.tokens import LIFETIME_S_MAX
from runink.quantities import format_moment

TOKEN_COMMANDS: Final = {
    "mint": ("runink.cli.tokens:mint", "Make a token of a program, and print it."),
    "list": ("runink.cli.tokens:list_", "List tokens of a herd's programs."),
    "revoke": ("runink.cli.tokens:revoke", "Take tokens back."),
}
FORM: Final = Form(
    heading=("TOKEN", "ACCOUNT", "STATE", "UNTIL", "BY", "DESCRIPTION"),
    row=lambda one: (
        one.token,
        one.account,
        one.state,
        format_moment(one.until_ms),
        f"secret {one.secret}" if one.secret else one.made_by,
        one.description,
    ),
    name=lambda one: one.token,
)
MINTED_FORM: Final = Form(
    heading=("TOKEN",), row=lambda one: (one.access_token,), name=lambda one: one.token
)


class TokenCommands(Commands):
    table = TOKEN_COMMANDS


@click.command(cls=TokenCommands)
def token() -> None:
    """Look after tokens of programs: make one for who holds what the program may, list them, take them back."""


@click.command()
@account_argument
@herd_option
@click.option("--expires", "lifetime_ms", type=DURATION, default=LIFETIME_S_MAX * 1000, metavar="DURATION", help="For how long it is good; 1h otherwise, which is the most.")  # fmt: skip
@click.option("--description", default="", help="What it is for, for people.")
@output_option
@asks_api
def mint(
    *,
    where: Where,
    account_name: str,
    herd: str | None,
    lifetime_ms: int,
    description: str,
    output: str,
) -> None:
    """Make a token of a program, and print it: it is shown once. For who holds all that the program may."""
    with asking(where) as client:
        made = client.tokens.mint(
            herd=where.herd(herd),
            account=account_name,
            lifetime_s=lifetime_ms // 1000,
            description=description,
        )
    if output == TABLE:
        click.echo(made.access_token)
        click.echo(f"token {made.token}, good until {format_moment(made.until_ms)}", err=True)
        return
    echo_items([made], output, MINTED_FORM, is_one=True)


@click.command("list")
@herd_option
@click.option("--account", "account_name", default="", shell_complete=completed("accounts.list", "account"), help="Of one program only.")  # fmt: skip
@output_option
@asks_api
def list_(*, where: Where, herd: str | None, account_name: str, output: str) -> None:
    """List tokens of a herd's programs, the oldest first; those that have expired are forgotten after a while."""
    with asking(where) as client:
        found = client.tokens.list(herd=where.herd(herd), account=account_name)
        echo_items(list(found), output, FORM)


@click.command()
@click.argument("account_name", metavar="[ACCOUNT]", required=False, shell_complete=completed("accounts.list", "account"))  # fmt: skip
@click.argument("tokens", metavar="[TOKEN]...", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All that the program has had up to now.")
@click.option("--shown", metavar="@FILE", help="The token that stands in a file, whoever it is for; @- reads standard input.")  # fmt: skip
@herd_option
@asks_api
def revoke(
    *,
    where: Where,
    account_name: str | None,
    tokens: tuple[str, ...],
    is_all: bool,
    shown: str | None,
    herd: str | None,
) -> None:
    """Take tokens of a program back, by their ids (`runi token list`), or one that you have: within two seconds no member takes them."""
    if (account_name is None) == (shown is None):
        raise click.UsageError("name a program and its tokens, or a file that holds one: --shown @FILE")  # fmt: skip
    if shown is not None:
        _give_back(where, shown)
        return
    if is_all == bool(tokens):
        raise click.UsageError("name tokens by their ids, or say --all")
    of: dict[str, Any] = {"herd": where.herd(herd), "account": account_name}
    with asking(where) as client:
        if is_all:
            client.tokens.revoke_all(**of)
        for one in tokens:
            client.tokens.revoke(**of, token=one)


def _give_back(where: Where, shown: str) -> None:
    """Take a token back that somebody has: who has it may. Raises Invalid, and Unauthenticated for one that is good for nothing."""
    if not shown.startswith("@"):
        raise click.BadParameter("a token on the command line is seen by all users of the machine; --shown @FILE", param_hint="--shown")  # fmt: skip
    with asking(where, token=given_word(shown)) as client:
        client.call("auth.sign-out")
