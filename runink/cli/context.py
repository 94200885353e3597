"""`runi context`: the clusters that somebody asks from here, by names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from runink.cli.commands import Commands
from runink.cli.completing import completed_contexts
from runink.cli.contexts import (
    SCOPES,
    Context,
    Contexts,
    Login,
    change_contexts,
    read_contexts,
)
from runink.cli.logins import forget_login, locked
from runink.cli.output import Form, echo_items, output_option
from runink.client import endpoint_of
from runink.errors import Invalid
from runink.names import herd_name

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
CONTEXT_COMMANDS: Final = {
    "add": ("runink.cli.context:add", "Keep a cluster under a name."),
    "use": ("runink.cli.context:use", "Have commands ask this one from now on."),
    "list": ("runink.cli.context:list_", "List the contexts."),
    "show": ("runink.cli.context:show", "Print all of a context."),
    "remove": ("runink.cli.context:remove", "Forget a context, and its login."),
}
FORM: Final = Form(
    heading=("", "NAME", "ADDRESS", "HERD", "LOGIN"),
    row=lambda one: (
        "*" if one["is_used"] else "",
        one["name"],
        one["address"],
        one.get("herd") or "-",
        how_it_logs_in(one),
    ),
    name=lambda one: one["name"],
)

name_argument = click.argument("name", metavar="NAME", shell_complete=completed_contexts)


class ContextCommands(Commands):
    table = CONTEXT_COMMANDS


@click.command(cls=ContextCommands)
def context() -> None:
    """Keep the clusters that you ask, by names, and how to log in there.

    Commands ask the context of --context, of RUNINK_CONTEXT, or the one in use; without any, the cluster of the state folder.
    """


@click.command()
@click.argument("name", metavar="NAME")
@click.argument("address", metavar="ADDRESS")
@click.option("--ca", type=click.Path(path_type=Path), help="A PEM file that the server is checked with, in place of the machine's.")  # fmt: skip
@click.option("--herd", default="", help="The herd that is meant where none is named.")
@click.option("--token-file", type=click.Path(path_type=Path), help="A file that holds a token.")
@click.option("--issuer", default="", help="The provider to log in with: its issuer.")
@click.option("--client-id", default="", help="What that provider calls the command line.")
@click.option("--scope", "scopes", multiple=True, help="What to ask it for; openid and offline_access otherwise.")  # fmt: skip
@click.option("--resource", default="", help="What tokens are asked for (RFC 8707), where the provider wants it said.")  # fmt: skip
@click.option("--issuer-origin", "origins", multiple=True, help="Where else the provider has endpoints; may be repeated.")  # fmt: skip
@click.option("--issuer-ca", type=click.Path(path_type=Path), help="A PEM file that the provider is checked with.")  # fmt: skip
@click.option("--anew", is_flag=True, help="Put it in place of a context of that name.")
@click.option("--use", "is_used", is_flag=True, help="Use it from now on.")
def add(*, anew: bool, is_used: bool, **said: Any) -> None:
    """Keep a cluster under a name. ADDRESS is https://HOST:PORT, http://127.0.0.1:PORT or unix:PATH."""
    made = _made(**said)

    def change(contexts: Contexts) -> Contexts:
        after = contexts.added(made, anew=anew)
        return msgspec.structs.replace(after, used=made.name) if is_used else after

    change_contexts(change)


def _made(  # noqa: PLR0913 - an option each
    *,
    name: str,
    address: str,
    ca: Path | None,
    herd: str,
    token_file: Path | None,
    issuer: str,
    client_id: str,
    scopes: tuple[str, ...],
    resource: str,
    origins: tuple[str, ...],
    issuer_ca: Path | None,
) -> Context:
    """Return the context that is meant. Raises Invalid, UsageError."""
    if not _NAME.fullmatch(name):
        raise Invalid(
            f"{name!r} is no name of a context",
            code="bad_name",
            hint="letters, digits, '.', '_' and '-', at most 63, and a letter or digit first",
        )
    if bool(issuer) != bool(client_id):
        raise click.UsageError("--issuer and --client-id go together")
    if issuer and token_file:
        raise click.UsageError("a context has --issuer or --token-file, and not both")
    if herd:
        herd_name(herd)
    endpoint = endpoint_of(address)
    shown = f"unix:{endpoint.path.absolute()}" if endpoint.path is not None else str(endpoint)
    login = None
    if issuer:
        login = Login(issuer, client_id, scopes or SCOPES, resource, origins, _place(issuer_ca))
    return Context(name, shown, _place(ca), herd, _place(token_file), login)


def _place(path: Path | None) -> str:
    return str(path.absolute()) if path is not None else ""


@click.command()
@click.argument("name", metavar="NAME", required=False, shell_complete=completed_contexts)
@click.option("--none", "is_none", is_flag=True, help="Use none: ask the cluster of the state folder.")  # fmt: skip
def use(*, name: str | None, is_none: bool) -> None:
    """Have commands ask this context from now on."""
    if (name is None) is not is_none:
        raise click.UsageError("give a NAME, or --none")

    def change(contexts: Contexts) -> Contexts:
        used = contexts.named(name).name if name else ""
        return msgspec.structs.replace(contexts, used=used)

    change_contexts(change)


@click.command("list")
@output_option
def list_(*, output: str) -> None:
    """List the contexts; a star stands before the one in use."""
    contexts = read_contexts()
    echo_items([_document(one, contexts) for one in contexts.contexts], output, FORM)


@click.command()
@name_argument
@click.option("-o", "--output", type=click.Choice(["json", "yaml"]), default="yaml", help="How to print it.")  # fmt: skip
def show(*, name: str, output: str) -> None:
    """Print all of a context. It has no secrets: what a login gives is kept elsewhere."""
    contexts = read_contexts()
    echo_items([_document(contexts.named(name), contexts)], output, FORM, is_one=True)


@click.command()
@name_argument
def remove(*, name: str) -> None:
    """Forget a context, and its login."""
    change_contexts(lambda contexts: contexts.without(name))
    with locked(name):  # or a command that renews it would bring it back
        forget_login(name)


def _document(one: Context, contexts: Contexts) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(one)
    return document | {"is_used": one.name == contexts.used}


def how_it_logs_in(one: dict[str, Any]) -> str:
    """Return in a word where a context's token comes from."""
    login = one.get("login")
    if login:
        return str(login["issuer"])
    return "token file" if one.get("token_file") else "-"
