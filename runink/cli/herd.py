"""`runi herd`: the herds of the cluster, what they may have and have now. What changes them is `herd_changes.py` and `herd_purge.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from runink.barn.keys import RUNS, SLICES
from runink.cli.commands import Commands
from runink.cli.completing import completed_herds
from runink.cli.options import state_option
from runink.cli.runs import known_to, with_cluster
from runink.cli.wording import columns, echo_json, harmless
from runink.clients.barn import Found
from runink.clients.cluster import Cluster
from runink.clients.herds import all_herds, get_herd
from runink.contracts.yaml_text import write_yaml
from runink.herds.lifecycle import state_of
from runink.herds.record import HerdRecord, unenforced
from runink.herds.writing import herd_toml, said_of
from runink.names import HerdName, herd_name
from runink.placement.cluster import Amount
from runink.quantities import format_cpu, format_memory, format_moment
from runink.runs.records import RunRecord, SliceRecord
from runink.scheduling.usage import quotas_of, used_by

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
        click.echo(write_yaml(document), nl=False)
    else:
        echo_json(document)


@click.command("list")
@printed_as("json", "yaml", "name")
@state_option
def list_(output: str, state: Path | None) -> None:
    """List the herds, with how many of their runs have not ended."""
    documents = known_to(state, _documents)
    if output == "name":
        for one in documents:
            click.echo(one["herd"])
    elif output != TABLE:
        echo_document(documents, output)
    elif not documents:
        click.echo("no herd is known; runi herd create -f FILE declares one", err=True)
    else:
        head = ("herd", "state", "runs", "changed", "description")
        for line in columns([head, *(_row(one) for one in documents)]):
            click.echo(harmless(line))


def _row(document: dict[str, Any]) -> tuple[str, ...]:
    declared = document["declared"]
    when = format_moment(declared["changed_ms"]) if declared else ""
    text = document["says"]["herd"].get("description", "")
    return document["herd"], document["state"], str(document["living"]), when, text


async def _documents(cluster: Cluster, _: Path) -> list[dict[str, Any]]:
    runs = (await cluster.barn.range(RUNS.prefix(), RunRecord)).items
    living = [found.value.herd for found in runs if not found.value.state.is_over]
    return [
        {**document_of(found), "living": living.count(found.value.herd)}
        for found in await all_herds(cluster.barn)
    ]


def document_of(found: Found[HerdRecord]) -> dict[str, Any]:
    """Return a herd as programs read it; `says` is what its file would."""
    record = found.value
    return {
        "herd": record.herd,
        "state": state_of(record),
        "revision": found.revision,
        "declared": msgspec.to_builtins(record.declared),
        "deletion": msgspec.to_builtins(record.deletion),
        "unenforced": list(unenforced(record)),
        "says": said_of(record),
    }


@click.command()
@name_argument
@printed_as("json", "yaml", "toml")
@state_option
def get(name: str, output: str, state: Path | None) -> None:
    """Print all that is known of HERD, with its revision. `-o toml` prints the file that says the same."""
    found = with_cluster(state, lambda cluster, _: get_herd(cluster.barn, herd_name(name)))
    if output == "toml":
        click.echo(herd_toml(found.value), nl=False)
    elif output != TABLE:
        echo_document(document_of(found), output)
    else:
        for what, text in _lines(found):
            click.echo(harmless(f"{what:{_COLUMN}}{text}"))
        click.echo()
        click.echo(harmless_lines(herd_toml(found.value)), nl=False)


def harmless_lines(text: str) -> str:
    """Return lines as a terminal may get them."""
    return "".join(f"{harmless(line)}\n" for line in text.splitlines())


def _lines(found: Found[HerdRecord]) -> Iterator[tuple[str, str]]:
    record = found.value
    yield "herd", record.herd
    yield "state", state_told(record)
    yield "revision", f"{found.revision}"
    if parts := unenforced(record):
        yield "unenforced", ", ".join(parts)


def state_told(record: HerdRecord) -> str:
    """Say how a herd stands, by whom and since when."""
    gone, declared = record.deletion, record.declared
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
@state_option
def quota(name: str, output: str, state: Path | None) -> None:
    """Print what HERD may have, and what its runs have now."""
    herd = herd_name(name)

    async def ask(cluster: Cluster, _: Path) -> tuple[HerdRecord, Amount, int]:
        return await _usage(cluster, herd)

    record, used, runs = with_cluster(state, ask)
    rows = tuple(quotas_of(record, used, runs))
    if output != TABLE:
        quotas = {one.name: {"used": one.used, "limit": one.limit or None} for one in rows}
        bounds = msgspec.to_builtins(record.bounds)
        echo_document({"herd": record.herd, "quotas": quotas, "slice": bounds}, output)
        return
    lines = [
        (name.partition("_")[0], _TOLD[name](now), _TOLD[name](most) if most else "no limit")
        for name, now, most in rows
    ]
    for line in columns([("quota", "used", "limit"), *lines]):
        click.echo(line)


async def _usage(cluster: Cluster, name: HerdName) -> tuple[HerdRecord, Amount, int]:
    found = await get_herd(cluster.barn, name)
    slices = await cluster.barn.range(SLICES.prefix(name), SliceRecord)
    runs = await cluster.barn.range(RUNS.prefix(name), RunRecord)
    living = sum(not one.value.state.is_over for one in runs.items)
    return found.value, used_by(one.value for one in slices.items), living
