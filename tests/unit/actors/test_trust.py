"""Members let nodes in by tokens and renew their certificates; of two that come with one token, or with one key, one is let in."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
import trio.testing
from runink.actors.trust_rotation import place_of
from runink.barn.keys import AUTHORITY_KEYS, BOOTSTRAP, CERTIFICATES, JOINS, OWN_ROOTS
from runink.barn.keyvalue import key_prefix
from runink.certificates.pins import read_bundle
from runink.certificates.renewal import NodeCertificate, Standing
from runink.certificates.roles import NodeRole
from runink.certificates.rotation import Phase
from runink.clients.barn import BarnClient, Committed, Transaction
from runink.clients.trust_requests import (
    AuthorityOf,
    RevokeNode,
    Rotate,
    Step,
    TrustFacts,
    Trusts,
)
from runink.errors import Conflict, Forbidden, Invalid, NotFound, Refused, RuninkError
from runink.identity.bootstrap import RECORD, Bootstrap, redeem
from runink.names import NodeId
from runink.private_files import create_private
from runink.root_key import read_root_keys, read_signing_roots
from runink.secrets.seal import Place, opened, seal
from runink.testing.node_certificates import curve_key
from runink.trust.founding import found, read_founding
from trust_world import HALF_S, WITHIN_S, TrustWorld, named, trust_world

pytestmark = pytest.mark.trio


async def refused(world: TrustWorld, word: str, **asked: object) -> str:
    with pytest.raises(RuninkError) as info:
        await world.join(word, **asked)  # type: ignore[arg-type] # as `join` takes them
    return info.value.code


async def test_a_cluster_begins_with_an_authority_and_its_first_member(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with trust_world(tmp_path) as world:
        facts = await world.facts()
        assert (facts.cluster, facts.phase) == ("farm", Phase.ONE)
        assert [(one.name, one.generation) for one in facts.nodes] == [("member-1", 1)]
        bundle = await world.keepers[1].ask(AuthorityOf(), within=WITHIN_S)
        assert [one.fingerprint for one in read_bundle(bundle.pem)] == [facts.issuer]
        assert not (tmp_path / "trust" / "founding").exists()
        with pytest.raises(Conflict) as info:
            found(tmp_path, "farm", NodeId("member-1"), now_s=world.now_s)
        assert info.value.code == "already_founded"


async def test_a_cluster_begins_with_a_word_for_its_first_administrator_and_keeps_a_hash_of_it(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with trust_world(tmp_path) as world:
        kept = await world.barn.get(BOOTSTRAP.key(RECORD), Bootstrap)
        assert kept is not None
        assert world.word not in str(kept.value)
        used = redeem(kept.value, world.word, "user:corp:ann", now_s=world.now_s)
        assert used.used is not None


async def test_founding_that_was_cut_goes_on_and_has_another_word(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    first = found(tmp_path, "farm", NodeId("member-1"), now_s=1)
    before = read_founding(tmp_path)
    for name in ("certificate.pem", "authority.pem"):
        (tmp_path / "trust" / name).unlink()
    second = found(tmp_path, "farm", NodeId("member-1"), now_s=1)
    after = read_founding(tmp_path)
    assert before is not None
    assert after is not None
    assert after.authorities == before.authorities
    assert redeem(after.bootstrap, second, "user:corp:ann", now_s=1)
    with pytest.raises(Forbidden):
        redeem(after.bootstrap, first, "user:corp:ann", now_s=1)


async def test_the_key_of_the_authority_is_nowhere_in_the_clear(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with trust_world(tmp_path) as world:
        await world.joined("w1")
        issuer = (await world.facts()).issuer
        sealed = await world.barn.get(AUTHORITY_KEYS.key(issuer), bytes)
        assert sealed is not None
        spans = [key_prefix(f"/{root}/") for root in OWN_ROOTS]
        pages = (await world.barn.read(*spans)).pages
        values = b"".join(item.value for page in pages for item in page.items)
    # PKCS #8 begins with the same bytes whatever the key: algorithm EC, P-256.
    assert bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107 0427".replace(" ", "")) not in values  # fmt: skip
    assert b"PRIVATE KEY" not in values


async def test_a_token_lets_one_node_in_under_its_name_once(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with trust_world(tmp_path) as world:
        word = (await world.mint("w1")).word
        shown = named((await world.join(word)).certificate)
        assert (shown.role, shown.name, shown.generation) == (NodeRole.AGENT, "w1", 1)
        assert await refused(world, word, member=1) == "join_token_used"
        kept = (await world.barn.read(key_prefix(JOINS.prefix()))).pages[0].items
        assert not any(part in item.value for part in [word.split(".")[2].encode()] for item in kept)  # fmt: skip


async def test_of_two_that_come_at_once_to_two_members_with_one_token_one_joins(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with trust_world(tmp_path) as world:
        word = (await world.mint()).word
        came: list[str] = []

        async def come(name: str, member: int) -> None:
            try:
                await world.join(word, name=name, member=member)
            except RuninkError as error:
                came.append(error.code)
            else:
                came.append("joined")

        async with anyio.create_task_group() as group:
            for number in range(6):
                group.start_soon(come, f"w{number}", number % 2)
        assert sorted(came) == ["join_token_used"] * 5 + ["joined"]
        records = await world.barn.range(CERTIFICATES.prefix(), dict)
        assert len(records.items) == 2, "the member and one worker"


async def test_a_joiner_whose_answer_was_lost_is_answered_the_same(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with trust_world(tmp_path) as world:
        word, key = (await world.mint("w1")).word, curve_key()
        first = await world.join(word, key=key)
        again = await world.join(word, key=key, member=1)
        assert first.certificate == again.certificate


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda word: word.replace("rnk1", "rnk2"), "bad_join_token"),
        (lambda word: word.rpartition(".")[0], "bad_join_token"),
        (lambda word: ".".join((word.split(".")[0], "0" * 12, *word.split(".")[2:])), "join_token_unknown"),
    ],
)  # fmt: skip
async def test_a_token_that_is_none_of_ours_lets_nobody_in(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, spoil, code: str
):
    async with trust_world(tmp_path) as world:
        assert await refused(world, spoil((await world.mint("w1")).word)) == code


async def test_a_token_ends_and_is_for_the_name_that_it_says(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with trust_world(tmp_path) as world:
        late, other = await world.mint("w1"), await world.mint("w2", lifetime_s=86_400)
        world.pass_time(3601)
        assert await refused(world, late.word) == "join_token_expired"
        assert await refused(world, other.word, name="w3") == "join_token_name"
        with pytest.raises(Invalid):
            await world.mint("w1", lifetime_s=5)


async def test_a_node_renews_with_a_new_key_and_is_known_by_both_for_a_while(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with trust_world(tmp_path) as world:
        first = await world.joined("w1")
        world.pass_time(HALF_S)
        second = await world.renew(first)
        assert named(second).generation == 2
        await world.until(lambda: all(one.records()[0].generation == 2 for one in world.boards))
        for board in world.boards:
            for one in (first, second):
                assert board.why_refused(named(one), now_s=world.now_s) is None
        world.pass_time(HALF_S + 1)
        denied = world.board.why_refused(named(first), now_s=world.now_s)
        assert denied is not None
        assert denied.code == "certificate_expired"


async def test_a_copy_of_a_nodes_key_is_found_at_the_second_renewal_and_both_are_cut_off(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with trust_world(tmp_path) as world:
        first = await world.joined("w1")
        second = await world.renew(first)
        with pytest.raises(Forbidden) as info:
            await world.renew(first)
        assert info.value.code == "node_locked"
        await world.until(lambda: world.boards[1].records()[0].standing is Standing.LOCKED)
        for one in (first, second):
            denied = world.boards[1].why_refused(named(one), now_s=world.now_s)
            assert denied is not None
            assert denied.code == "node_locked"
        again = await world.join((await world.mint("w1", rejoins=True)).word)
        assert named(again.certificate).generation == 3
        assert "runi node rejoin w1" in info.value.hint


async def test_a_copy_is_locked_also_if_somebody_writes_the_record_at_that_moment(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
):
    async with trust_world(tmp_path) as world:
        first = await world.joined("w1")
        await world.renew(first)
        key, commit, left = CERTIFICATES.key("agent", "w1"), BarnClient.commit, [1]

        async def overtaken(barn: BarnClient, transaction: Transaction) -> Committed:
            if left and barn is not world.barn:
                left.pop()
                found = await world.barn.get(key, NodeCertificate)
                assert found is not None
                await world.barn.put(key, found.value)
            return await commit(barn, transaction)

        monkeypatch.setattr(BarnClient, "commit", overtaken)
        with pytest.raises(Forbidden):
            await world.renew(first)
        found = await world.barn.get(key, NodeCertificate)
    assert found is not None
    assert found.value.standing is Standing.LOCKED


async def test_a_revoked_node_is_known_to_every_member_and_renews_no_more(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with trust_world(tmp_path) as world:
        first = await world.joined("w1")
        asked = RevokeNode(NodeRole.AGENT, NodeId("w1"), "laptop lost")
        node = await world.keeper.ask(asked, within=WITHIN_S)
        assert (node.standing, node.reason) == (Standing.REVOKED, "laptop lost")
        await world.until(lambda: world.boards[1].records()[0].standing is Standing.REVOKED)
        denied = world.boards[1].why_refused(named(first), now_s=world.now_s)
        assert denied is not None
        assert "laptop lost" in denied.text
        with pytest.raises(Forbidden):
            await world.renew(first)
        with pytest.raises(NotFound):
            await world.keeper.ask(RevokeNode(NodeRole.AGENT, NodeId("w9")), within=WITHIN_S)


async def test_a_server_that_joins_is_given_the_root_key_and_an_agent_is_not(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with trust_world(tmp_path) as world:
        agent = await world.join((await world.mint("w1")).word)
        server = await world.join((await world.mint("member-2", role=NodeRole.SERVER)).word)
        assert agent.root_keys == b""
        assert server.root_keys == (tmp_path / "root.key").read_bytes()
        assert "runink-root-key" not in repr(server)


async def test_who_signs_on_a_node_of_its_own_is_given_what_opens_signing_keys_and_nothing_else(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with trust_world(tmp_path) as world:
        signer = await world.join((await world.mint("signer", role=NodeRole.IDENTITY)).word)
        given = tmp_path / "given.key"
        create_private(given, signer.root_keys)
        roots, (root,) = read_root_keys(given), read_root_keys(tmp_path / "root.key")
        assert roots == read_signing_roots(tmp_path / "root.key")
        at = Place("signing-key", ("k",), 1)
        assert opened(roots[0], at, seal(roots[0], at, b"scalar", nonce=bytes(12))) == b"scalar"
        found = await world.barn.range(AUTHORITY_KEYS.prefix(), bytes)
        (sealed,) = found.items
        of_authority = place_of(sealed.key.removeprefix(AUTHORITY_KEYS.prefix()))
        assert opened(root, of_authority, sealed.value)
        with pytest.raises(Refused) as refused:
            opened(roots[0], of_authority, sealed.value)
        assert refused.value.code == "seal_broken"


async def test_another_authority_takes_over_when_all_nodes_have_come_along(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with trust_world(tmp_path) as world:
        old = (await world.facts()).issuer
        member, worker = (tmp_path / "trust" / "certificate.pem").read_bytes(), await world.joined("w1")  # fmt: skip
        assert member

        async def step(step: Step, *, forced: bool = False) -> TrustFacts:
            return await world.keeper.ask(Rotate(step, forced), within=WITHIN_S)

        async def say(certificate: bytes, revision: int) -> None:
            shown = named(certificate)
            said = Trusts(shown.role, shown.name, revision, shown.authority, shown.not_after_s)
            await world.keeper.tell(said)

        async def waits() -> str:
            with pytest.raises(Conflict) as info:
                await step(Step.ADVANCE)
            return info.value.text

        facts = await step(Step.BEGIN)
        assert (facts.phase, facts.issuer) == (Phase.BOTH, old)
        assert "member-1, w1" in await waits()
        first = world.board.record(NodeRole.SERVER, NodeId("member-1"))
        assert first is not None
        await say(first.value.certificate, facts.revision)
        await say(worker, facts.revision)
        await world.until(lambda: all(one.revision == facts.revision for one in world.board.views()))  # fmt: skip
        facts = await step(Step.ADVANCE)
        assert facts.phase is Phase.ISSUING
        assert facts.issuer != old
        new = await world.renew(worker)
        assert named(new).authority == facts.issuer
        await say(new, facts.revision)
        await world.until(lambda: named(new).authority in {one.authority for one in world.board.views()})  # fmt: skip
        assert await waits() == "member-1 do not show a certificate of the new authority yet"
        facts = await step(Step.ADVANCE, forced=True)
        assert [one for one, _ in facts.authorities] == [facts.issuer]
        assert await world.barn.get(AUTHORITY_KEYS.key(old), bytes) is None
        assert named(await world.renew(new)).authority == facts.issuer


async def test_a_rotation_that_has_issued_nothing_can_be_given_up(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with trust_world(tmp_path) as world:
        before = await world.facts()
        await world.keeper.ask(Rotate(Step.BEGIN), within=WITHIN_S)
        after = await world.keeper.ask(Rotate(Step.ABANDON), within=WITHIN_S)
        assert (after.phase, after.issuer) == (Phase.ONE, before.issuer)
        keys = await world.barn.range(AUTHORITY_KEYS.prefix(), bytes)
        assert len(keys.items) == 1
