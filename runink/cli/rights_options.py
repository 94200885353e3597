"""What commands about rights have in common: which herd they are about, or the cluster, and moments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click

from runink.calendars import moment
from runink.cli.asking import Where
from runink.cli.completing import completed_herds
from runink.errors import NotFound

CLUSTER: Final = ""  # in place of a herd
ANY: Final = "*"  # If-Match: whatever it is like now

herd_option = click.option(
    "--herd",
    metavar="HERD",
    shell_complete=completed_herds,
    help="Of this herd; that of the context otherwise.",
)
cluster_option = click.option("--cluster", "is_cluster", is_flag=True, help="Of the cluster, which holds in all herds.")  # fmt: skip


def scoped(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say of which herd, or of the cluster."""
    return herd_option(cluster_option(command))


def scope_of(where: Where, herd: str | None, *, is_cluster: bool) -> str:
    """Return the herd that is meant, or CLUSTER. Raises UsageError, Invalid (`no_herd`)."""
    if herd and is_cluster:
        raise click.UsageError("--herd or --cluster, and not both")
    return CLUSTER if is_cluster else where.herd(herd)


def within(herd: str) -> dict[str, Any]:
    """Return the field of an operation that says of which herd."""
    return {"herd": herd} if herd else {}


def operation(noun: str, deed: str, herd: str) -> str:
    """Return the name of an operation on what a herd has, or on what the cluster has."""
    return f"{noun}.{deed}" if herd else f"cluster-{noun}.{deed}"


def written(client: Any, noun: str, herd: str, named: dict[str, str], said: dict[str, Any]) -> Any:
    """Write a thing anew as it was read, or make it where it is not there."""
    try:
        known = client.call(operation(noun, "get", herd), **within(herd), **named)
    except NotFound as error:
        if not error.code.startswith("no_such_"):
            raise  # it is the herd that is not there, or not to be seen
        return client.call(operation(noun, "create", herd), **within(herd), **named, **said)
    return client.call(
        operation(noun, "update", herd), if_match=known, **within(herd), **named, **said
    )


class Moment(click.ParamType[int]):
    """A moment, as `2026-12-01` or `2026-12-01T06:00Z`: milliseconds. Without an offset it is of UTC."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        del param, ctx
        return value if isinstance(value, int) else moment(str(value), "UTC")


MOMENT: Final = Moment()
