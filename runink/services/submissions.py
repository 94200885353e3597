"""Runs that are submitted from outside: of what is deployed or published in the herd, or going on from one that failed.

A run's id is made of the call's: of its time, and of what tells it from others.  So a call that is repeated with its Idempotency-Key, by whichever server, asks for the
same run, and the run controller makes it once.  What of the herd holds for the run (quotas, deletion, drift) is looked at where it is put into the Barn.
"""

from __future__ import annotations

from hashlib import sha256

from runink.barn.keys import herd_key
from runink.clients.publishing import check_no_standard
from runink.clients.run_requests import Submit
from runink.errors import Forbidden
from runink.herds.record import HerdRecord
from runink.identity.vocabulary import Resource, Verb
from runink.names import HerdName, PipelineName, RunId
from runink.names import run_id as made_run_id
from runink.operations.calls import Caller, Context
from runink.operations.catalog import runs
from runink.operations.catalog.runs import RetryRun, RunDocument, SubmitRun
from runink.runs.records import RunRecord
from runink.runs.resuming import check_over
from runink.services.behind import Behind, principal_of
from runink.services.run_reading import dag_of, run_of
from runink.services.runnables import runnable_of, with_parameters
from runink.services.runs import told_run
from runink.services.service import Handlers
from runink.services.unapproved import refusing_shown


class SubmissionService:
    """Makes runs."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def handlers(self) -> Handlers:
        return {runs.SUBMIT: self._submit, runs.RETRY: self._retry}

    async def _submit(self, request: SubmitRun, caller: Caller, context: Context) -> RunDocument:
        self._check_may_run(caller, request.herd, request.pipeline)
        herd = HerdName(request.herd)
        found = await runnable_of(
            self._behind.barn, herd, PipelineName(request.pipeline), request.version or ""
        )
        dag = await with_parameters(self._behind, found, request.parameters)
        check_no_standard(dag)
        submit = Submit(
            run=run_id_of(context, self._behind),
            dag=dag,
            herd=await self._herd(herd),
            project=found.project,
            bundle=found.bundle,
            rehearsal=request.rehearsal,
            wall_time_s=request.timeout_s,
            priority=request.priority,
        )
        return await self._submitted(submit, caller)

    async def _retry(self, request: RetryRun, caller: Caller, context: Context) -> RunDocument:
        old = (await run_of(self._behind.barn, request.herd, request.run)).value
        self._check_may_run(caller, request.herd, old.pipeline)
        run = run_id_of(context, self._behind)
        if old.resumed_by != run:  # else it is the same call again
            check_over(old)
        submit = Submit(
            run=run,
            dag=await dag_of(self._behind.barn, old),
            herd=await self._herd(old.herd),
            project=old.project,
            bundle=old.bundle,
            priority=old.priority,
            resumes=old.run,
            restart=request.step or "",
        )
        return await self._submitted(submit, caller)

    async def _submitted(self, submit: Submit, caller: Caller) -> RunDocument:
        with refusing_shown(self._behind, caller, submit.dag):
            record: RunRecord = await self._behind.cluster.submit(submit)
        found = await run_of(self._behind.barn, record.herd, record.run)
        return await told_run(self._behind, found, caller)

    async def _herd(self, name: HerdName) -> HerdRecord:
        """Return what is known of a herd: there is no project here that could say something else."""
        found = await self._behind.barn.get(herd_key(name), HerdRecord)
        return found.value if found is not None else HerdRecord(name)

    def _check_may_run(self, caller: Caller, herd: str, pipeline: str) -> None:
        """Raise Forbidden for a pipeline that the caller may not run: roles may be for some of them only."""
        principal, access = principal_of(caller), self._behind.access
        if not access.allows(principal, Verb.RUN, Resource.PIPELINES, herd=herd, name=pipeline):
            raise Forbidden(
                f"you may not run the pipeline {pipeline}",
                hint="a role that allows it must be bound to you",
            )


def run_id_of(context: Context, behind: Behind) -> RunId:
    """Return the id of the run that a call makes: the same one each time that the call is repeated."""
    if not context.once:
        return made_run_id(now_ms=behind.now_ms(), entropy=behind.entropy(10))
    return made_run_id(now_ms=context.began_ms, entropy=sha256(context.once.encode()).digest()[:10])
