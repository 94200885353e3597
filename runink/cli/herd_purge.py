"""`runi herd purge`: all that a deleted herd has in the cluster is taken away, its name last.

The cluster does so by itself when the time has come; this does it at once.  Wherever it is cut, the next one goes on.
"""

from __future__ import annotations

import time
from typing import Final

import click

from runink.cli.asking import Asker, Where, asked, asks_api
from runink.cli.clean import sweep
from runink.cli.options import output_option
from runink.cli.runs import with_cluster
from runink.cli.wording import echo_json
from runink.clock import now_ms
from runink.config import Role
from runink.errors import Unavailable
from runink.names import herd_name
from runink.operations.catalog import herds
from runink.operations.catalog.herds import HerdDocument, HerdPurged
from runink.quantities import counted

LOOKS_MAX: Final = 300  # until nodes have let go of what failed runs keep
LOOK_S: Final = 0.1
NOT_LET_GO: Final = "not_let_go"
NOT_RUNNING: Final = "not_running"


@click.command()
@click.argument("name", metavar="[HERD]", default="")
@click.option("--now", "at_once", is_flag=True, help="Also before its time has come; HERD is to be named.")  # fmt: skip
@output_option
@asks_api
def purge(
    name: str,
    at_once: bool,  # noqa: FBT001 - click gives it by name
    output: str,
    where: Where,
) -> None:
    """Take away all that a deleted HERD has in the cluster: runs, logs, versions, schedules, lineage, its own record. What its runs published stays.

    Without HERD all whose time has come, and those whose purge was cut before.
    """
    if at_once and not name:
        raise click.UsageError("--now is for one herd: name it")
    try:
        gone = _purge(where, Role.STORE, name, at_once=at_once)
    except Unavailable as error:
        if error.code != NOT_RUNNING:
            raise
        gone = _purge(where, Role.ALL, name, at_once=at_once)  # a node has to let go of something
    if gone and where.context is None:
        with_cluster(where.state, sweep)
    if output == "json":
        echo_json({"purged": gone})
        return
    for one in gone:
        click.echo(f"herd {one.herd} is gone, with {counted(one.keys, 'key')}")
    if not gone:
        click.echo("no herd is to be purged")


def _purge(where: Where, role: Role, name: str, *, at_once: bool) -> list[HerdPurged]:
    with asked(where, role=role) as client:
        names = [herd_name(name)] if name else _due(client)
        return [_purged(client, herd, at_once=at_once) for herd in names]


def _due(client: Asker) -> list[str]:
    """Return the deleted herds whose time has come, and those whose purge was cut."""
    names = [one.herd for one in client.call(herds.LIST) if one.state in {"deleted", "purging"}]
    found: list[HerdDocument] = [client.call(herds.GET, herd=name) for name in names]
    gone = [(one.herd, one.deletion) for one in found if one.deletion is not None]
    return [herd for herd, one in gone if one.is_purging or now_ms() >= one.until_ms]


def _purged(client: Asker, herd: str, *, at_once: bool) -> HerdPurged:
    """Take a herd away, when its nodes have let go of what its failed runs keep. Raises Unavailable (`not_let_go`)."""
    for left in range(LOOKS_MAX - 1, -1, -1):
        try:
            found: HerdPurged = client.call(herds.PURGE, herd=herd, at_once=at_once)
        except Unavailable as error:
            if error.code != NOT_LET_GO or not left:
                raise
            time.sleep(LOOK_S)
        else:
            return found
    raise AssertionError("the last one returns or raises")
