"""`runi up`: a cluster of one node that stays, for runs to be submitted to while it is there."""

from __future__ import annotations

import os
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import click

from runink.cli.api_doors import api_served, tell_api
from runink.cli.client import LOCKED_S, LOOK_S, is_held, reached
from runink.cli.exits import LOCKED, told, usage
from runink.cli.node_options import NodeOptions, node_options
from runink.cli.options import SliceOptions, project_here, state_folder, state_option
from runink.cli.settings import tell_settings
from runink.cli.warn import warn_of_known_too, warn_on_stderr
from runink.config import API_SOCKET, Address, ApiSettings, NodeSettings, Role
from runink.errors import Conflict, NotFound, RuninkError, Unavailable
from runink.garbage import collected_seldom
from runink.node import embedded
from runink.observe.api_metrics import ApiMetrics
from runink.sandbox.notifying import tell_manager


@click.command()
@state_option
@node_options
@click.option(
    "--user",
    metavar="NAME|UID[:GROUP|GID]",
    help="Started as root, keep only the starting of slices as root, and run all else as this user.",
)
@click.option(
    "--api",
    is_flag=False,
    flag_value="",
    metavar="[HOST:PORT]",
    help="Serve the HTTP API at STATE/api.sock, and at an address of loopback if one is given.",
)
def up(state: Path | None, user: str | None, api: str | None, *, options: NodeOptions) -> None:
    """Keep a cluster of one node running, for runs to be submitted to.

    It says `ready` when it takes runs. Ctrl-C or SIGTERM stops it in order: runs that are under way go on when it is started again within half
    a minute, and are repeated from their inputs otherwise.
    """
    began = time.monotonic()
    folder = state_folder(state, project_here())
    settings = options.settings(folder)
    doors: ApiSettings | None = None
    try:
        if api is not None:
            listen = Address.parse(api) if api else None
            doors = ApiSettings(socket=folder / API_SOCKET, listen=listen)
        if user is not None:
            settings = _as_user(user, settings)
        warn_on_stderr()
        anyio.run(_whole, settings, doors, began)
    except (RuninkError, OSError) as error:
        raise told(error, where=folder) from error


def _as_user(user: str, settings: NodeSettings) -> NodeSettings:
    """Be this user from here on; return the settings for that. Raises the error of a wrong command line, Forbidden, Invalid, OSError."""
    from runink.cli.accounts import account_of, given_up  # noqa: PLC0415 - only root needs it

    if settings.spawner is not None:
        raise usage(
            "--user starts a spawner, and --spawner names one that others run: one of the two will do"
        )
    account = account_of(user)
    return settings if account.user.uid == os.geteuid() else given_up(account, settings)


async def _whole(settings: NodeSettings, doors: ApiSettings | None, began: float) -> None:
    """Have the cluster, if nobody else has it, until a signal comes. Raises Conflict where one runs, also one that began a moment before us."""
    deadline_s = anyio.current_time() + LOCKED_S
    while True:  # ends with our cluster, or with an error
        await _refuse_second(settings)
        try:
            return await _stay(settings, doors, began)
        except Unavailable as error:
            if error.code != LOCKED or anyio.current_time() >= deadline_s:
                raise


async def _stay(settings: NodeSettings, doors: ApiSettings | None, began: float) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        counted = ApiMetrics()
        async with (
            embedded(settings, role=Role.ALL, session="", beside=counted.readings) as cluster,
            api_served(doors, cluster, counted),
        ):
            warn_of_known_too()
            took = time.monotonic() - began
            click.echo(
                f"ready in {took:.2f} s: pid {os.getpid()}, state in {settings.state}", err=True
            )
            tell_manager("READY=1")
            await tell_settings(cluster, SliceOptions())
            if settings.metrics is not None:
                click.echo(f"metrics: {shown_place(settings.metrics)}", err=True)
            tell_api(doors)
            with collected_seldom():
                async for _ in signals:
                    break
            click.echo("stopping", err=True)


async def _refuse_second(settings: NodeSettings) -> None:
    """Return when the state is free. Raises Conflict where a cluster runs with it; whoever has it and does not listen begins, ends, or only looks."""
    deadline_s = anyio.current_time() + LOCKED_S
    while True:  # ends with one or the other, or with the deadline
        try:
            async with AsyncExitStack() as stack:
                await reached(stack, settings)
                break
        except NotFound:
            if not is_held(settings.barn) or anyio.current_time() >= deadline_s:
                return
        await anyio.sleep(LOOK_S)
    raise Conflict(
        f"a cluster runs already with its state in {settings.state}",
        code="already_up",
        hint="runi status tells about it; another one needs another --state",
    )


def shown_place(place: Address | Path) -> str:
    """Say where metrics are, for a person to copy."""
    return f"unix:{place}" if isinstance(place, Path) else f"http://{place}/metrics"
