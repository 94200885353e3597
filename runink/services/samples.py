"""Operations on samples, carried out: what a run has published, and the first rows of it."""

from __future__ import annotations

from runink.actors.offload import Offload, in_thread
from runink.clients.node_files import Kept
from runink.errors import NotFound, Refused
from runink.operations.answers import Items
from runink.operations.calls import Caller, Context
from runink.operations.catalog import samples
from runink.operations.catalog.samples import ListSamples, Published, ReadSample, Sample
from runink.runs.letters import outputs_of
from runink.services.behind import Behind
from runink.services.pages import page_of_values
from runink.services.run_reading import dag_of, run_of, slices_of
from runink.services.service import Handlers
from runink.services.written_rows import FileOfSink, Span, WrittenRows, published_at


class SampleService:
    """Shows what runs have published."""

    def __init__(self, behind: Behind, *, offload: Offload = in_thread) -> None:
        self._behind = behind
        self._rows = WrittenRows(behind, offload=offload)

    def handlers(self) -> Handlers:
        return {samples.LIST: self._list, samples.GET: self._get}

    async def _list(
        self, request: ListSamples, _caller: Caller, context: Context
    ) -> Items[Published]:
        barn = self._behind.barn
        found = await run_of(barn, request.herd, request.run)
        written = outputs_of(found.value, await dag_of(barn, found.value))
        shown = (
            Published(
                one.sink.id,
                one.sink.scenario,
                one.sink.uri,
                one.sink.format.value,
                one.prepared.rows,
                one.prepared.bytes,
                one.sink.role,
                one.is_file,
            )
            for one in sorted(written, key=lambda one: one.sink.id)
        )
        return page_of_values(
            ((one.sink, one) for one in shown),
            limit=request.limit,
            position=context.position,
            revision=found.revision,
        )

    async def _get(self, request: ReadSample, caller: Caller, _context: Context) -> Sample:
        barn = self._behind.barn
        run = (await run_of(barn, request.herd, request.run)).value
        dag = await dag_of(barn, run)
        written = {one.sink.id: one for one in outputs_of(run, dag)}
        one = written.get(request.sink)
        if one is None:
            state = run.state
            why = f"it has {', '.join(sorted(written))}" if written else "look when it has succeeded" * (not state.is_over)  # fmt: skip
            raise NotFound(f"run {run.run} has published nothing by {request.sink}", code="no_sample", hint=why)  # fmt: skip
        if not one.is_file:
            raise Refused(
                f"the rows of {one.sink.uri} are in a store, or went to standard output",
                code="sample_elsewhere",
                hint="read them there",
            )
        homes = published_at([part.value for part in await slices_of(barn, run)])
        file = FileOfSink(one.sink, Kept.OUTPUTS, one.sink.id, homes, one.prepared.bytes, "sample_gone")  # fmt: skip
        found = await self._rows.read(run, dag, file, Span(0, request.rows), caller)
        return Sample(one.sink.id, one.sink.uri, found.rows, found.is_all)
