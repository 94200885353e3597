"""Programs of a herd over the API: made, disabled and taken away by who may, and no secret for who does not hold what the program may."""

from __future__ import annotations

import msgspec
import pytest
from runink.clients.herds import create_herd, delete_herd
from runink.errors import Conflict, Forbidden, NotFound, RuninkError
from runink.herds.lifecycle import By
from runink.herds.record import HerdRecord
from runink.identity.accounts import ACCOUNTS_MAX
from runink.names import HerdName
from runink.operations.calls import Condition
from runink.operations.catalog import accounts
from runink.operations.catalog.accounts import AccountDocument
from runink.testing.served import NOW_MS, Served, bound, person, served

pytestmark = pytest.mark.anyio
ANN, BEN = person("ann"), person("ben")
ADMINS = [bound("admins", "admin", ANN.subject, herd="sales")]
ANY = Condition(is_any=True)


async def declared(cluster: Served, *names: str) -> None:
    for name in names or ("sales",):
        await create_herd(cluster.barn, HerdRecord(HerdName(name)), By("operator:root", NOW_MS))


async def made(cluster: Served, name: str = "nightly", **said: str) -> AccountDocument:
    found = await cluster.ask(accounts.CREATE, ANN, herd="sales", account=name, **said)
    assert isinstance(found, AccountDocument)
    return found


async def test_a_program_is_made_shown_changed_and_taken_away():
    async with served(bindings=ADMINS) as cluster:
        await declared(cluster)
        account = await made(cluster, description="loads")
        assert (account.client_id, account.made_by, account.secrets) == ("sales/nightly", ANN.subject, ())  # fmt: skip
        of = {"herd": "sales", "account": "nightly"}
        assert await cluster.ask(accounts.GET, ANN, **of) == account
        condition = Condition(frozenset({account.revision}))
        after = await cluster.ask(
            accounts.UPDATE, ANN, condition=condition, description="rests", disabled=True, **of
        )
        assert (after.description, after.disabled) == ("rests", True)
        with pytest.raises(Conflict) as refused:
            await cluster.ask(accounts.DELETE, ANN, condition=condition, **of)
        assert refused.value.code == "precondition_failed"
        await cluster.ask(accounts.DELETE, ANN, condition=ANY, **of)
        with pytest.raises(NotFound):
            await cluster.ask(accounts.GET, ANN, **of)


async def test_a_call_that_is_repeated_makes_a_program_once_and_no_other_call_takes_its_name():
    async with served(bindings=ADMINS) as cluster:
        await declared(cluster)
        first = await made(cluster)
        again = await cluster.ask(accounts.CREATE, ANN, herd="sales", account="nightly", once="0" * 32)  # fmt: skip
        assert again == first
        with pytest.raises(Conflict) as refused:
            await made(cluster)
        assert refused.value.code == "exists"


async def test_a_secret_is_told_once_and_several_are_good_at_once():
    async with served(bindings=ADMINS) as cluster:
        await declared(cluster)
        await made(cluster)
        of = {"herd": "sales", "account": "nightly"}
        one = await cluster.ask(accounts.CREATE_SECRET, ANN, **of)
        two = await cluster.ask(accounts.CREATE_SECRET, ANN, lifetime_ms=3_600_000, **of)
        shown = await cluster.ask(accounts.GET, ANN, **of)
        assert [(each.secret, each.last) for each in shown.secrets] == [(each.secret, each.client_secret[-4:]) for each in (one, two)]  # fmt: skip
        assert two.until_ms == NOW_MS + 3_600_000
        text = msgspec.json.encode(shown).decode()
        assert not any(each.client_secret in text for each in (one, two))
        await cluster.ask(accounts.DELETE_SECRET, ANN, secret=one.secret, **of)
        shown = await cluster.ask(accounts.GET, ANN, **of)
        assert [each.secret for each in shown.secrets] == [two.secret]
        with pytest.raises(NotFound):
            await cluster.ask(accounts.DELETE_SECRET, ANN, secret=one.secret, **of)


async def test_nobody_makes_a_secret_of_a_program_that_may_more_than_they():
    bindings = [
        bound("admins", "admin", ANN.subject, herd="sales"),
        bound("everywhere", "admin", "service-account:sales/nightly"),
    ]
    async with served(bindings=bindings) as cluster:
        await declared(cluster)
        await made(cluster)
        with pytest.raises(Forbidden) as refused:
            await cluster.ask(accounts.CREATE_SECRET, ANN, herd="sales", account="nightly")
        assert refused.value.code == "not_held"
        assert await cluster.ask(accounts.CREATE_SECRET, herd="sales", account="nightly")


async def test_a_herd_has_so_many_programs_and_no_more():
    async with served(bindings=ADMINS) as cluster:
        await declared(cluster)
        for number in range(ACCOUNTS_MAX):
            await made(cluster, f"a{number}")
        with pytest.raises(Conflict) as refused:
            await made(cluster)
        assert refused.value.code == "too_many_accounts"


@pytest.mark.parametrize("how", ["project", "deleted", "nowhere"])
async def test_only_a_herd_that_is_declared_and_there_has_programs(how: str):
    async with served() as cluster:
        if how == "project":
            await cluster.barn.put("/herds/sales", HerdRecord(HerdName("sales")))
        elif how == "deleted":
            await declared(cluster)
            await delete_herd(cluster.barn, HerdName("sales"), By("x", NOW_MS), kept_ms=1)
        with pytest.raises(RuninkError) as refused:
            await cluster.ask(accounts.CREATE, herd="sales", account="nightly")
        expected = {"project": "herd_not_declared", "deleted": "herd_deleted", "nowhere": "no_such_herd"}  # fmt: skip
        assert refused.value.code == expected[how]


async def test_only_those_programs_are_listed_that_the_caller_may_read():
    bindings = [*ADMINS, bound("viewers", "viewer", BEN.subject, herd="sales")]
    async with served(bindings=bindings) as cluster:
        await declared(cluster, "sales", "stock")
        for name in ("a", "b", "c"):
            await made(cluster, name)
        listed = await cluster.ask(accounts.LIST, BEN, herd="sales", limit=2)
        assert [one.account for one in listed.items] == ["a", "b"]
        assert listed.after
        with pytest.raises(NotFound):
            await cluster.ask(accounts.LIST, BEN, herd="stock")
