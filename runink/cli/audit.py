"""`runi audit`: who has done what."""

from __future__ import annotations

import sys
from itertools import islice
from typing import Any, Final

import click
from msgspec import to_builtins

from runink.cli.asking import Where, asked, asks_api
from runink.cli.commands import Commands
from runink.cli.output import TABLE, Form, echo_items, output_option
from runink.cli.rights_options import MOMENT, operation, scope_of, scoped, within
from runink.cli.wording import echo_json, harmless
from runink.governance.audit import Outcome
from runink.operations.catalog.audit import Order
from runink.quantities import format_moment

AUDIT_COMMANDS: Final = {"list": ("runink.cli.audit:list_", "List who has done what.")}
SHOWN: Final = 100


def _row(one: Any) -> tuple[str, ...]:
    what = ", ".join(f"{key} {name}" for key, name in one.what.items() if key != "herd")
    came = f"{one.outcome} ({one.code})" if one.code else one.outcome
    return format_moment(one.at_ms), one.who or "-", one.operation, what or "-", came


FORM: Final = Form(
    heading=("AT", "WHO", "OPERATION", "WHAT", "OUTCOME"), row=_row, name=lambda one: one.id
)


class AuditCommands(Commands):
    table = AUDIT_COMMANDS


@click.command(cls=AuditCommands)
def audit() -> None:
    """Look at who has done what."""


@click.command("list")
@scoped
@click.option("--who", default="", metavar="SUBJECT", help="Of this subject only.")
@click.option("--action", default="", metavar="OPERATION", help="Of this operation only: roles.create, roles.*")  # fmt: skip
@click.option("--outcome", type=click.Choice([one.value for one in Outcome]), help="That ended so only.")  # fmt: skip
@click.option("--since", "since_ms", type=MOMENT, default=0, metavar="TIME", help="From then on.")
@click.option("--until", "until_ms", type=MOMENT, default=0, metavar="TIME", help="Before then.")
@click.option("--watch", is_flag=True, help="Print what is done from now on, when it is begun and when it has ended.")  # fmt: skip
@click.option("--oldest", is_flag=True, help="The oldest first.")
@click.option("--limit", type=click.IntRange(min=1), help=f"How many at most; {SHOWN} otherwise, and all with --watch.")  # fmt: skip
@output_option
@asks_api
def list_(  # noqa: PLR0913 - an option each
    *,
    where: Where,
    herd: str | None,
    is_cluster: bool,
    outcome: str | None,
    watch: bool,
    oldest: bool,
    limit: int | None,
    output: str,
    **said: Any,
) -> None:
    """List who has done what in a herd, the newest first, or as it happens with --watch; with --cluster what belongs to none, and that herds were made and taken away."""
    scope = scope_of(where, herd, is_cluster=is_cluster)
    chosen = said | ({"outcome": outcome} if outcome else {})
    times = {"since_ms": chosen.pop("since_ms"), "until_ms": chosen.pop("until_ms")}
    if watch and (oldest or any(times.values())):
        raise click.UsageError("--watch tells of what comes: no --since, --until and --oldest")
    with asked(where) as client:
        if watch:
            _watch(client, scope, chosen, limit=limit, output=output)
            return
        order = Order.OLDEST if oldest else Order.NEWEST
        fields = chosen | times | {"order": order.value}
        found = client.call(operation("audit", "list", scope), **within(scope), **fields)
        echo_items(islice(found, limit or SHOWN), output, FORM)


def _watch(client: Any, scope: str, chosen: Any, *, limit: int | None, output: str) -> None:
    """Print entries as they are written: a line each, a document each, or an item each of one YAML list."""
    with client.call(operation("audit", "watch", scope), **within(scope), **chosen) as events:
        for event in islice(events, limit):
            entry = event.data.entry
            if output == TABLE:
                click.echo(harmless("  ".join(FORM.row(entry))))
            elif output == "json":
                echo_json(to_builtins(entry))
            else:
                echo_items([entry], output, FORM)
            sys.stdout.flush()
