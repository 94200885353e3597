"""`runi server`: one member of a Barn of one, three or five."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import anyio
import click
from msgspec.structs import replace as changed

from runink.cli.api_doors import reload_api, tell_api
from runink.cli.exits import told, usage
from runink.cli.options import DURATION, Amount
from runink.cli.servers import FILE, addresses_of, join_option, secret_option, server_option
from runink.cli.warn import warn_of_known_too, warn_on_stderr
from runink.config import (
    API_SOCKET,
    BUDGET_TIMES_MAX,
    SOLVER_ROUNDS_MAX,
    Address,
    ApiSettings,
    ServerSettings,
)
from runink.errors import RuninkError
from runink.garbage import collected_seldom
from runink.machines import BACK_S, SUSPECT_S
from runink.names import NodeId, node_id
from runink.private_files import create_private
from runink.root_key import ROOT_KEY
from runink.server import STATE_MODE, name_of, now_s, serving
from runink.trust.enrolling import enrolled
from runink.trust.founding import found
from runink.trust.member_addresses import keep_addresses, known_addresses
from runink.trust_files import TrustFolder

TOKENLESS: Final = "-"  # --join alone


@click.command()
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    required=True,
    envvar="RUNINK_STATE",
    help="The folder of everything that this member keeps.",
)
@click.option("--member", type=click.IntRange(1), required=True, help="This member's number.")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    required=True,
    metavar="NUMBER=HOST:PORT",
    help="Where a member listens; once for each, this one too.",
)
@click.option("--cluster", default="runink", show_default=True, help="The group's name.")
@click.option("--init", is_flag=True, help="Begin a cluster: make its authority, and be its first member.")  # fmt: skip
@join_option(
    "The cluster is there already, and takes this member in, with this token the first time; with --secret no token is needed.",
    is_flag=False,
    flag_value=TOKENLESS,
)
@server_option
@secret_option
@click.option(
    "--suspect-after",
    "suspect_ms",
    type=DURATION,
    metavar="TIME",
    help="How long a worker node that says nothing gets new work still (5s); the same for all members.",
)
@click.option(
    "--back-within",
    "back_ms",
    type=DURATION,
    metavar="TIME",
    help="How long what only a lost worker node could hold waits for it, before it fails (10m); the same for all members.",
)
@click.option(
    "--solver",
    "solver_rounds",
    type=click.IntRange(0, SOLVER_ROUNDS_MAX),
    default=0,
    metavar="ROUNDS",
    help="Have OR-tools place so many parts of each plan anew, which takes some hundredths of a second each (0: none); needs runink[solver].",
)
@click.option("--identity", "signing", multiple=True, metavar="NODE", help="A node that signs tokens and asks people's providers in place of the members (runi identity); may be repeated, and is the same for all members.")  # fmt: skip
@click.option("--api", type=Amount("HOST:PORT", Address.parse), help="Serve the HTTP API at an address, beyond loopback with a certificate; always at STATE/api.sock.")  # fmt: skip
@click.option("--api-certificate", type=FILE, help="Its certificate, with those that signed it behind it (PEM); a renewed one is taken in, at once by SIGHUP.")  # fmt: skip
@click.option("--api-key", type=FILE, help="The certificate's key (PEM).")
@click.option("--api-origin", "api_origins", multiple=True, metavar="ORIGIN", help="A web page of another place that may read its answers; may be repeated.")  # fmt: skip
@click.option("--api-budget", type=click.IntRange(1, BUDGET_TIMES_MAX), default=1, metavar="TIMES", help="Let each caller ask, send and be sent so many times as much as usual.")  # fmt: skip
def server(  # noqa: PLR0913, PLR0917 - the options of a command
    state: Path,
    member: int,
    addresses: tuple[str, ...],
    cluster: str,
    init: bool,  # noqa: FBT001 - click gives it by name
    word: str | None,
    places: tuple[str, ...],
    secret: Path | None,
    suspect_ms: int | None,
    back_ms: int | None,
    solver_rounds: int,
    signing: tuple[str, ...],
    api: Address | None,
    api_certificate: Path | None,
    api_key: Path | None,
    api_origins: tuple[str, ...],
    api_budget: int,
) -> None:
    """Be one member of the Barn, until Ctrl-C or SIGTERM.

    It says `ready` when it listens; writes are taken as soon as a majority of the members is there.
    """
    began = time.monotonic()
    settings = ServerSettings(
        state=state,
        cluster=cluster,
        member=member,
        addresses=dict(map(_address, addresses)),
        joins=word is not None,
        secret=secret,
        suspect_s=SUSPECT_S if suspect_ms is None else suspect_ms / 1000,
        back_s=BACK_S if back_ms is None else back_ms / 1000,
        solver_rounds=solver_rounds,
        identity=tuple(map(node_id, signing)),
        api=ApiSettings(
            socket=state / API_SOCKET,
            listen=api,
            certificate=api_certificate,
            key=api_key,
            origins=api_origins,
            budget_times=api_budget,
        ),
    )
    warn_on_stderr()
    try:
        if secret is None:
            _begin(settings, init=init, word=word, places=places)
            settings = changed(settings, addresses=known_addresses(settings))
        anyio.run(_stay, settings, began, backend_options={"use_uvloop": has_uvloop()})
    except (RuninkError, OSError) as error:
        raise told(error, where=state) from error


def _begin(
    settings: ServerSettings, *, init: bool, word: str | None, places: tuple[str, ...]
) -> None:
    """Found a cluster or join one, the first time. Raises Conflict (`already_founded`), Forbidden, Invalid, LinkLost."""
    settings.validate()
    name = NodeId(name_of(settings.member))
    if init:
        if word is not None or len(settings.addresses) > 1:
            raise usage("--init begins a cluster of one member; the others --join it")
        settings.state.mkdir(mode=STATE_MODE, parents=True, exist_ok=True)
        word_of_first = found(settings.state, settings.cluster, name, now_s=now_s())
        click.echo(f"cluster {settings.cluster} is founded; keep {settings.state / ROOT_KEY}: nothing that is sealed opens without it", err=True)  # fmt: skip
        click.echo(f"this word makes its first administrator, once, within an hour: {word_of_first}", err=True)  # fmt: skip
    elif word is not None and TrustFolder(settings.trust).shown() is None:
        settings.state.mkdir(mode=STATE_MODE, parents=True, exist_ok=True)
        joining = partial(enrolled, settings.trust, word, addresses_of(places), name=name)
        shown, admission = anyio.run(joining)
        create_private(settings.state / ROOT_KEY, admission.root_keys)
        keep_addresses(settings.state, admission.members)
        click.echo(f"joined cluster {shown.cluster} as {shown}", err=True)


def has_uvloop() -> bool:
    """Say whether the faster event loop is installed: a member spends a quarter less of a processor with it."""
    return find_spec("uvloop") is not None


async def _stay(settings: ServerSettings, began: float) -> None:
    with anyio.open_signal_receiver(
        signal.SIGINT, signal.SIGTERM, *_reloading(settings)
    ) as signals:
        async with serving(settings) as served:
            warn_of_known_too()
            took = time.monotonic() - began
            click.echo(
                f"ready in {took:.2f} s: member {settings.member} at {served.address}, pid {os.getpid()}",
                err=True,
            )
            tell_api(settings.api)
            with collected_seldom():
                async for one in signals:
                    if one != signal.SIGHUP:
                        break
                    reload_api(served.api)
            click.echo("stopping", err=True)


def _reloading(settings: ServerSettings) -> tuple[signal.Signals, ...]:
    """Return the signal that takes a certificate in; where there is none it ends us, as it does any command whose terminal goes."""
    return (signal.SIGHUP,) if settings.api is not None and settings.api.certificate else ()


def _address(text: str) -> tuple[int, Address]:
    number, equals, place = text.partition("=")
    if not equals or not number.isdigit():
        raise usage(f"--address {text!r} is not NUMBER=HOST:PORT")
    return int(number), Address.parse(place)
