"""The keeper of what is over: forgets it when its herd has said so, and takes herds away whose time has come.

    it looks at                             and
    a herd that is deleted, and is due      has its nodes let go of what its failed runs keep, then takes all of it away
    runs of a herd with `[retention] runs`  forgets those that ended so long ago; of what one keeps its node lets go first
    lineage, with `[retention] lineage`     takes it away so long after the run's end
    what no run needs any more              takes pipelines and bundles away, when it has forgotten something

What lies on nodes is theirs to clear (`leavings.py`): they do when the run is forgotten.  It looks every LOOK_S; a look that is cut is made again by the next one, here or at the member that takes
over, as nothing is held here that is not in the Barn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, Never, assert_never

import anyio

from runink.barn.keys import LINEAGE
from runink.clients.barn import BarnClient, Found
from runink.clients.forgetting import forget_run, sweep_barn
from runink.clients.herds import all_herds, begin_purge, purge, runs_of
from runink.clients.run_requests import Drop, RunRequest
from runink.errors import NotFound, Refused, Unavailable
from runink.herds.lifecycle import is_due
from runink.herds.record import HerdRecord
from runink.names import HerdName, RunId
from runink.runs.records import RunRecord
from runink.runs.retention import forgettable, is_past
from runink.runtime.actor import Actor, Context
from runink.runtime.ref import Ref

LOOK_S: Final = 600.0  # what is said in days need not be seen to by the second
AGAIN_S: Final = 5.0  # until the next look where the Barn did not answer
WITHIN_S: Final = 15.0
FORGOTTEN_MAX: Final = 500  # runs of a herd in one look: others have their turn between
FRESH_MS: Final = 3_600_000  # between packing a project and submitting its run lies a second

_log = logging.getLogger(__name__)


class Retention(Actor[Never]):
    """One for a control plane that stays. `runs` is its run controller, `now_ms` the wall clock, milliseconds of the Unix epoch."""

    def __init__(
        self, barn: BarnClient, runs: Ref[RunRequest], *, now_ms: Callable[[], int]
    ) -> None:
        self._barn = barn
        self._runs = runs
        self._now_ms = now_ms

    async def started(self, context: Context[Never]) -> None:
        context.spawn(self._keep)

    async def receive(self, message: Never) -> None:
        assert_never(message)

    async def _keep(self) -> None:
        while True:  # ends with the actor
            wait_s = LOOK_S
            try:
                await self.look()
            except Unavailable:
                wait_s = AGAIN_S
            await anyio.sleep(wait_s)

    async def look(self) -> None:
        """Forget what is due. Raises Unavailable."""
        forgotten = 0
        for found in await all_herds(self._barn):
            herd = found.value
            if is_due(herd, self._now_ms()):
                await self._purge(herd.herd)
                forgotten += 1
            elif herd.retention.runs_ms or herd.retention.lineage_ms:
                forgotten += await self._forget(herd)
        if forgotten:
            await sweep_barn(self._barn, before_ms=self._now_ms() - FRESH_MS)

    async def _purge(self, herd: HerdName) -> None:
        """Take a herd away, unless nodes have yet what its failed runs keep: then the next look does."""
        try:
            await begin_purge(self._barn, herd, now_ms=self._now_ms())
        except Refused:
            return  # somebody has taken it back, or was faster
        if await self._let_go((await runs_of(self._barn, herd))[0]):
            return
        keys = await purge(self._barn, herd)
        _log.warning("herd purged", extra={"herd": herd, "keys": keys})

    async def _forget(self, herd: HerdRecord) -> int:
        """Forget runs and lineage of a herd that are too old; return how many runs those were."""
        records = (await runs_of(self._barn, herd.herd))[0]
        kept_ms, now_ms = {herd.herd: herd.retention.runs_ms}, self._now_ms()
        gone = forgettable(records, keep=None, kept_ms=kept_ms, now_ms=now_ms)[:FORGOTTEN_MAX]
        keeping = await self._let_go(gone)
        gone = [one for one in gone if one.run not in keeping]
        for record in gone:
            await forget_run(self._barn, record)
        lineage = await self._forget_lineage(herd, records)
        if gone or lineage:
            _log.info("forgotten", extra={"herd": herd.herd, "runs": len(gone), "lineage": lineage})
        return len(gone)

    async def _let_go(self, records: list[RunRecord]) -> set[RunId]:
        """Have runs take away what they keep; return those that keep something yet."""
        keeping = {one.run for one in records if one.kept_until_ms}
        for run in sorted(keeping):
            try:
                await self._runs.ask(Drop(run), within=WITHIN_S)
            except NotFound:
                continue
        return keeping

    async def _forget_lineage(self, herd: HerdRecord, records: list[RunRecord]) -> int:
        kept_ms, now_ms = herd.retention.lineage_ms, self._now_ms()
        old = {one.run for one in records if is_past(one, kept_ms, now_ms)}
        if not old:
            return 0
        there: list[Found[bytes]] = list(
            (await self._barn.range(LINEAGE.prefix(herd.herd), bytes)).items
        )
        keys = [one.key for one in there if (LINEAGE.parse(one.key) or ("",))[-1] in old]
        for key in keys:
            await self._barn.delete(key)
        return len(keys)
