"""`runi server`: one member of a Barn of one, three or five."""

from __future__ import annotations

import os
import signal
import time
from importlib.util import find_spec
from pathlib import Path

import anyio
import click

from runink.cli.exits import told, usage
from runink.cli.options import DURATION
from runink.cli.servers import FILE, tls_of
from runink.cli.warn import warn_of_known_too, warn_on_stderr
from runink.config import SOLVER_ROUNDS_MAX, Address, ServerSettings
from runink.errors import RuninkError
from runink.garbage import collected_seldom
from runink.machines import BACK_S, SUSPECT_S
from runink.server import serving


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
@click.option("--join", is_flag=True, help="The group is there already, and takes this member in.")
@click.option("--certificate", type=FILE, help="This member's certificate (PEM).")
@click.option("--key", type=FILE, help="Its key (PEM).")
@click.option("--authority", type=FILE, help="Who signed the certificates of all members (PEM).")
@click.option(
    "--secret", type=FILE, help="A file that all members have; on loopback it does without TLS."
)
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
def server(  # noqa: PLR0913, PLR0917 - the options of a command
    state: Path,
    member: int,
    addresses: tuple[str, ...],
    cluster: str,
    join: bool,  # noqa: FBT001 - click gives it by name
    certificate: Path | None,
    key: Path | None,
    authority: Path | None,
    secret: Path | None,
    suspect_ms: int | None,
    back_ms: int | None,
    solver_rounds: int,
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
        joins=join,
        tls=tls_of((certificate, key, authority)),
        secret=secret,
        suspect_s=SUSPECT_S if suspect_ms is None else suspect_ms / 1000,
        back_s=BACK_S if back_ms is None else back_ms / 1000,
        solver_rounds=solver_rounds,
    )
    warn_on_stderr()
    try:
        anyio.run(_stay, settings, began, backend_options={"use_uvloop": has_uvloop()})
    except (RuninkError, OSError) as error:
        raise told(error, where=state) from error


def has_uvloop() -> bool:
    """Say whether the faster event loop is installed: a member spends a quarter less of a processor with it."""
    return find_spec("uvloop") is not None


async def _stay(settings: ServerSettings, began: float) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with serving(settings) as served:
            warn_of_known_too()
            took = time.monotonic() - began
            click.echo(
                f"ready in {took:.2f} s: member {settings.member} at {served.address}, pid {os.getpid()}",
                err=True,
            )
            with collected_seldom():
                async for _ in signals:
                    break
            click.echo("stopping", err=True)


def _address(text: str) -> tuple[int, Address]:
    number, equals, place = text.partition("=")
    if not equals or not number.isdigit():
        raise usage(f"--address {text!r} is not NUMBER=HOST:PORT")
    return int(number), Address.parse(place)
