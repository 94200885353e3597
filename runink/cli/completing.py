"""Names that live in a cluster, for the shell: asked of the API while somebody types, within a second, and in silence where nobody answers.

contexts    of the file of contexts
herds       that the caller may see, in the cluster that the command asks: one without --context asks the state folder's
others      of the herd that the command line names, or the context does; of all herds that the caller sees, where neither does
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

SHOWN_MAX: Final = 100  # names, more than a screen has lines
HERDS_MAX: Final = 5  # that are asked, each a question more
ANSWER_S: Final = 0.4  # for one answer; the interpreter has begun before
WITHIN_S: Final = 0.5  # after which nothing more is asked

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def completed_contexts(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the names of contexts that begin so."""
    del ctx, param
    return _quietly(_contexts, incomplete)


def completed(operation: str, attribute: str, *, has_herd: bool = False) -> Completer:
    """Return what completes a name: `attribute` of the items that a list operation gives. `has_herd`: the herd may stand before it, and a slash between."""

    def complete(
        ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        del param
        is_whole = has_herd and "/" in incomplete
        names = partial(_named, ctx, operation, attribute, is_whole=is_whole)
        return _quietly(names, incomplete)

    return complete


completed_herds: Final = completed("herds.list", "herd")
completed_nodes: Final = completed("nodes.list", "node")
completed_pipelines: Final = completed("pipelines.list", "pipeline", has_herd=True)
completed_contracts: Final = completed("contracts.list", "name", has_herd=True)
completed_schedules: Final = completed("schedules.list", "pipeline", has_herd=True)


def _quietly(names: Callable[[], Iterable[str]], incomplete: str) -> list[CompletionItem]:
    found: list[CompletionItem] = []
    try:
        for name in names():
            if name.startswith(incomplete) and len(found) < SHOWN_MAX:
                found.append(CompletionItem(name))
    except Exception:  # noqa: BLE001 - whatever it is, a line that is being typed is no place to tell it
        return found
    return found


def _contexts() -> Iterator[str]:
    from runink.cli.contexts import read_contexts  # noqa: PLC0415 - for the shell alone

    yield from (one.name for one in read_contexts().contexts)


def _named(ctx: click.Context, operation: str, attribute: str, *, is_whole: bool) -> Iterator[str]:
    # What asks the API is loaded for the shell alone: a fifth of a second.
    from runink.cli.asking import Where  # noqa: PLC0415 - as above
    from runink.cli.contexts import chosen  # noqa: PLC0415 - as above
    from runink.operations.declarations import HERD  # noqa: PLC0415 - as above

    state = ctx.params.get("state")
    name = ctx.params.get("context_name")
    is_local = "context_name" not in ctx.params or (state is not None and not name)
    where = Where(None if is_local else chosen(name), state, ANSWER_S)
    until_s = time.monotonic() + WITHIN_S
    with where.client() as client:
        for herd in _herds_asked(ctx, where, client, operation):
            if time.monotonic() > until_s:
                return
            before = f"{herd[HERD]}/" if is_whole else ""
            items = client.page(operation, limit=SHOWN_MAX, **herd).items
            yield from (f"{before}{getattr(one, attribute)}" for one in items)


def _herds_asked(
    ctx: click.Context, where: Any, client: Any, operation: str
) -> list[dict[str, str]]:
    from runink.operations.catalog.table import CATALOG  # noqa: PLC0415 - as above
    from runink.operations.declarations import HERD, path_names  # noqa: PLC0415 - as above

    path = next(one.path for one in CATALOG if one.name == operation)
    if HERD not in path_names(path):
        return [{}]
    named = ctx.params.get(HERD) or (where.context.herd if where.context is not None else "")
    if named:
        return [{HERD: named}]
    return [{HERD: one.herd} for one in client.page("herds.list", limit=HERDS_MAX).items]
