"""What the nodes of a cluster elsewhere keep of a run, fetched into a folder of our own: there it is read as what lies on this machine is."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import anyio
import click

from runink.barn.keys import NODES
from runink.cli.exits import ExitCode
from runink.clients.cluster import Cluster
from runink.clients.node_files import FILES_MAX, Kept, ReadFiles, Wanted
from runink.errors import RuninkError, Unavailable
from runink.names import NodeId
from runink.quantities import counted
from runink.runs.letters import Written
from runink.runs.records import NodeRecord, RunRecord, SliceRecord

WITHIN_S: Final = 5.0
ANSWERS_MAX: Final = 4096  # of one file's node at a time: a gibibyte


class Fetched:
    """What was fetched so far of one run, as `folder`/runs/RUN. Of nodes that could not be asked, `missing` says why."""

    def __init__(self, cluster: Cluster, run: RunRecord, folder: Path) -> None:
        assert cluster.files is not None
        self.folder = folder
        self.missing: dict[NodeId, RuninkError] = {}
        self._files = cluster.files
        self._barn = cluster.barn
        self._run, self._herd = run.run, run.herd

    async def dead_letters(self, slices: Iterable[SliceRecord], names: Iterable[str]) -> None:
        """Fetch the dead letters of these names, from all nodes that the run has been on."""
        nodes = {one.node for one in slices if one.node is not None}
        wanted = {node: list(names) for node in nodes}
        await self._fetch_all(wanted, Kept.DEAD, await self._there())

    async def letters(self, letters: Sequence[Written], nodes: Iterable[NodeId]) -> dict[str, Path]:
        """Fetch dead letters that were published on these nodes, or lie aside there; return those that have come whole, by their sinks."""
        wanted = {node: [one.sink.id for one in letters] for node in nodes}
        await self._fetch_all(wanted, Kept.LETTERS, await self._there())
        folder = self.folder / "runs" / self._run / Kept.LETTERS.value
        found = {}
        for one in letters:
            came = folder / one.sink.id
            if came.exists() and _size(came) == one.prepared.bytes:
                # The end of its name says how it is compressed.
                found[one.sink.id] = came.rename(f"{came}.{Path(one.prepared.target).name}")
        return found

    def missing_now(self) -> Unavailable | None:
        """Return what is to be told if there are nodes that could not be asked (`node_away`)."""
        if not self.missing:
            return None
        node, error = min(self.missing.items())
        others = (
            f", nor what {counted(len(self.missing) - 1, 'other node')} has"
            if len(self.missing) > 1
            else ""
        )
        return Unavailable(
            f"what {node} keeps of the run cannot be read now{others}: {error.text}",
            code="node_away",
            hint="runi node list says how it is; what it keeps is there when it is back",
        )

    async def _there(self) -> set[NodeId]:
        listing = await self._barn.range(NODES.prefix(), NodeRecord)
        return {found.value.node for found in listing.items}

    async def _fetch_all(
        self, wanted: dict[NodeId, list[str]], kept: Kept, there: set[NodeId]
    ) -> None:
        """Ask all nodes at once. One that is lost is not asked."""
        async with anyio.create_task_group() as group:
            for node, names in wanted.items():
                if node not in there:
                    self.missing[node] = Unavailable("it is not there", code="node_lost")
                    continue
                for at in range(0, len(names), FILES_MAX):
                    group.start_soon(self._fetch, node, kept, names[at : at + FILES_MAX])

    async def _fetch(self, node: NodeId, kept: Kept, names: list[str]) -> None:
        folder = self.folder / "runs" / self._run / kept.value
        folder.mkdir(parents=True, exist_ok=True)
        try:
            for _ in range(ANSWERS_MAX):
                files = tuple(Wanted(name, _size(folder / name)) for name in names)
                request = ReadFiles(node, self._run, kept, files, herd=self._herd)
                found = await self._files.ask(request, within=WITHIN_S)
                for part in found.parts:
                    _append(folder / part.name, part.offset, part.data)
                self.missing.pop(node, None)
                if found.is_all:
                    return
        except RuninkError as error:
            self.missing[node] = error


def end_missing(missing: Unavailable | None, output: str) -> None:
    """End a command that has printed all that there was, with what could not be fetched: raises that, or beside a document for programs says it on standard error."""
    if missing is None:
        return
    if output != "json":
        raise missing
    click.echo(f"{missing.text}; {missing.hint}", err=True)
    raise SystemExit(ExitCode.FAILED)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _append(path: Path, offset: int, data: bytes) -> None:
    """Write what comes behind what is there; what was fetched by somebody else meanwhile is passed over."""
    with path.open("ab") as file:
        if file.tell() == offset:
            file.write(data)


@contextmanager
def fetched(cluster: Cluster, run: RunRecord) -> Iterator[Fetched | None]:
    """Yield what fetches a run's files where its cluster is elsewhere, nothing where they lie here."""
    if cluster.files is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="runi-") as folder:
        yield Fetched(cluster, run, Path(folder))
