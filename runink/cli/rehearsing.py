"""Goldens put to the test: which are meant, which runs they need, and these runs made, several at once.

Results come in the order of the pipelines and of the goldens in them, whichever run ends first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import anyio
import msgspec

from runink.cli.client import Embedding, open_cluster
from runink.cli.exits import first_of
from runink.cli.following import cancel_on_interrupt, tell_trouble
from runink.cli.progress import Nothing
from runink.cli.run import new_run_id, submission
from runink.clients.cluster import Cluster
from runink.clients.run_documents import seconds_of
from runink.clients.run_requests import RunView
from runink.contracts.differences import GoldenResult
from runink.contracts.expected import Golden
from runink.dag import Scenario
from runink.errors import Finding, Invalid, RuninkError, Unavailable, to_wire
from runink.names import RunId
from runink.projects import Compiled, compile_file
from runink.runs.records import Failure, RunState
from runink.runs.rehearsals import rehearsals
from runink.topology import topological


class Status(Enum):
    """How a golden's test ended. FAILED is a golden that does not hold, ERROR a run that did not come so far."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    CANCELLED = "cancelled"
    WRITTEN = "written"
    UNCHANGED = "unchanged"

    @property
    def is_good(self) -> bool:
        return self in (Status.PASSED, Status.WRITTEN, Status.UNCHANGED)


@dataclass(frozen=True, slots=True)
class GoldenOutcome:
    """One golden and what came of it. `failure` is the run's, where that did not come to the comparison or a golden could not be compared."""

    file: str
    scenario: Scenario
    golden: Golden
    status: Status
    seconds: float = 0.0
    run: str = ""
    result: GoldenResult | None = None
    failure: Failure | None = None

    @property
    def name(self) -> str:
        return name_of(self.file, self.golden)


def name_of(file: str, golden: Golden) -> str:
    """Return what a test is called: `features/flights.dsl gold golden/delays.csv`."""
    return f"{file} {golden.scenario} {golden.path}"


def compiled_all(files: Sequence[Path], parameters: dict[str, str]) -> list[Compiled]:
    """Compile the files. Raises Invalid with the findings of all of them."""
    compiled: list[Compiled] = []
    findings: list[Finding] = []
    wrong: list[Invalid] = []
    for file in files:
        try:
            compiled.append(compile_file(file, parameters=parameters))
        except Invalid as error:
            wrong.append(error)
            findings += error.findings
    if len(wrong) > 1 and all(error.findings for error in wrong):
        raise Invalid(
            f"{len(findings)} mistakes in {len(wrong)} pipelines",
            findings=tuple(findings),
            code=wrong[0].code,
        )
    if wrong:
        raise wrong[0]
    return compiled


# Choosing.


def chosen(compiled: Iterable[Compiled], wish: str) -> list[Compiled]:
    """Return the pipelines with those of their goldens that the wish is true of; all where it is empty. Raises Invalid for no wish.

    A wish is words, found in a test's name or its scenario's title, or tags of the scenario (`layer=gold`), joined by `and`, `or`, `not`.
    """
    is_wished = _wished(wish)
    found = []
    for one in compiled:
        scenarios = {scenario.id: scenario for scenario in one.dag.scenarios}
        goldens = tuple(
            golden
            for golden in one.dag.goldens
            if is_wished(*_known_by(one.dag.file, golden, scenarios[golden.scenario]))
        )
        if goldens:
            found.append(replace(one, dag=msgspec.structs.replace(one.dag, goldens=goldens)))
    return found


def _known_by(file: str, golden: Golden, scenario: Scenario) -> tuple[str, frozenset[str]]:
    tags = frozenset(f"{name}={value}".lower() for name, value in scenario.module.items())
    return f"{name_of(file, golden)} {scenario.title}".lower(), tags


def _wished(wish: str) -> Callable[[str, frozenset[str]], bool]:
    ways = [_terms(way) for way in _split(wish.lower().split(), "or")] if wish.strip() else []

    def is_wished(name: str, tags: frozenset[str]) -> bool:
        return not ways or any(
            all((word in name or word in tags) is not is_denied for word, is_denied in way)
            for way in ways
        )

    return is_wished


def _terms(words: list[str]) -> list[tuple[str, bool]]:
    terms = []
    for term in _split(words, "and"):
        is_denied = len(term) > 1 and term[0] == "not"
        rest = term[1:] if is_denied else term
        if len(rest) != 1 or rest[0] in {"not", "and", "or"}:
            raise Invalid(
                f"-k: {' '.join(words) or 'a word is missing'}",
                code="wish_invalid",
                hint='words joined by and, or, not, as in -k "delays and not layer=silver"',
            )
        terms.append((rest[0], is_denied))
    return terms


def _split(words: list[str], at: str) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in words:
        if word == at:
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


# Running.


@dataclass(frozen=True, slots=True)
class How:
    """How tests are run: `jobs` runs at once; with `update`, outputs become the goldens."""

    jobs: int
    update: bool = False


async def rehearsed(
    compiled: Sequence[Compiled],
    embedding: Embedding,
    how: How,
    tell: Callable[[GoldenOutcome], None],
) -> list[GoldenOutcome]:
    """Run what the goldens need and return what came of each; each is told as soon as all before it have been."""
    cases = [replace(one, dag=dag) for one in compiled for dag in rehearsals(one.dag)]
    tests = _Tests(cases, how, tell)
    try:
        async with open_cluster(embedding) as cluster, anyio.create_task_group() as group:
            group.start_soon(cancel_on_interrupt, cluster, tests.cancel, Nothing())
            group.start_soon(tell_trouble, cluster, Nothing())
            await tests.run(cluster, embedding.state)
            group.cancel_scope.cancel()
    except BaseExceptionGroup as errors:
        raise first_of(errors) from errors
    return [one for results in tests.results for one in results or ()]


class _Tests:
    def __init__(
        self, cases: Sequence[Compiled], how: How, tell: Callable[[GoldenOutcome], None]
    ) -> None:
        self.results: list[list[GoldenOutcome] | None] = [None] * len(cases)
        self._cases = cases
        self._how = how
        self._tell = tell
        self._told = 0
        self._running: set[RunId] = set()
        self._is_cancelled = False
        self._ended = [anyio.Event() for _ in cases]
        self._writers = _writers(cases) if how.update else {}

    async def run(self, cluster: Cluster, state: Path) -> None:
        room = anyio.CapacityLimiter(self._how.jobs)
        async with anyio.create_task_group() as group:
            for place in range(len(self._cases)):
                group.start_soon(self._case, cluster, state, place, room)

    def cancel(self) -> list[RunId]:
        """Begin no run any more, and return those that have begun."""
        self._is_cancelled = True
        return list(self._running)

    async def _case(
        self, cluster: Cluster, state: Path, place: int, room: anyio.CapacityLimiter
    ) -> None:
        case = self._cases[place]
        for writer in self._writers.get(place, ()):
            await self._ended[writer].wait()
        async with room:
            if self._is_cancelled:
                self.results[place] = _all(case, Status.CANCELLED)
            else:
                before = _contents(case) if self._how.update else {}
                try:
                    view = await self._followed(cluster, state, case)
                    self.results[place] = _results(case, view, before)
                except Unavailable:
                    raise
                except RuninkError as error:
                    failure = Failure(to_wire(error))
                    self.results[place] = _all(case, Status.ERROR, failure=failure)
        self._ended[place].set()
        while self._told < len(self.results) and (done := self.results[self._told]) is not None:
            self._told += 1
            for one in done:
                self._tell(one)

    async def _followed(self, cluster: Cluster, state: Path, case: Compiled) -> RunView:
        run = new_run_id()
        request = await submission(case, state, run, cluster=cluster, rehearsal=True)
        request = msgspec.structs.replace(request, update_goldens=self._how.update)
        await cluster.submit(request)
        self._running.add(run)
        last: RunView | None = None
        async for view in cluster.follow(run):
            last = view
        self._running.discard(run)
        assert last is not None, "a run that was submitted is seen at least once"
        return last


def _writers(cases: Sequence[Compiled]) -> dict[int, list[int]]:
    """Map each run to those whose goldens it reads as its inputs: these are written first. Nothing where they go round in a circle."""
    by_path = {golden.path: at for at, case in enumerate(cases) for golden in case.dag.goldens}
    found: dict[int, list[int]] = {}
    for at, case in enumerate(cases):
        given = {one.path for golden in case.dag.goldens for one in golden.inputs}
        found[at] = sorted({by_path[path] for path in given if path in by_path} - {at})
    needs = {str(at): frozenset(map(str, writers)) for at, writers in found.items()}
    return {} if topological(tuple(needs), needs) is None else found


# What came of a run.


def _all(case: Compiled, status: Status, **more: Any) -> list[GoldenOutcome]:
    scenarios = {scenario.id: scenario for scenario in case.dag.scenarios}
    return [
        GoldenOutcome(case.dag.file, scenarios[golden.scenario], golden, status, **more)
        for golden in case.dag.goldens
    ]


def _results(case: Compiled, view: RunView, before: Mapping[str, str]) -> list[GoldenOutcome]:
    record = view.record
    facts: dict[str, Any] = {"seconds": seconds_of(record), "run": record.run}
    failure = record.failure
    if record.state is RunState.CANCELLED:
        return _all(case, Status.CANCELLED, **facts)
    if record.state is not RunState.SUCCEEDED and not (failure and failure.goldens):
        return _all(case, Status.ERROR, failure=failure, **facts)
    bad = {(one.sink, one.path): one for one in failure.goldens} if failure else {}
    after = _contents(case) if before else {}
    found = []
    for one in _all(case, Status.PASSED, **facts):
        result = bad.get((one.golden.sink, one.golden.path))
        if result is not None:
            found.append(replace(one, status=Status.FAILED, result=result))
        elif before:
            path = one.golden.path
            status = Status.UNCHANGED if after[path] == before[path] else Status.WRITTEN
            found.append(replace(one, status=status))
        else:
            found.append(one)
    return found


def _contents(case: Compiled) -> dict[str, str]:
    """Return for each golden file the hash of what it holds, nothing for one that is not there."""
    found = {}
    for golden in case.dag.goldens:
        path = case.root / golden.path
        found[golden.path] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    return found
