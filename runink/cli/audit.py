"""`runi audit`: who has done what."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

import click

from runink.cli.asking import Where, asking, asks_api
from runink.cli.commands import Commands
from runink.cli.output import Form, echo_items, output_option
from runink.cli.rights_options import MOMENT, operation, scope_of, scoped, within
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
@click.option("--oldest", is_flag=True, help="The oldest first.")
@click.option("--limit", type=click.IntRange(min=1), default=SHOWN, show_default=True, help="How many at most.")  # fmt: skip
@output_option
@asks_api
def list_(  # noqa: PLR0913 - an option each
    *,
    where: Where,
    herd: str | None,
    is_cluster: bool,
    outcome: str | None,
    oldest: bool,
    limit: int,
    output: str,
    **said: Any,
) -> None:
    """List who has done what in a herd, the newest first; with --cluster what belongs to none, and that herds were made and taken away."""
    scope = scope_of(where, herd, is_cluster=is_cluster)
    order = Order.OLDEST if oldest else Order.NEWEST
    fields = said | ({"outcome": outcome} if outcome else {}) | {"order": order.value}
    with asking(where) as client:
        found = client.call(operation("audit", "list", scope), **within(scope), **fields)
        echo_items(islice(found, limit), output, FORM)
