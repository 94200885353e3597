"""`runi herd`: the herds of the cluster, what they may have and have now. What changes them is `herd_changes.py` and `herd_purge.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

import click
import msgspec

from runink.cli.asking import Where, asked, asks_api
from runink.cli.client import NOTHING_YET
from runink.cli.commands import Commands
from runink.cli.completing import completed_herds
from runink.cli.wording import columns, echo_json, harmless
from runink.contracts.yaml_text import write_yaml
from runink.errors import NotFound
from runink.herds.file import read_tables
from runink.herds.record import Declared, Deletion, HerdRecord
from runink.herds.writing import herd_toml
from runink.names import herd_name
from runink.operations.catalog import herds
from runink.operations.catalog.herds import HerdDocument, HerdQuota, HerdSummary
from runink.quantities import format_cpu, format_memory, format_moment

HERD_COMMANDS: Final = {
    "init": ("runink.cli.herd_changes:init", "Write a herd's file to begin with."),
    "create": ("runink.cli.herd_changes:create", "Declare a herd."),
    "update": ("runink.cli.herd_changes:update", "Declare a herd anew, and say what that changes."),
    "delete": ("runink.cli.herd_changes:delete", "Let nothing new come into a herd, and forget it after a time."),
    "undelete": ("runink.cli.herd_changes:undelete", "Take a deletion back."),
    "list": ("runink.cli.herd:list_", "List the herds."),
    "get": ("runink.cli.herd:get", "Print all that is known of a herd."),
    "quota": ("runink.cli.herd:quota", "Print what a herd may have, and has now."),
    "purge": ("runink.cli.herd_purge:purge", "Take away all that a deleted herd has in the cluster."),
}  # fmt: skip
TABLE: Final = "table"
_COLUMN: Final = 14  # for the names of what is told
# How to say an amount of each quota.
_TOLD: Final[dict[str, Callable[[int], str]]] = {
    "cpu_m": format_cpu,
    "memory_bytes": format_memory,
    "disk_bytes": format_memory,
    "gpus": str,
    "slices": str,
    "runs": str,
}

name_argument = click.argument("name", metavar="HERD", shell_complete=completed_herds)


class HerdCommands(Commands):
    table = HERD_COMMANDS


@click.command(cls=HerdCommands)
def herd() -> None:
    """Declare herds, limit them, change and delete them; see what they may have and have now."""


def printed_as(*forms: str) -> Callable[..., Any]:
    """Return the option for these forms: a table for people without it."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice([TABLE, *forms]),
        default=TABLE,
        help="How to print it.",
    )


def echo_document(document: Any, output: str) -> None:
    """Print a document for programs."""
    if output == "yaml":
        click.echo(write_yaml(msgspec.to_builtins(document)), nl=False)
    else:
        echo_json(document)


@click.command("list")
@printed_as("json", "yaml", "name")
@asks_api
def list_(output: str, where: Where) -> None:
    """List the herds, with how many of their runs have not ended."""
    try:
        with asked(where) as client:
            found: list[HerdSummary] = list(client.call(herds.LIST, living=True))
    except NotFound as error:
        if error.code != NOTHING_YET:
            raise
        found = []
    if output == "name":
        for one in found:
            click.echo(one.herd)
    elif output != TABLE:
        echo_document(found, output)
    elif not found:
        click.echo("no herd is known; runi herd create -f FILE declares one", err=True)
    else:
        head = ("herd", "state", "runs", "changed", "description")
        for line in columns([head, *map(_row, found)]):
            click.echo(harmless(line))


def _row(one: HerdSummary) -> tuple[str, ...]:
    when = format_moment(one.changed_ms) if one.changed_ms else ""
    return one.herd, one.state, str(one.living), when, one.description


@click.command()
@name_argument
@printed_as("json", "yaml", "toml")
@asks_api
def get(name: str, output: str, where: Where) -> None:
    """Print all that is known of HERD, with its revision. `-o toml` prints the file that says the same."""
    with asked(where) as client:
        found: HerdDocument = client.call(herds.GET, herd=herd_name(name))
    if output == "toml":
        click.echo(herd_toml(said_in(found)), nl=False)
    elif output != TABLE:
        echo_document(found, output)
    else:
        for what, text in _lines(found):
            click.echo(harmless(f"{what:{_COLUMN}}{text}"))
        click.echo()
        click.echo(harmless_lines(herd_toml(said_in(found))), nl=False)


def said_in(found: HerdDocument) -> HerdRecord:
    """Return what people say of a herd."""
    return read_tables(found.says, where="says")


def harmless_lines(text: str) -> str:
    """Return lines as a terminal may get them."""
    return "".join(f"{harmless(line)}\n" for line in text.splitlines())


def _lines(found: HerdDocument) -> Iterator[tuple[str, str]]:
    yield "herd", found.herd
    yield "state", state_told(found)
    yield "revision", f"{found.revision}"
    if found.unenforced:
        yield "unenforced", ", ".join(found.unenforced)


class Standing(Protocol):
    """What has become of a herd, of its record or of what the API says of it."""

    @property
    def declared(self) -> Declared | None: ...
    @property
    def deletion(self) -> Deletion | None: ...


def state_told(herd: Standing) -> str:
    """Say how a herd stands, by whom and since when."""
    gone, declared = herd.deletion, herd.declared
    if gone is not None and gone.is_purging:
        return f"being purged; deleted by {gone.by}, {format_moment(gone.at_ms)}"
    if gone is not None:
        return f"deleted by {gone.by}, {format_moment(gone.at_ms)}; kept until {format_moment(gone.until_ms)}"
    if declared is not None:
        return f"declared by {declared.by}, {format_moment(declared.changed_ms)}"
    return "as the project says whose run was submitted last; nobody has declared it"


@click.command()
@name_argument
@printed_as("json", "yaml")
@asks_api
def quota(name: str, output: str, where: Where) -> None:
    """Print what HERD may have, and what its runs have now."""
    with asked(where) as client:
        found: HerdQuota = client.call(herds.QUOTA, herd=herd_name(name))
    if output != TABLE:
        echo_document(found, output)
        return
    lines = [
        (
            name.partition("_")[0],
            _TOLD[name](one.used),
            _TOLD[name](one.limit) if one.limit is not None else "no limit",
        )
        for name, one in found.quotas.items()
    ]
    for line in columns([("quota", "used", "limit"), *lines]):
        click.echo(line)
