"""In a herd that wants approval no pipeline is put to use before somebody else has approved its contracts: neither deployed nor run."""

from __future__ import annotations

import pytest
from run_records import CONTRACT, PIPELINE, deploy
from runink.barn.keys import approval_key, contract_key
from runink.clients.herds import create_herd, get_herd, update_herd
from runink.contracts.compatibility import ContractPolicy
from runink.contracts.fields import ContractSpec
from runink.errors import Conflict, Forbidden, Invalid, NotFound, Refused
from runink.governance.approvals import ApprovalRecord, Standing
from runink.governance.registry import ContractVersion, Origin
from runink.herds.lifecycle import By
from runink.herds.record import HerdRecord
from runink.identity.roles import Binding, Effect, Role, RoleOf, Rule
from runink.identity.vocabulary import Resource, Verb
from runink.names import BindingName, HerdName, RoleName
from runink.operations.catalog import approvals, audit, runs
from runink.operations.catalog.approvals import ApprovalDocument
from runink.testing.served import NOW_MS, Served, bound, person, served

pytestmark = pytest.mark.anyio
SALES = HerdName("sales")
ANN, BOB, EVE = person("ann"), person("bob"), person("eve")
BINDINGS = [
    bound("authors", "author", ANN.subject, herd="sales"),
    bound("operators", "operator", ANN.subject, herd="sales"),
    bound("stewards", "steward", ANN.subject, BOB.subject, herd="sales"),
    bound("viewers", "viewer", EVE.subject, herd="sales"),
    bound("elsewhere", "steward", EVE.subject, herd="stock"),
]
OF = {"herd": "sales", "contract": CONTRACT.name, "version": CONTRACT.version}


async def declare(cluster: Served, **policy: object) -> None:
    herd = HerdRecord(SALES, contracts=ContractPolicy(**policy))
    await create_herd(cluster.barn, herd, By("operator:root", NOW_MS))


async def put_version(cluster: Served, spec: ContractSpec = CONTRACT) -> None:
    version = ContractVersion(SALES, spec, spec.hash, Origin("f.py", ANN.subject, NOW_MS))
    await cluster.barn.put(contract_key(SALES, spec.name, spec.version), version)


async def submit(cluster: Served, **more: object) -> runs.RunDocument:
    return await cluster.ask(runs.SUBMIT, ANN, herd="sales", pipeline=PIPELINE, **more)


async def test_a_run_is_refused_until_another_one_approves_and_again_when_they_reject():
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, approvals=1)
        await deploy(cluster.barn, "sales")
        for told in ("is not published", "is pending: 0 of 1"):
            with pytest.raises(Refused) as refused:
                await submit(cluster)
            assert refused.value.code == "contract_not_approved"
            assert told in refused.value.text
            await put_version(cluster)
        with pytest.raises(Forbidden) as own:
            await cluster.ask(approvals.APPROVE, ANN, **OF)
        assert own.value.code == "own_version"
        found = await cluster.ask(approvals.APPROVE, BOB, **OF, reason="fine")
        assert (found.state, found.approvals, found.needed) == (Standing.APPROVED, 1, 1)
        first = await submit(cluster)
        await cluster.ask(approvals.REJECT, BOB, **OF, reason="it shows too much")
        with pytest.raises(Refused, match="it shows too much"):
            await submit(cluster)
        with pytest.raises(Refused, match="rejected by user:corp:bob"):
            await cluster.ask(runs.SUBMIT, herd="sales", pipeline=PIPELINE)
        assert (await cluster.ask(runs.GET, ANN, herd="sales", run=first.run)).run == first.run
        assert (await submit(cluster, rehearsal=True)).rehearsal


async def test_what_was_approved_is_kept_with_who_when_and_the_hash_and_audited():
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, approvals=1)
        await put_version(cluster)
        with pytest.raises(Conflict) as other:
            await cluster.ask(approvals.APPROVE, BOB, **OF, hash="0" * 64)
        assert other.value.code == "hash_differs"
        await cluster.ask(approvals.APPROVE, BOB, **OF, hash=CONTRACT.hash)
        key = approval_key(SALES, CONTRACT.name, CONTRACT.version)
        kept = await cluster.barn.get(key, ApprovalRecord)
        assert kept is not None
        (word,) = kept.value.words
        assert (word.by, word.at_ms, word.hash) == (BOB.subject, NOW_MS, CONTRACT.hash)
        page = await cluster.ask(audit.LIST, herd="sales")
        assert "contracts.versions.approve" in str(page.items)


async def test_versions_are_listed_by_how_they_stand():
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, approvals=1)
        await put_version(cluster)
        await put_version(cluster, ContractSpec("Plane", "2.0.0", ()))
        await cluster.ask(approvals.APPROVE, BOB, **OF)

        async def listed(**asked: object) -> list[str]:
            page = await cluster.ask(approvals.LIST, EVE, herd="sales", **asked)
            shown: tuple[ApprovalDocument, ...] = page.items
            return [one.name for one in shown]

        assert sorted(await listed()) == sorted([CONTRACT.name, "Plane"])
        assert await listed(state=Standing.PENDING) == ["Plane"]
        assert await listed(state=Standing.APPROVED) == [CONTRACT.name]
        got = await cluster.ask(approvals.GET, EVE, **OF)
        assert [one.by for one in got.words] == [BOB.subject]


async def test_who_has_no_right_to_approve_there_approves_and_rejects_nothing():
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, approvals=1)
        await put_version(cluster)
        with pytest.raises(Forbidden):
            await cluster.ask(approvals.APPROVE, EVE, **OF)
        with pytest.raises(Forbidden):
            await cluster.ask(approvals.REJECT, EVE, **OF, reason="no")
        with pytest.raises(Invalid):
            await cluster.ask(approvals.REJECT, BOB, **OF, reason="")
        with pytest.raises(NotFound):
            await cluster.ask(approvals.APPROVE, BOB, **{**OF, "version": "9.9.9"})


async def test_a_contract_that_is_hidden_from_who_runs_is_not_named_in_what_they_are_refused():
    role = Role(RoleName("kept"), SALES, (Rule((Verb.GET,), (Resource.CONTRACTS,), (CONTRACT.name,), effect=Effect.DENY),))  # fmt: skip
    binding = Binding(BindingName("kept"), SALES, role.name, RoleOf.HERD, (ANN.subject,))
    async with served(roles=[role], bindings=[*BINDINGS, binding]) as cluster:
        await declare(cluster, approvals=1)
        await put_version(cluster)
        await cluster.ask(approvals.REJECT, BOB, **OF, reason="secret")
        await deploy(cluster.barn, "sales")
        with pytest.raises(Refused) as refused:
            await submit(cluster)
        assert refused.value.code == "contract_not_approved"
        said = f"{refused.value.text} {refused.value.hint}"
        assert not any(one in said for one in (CONTRACT.name, "secret", "bob"))


async def test_a_herd_that_wants_goldens_or_no_drift_has_it_so_in_runs_too():
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, goldens=True)
        await deploy(cluster.barn, "sales")
        with pytest.raises(Refused) as refused:
            await submit(cluster)
        assert refused.value.code == "golden_required"
        assert (await submit(cluster, rehearsal=True)).rehearsal
        herd = (await get_herd(cluster.barn, SALES)).value
        blocking = HerdRecord(herd.herd, contracts=ContractPolicy(blocks_drift=True))
        await update_herd(cluster.barn, blocking, By("operator:root", NOW_MS))
        run = await submit(cluster)
        deployed = await deploy(cluster.barn, "sales")
        assert run.version != deployed.hash, (
            "its check lets nothing through that leaves the contract"
        )
