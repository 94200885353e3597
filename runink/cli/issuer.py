"""`runi issuer`: the providers whose people are known to the cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from runink.cli.asking import Where, asking, asks_api
from runink.cli.commands import Commands
from runink.cli.completing import completed
from runink.cli.output import Form, echo_items, output_option
from runink.cli.rights_options import ANY
from runink.errors import NotFound
from runink.identity.provider_files import provider_table, read_providers
from runink.quantities import format_moment
from runink.textfiles import read_text

ISSUER_COMMANDS: Final = {
    "list": ("runink.cli.issuer:list_", "List the issuers."),
    "get": ("runink.cli.issuer:get", "Print an issuer."),
    "set": ("runink.cli.issuer:set_", "Have people of providers be known."),
    "delete": ("runink.cli.issuer:delete", "Have people of a provider be known no more."),
    "sign-out": ("runink.cli.issuer:sign_out", "Have people sign in anew."),
}
FORM: Final = Form(
    heading=("ISSUER", "URL", "CLIENT"),
    row=lambda one: (one.issuer, one.says["issuer"], one.says["client_id"]),
    name=lambda one: one.issuer,
)
name_argument = click.argument(
    "name", metavar="ISSUER", shell_complete=completed("issuers.list", "issuer")
)


class IssuerCommands(Commands):
    table = ISSUER_COMMANDS


@click.command(cls=IssuerCommands)
def issuer() -> None:
    """Say whose word the cluster takes on who people are."""


@click.command("list")
@output_option
@asks_api
def list_(*, where: Where, output: str) -> None:
    """List the issuers."""
    with asking(where) as client:
        echo_items(client.call("issuers.list"), output, FORM)


@click.command()
@name_argument
@output_option
@asks_api
def get(*, where: Where, name: str, output: str) -> None:
    """Print ISSUER; `-o json` with all that is set about it."""
    with asking(where) as client:
        found = client.call("issuers.get", issuer=name)
    echo_items([found], output, FORM, is_one=True)


@click.command("set")
@click.option("-f", "--file", required=True, metavar="FILE", help="A file with [[providers]], TOML or JSON.")  # fmt: skip
@output_option
@asks_api
def set_(*, where: Where, file: str, output: str) -> None:
    """Have the providers of FILE be known, each in place of the issuer of its id. Others stay as they are.

    Files of the machine and private addresses are said by an operator only: at the socket in the state folder.
    """
    providers = read_providers(read_text(Path(file), file), file=file)
    with asking(where) as client:
        found = [_written(client, provider_table(one)) for one in providers]
    echo_items(found, output, FORM)


def _written(client: Any, says: dict[str, Any]) -> Any:
    try:
        known = client.call("issuers.get", issuer=says["id"])
    except NotFound:
        return client.call("issuers.create", says=says)
    return client.call("issuers.update", issuer=says["id"], says=says, if_match=known)


@click.command()
@name_argument
@asks_api
def delete(*, where: Where, name: str) -> None:
    """Have people of ISSUER be known no more. What is bound to them stays."""
    with asking(where) as client:
        client.call("issuers.delete", issuer=name, if_match=ANY)
    click.echo(f"issuer {name} is gone")


@click.command("sign-out")
@name_argument
@click.argument("subjects", metavar="SUBJECT...", nargs=-1, required=True)
@asks_api
def sign_out(*, where: Where, name: str, subjects: tuple[str, ...]) -> None:
    """Take no token of a person any more that was made up to now: within two seconds no member does.

    SUBJECT is the person as the provider calls it: what stands behind the issuer in `user:ISSUER:SUBJECT`. Who signs in again is let in again; what is bound to them stays.
    """
    with asking(where) as client:
        for subject in subjects:
            done = client.call("issuers.sign-out", issuer=name, subject=subject)
            until = format_moment(done.until_ms)
            click.echo(f"{subject} is signed out: no token is taken that was made up to {until}")
