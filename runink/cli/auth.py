"""`runi auth`: who one is, whether one may do something, why, and who else may."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import click

from runink.cli.asking import Where, asked, asks_api
from runink.cli.commands import Commands
from runink.cli.exits import ExitCode
from runink.cli.given_texts import STANDARD, given_word
from runink.cli.output import Form, echo_items, output_option
from runink.cli.rights_options import CLUSTER, scope_of, scoped, within
from runink.cli.wording import columns, harmless
from runink.identity.decisions import Explanation, Held
from runink.identity.roles import NEVER
from runink.identity.vocabulary import Resource, Verb
from runink.operations.catalog.identity import Administrator
from runink.operations.catalog.questions import Identity, MayAnswer
from runink.quantities import format_moment

AUTH_COMMANDS: Final = {
    "whoami": ("runink.cli.auth:whoami", "Print who you are to the cluster."),
    "can-i": ("runink.cli.auth:can_i", "Say whether you may do something."),
    "explain": ("runink.cli.auth:explain", "Say why you may do something, or why not."),
    "who-can": ("runink.cli.auth:who_can", "Say who may do something."),
    "bootstrap": ("runink.cli.auth:bootstrap", "Make the first administrator of a new cluster."),
}
_COLUMN: Final = 10


def _cells(one: Held) -> tuple[str, ...]:
    return (
        one.subject,
        one.binding or "-",
        "all herds" if one.herd == "*" else one.herd,
        one.role,
        str(one.rule + 1),
        one.effect,
        "never" if one.expires_ms == NEVER else format_moment(one.expires_ms),
    )


_IDENTITY: Final[Form] = Form(
    heading=("SUBJECT", "HERDS", "GROUPS", "UNTIL"),
    row=lambda one: (
        one.subject,
        ", ".join(one.herds) or "-",
        ", ".join(one.groups) or "-",
        format_moment(one.until_ms) if one.until_ms else "-",
    ),
    name=lambda one: one.subject,
)
_ANSWER: Final[Form] = Form(
    heading=("MAY", "SUBJECT", "WHY"),
    row=lambda one: ("yes" if one.allowed else "no", one.subject, one.reason),
    name=lambda one: "yes" if one.allowed else "no",
)
_ADMINISTRATOR: Final[Form] = Form(
    heading=("SUBJECT", "ROLE", "BINDING"),
    row=lambda one: (one.subject, one.role, one.binding),
    name=lambda one: one.subject,
)
_HELD: Final[Form] = Form(
    heading=("SUBJECT", "BINDING", "OF", "ROLE", "RULE", "EFFECT", "EXPIRES"),
    row=_cells,
    name=lambda one: one.subject,
)


class AuthCommands(Commands):
    table = AUTH_COMMANDS


@click.command(cls=AuthCommands)
def auth() -> None:
    """Ask who may what, and make the first administrator."""


def about_rights(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command what is asked about: VERB, RESOURCE, its name, where."""
    options = (
        click.argument("verb", type=click.Choice([one.value for one in Verb]), metavar="VERB"),
        click.argument(
            "resource", type=click.Choice([one.value for one in Resource]), metavar="RESOURCE"
        ),
        click.option("--name", default="", help="Of the thing of this name."),
    )
    for one in reversed(options):
        command = one(command)
    return scoped(command)


as_option = click.option("--as", "as_", default="", metavar="SUBJECT", help="For somebody else: user:ISSUER:SUBJECT, group:ISSUER:GROUP, service-account:HERD/NAME.")  # fmt: skip
group_option = click.option("--as-group", "as_group", multiple=True, metavar="group:ISSUER:GROUP", help="With --as: a group that this user is in.")  # fmt: skip


@click.command()
@output_option
@asks_api
def whoami(*, where: Where, output: str) -> None:
    """Print who you are to the cluster, and in which herds you may do anything."""
    with asked(where) as client:
        found: Identity = client.call("auth.whoami")
    echo_items([found], output, _IDENTITY, is_one=True)


@click.command("can-i")
@about_rights
@as_option
@group_option
@output_option
@asks_api
def can_i(*, where: Where, output: str, **said: Any) -> None:
    """Say whether you may VERB a RESOURCE of a herd. Exit code 1 if not."""
    with asked(where) as client:
        found: MayAnswer = client.call("auth.can-i", **_fields(where, **said))
    echo_items([found], output, _ANSWER, is_one=True)
    if not found.allowed:
        raise SystemExit(ExitCode.FAILED)


@click.command()
@about_rights
@as_option
@group_option
@click.option("-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table", help="How to print it.")  # fmt: skip
@asks_api
def explain(*, where: Where, output: str, **said: Any) -> None:
    """Say why you may VERB a RESOURCE of a herd, or why not, by every binding that speaks of it."""
    with asked(where) as client:
        found: Explanation = client.call("auth.explain", **_fields(where, **said))
    if output != "table":
        echo_items([found], output, _ANSWER, is_one=True)
        return
    for line in _explained(found):
        click.echo(harmless(line))


@click.command("who-can")
@about_rights
@click.option("-o", "--output", type=click.Choice(["table", "json", "yaml", "name"]), default="table", help="How to print it.")  # fmt: skip
@asks_api
def who_can(  # noqa: PLR0913 - an option each
    *,
    where: Where,
    output: str,
    verb: str,
    resource: str,
    name: str,
    herd: str | None,
    is_cluster: bool,
) -> None:
    """Say which subjects of bindings may VERB a RESOURCE, and to which a rule denies it. Operators may everything, and stand in no binding."""
    scope = scope_of(where, herd, is_cluster=is_cluster)
    of = "auth.who-can-in-cluster" if scope == CLUSTER else "auth.who-can"
    with asked(where) as client:
        found = client.call(of, verb=verb, resource=resource, name=name, **within(scope))
    if output in {"json", "yaml"}:
        echo_items([found], output, _HELD, is_one=True)
    else:
        every = [*found.allowed, *(() if output == "name" else found.denied)]
        echo_items(every, output, _HELD)


@click.command()
@click.option("--word", default=STANDARD, metavar="@FILE", help="The file of the word that `runi server --init` has printed. Standard input otherwise, or a terminal is asked.")  # fmt: skip
@click.option("--subject", metavar="SUBJECT", help="Who it is, user:ISSUER:SUBJECT or group:ISSUER:GROUP; you otherwise.")  # fmt: skip
@output_option
@asks_api
def bootstrap(*, where: Where, word: str, subject: str | None, output: str) -> None:
    """Make the first administrator of a new cluster, once, by the word that it began with."""
    if not word.startswith("@"):
        raise click.BadParameter("a word on the command line is seen by all users of the machine; --word @FILE", param_hint="--word")  # fmt: skip
    with asked(where) as client:
        chosen = subject or client.call("auth.whoami").subject
        made: Administrator = client.call(
            "access.bootstrap", token=given_word(word), subject=chosen
        )
    echo_items([made], output, _ADMINISTRATOR, is_one=True)


def _fields(  # noqa: PLR0913 - an option each
    where: Where,
    *,
    verb: str,
    resource: str,
    name: str,
    herd: str | None,
    is_cluster: bool,
    as_: str,
    as_group: tuple[str, ...],
) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "verb": verb,
        "resource": resource,
        "name": name,
        "in_herd": scope_of(where, herd, is_cluster=is_cluster),
    }
    more = {"as": as_, "as_group": list(as_group)}
    return fields | {key: one for key, one in more.items() if one}


def _explained(found: Explanation) -> Iterator[str]:
    may = "yes" if found.decision.allowed else "no"
    yield f"{'may':{_COLUMN}}{may}: {found.decision.reason}"
    yield f"{'subject':{_COLUMN}}{found.subject}"
    parts = {
        "denying": found.denying,
        "allowing": found.allowing,
        "ended": found.ended,
        "its own herd": found.letting_out,
    }
    for title, held in parts.items():
        if held:
            yield ""
            yield from (
                f"  {line}" if at else f"{title}:"
                for at, line in enumerate(["", *columns([_HELD.heading, *map(_cells, held)])])
            )
    if found.left_off:
        yield f"and {found.left_off} more"
