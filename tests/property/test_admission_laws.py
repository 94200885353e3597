"""Admission of runs: no herd has more at a time than it may have, however late is seen what was done, and by however many."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed
from runink.actors.run_sight import RunSight
from runink.actors.tables import Loaded
from runink.barn.keys import herd_key, run_key
from runink.barn.keyvalue import KeyValue
from runink.clients.barn import decode_value, encode_value
from runink.herds.record import HerdRecord
from runink.names import BundleHash, HerdName, PipelineName, RunId
from runink.runs.records import RunRecord, RunState

HERD = HerdName("default")
RUNS_MAX = 1
NAMES = [RunId(str(number) * 26) for number in range(6)]
BACK_MAX = 4  # revisions that who decides has not seen yet
DOINGS = ("submit", "decide", "decide", "commit", "end")
STEPS = 60


class Herd:
    """A herd's runs in the Barn, revision by revision, and admissions that are on their way to it."""

    def __init__(self) -> None:
        quota = KeyValue(herd_key(HERD), encode_value(HerdRecord(HERD, runs=RUNS_MAX)), 1, 1, 1)
        self.past: list[dict[str, KeyValue]] = [{quota.key: quota}]
        self.sent: list[tuple[RunId, int]] = []  # a run, and its revision that is compared

    def put(self, record: RunRecord) -> None:
        key, revision = run_key(HERD, record.run), len(self.past) + 1
        old = self.past[-1].get(key)
        created = revision if old is None else old.create_revision
        item = KeyValue(key, encode_value(record), created, revision, 1)
        self.past.append({**self.past[-1], key: item})

    def runs(self, *states: RunState) -> list[RunRecord]:
        items = (item for key, item in self.past[-1].items() if key != herd_key(HERD))
        records = (decode_value(item, RunRecord).value for item in items)
        return [one for one in records if one.state in states]

    def submit(self, run: RunId) -> None:
        name, bundle = PipelineName("p"), BundleHash("b")
        state = RunState.SUBMITTED
        self.put(RunRecord(run, HERD, name, "v", "p", "p.dsl", "/p", bundle, state, 1))

    def decide(self, run: RunId, back: int) -> None:
        """Look at the herd as it was some revisions ago, and send what that comes to."""
        revision = max(len(self.past) - back, 1)
        items = self.past[revision - 1]
        sight = RunSight()
        sight.load(Loaded(tuple(items.values()), revision))
        record = sight.record_of(run)
        is_waiting = record is not None and record.state is RunState.SUBMITTED
        if is_waiting and not sight.world(record, now_ms=1, session="").refused:
            self.sent.append((run, items[run_key(HERD, run)].mod_revision))

    def commit(self, run: RunId, revision: int) -> None:
        """Let something come in that was on its way: long after it was decided, or behind what was decided later."""
        (record,) = (one for one in self.runs(*RunState) if one.run == run)
        if self.past[-1][run_key(HERD, run)].mod_revision == revision:
            self.put(changed(record, state=RunState.ADMITTED))

    def do(self, doing: str, random: Random) -> None:
        """Do something to one of those that it can be done to, if there are any."""
        match doing:
            case "submit":
                there = {one.run for one in self.runs(*RunState)}
                left = [name for name in NAMES if name not in there]
                if left:
                    self.submit(random.choice(left))
            case "decide":
                waiting = self.runs(RunState.SUBMITTED)
                if waiting:
                    self.decide(random.choice(waiting).run, random.randint(0, BACK_MAX))
            case "commit":
                if self.sent:
                    self.commit(*self.sent.pop(random.randrange(len(self.sent))))
            case _:
                admitted = self.runs(RunState.ADMITTED)
                if admitted:
                    self.put(changed(random.choice(admitted), state=RunState.SUCCEEDED))


@given(st.integers(0, 1 << 32))
def test_no_herd_has_more_runs_than_it_may_have_whoever_decides_on_whatever_is_seen(
    seed: int,
) -> None:
    random, herd = Random(seed), Herd()
    for _ in range(STEPS):
        herd.do(random.choice(DOINGS), random)
        assert len(herd.runs(RunState.ADMITTED)) <= RUNS_MAX
