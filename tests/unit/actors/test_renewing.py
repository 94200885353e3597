"""A node looks after its certificate: in time, with a new key, and by the authority that issues now."""

from __future__ import annotations

from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
import trio.testing
from runink.certificates.pins import read_bundle
from runink.certificates.roles import NodeRole
from runink.clients.trust_requests import RevokeNode, Rotate, Step
from runink.errors import Forbidden
from runink.names import NodeId
from runink.trust.connecting import Trust, trust_of
from runink.trust.renewing import LOOK_S, Renewer
from trust_world import HALF_S, WITHIN_S, TrustWorld, trust_world

pytestmark = pytest.mark.trio
FIRST = NodeId("member-1")


def renewer(world: TrustWorld, trust: Trust, told: list[int]) -> Renewer:
    return Renewer(
        trust,
        world.keeper,
        world.barn,
        now_s=lambda: world.now_s,
        jitter=lambda: 0.5,
        renewed=lambda: told.append(world.now_s),
    )


async def test_a_certificate_is_renewed_at_half_of_its_life_and_used_at_once(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with trust_world(tmp_path) as world:
        trust = trust_of(tmp_path / "trust", None)
        assert trust.folder is not None
        assert trust.contexts is not None
        told: list[int] = []
        one = renewer(world, trust, told)
        world.pass_time(HALF_S - 60)
        await one.look()
        assert told == []
        before = trust.contexts.accepting(), (tmp_path / "trust" / "key.pem").read_bytes()
        world.pass_time(61)
        await one.look()
        shown = trust.folder.shown()
        assert shown is not None
        assert (shown.name, shown.generation) == (FIRST, 2)
        assert told == [world.now_s]
        assert trust.contexts.accepting() is not before[0]
        assert (tmp_path / "trust" / "key.pem").read_bytes() != before[1]
        await one.look()
        assert len(told) == 1


async def test_a_renewal_that_is_refused_is_tried_again_when_some_time_has_passed(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with trust_world(tmp_path) as world:
        told: list[int] = []
        one = renewer(world, trust_of(tmp_path / "trust", None), told)
        await world.keeper.ask(RevokeNode(NodeRole.SERVER, FIRST), within=WITHIN_S)
        world.pass_time(HALF_S + 60)
        with pytest.raises(Forbidden):
            await one.look()
        await one.look()  # not again at once
        world.pass_time(3600)
        with pytest.raises(Forbidden):
            await one.look()
        assert told == []


async def test_whom_to_trust_is_kept_when_it_changes_and_a_new_issuer_renews_at_once(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with trust_world(tmp_path) as world:
        told: list[int] = []
        one = renewer(world, trust_of(tmp_path / "trust", None), told)
        bundle = tmp_path / "trust" / "authority.pem"
        await one.look()
        await world.keeper.ask(Rotate(Step.BEGIN), within=WITHIN_S)
        await world.until(lambda: world.board.authorities is not None and world.board.authorities.value.revision == 2)  # fmt: skip
        await one.look()
        assert len(read_bundle(bundle.read_bytes())) == 2
        await world.until(lambda: world.board.views()[0].revision == 2)
        facts = await world.keeper.ask(Rotate(Step.ADVANCE), within=WITHIN_S)
        await world.until(lambda: world.board.authorities is not None and world.board.authorities.value.revision == 3)  # fmt: skip
        await one.look()
        assert told == [world.now_s]
        await world.until(lambda: world.board.views()[0].authority == facts.issuer)
        facts = await world.keeper.ask(Rotate(Step.ADVANCE), within=WITHIN_S)
        await world.until(lambda: world.board.authorities is not None and world.board.authorities.value.revision == 4)  # fmt: skip
        await one.look()
        assert [each.fingerprint for each in read_bundle(bundle.read_bytes())] == [facts.issuer]


async def test_a_disk_that_takes_nothing_is_tried_again_and_ends_nobody(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with trust_world(tmp_path) as world:
        told: list[int] = []
        one = renewer(world, trust_of(tmp_path / "trust", None), told)
        bundle = tmp_path / "trust" / "authority.pem"
        kept = bundle.read_bytes()
        bundle.unlink()
        bundle.mkdir()  # nothing can be put in its place
        with pytest.raises(OSError, match="directory"):
            await one.look()
        async with anyio.create_task_group() as group:
            group.start_soon(one.run)
            await anyio.sleep(LOOK_S * 2)
            bundle.rmdir()
            bundle.write_bytes(kept)
            world.pass_time(HALF_S + 60)
            await world.until(lambda: world.board.records()[0].generation == 2)
            while not told:  # ends: its answer is under way
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
    assert len(told) == 1
