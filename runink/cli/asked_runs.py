"""Runs that a command is about, found by what somebody types of their ids, and waited for."""

from __future__ import annotations

from itertools import islice
from typing import Final

from runink.cli.asking import Asker, Where
from runink.cli.client import LAST, chosen_run
from runink.cli.summary import short
from runink.errors import NotFound
from runink.operations.catalog import runs as catalog
from runink.operations.catalog.herds import LIST as HERDS
from runink.operations.catalog.run_events import FOLLOW
from runink.operations.catalog.runs import RunDocument, RunSummary

PAGE: Final = 500
LOOKED_AT_MAX: Final = 2_000  # runs of a herd, when one is named by its beginning
ID_CHARACTERS: Final = 26


def find_run(client: Asker, where: Where, beginning: str) -> RunSummary | RunDocument:
    """Return the run whose id begins so; `last` is the newest. Raises NotFound, and Invalid where several do."""
    herds = herds_of(client, where)
    if len(beginning) == ID_CHARACTERS:
        return _run_of_id(client, herds, beginning.upper())
    count = 1 if beginning == LAST else LOOKED_AT_MAX
    return chosen_run([one for herd in herds for one in newest_of(client, herd, count)], beginning)


def _run_of_id(client: Asker, herds: list[str], run: str) -> RunDocument:
    for herd in herds:
        try:
            found: RunDocument = client.call(catalog.GET, herd=herd, run=run)
        except NotFound:
            continue
        return found
    raise NotFound(f"there is no run {run}", code="no_such_run", hint="runi runs lists them")


def herds_of(client: Asker, where: Where) -> list[str]:
    """Return the herds that are meant: one that is named, or all that are seen."""
    return [where.scope] if where.scope else [one.herd for one in client.call(HERDS)]


def newest_of(client: Asker, herd: str, count: int) -> list[RunSummary]:
    """Return the newest runs of a herd."""
    if not count:
        return []
    return list(islice(client.call(catalog.LIST, herd=herd, limit=min(count, PAGE)), count))


def end_of_run(client: Asker, run: RunSummary | RunDocument) -> RunDocument:
    """Return a run when it is over. Raises NotFound if it is forgotten meanwhile."""
    with client.call(FOLLOW, herd=run.herd, run=run.run) as steps:
        for step in steps:
            found: RunDocument | None = step.data.run
            if found is not None and found.state.is_over:
                return found
    end: RunDocument = client.call(catalog.GET, herd=run.herd, run=run.run)
    return end


def told_end(run: RunDocument) -> str:
    """Say in a line how a run has ended."""
    why = f": [{run.error.code}] {run.error.text}" if run.error is not None else ""
    return f"run {short(run.run)} of {run.herd}/{run.pipeline} {run.state.value} after {run.seconds:.1f} s{why}"
