"""Whatever is kept or counted of a herd says whose it is: by a field of its own, or that of the pipeline in it."""

from __future__ import annotations

import msgspec
import pytest
from runink.barn.keys import OF_HERD, PLACEMENTS
from runink.clients.uploads import BundleOwner, Upload
from runink.dag import Dag
from runink.documents import SliceContext
from runink.governance.annotations import Annotation
from runink.governance.approvals import ApprovalRecord
from runink.governance.audit import AuditEntry
from runink.governance.lineage import Lineage
from runink.governance.registry import ContractVersion, PipelineVersion
from runink.identity.accounts import ServiceAccount
from runink.identity.issued import IssuedToken
from runink.identity.roles import Binding, Role
from runink.names import HerdName
from runink.observe.metrics import METRICS
from runink.runs.records import PipelineRecord, Placement, RunRecord, SliceRecord
from runink.runs.schedule_records import BackfillRecord, DeploymentRecord, ScheduleRecord

RECORDS: dict[str, tuple[type[msgspec.Struct], ...]] = {
    "runs": (RunRecord,),
    "slices": (SliceRecord,),
    "lineage": (Lineage,),
    "pipelines": (PipelineRecord, PipelineVersion),
    "contracts": (ContractVersion,),
    "approvals": (ApprovalRecord,),
    "deployments": (DeploymentRecord,),
    "schedules": (ScheduleRecord,),
    "backfills": (BackfillRecord,),
    "roles": (Role,),
    "bindings": (Binding,),
    "accounts": (ServiceAccount,),
    "tokens": (IssuedToken,),
    "placements": (Placement,),
    "uploads": (Upload,),
    "bundle-owners": (BundleOwner,),
    "annotations": (Annotation,),
    "audit": (AuditEntry,),
    "what a step knows": (SliceContext,),
}
BY_KEY_ALONE = {
    "durations": "figures of a pipeline, which nobody is shown without its name",
    "upload-parts": "bytes of an archive, which is whose its upload says",
}
OF_SLICES = ("runink_slice", "runink_cgroup_", "runink_step_", "runink_edge_", "runink_agent_log_")
OF_THE_NODE = {"runink_slice_launch_seconds": "how long the node takes, whoever is launched: buckets for each herd would be many"}  # fmt: skip


@pytest.mark.parametrize("kind", [type_ for types in RECORDS.values() for type_ in types])
def test_a_record_says_whose_it_is(kind: type[msgspec.Struct]) -> None:
    fields = {one.name: one.type for one in msgspec.structs.fields(kind)}
    assert fields.get("herd") in (HerdName, str) or fields.get("dag") is Dag, kind


def test_each_kind_of_key_that_a_herd_has_holds_records_that_say_so() -> None:
    roots = {one.root for one in (*OF_HERD, PLACEMENTS)}
    assert roots - BY_KEY_ALONE.keys() <= RECORDS.keys()
    assert not BY_KEY_ALONE.keys() & RECORDS.keys()


def test_a_pipeline_says_whose_it_is() -> None:
    assert {one.name: one.type for one in msgspec.structs.fields(Dag)}["herd"] is HerdName


def test_figures_of_slices_are_told_by_herd_and_never_by_run() -> None:
    labels = {name: set(metric.labels) for name, metric in METRICS.items()}
    mine = {name for name in labels if name.startswith(OF_SLICES)} - OF_THE_NODE.keys()
    assert len(mine) > 20
    assert [name for name in mine if "herd" not in labels[name]] == []
    assert [name for name in labels if labels[name] & {"run", "slice", "attempt"}] == []
