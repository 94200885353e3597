"""`runi barn get`, `put` and `delete`: keys, one by one or many."""

from __future__ import annotations

import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

import click

from runink.barn.commands import (
    Applied,
    By,
    Delete,
    DeleteDone,
    DeleteRange,
    Put,
    PutDone,
    Range,
    Want,
)
from runink.barn.keyvalue import UNCOUNTED, KeyValue, Page
from runink.cli.barn_wording import (
    force_option,
    item_json,
    key_argument,
    prefix_option,
    refuse_own,
    span_of,
    to_option,
    value_text,
)
from runink.cli.options import COUNT, output_option, state_option
from runink.cli.runs import with_cluster
from runink.cli.wording import echo_json
from runink.clients.barn_admin import BarnAdmin
from runink.clients.cluster import Cluster
from runink.errors import NotFound
from runink.quantities import counted

_SORTS: Final = {
    "key": By.KEY,
    "version": By.VERSION,
    "created": By.CREATE_REVISION,
    "changed": By.MOD_REVISION,
    "value": By.VALUE,
}


@click.command()
@key_argument
@prefix_option
@to_option
@click.option("--revision", type=COUNT, default=0, help="As it stood at this revision.")
@click.option("-n", "--limit", type=COUNT, default=0, help="How many keys at most.")
@click.option("--keys-only", "want", flag_value="keys", help="Without the values.")
@click.option("--count-only", "want", flag_value="count", help="Only how many there are.")
@click.option(
    "--value-only", "want", flag_value="value", help="The value's bytes and nothing else."
)
@click.option("--sort", type=click.Choice(list(_SORTS)), default="key", help="What to sort by.")
@click.option("--descending", is_flag=True, help="The largest first.")
@click.option(
    "--changed-since", type=COUNT, default=0, help="Only keys changed in this revision or later."
)
@click.option(
    "--created-since", type=COUNT, default=0, help="Only keys created in this revision or later."
)
@output_option
@state_option
def get(state: Path | None, output: str, key: str, want: str | None, **options: Any) -> None:
    """Print a key, or the keys with a prefix, now or at an older revision. Exit code 3 if there is none."""
    span = span_of(key, is_prefix=options["prefix"], to=options["to"])
    query = Range(
        span.start,
        span.end,
        revision=options["revision"],
        limit=options["limit"],
        want={"keys": Want.KEYS, "count": Want.COUNT}.get(want or "", Want.ALL),
        by=_SORTS[options["sort"]],
        descending=options["descending"],
        mod_revision_min=options["changed_since"],
        create_revision_min=options["created_since"],
    )
    page = with_cluster(state, lambda cluster, _: _read(cluster, query))
    if output == "json":
        echo_json(_page_json(page))
    elif want == "count":
        click.echo(page.count)
    elif want == "value":
        for item in page.items:
            sys.stdout.buffer.write(item.value)
    else:
        for item in page.items:
            click.echo(_line(item, is_bare=want == "keys"))
        if page.more:
            whole = "more keys" if page.count == UNCOUNTED else counted(page.count, "key")
            click.echo(f"{len(page.items)} of {whole}", err=True)
    if not page.count:
        raise NotFound(
            f"there is no key {key}",
            code="no_such_key",
            hint="runi barn get / --prefix --keys-only lists them",
        )


async def _read(cluster: Cluster, query: Range) -> Page:
    """Read all pages of a query as one."""
    items: list[KeyValue] = []
    first: Page | None = None
    more = False
    async with aclosing(BarnAdmin(cluster.barn).pages(query)) as pages:
        async for page in pages:
            first = first or page
            items += page.items
            more = page.more
    assert first is not None
    return Page(tuple(items), first.revision, first.count, more)


def _page_json(page: Page) -> dict[str, Any]:
    return {
        "revision": page.revision,
        "count": None if page.count == UNCOUNTED else page.count,
        "more": page.more,
        "items": [item_json(item) for item in page.items],
    }


def _line(item: KeyValue, *, is_bare: bool) -> str:
    if is_bare:
        return item.key
    lease = f", lease {item.lease}" if item.lease else ""
    facts = f"revision {item.mod_revision}, version {item.version}{lease}"
    return f"{item.key} = {value_text(item.value)}  ({facts})"


@click.command()
@key_argument
@click.argument("value", required=False)
@click.option("--lease", type=COUNT, default=0, help="Delete it when this lease ends.")
@click.option("--before", is_flag=True, help="Print what it was before.")
@force_option
@output_option
@state_option
def put(state: Path | None, output: str, key: str, value: str | None, **options: Any) -> None:
    """Set a key to VALUE, or to what standard input holds."""
    data = sys.stdin.buffer.read() if value is None else value.encode()
    command = Put(key, data, options["lease"], want_before=options["before"])
    refuse_own(command, is_forced=options["force"])
    answer = with_cluster(state, lambda cluster, _: cluster.barn.propose(command))
    before = _before(answer)
    if output == "json":
        echo_json({"revision": answer.revision, "before": [item_json(item) for item in before]})
        return
    for item in before:
        click.echo(f"was {_line(item, is_bare=False)}")
    click.echo(f"set at revision {answer.revision}")


@click.command()
@key_argument
@prefix_option
@to_option
@click.option("--before", is_flag=True, help="Print what they were before.")
@force_option
@output_option
@state_option
def delete(state: Path | None, output: str, key: str, **options: Any) -> None:
    """Delete a key, or the keys with a prefix. Exit code 3 if there is none."""
    wants = options["before"]
    command: Delete | DeleteRange = Delete(key, want_before=wants)
    if options["prefix"] or options["to"] is not None:
        span = span_of(key, is_prefix=options["prefix"], to=options["to"])
        command = DeleteRange(span.start, span.end, want_before=wants)
    refuse_own(command, is_forced=options["force"])
    answer = with_cluster(state, lambda cluster, _: cluster.barn.propose(command))
    before = _before(answer)
    if output == "json":
        echo_json(
            {
                "revision": answer.revision,
                "deleted": answer.deleted,
                "before": [item_json(item) for item in before],
            }
        )
    else:
        for item in before:
            click.echo(f"was {_line(item, is_bare=False)}")
        click.echo(f"deleted {counted(answer.deleted, 'key')} at revision {answer.revision}")
    if not answer.deleted:
        raise NotFound(f"there is no key {key}", code="no_such_key")


def _before(answer: Applied) -> tuple[KeyValue, ...]:
    match answer.results:
        case (PutDone(before),) if before is not None:
            return (before,)
        case (DeleteDone(_, before),):
            return before
        case _:
            return ()
