"""`runi login` and `runi logout`: log in with a provider, for a context."""

from __future__ import annotations

import os
import sys
import webbrowser
from dataclasses import replace
from typing import Any, Final

import anyio
import anyio.to_thread
import click

from runink.cli.asking import Where, asking, asks_api
from runink.cli.contexts import Context, Login
from runink.cli.logins import Asked, KeptLogin, forget_login, kept, locked, read_login, write_login
from runink.cli.redirects import redirects
from runink.client import Client
from runink.clock import now_ms
from runink.errors import Invalid, NotFound, RuninkError, TimedOut
from runink.identity.flow_answers import (
    Device,
    Pending,
    Tokens,
    read_device,
    read_device_tokens,
    read_tokens,
)
from runink.identity.flows import (
    ENTROPY_BYTES,
    begin_code_flow,
    code_form,
    device_form,
    device_token_form,
)
from runink.identity.providers import Discovery
from runink.quantities import format_moment

SIGN_OUT_S: Final = 5.0  # to tell the cluster that a login is over
OFFLINE: Final = "offline_access"  # what lets a login be renewed (OpenID Connect Core §11)


@click.command()
@click.option("--browser", is_flag=True, help="Log in with the browser of this machine; otherwise with any, by a code.")  # fmt: skip
@click.option("--provider", "provider_id", metavar="ID", help="Which provider of the cluster, where it has several.")  # fmt: skip
@click.option("--status", "is_status", is_flag=True, help="Say how you are logged in, and change nothing.")  # fmt: skip
@asks_api
def login(*, where: Where, browser: bool, provider_id: str | None, is_status: bool) -> None:
    """Log in to the cluster of a context, with your provider.

    What the provider gives is kept for you alone, and renewed by itself; it is never printed.
    """
    context = _context(where)
    if is_status:
        _tell_status(context)
        return
    chosen = context.login or _of_cluster(where, context, provider_id)
    made = anyio.run(_logged_in, chosen, browser)
    with locked(context.name):
        write_login(context.name, made)
    click.echo(f"logged in to {context.name} with {chosen.issuer}{_until(made)}", err=True)


@click.command()
@asks_api
def logout(*, where: Where) -> None:
    """Forget the login of a context, and have the cluster take its token no more. The provider's own session is the browser's, and stays."""
    context = _context(where)
    with locked(context.name):
        try:
            found = read_login(context.name)
        finally:
            was_there = forget_login(context.name)
    if found is not None and found.is_fresh(now_ms()):
        _give_back(where, found.access_token)
    text = (
        f"logged out of {context.name}"
        if was_there
        else f"you were not logged in to {context.name}"
    )
    click.echo(text, err=True)


def _give_back(where: Where, token: str) -> None:
    """Have the cluster take a token no more; where that cannot be, say so."""
    try:
        with asking(replace(where, within_s=SIGN_OUT_S), token=token) as client:
            client.call("auth.sign-out")
    except RuninkError as error:
        if error.code != "unauthenticated":  # it is good for nothing already
            click.echo(f"note: the cluster was not told, and takes the token until it ends: {error.text}", err=True)  # fmt: skip


def _context(where: Where) -> Context:
    if where.context is None:
        raise Invalid(
            "no context is in use, and the cluster of a state folder needs no login",
            code="no_context",
            hint="runi context add NAME ADDRESS, and then runi login --context NAME",
        )
    return where.context


def _tell_status(context: Context) -> None:
    """Say how somebody is logged in. Raises NotFound (`login_needed`) if they are not."""
    found = read_login(context.name)
    if found is None:
        raise NotFound(
            f"you are not logged in to {context.name}",
            code="login_needed",
            hint=f"runi login --context {context.name}",
        )
    click.echo(f"logged in to {context.name} with {found.login.issuer}{_until(found)}")


def _until(found: KeptLogin) -> str:
    if not found.until_ms:
        return ""
    moment = format_moment(found.until_ms)
    if found.refresh_token:
        return f"; its token is good until {moment}, and renewed by itself"
    is_over = found.until_ms <= now_ms()
    return f"; it has ended at {moment}" if is_over else f" until {moment}"


def _of_cluster(where: Where, context: Context, provider_id: str | None) -> Login:
    """Return the provider that the cluster names. Raises NotFound, Invalid where it names none, or several."""
    bare = Where(Context(context.name, context.address, context.authority), None, where.within_s)
    with bare.client() as client:
        found = _providers(client)
    if provider_id is not None:
        found = [one for one in found if one.id == provider_id]
    if not found:
        raise NotFound(
            f"{context.name} names no provider{f' {provider_id}' if provider_id else ''} to log in with",
            code="no_provider",
            hint="give one in the context: runi context add --anew NAME ADDRESS --issuer URL --client-id ID",
        )
    if len(found) > 1:
        raise Invalid(
            f"{context.name} has several providers: {', '.join(one.id for one in found)}",
            code="several_providers",
            hint="say which: --provider ID",
        )
    one = found[0]
    scopes = one.scopes if OFFLINE in one.scopes else (*one.scopes, OFFLINE)
    return Login(one.issuer, one.client_id, scopes)


def _providers(client: Client) -> list[Any]:
    return list(client.call("auth.providers").providers)


async def _logged_in(chosen: Login, browser: bool) -> KeptLogin:  # noqa: FBT001 - anyio.run gives no keywords
    asked = Asked(chosen)
    discovery = await asked.discovery()
    tokens = await (_by_browser(asked, discovery) if browser else _by_code(asked, discovery))
    return kept(chosen, tokens, at_ms=now_ms())


async def _by_browser(asked: Asked, discovery: Discovery) -> Tokens:
    async with redirects() as back:
        flow = begin_code_flow(
            asked.provider,
            discovery,
            redirect_uri=back.uri,
            entropy=os.urandom(ENTROPY_BYTES),
        )
        click.echo(f"log in at {flow.url}", err=True)
        await anyio.to_thread.run_sync(_shown, flow.url)
        code = await back.code(flow)
    answer = await asked.send(code_form(asked.provider, discovery, flow, code=code))
    return read_tokens(answer.status, answer.body)


def _shown(url: str) -> None:
    """Have a browser show a page, if there is one here."""
    if sys.stderr.isatty():
        webbrowser.open(url)


async def _by_code(asked: Asked, discovery: Discovery) -> Tokens:
    answer = await asked.send(device_form(asked.provider, discovery))
    device = read_device(answer.status, answer.body)
    _tell(device)
    wait_s = device.interval_s
    with anyio.move_on_after(device.expires_s):
        while True:  # ends with somebody who has logged in, a refusal, or the code's time
            await anyio.sleep(wait_s)
            said = device_token_form(asked.provider, discovery, device_code=device.device_code)
            answer = await asked.send(said)
            found = read_device_tokens(answer.status, answer.body, interval_s=wait_s)
            if not isinstance(found, Pending):
                return found
            wait_s = found.interval_s
    raise TimedOut("nobody has logged in with the code in time", code="login_timed_out", hint="log in again")  # fmt: skip


def _tell(device: Device) -> None:
    click.echo(f"go to {device.uri} and enter the code {device.user_code}", err=True)
    if device.complete_uri:
        click.echo(f"or to {device.complete_uri}", err=True)
