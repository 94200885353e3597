"""A run as it comes into the Barn: with its herd, as that holds, and with its pipeline.

The transaction compares the herd's record, so that no run comes into a herd that is being deleted or declared otherwise at this moment.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace as changed

from runink.actors.pipelines import with_run
from runink.clients.barn import BarnClient, Found, Transaction
from runink.clients.herds import with_herd
from runink.clients.run_requests import Submit
from runink.dag import Dag
from runink.errors import Invalid
from runink.herds.admission import as_run, check_agreed, check_goldens, check_open, in_force
from runink.herds.record import HerdRecord
from runink.herds.relied import check_relied
from runink.runs.priorities import priority_of
from runink.runs.records import RunRecord, RunState


class Submission(NamedTuple):
    """A run that its herd, as that holds, takes, and its pipeline as it runs there; `conditions` are what has to be so of the herd, and put for it."""

    record: RunRecord
    dag: Dag
    herd: HerdRecord
    conditions: Transaction

    async def whole(self, barn: BarnClient, record: RunRecord | None = None) -> Transaction:
        """Return the transaction that puts it, or another record of it. Raises Refused (`contract_not_approved`)."""
        conditions = self.conditions
        if (
            not self.record.rehearsal
        ):  # it publishes nothing: people approve what they have seen tried
            conditions = await if_approved(barn, conditions, self.dag, self.herd)
        return await with_run(barn, conditions, record or self.record, self.dag)


def submitted(
    message: Submit, known: Found[HerdRecord] | None, *, session: str, now_ms: int
) -> Submission:
    """Return what comes of a request where the herd is so `known`. Raises Conflict (`herd_deleted`, `herd_differs`), QuotaExceeded (`slice_bounds`), Refused (`drift_passes`, `golden_required`, `not_cleared`), Invalid (`pipeline_unsound`: it is another herd's)."""
    if message.dag.herd != message.herd.herd:
        raise Invalid(
            f"the pipeline is of herd {message.dag.herd}, and the run of herd {message.herd.herd}",
            code="pipeline_unsound",
            hint="compile it with the herd's own file",
        )
    herd = in_force(message.herd, known.value if known is not None else None)
    dag = as_run(message.dag, herd)
    check_agreed(dag, message.herd, herd)
    _check_relied(dag, herd)
    if not message.rehearsal:
        check_goldens(dag, herd, _as_deployed)
    record = RunRecord(
        run=message.run,
        herd=herd.herd,
        pipeline=dag.pipeline,
        version=dag.hash,
        title=dag.title,
        file=dag.file,
        project=message.project,
        bundle=message.bundle,
        state=RunState.SUBMITTED,
        submitted_ms=now_ms,
        session=session if message.is_bound else "",
        parameters=dag.parameters,
        wall_time_s=message.wall_time_s,
        stdin=message.stdin,
        stdout=message.stdout,
        rehearsal=message.rehearsal,
        update_goldens=message.update_goldens,
        priority=priority_of(dag, herd, asked=message.priority),
    )
    return Submission(record, dag, herd, with_herd(Transaction(), herd, known))


def under_herd(run: RunRecord, dag: Dag, known: Found[HerdRecord] | None) -> tuple[RunRecord, Dag]:
    """Return a run that no request asks for, and its pipeline, as its herd takes them. Raises as `submitted`."""
    herd = known.value if known is not None else HerdRecord(run.herd)
    check_open(herd)
    dag = as_run(dag, herd)
    _check_relied(dag, herd)
    check_goldens(dag, herd, _as_deployed)
    return changed(run, version=dag.hash, priority=priority_of(dag, herd)), dag


def _check_relied(dag: Dag, herd: HerdRecord) -> None:
    roles = herd.roles if herd.declared is not None else None
    check_relied(dag.herd, dag.nodes, herd.clearances, roles)


async def if_approved(
    barn: BarnClient, transaction: Transaction, dag: Dag, herd: HerdRecord
) -> Transaction:
    """Return the transaction that is only done while the pipeline's contracts are approved, where the herd wants that. Raises Refused (`contract_not_approved`)."""
    if not herd.contracts.approvals:
        return transaction
    from runink.clients import approvals  # noqa: PLC0415 - what compares contracts is loaded where a herd wants them approved

    return await approvals.if_approved(barn, transaction, dag, herd)


def _as_deployed(_path: str) -> bool:
    """Say that a golden's file is there: that is looked at where a pipeline is deployed or published, beside its project's files."""
    return True
