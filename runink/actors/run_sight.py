"""What the run controller sees of the Barn, by run: the records of runs that live, and where to find those that are over.

A run that is over costs nothing any more: its records are forgotten here as soon as that has been told and it keeps nothing, and only its key stays, for whoever asks
for it.  A slice or placement of a run that does not live is not looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from runink.actors.tables import Loaded, Table
from runink.barn.history import Watched
from runink.barn.keys import (
    DURATIONS,
    HEALTH,
    HERDS,
    NODES,
    PLACEMENTS,
    PUBLISHING,
    RESERVATIONS,
    RUNS,
    SLICES,
    STANDINGS,
    durations_key,
    herd_key,
    parse_placement,
    parse_run,
    parse_slice,
)
from runink.barn.keyvalue import Change
from runink.clients.barn import Found, decode_value
from runink.dag import Dag
from runink.errors import NotFound
from runink.herds.record import HerdRecord
from runink.names import NodeId, RunId, SliceId
from runink.runs.clearing import AT_ONCE_MS, KEPT_RUNS_MAX
from runink.runs.durations import NOTHING_KNOWN, Durations
from runink.runs.health import NodeHealth
from runink.runs.passing import SliceChange, Surroundings, pass_by
from runink.runs.records import (
    NodeRecord,
    NodeStanding,
    Placement,
    RunRecord,
    RunState,
    SliceRecord,
    SliceState,
    Standing,
    Task,
)
from runink.runs.reservations import ReservationRecord
from runink.runs.views import RunView, World, Yielding

PREFIXES = tuple(
    keys.prefix()
    for keys in (
        RUNS,
        SLICES,
        PLACEMENTS,
        RESERVATIONS,
        NODES,
        STANDINGS,
        HEALTH,
        HERDS,
        PUBLISHING,
        DURATIONS,
    )
)


class Heard(NamedTuple):
    """The runs that some changes concern, each with those of its slices, or nothing where more of it has changed; and whether they may concern every other run as well."""

    runs: dict[RunId, list[SliceChange] | None]
    is_general: bool


def is_done(record: RunRecord) -> bool:
    """Say whether nothing will be decided on a run any more."""
    return record.state.is_over and not record.kept_until_ms


def no_run(run: RunId) -> NotFound:
    """Return the error for who asks for a run that is not there."""
    return NotFound(f"there is no run {run}", hint="runi runs lists them")


class RunSight:
    """All of it, at one revision (`seen`)."""

    def __init__(self) -> None:
        self.seen = 0
        self.herds = Table(HERDS.prefix(), HerdRecord)
        self._nodes = Table(NODES.prefix(), NodeRecord)
        self._health = Table(HEALTH.prefix(), NodeHealth)
        self._standings = Table(STANDINGS.prefix(), NodeStanding)
        self._claims = Table(PUBLISHING.prefix(), str)
        self._reservations = Table(RESERVATIONS.prefix(), ReservationRecord)
        self._durations = Table(DURATIONS.prefix(), Durations)
        self._runs = Table(RUNS.prefix(), RunRecord)
        self._keys: dict[RunId, str] = {}  # of all runs
        self._slices: dict[RunId, Table[SliceRecord]] = {}  # of those that live, as the next
        self._records: dict[RunId, dict[str, SliceRecord]] = {}  # the same by name
        self._placed: dict[RunId, set[SliceId]] = {}
        self._told: dict[RunId, set[SliceId]] = {}  # of `_placed`, those that are leaving
        self._succeeded: dict[RunId, int] = {}  # how many slices of the pipeline
        self._waiting: dict[RunId, Counter[str]] = {}  # how many slices for what
        self._present: frozenset[NodeId] = frozenset()  # those of `_nodes`

    def load(self, loaded: Loaded) -> None:
        """Forget everything and take what there is."""
        self._keys, self._slices, self._records, self._placed = {}, {}, {}, {}
        self._told, self._succeeded, self._waiting = {}, {}, {}
        for table in (*self._general(), self._reservations, self._durations, self._runs):
            table.load(loaded.items)
        for found in self._runs:
            self._keys[found.value.run] = found.key
        for run in [one.value.run for one in self._runs if is_done(one.value)]:
            self.forget(run)
        for item in loaded.items:
            self._note(Change(item.mod_revision, item.key, item))
        self._meet()
        self.seen = loaded.revision

    def apply(self, watched: Watched) -> Heard:
        """Take changes, and return what they concern.

        What is seen already is passed over: an earlier life of the controller may have left it unread in the mailbox.
        """
        runs: dict[RunId, list[SliceChange] | None] = {}
        is_general = are_others = False
        for change in (one for one in watched.changes if one.revision > self.seen):
            key = change.key
            if parsed := parse_slice(key):  # nearly all are of slices and placements
                changed = self._note_slice(*parsed[1:], change)
                if changed is not None and (changes := runs.setdefault(parsed[1], [])) is not None:
                    changes.append(changed)
            elif placed := parse_placement(key):
                if self._note_placement(placed, change):
                    runs.setdefault(placed[1], [])
            elif self._durations.apply(change):
                continue  # what has begun was estimated when it did
            elif key.startswith(RESERVATIONS.prefix()):
                runs |= dict.fromkeys(self._reserve(change))
            else:
                for table in (self._runs, *self._general()):
                    table.apply(change)
                are_others |= key.startswith(NODES.prefix())
                about = parse_run(key)
                if about is None:
                    is_general = True
                else:
                    self._note_run(about[1], change)
                    runs[about[1]] = None
        if are_others:
            self._meet()
        self.seen = max(self.seen, watched.revision)
        return Heard(runs, is_general)

    def are_passing(self, run: RunId, changes: list[SliceChange], dag: Dag) -> bool:
        """Say whether changes pass a run by that lives and was settled before."""
        record = self.record_of(run)
        if record is None:
            return False
        left = len(dag.slices) - self._succeeded.get(run, 0)
        is_said = (
            len(self._standings) > 0
            or any(found.value.node not in self._present for found in self._health)
            # What is only kept, for whomever, stops nobody.
            or bool(self._yielding(run))
        )
        around = Surroundings(record, dag, self._present, is_said, left, self._waits(run))
        return pass_by(changes, around)

    def _waits(self, run: RunId) -> frozenset[str]:
        return frozenset(+self._waiting.get(run, Counter()))

    def _general(self) -> tuple[Table[Any], ...]:
        """Return the tables whose changes may concern every run."""
        return self.herds, self._nodes, self._standings, self._health, self._claims

    def _reserve(self, change: Change) -> list[RunId]:
        """Take a change of what is kept for others, and return the runs that are to give up something for it."""
        self._reservations.apply(change)
        found = self._reservations.get(change.key)
        return [victim.run for victim in found.value.victims] if found is not None else []

    def remember(self, found: Found[RunRecord]) -> None:
        """Take note of a run that was put by ourselves, before it is seen."""
        self._runs.put(found)
        self._keys[found.value.run] = found.key

    def forget(self, run: RunId) -> None:
        """Drop what is known of a run that is over, but where it is found."""
        self._slices.pop(run, None)
        self._records.pop(run, None)
        self._placed.pop(run, None)
        self._told.pop(run, None)
        self._succeeded.pop(run, None)
        self._waiting.pop(run, None)
        if run in self._keys:
            self._runs.drop(self._keys[run])

    def living(self) -> Iterator[RunId]:
        """Yield the runs that have not ended, or whose end is not told yet, and those that keep something."""
        return (found.value.run for found in self._runs)

    def key_of(self, run: RunId) -> str | None:
        """Return where a run is found, whether it lives or not; nothing if there is none."""
        return self._keys.get(run)

    def record_of(self, run: RunId) -> RunRecord | None:
        """Return a run that lives."""
        found = self._runs.get(self._keys.get(run, ""))
        return None if found is None else found.value

    def revision_of(self, key: str) -> int | None:
        """Return at which revision the key of a living run, or of a slice of it, was seen; nothing if it was not there."""
        found: Found[Any] | None = self._runs.get(key) or self._reservations.get(key)
        if found is None and (parsed := parse_slice(key)):
            slices = self._slices.get(parsed[1])
            found = slices.get(key) if slices is not None else None
        return None if found is None else found.revision

    def view(self, run: RunId, dag: Dag) -> RunView:
        """Return a run that lives, with its slices."""
        record = self.record_of(run)
        assert record is not None
        return RunView(record, dag, self._records.get(run, {}).copy())

    def _meet(self) -> None:
        """Take note of which nodes there are: it is asked at every change of a run, and they change seldom."""
        self._present = frozenset(found.value.node for found in self._nodes)

    def _standing(self, *wanted: Standing) -> frozenset[NodeId]:
        return frozenset(
            found.value.node for found in self._standings if found.value.standing in wanted
        )

    def world(self, record: RunRecord, *, now_ms: int, session: str) -> World:
        herd = self._herd(record)
        awaited = self._awaited(record, herd, now_ms)
        return World(
            now_ms=now_ms,
            session=session,
            nodes=self._present | awaited.keys() if awaited else self._present,
            awaited_ms=min(awaited.values(), default=0),
            claims={found.key.rpartition("/")[2]: RunId(found.value) for found in self._claims},
            placed=frozenset(self._placed.get(record.run, ())),
            refused=self._refused(record, herd.runs),
            draining=self._standing(Standing.DRAINING),
            cordoned=self._standing(*Standing),
            yielding=self._yielding(record.run),
            durations=self._known(record),
            keep_ms=herd.keep_failed_ms,
            is_crowded=self._is_crowded(record),
            store=herd.store,
            told=frozenset(self._told.get(record.run, ())),
            grace_max_ms=herd.grace_max_ms,
        )

    def _known(self, record: RunRecord) -> Durations:
        found = self._durations.get(durations_key(record.herd, record.pipeline))
        return NOTHING_KNOWN if found is None else found.value

    def _herd(self, record: RunRecord) -> HerdRecord:
        """Return what is said of a run's herd, or what holds where nothing is."""
        found = self.herds.get(herd_key(record.herd))
        return found.value if found is not None else HerdRecord(record.herd)

    def _awaited(self, record: RunRecord, herd: HerdRecord, now_ms: int) -> dict[NodeId, int]:
        """Return the lost nodes that a run waits for, because its herd wants what runs there to go on, and until when. One that is to end waits for none."""
        if not herd.lost_wait_ms or record.cancel or record.ending:
            return {}
        until = {
            found.value.node: (found.value.lost_ms or now_ms) + herd.lost_wait_ms
            for found in self._health
            if found.value.node not in self._present
        }
        return {node: until_ms for node, until_ms in until.items() if until_ms > now_ms}

    def _yielding(self, run: RunId) -> dict[str, Yielding]:
        return {
            victim.gang: Yielding(victim.attempt, found.value.key, found.value.why)
            for found in self._reservations
            for victim in found.value.victims
            if victim.run == run
        }

    def _is_crowded(self, record: RunRecord) -> bool:
        """Say whether enough newer runs of the herd keep what they have prepared."""
        if not record.kept_until_ms:
            return False
        newer = sum(
            found.value.herd == record.herd
            and found.value.kept_until_ms > AT_ONCE_MS
            and (found.value.ended_ms, found.value.run) > (record.ended_ms, record.run)
            for found in self._runs
        )
        return newer >= KEPT_RUNS_MAX

    def _refused(self, record: RunRecord, most: int) -> str:
        """Say why the herd cannot take one more run, or nothing. `most` is how many it may have, 0 for no limit.

        Runs have their turn in the order in which the Barn took them.  That is the only one in which nobody comes before a run that was looked at: so the last of those that are admitted
        was so with all others counted, seen or not, and nothing need be compared. Names follow people's clocks, and schedules.
        """
        if record.state is not RunState.SUBMITTED or not most:
            return ""
        mine = self._runs.get(self._keys[record.run])
        assert mine is not None  # the run lives
        turn = (mine.created, record.run)
        ahead = sum(
            found.value.herd == record.herd
            and not found.value.state.is_over
            and (
                found.value.state is not RunState.SUBMITTED
                or (found.created, found.value.run) < turn
            )
            for found in self._runs
        )
        return f"herd {record.herd} has {most} of {most} runs" if ahead >= most else ""

    def _note(self, change: Change) -> None:
        """Keep what is indexed by run."""
        if about := parse_run(change.key):
            self._note_run(about[1], change)
        elif parsed := parse_slice(change.key):
            self._note_slice(*parsed[1:], change)
        elif placed := parse_placement(change.key):
            self._note_placement(placed, change)

    def _note_slice(self, run: RunId, name: SliceId, change: Change) -> SliceChange | None:
        """Keep a slice as it is by now, and return how it was and is; nothing if its run does not live."""
        if self.record_of(run) is None:
            return None
        table = self._slices.get(run)
        if table is None:
            table = self._slices[run] = Table(SLICES.prefix(), SliceRecord)
        records = self._records.setdefault(run, {})
        table.apply(change)
        found = table.get(change.key)
        before = records.pop(name, None) if found is None else records.get(name)
        if found is not None:
            records[name] = found.value
        self._count(run, before, by=-1)
        self._count(run, records.get(name), by=1)
        return SliceChange(before, records.get(name))

    def _note_placement(self, placed: tuple[NodeId, RunId, SliceId], change: Change) -> bool:
        """Keep where a slice is placed, and say whether its run lives."""
        _, run, name = placed
        if self.record_of(run) is None:
            return False
        mine = self._placed.setdefault(run, set())
        (mine.discard if change.now is None else mine.add)(name)
        is_told = change.now is not None and decode_value(change.now, Placement).value.is_leaving
        if is_told or run in self._told:
            told = self._told.setdefault(run, set())
            (told.add if is_told else told.discard)(name)
        return True

    def _count(self, run: RunId, one: SliceRecord | None, *, by: int) -> None:
        if one is None:
            return
        if one.task is Task.CHAIN and one.state is SliceState.SUCCEEDED:
            self._succeeded[run] = self._succeeded.get(run, 0) + by
        if one.waits_for:
            self._waiting.setdefault(run, Counter())[one.waits_for] += by

    def _note_run(self, run: RunId, change: Change) -> None:
        if change.now is not None:
            self._keys[run] = change.key
            return
        self.forget(run)
        self._keys.pop(run, None)
