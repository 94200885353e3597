"""Rows on their way out: each reader sees what the roles show that they have at that moment, masked as their herd says."""

from __future__ import annotations

from typing import Any

import pytest
from runink.clearances import ClearancePolicy, SinkClearance
from runink.clients.herds import create_herd
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.dag import Dag, Sink
from runink.errors import NotFound
from runink.herds.lifecycle import By
from runink.herds.record import HerdRecord
from runink.identity.principals import Principal
from runink.identity.roles import Binding, Effect, Role, RoleOf, Rule
from runink.names import BindingName, HerdName, RoleName
from runink.services.behind import Behind
from runink.services.masked_reading import readings_for
from runink.testing.projects import MemoryProject, compile_text
from runink.testing.served import NOW_MS, OPERATOR, Served, bound, person, served

pytestmark = pytest.mark.anyio
ANN = person("ann")
HERD = HerdName("people")
POLICY = ClearancePolicy("truncate(1)", {}, (SinkClearance("*", ("*",)),))
FIELDS = (
    FieldSpec("email", Kind.STR, pii="email"),
    FieldSpec("town", Kind.STR, access=("support",)),
)
ROW = {"email": "ann@x.org", "town": "Ulm"}
SUPPORT = Role(RoleName("support"), HERD, (Rule(fields=("access:support", "pii:*")),))
CAREFUL = Role(RoleName("careful"), HERD, (Rule(fields=("pii:email",), effect=Effect.DENY),))


def pipeline() -> Dag:
    project = MemoryProject({}, {"c.py:C": ContractSpec("C", "1.0.0", FIELDS)}, clearances=POLICY)
    lines = ('@herd("people")', "Feature: F", "Scenario: S", '@source("csv://a.csv")')
    end = ('@contract("c.py:C")', '@sink("csv://x.csv")')
    return compile_text("\n".join((*lines, *end)), project=project).dag


def given(role: str, *, until_ms: int = 0) -> Binding:
    return Binding(BindingName(role), HERD, RoleName(role), RoleOf.HERD, (ANN.subject,), until_ms)


async def read(cluster: Served, by: Principal = ANN) -> dict[str, Any]:
    await create_herd(
        cluster.barn, HerdRecord(HERD, clearances=POLICY), By("operator:root", NOW_MS)
    )
    behind = Behind(
        cluster=cluster.cluster,
        access=cluster.access,
        now_ms=lambda: cluster.now_ms,
        entropy=bytes,
    )
    dag = pipeline()
    (sink,) = (node for node in dag.nodes if isinstance(node, Sink))
    return (await readings_for(behind, by, dag))[sink.id].row(ROW)


@pytest.mark.parametrize(
    ("bindings", "seen"),
    [
        ([], {"email": "a", "town": "U"}),
        ([bound("v", "viewer", ANN.subject, herd="people")], {"email": "a", "town": "U"}),
        ([bound("s", "steward", ANN.subject, herd="people")], {"email": "ann@x.org", "town": "U"}),
        ([bound("s", "steward", ANN.subject, herd="other")], {"email": "a", "town": "U"}),
        ([given("support")], ROW),
        ([given("support", until_ms=NOW_MS)], {"email": "a", "town": "U"}),
        ([given("support"), given("careful")], {"email": "a", "town": "Ulm"}),
    ],
)
async def test_a_reader_sees_what_their_roles_show_together(
    bindings: list[Binding], seen: dict[str, str]
) -> None:
    async with served(roles=(SUPPORT, CAREFUL), bindings=bindings) as cluster:
        assert await read(cluster) == seen


async def test_an_operator_of_the_machine_sees_rows_as_they_are() -> None:
    async with served() as cluster:
        assert await read(cluster, OPERATOR) == ROW


async def test_a_herd_that_is_not_there_has_no_rows_to_read() -> None:
    async with served() as cluster:
        behind = Behind(cluster=cluster.cluster, access=cluster.access, now_ms=lambda: 0, entropy=bytes)  # fmt: skip
        with pytest.raises(NotFound):
            await readings_for(behind, ANN, pipeline())
