"""The sandbox's own tests as an ordinary user, who has no root, no ids to give away and no cgroup; and what came of them.

What is chosen.  An ordinary user's spawner does much in another way than root's: it is the first process of a user namespace, shows folders without mapped ids, has one id for the slices of
all herds, so that walls stand alone where ids stand beside them otherwise, has no cgroups to count and end slices by, and cannot be told apart from its slices by its user.  So all tests run here
in which cells are made, closed off, reached for, ended and adopted, those of what a node tells and what it refuses, those that tell of documents and of limits as far as there are any without a cgroup
(`test_users_cgroup.py` gives one), and a run of the flights, whole.  Left out is what needs root by its nature, with the reason: `LEFT_OUT`, and `without` of single tests.  Left out without a
word, because they are the same for everybody: plain processes (`NOT_PLAIN`), all that has no process of the sandbox, and of the spawner's requests those that end at its socket.

Whoever runs the tests: root has them run as a user of their own, an ordinary user as that user.  Two at a time, about a minute on two calm cores.
"""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from ordinary_user import ROOT, OrdinaryUser, ordinary_user

from run_reports import (
    BrokenOff,
    Inside,
    Outcome,
    Report,
    check,
    counted,
    reported,
    tell,
    whole,
)

RUN_S = 900  # what hangs
HERE = "tests/cluster"
NOT_PLAIN = "not plain]"  # the end of an id
LAUNCHES = "RUNINK_LAUNCHES=200"  # as many as it takes to tell what stays from what grows

RANGES = "a range of ids for each herd is root's to give"
OWNERS = "only root makes files of other users, devices, and capabilities of files"
GROUPS = "it needs a cgroup with controllers"
CLAIMS = "only root claims cgroups and clears those of others"
CONTROLS = "it begins as root, and shows what is given up"
NETWORKS = "only root makes networks for herds"
BUBBLEWRAP = "its own ways are the same for everybody, and the tests that run here run with it, too"
SYSTEM = "it starts services of the system"
TWO_USERS = "root serves another user there"

FIRST = {
    "test_escapes.py": Inside(
        without={"test_a_disk_that_lies_in_a_folder_is_not_opened": OWNERS},
    ),
    "test_escape_neighbours.py": Inside(),
    "test_escape_races.py": Inside(),
    "test_links_without_landlock.py": Inside(),
    "test_launch_faults.py": Inside(),
    "test_launch_pages.py": Inside(),
    "test_sandbox_leaks.py": Inside(),
    "test_slice_binds.py": Inside(
        without={
            "test_what_only_the_agent_may_read_a_slice_may_and_what_others_own_stays_theirs": OWNERS,
            "test_a_device_or_a_privileged_program_that_lies_there_is_none": OWNERS,
        }
    ),
    "test_flights.py": Inside(
        only=(
            "test_the_counts_are_those_of_the_real_flights",
            "test_what_was_published_holds_those_rows",
        )
    ),
    "test_limits.py": Inside(only=("test_a_full_tmp_is_told_with_its_size",)),
}
SECOND = {
    "test_homes_of_cells.py": Inside(),
    "test_sandbox_slices.py": Inside(),
    "test_slices_out_of_time.py": Inside(),
    "test_slice_cells.py": Inside(
        without={
            "test_herds_have_ids_of_their_own_and_a_slice_is_one_user_inside": RANGES,
            "test_a_limit_that_its_herd_gets_later_ends_a_slice_with_all_of_it": GROUPS,
        }
    ),
    "test_spawner_deaths.py": Inside(),
    "test_spawner_leftovers.py": Inside(
        without={
            "test_where_processes_are_left_nobody_ends_them_for_being_unclaimed": CLAIMS,
            "test_without_root_nothing_is_claimed": CLAIMS,
            "test_claims_hold_whoever_comes_and_goes_at_once": CLAIMS,
        }
    ),
    "test_sandbox_adoption.py": Inside(),
    "test_warm_cells.py": Inside(
        without={
            "test_a_slice_in_a_cell_that_waited_is_held_to_limits_of_its_own": GROUPS,
        }
    ),
    "test_spawner_requests.py": Inside(
        only=(
            "test_the_agents_own_mistakes_are_answered_and_cost_it_nothing",
            "test_more_slices_than_the_spawner_has_descriptors_for_are_refused",
            "test_a_slice_costs_the_spawner_no_more_descriptors_than_it_reckons_with",
        )
    ),
    "test_closed_runtime.py": Inside(
        only=("test_a_slice_finds_its_root_open_whatever_the_mask_of_who_runs_the_node",)
    ),
    "test_slice_documents.py": Inside(
        only=(
            "test_a_slices_environment_is_the_documented_list_whatever_its_agents_is",
            "test_a_program_has_the_environment_of_its_slice",
            "test_a_step_sees_who_it_is",
            "test_no_process_of_the_node_but_its_own_has_keys_in_its_environment",
        )
    ),
    "test_missing_features.py": Inside(
        only=(
            "test_a_node_tells_what_it_has_and_what_it_lacks",
            "test_without_landlock_slices_run_and_their_records_say_so",
            "test_without_seccomp_no_slice_runs",
            "test_without_user_namespaces_no_slice_runs",
        )
    ),
}
CHOSEN = FIRST | SECOND
# Of the files that start a spawner or use what it is made of.
LEFT_OUT = {
    "test_agent_user.py": TWO_USERS,
    "test_bubblewrap_faults.py": BUBBLEWRAP,
    "test_bubblewrap_runs.py": BUBBLEWRAP,
    "test_cgroup_ends.py": GROUPS,
    "test_cgroups.py": GROUPS,
    "test_confines.py": GROUPS,
    "test_herd_network.py": NETWORKS,
    "test_herd_network_ends.py": NETWORKS,
    "test_namespace_roots.py": "it has an ordinary user of its own, and the machine's root beside",
    "test_sandbox_landlock.py": CONTROLS,
    "test_sandbox_privileges.py": CONTROLS,
    "test_sandbox_seals.py": CONTROLS,
    "test_service_units.py": SYSTEM,
    "test_split_node.py": TWO_USERS,
    "test_users_cgroup.py": "it has an ordinary user of its own, to whom it gives a cgroup",
}
OF_SANDBOX = re.compile(
    r"^from (?:(?:sandbox|cgroup|leak|escape|network)_world|seal_\w+|ordinary_user) import",
    re.MULTILINE,
)

pytestmark = pytest.mark.timeout(RUN_S + 60)  # the first one has all of them run


class Ran(NamedTuple):
    """What came out of the user's two runs, and the processes that they left."""

    reports: list[Report]
    left: list[int]

    @property
    def outcomes(self) -> list[Outcome]:
        return [outcome for report in self.reports for outcome in report.outcomes]


@pytest.fixture(scope="module")
def ran(request: pytest.FixtureRequest) -> Ran:
    began_s = time.monotonic()
    with ordinary_user() as user, ThreadPoolExecutor(2) as threads:
        reports = list(threads.map(partial(run_as, user), ("first", "second"), (FIRST, SECOND)))
        found = Ran(reports, user.processes())
    lasted = f"{time.monotonic() - began_s:.0f} s"
    tell(
        request.config, f"as an ordinary user: {counted(found.outcomes)}, in {lasted}", *left_out()
    )
    return found


def run_as(user: OrdinaryUser, name: str, files: dict[str, Inside]) -> Report:
    """Run the tests of these files as the user, and return what was reported."""
    report = user.home / f"report-{name}"
    wanted = [word for file, inside in files.items() for word in inside.arguments(f"{HERE}/{file}")]
    words = reported(str(report), "-p", "no:cacheprovider", "-k", NOT_PLAIN, *wanted)
    with (user.home / f"said-{name}").open("w+") as said:
        user.run(["env", LAUNCHES, *words], timeout=RUN_S, capture_output=False, stdout=said, stderr=said)  # fmt: skip
        said.seek(0)
        try:
            return whole(report.read_text() if report.exists() else "")
        except BrokenOff as problem:
            raise AssertionError(f"{problem}\n{said.read()}") from None


def left_out() -> list[str]:
    """Return a line for whatever is left out for want of root."""
    tests = {
        f"{file}::{name}": why for file, one in CHOSEN.items() for name, why in one.without.items()
    }
    return [f"left out, {what}: {why}" for what, why in (LEFT_OUT | tests).items()]


@pytest.mark.parametrize("file", CHOSEN)
def test_every_test_passes_and_none_is_skipped_without_a_reason(
    ran: Ran, subtests: pytest.Subtests, file: str
):
    check(ran.outcomes, f"{HERE}/{file}", CHOSEN[file], subtests)


def test_nothing_else_has_run_and_nothing_goes_on(ran: Ran):
    assert {Path(outcome.file).name for outcome in ran.outcomes} == CHOSEN.keys()
    assert [report.status for report in ran.reports] == [pytest.ExitCode.OK] * 2
    assert ran.left == []


def test_whatever_tests_the_sandbox_runs_or_is_left_out_with_a_reason():
    own = {
        path.name
        for path in (ROOT / HERE).glob("test_*.py")
        if path.name != Path(__file__).name and OF_SANDBOX.search(path.read_text())
    }
    assert own <= CHOSEN.keys() | LEFT_OUT.keys()
    assert not CHOSEN.keys() & LEFT_OUT.keys()
    for file, inside in CHOSEN.items():
        text = (ROOT / HERE / file).read_text()
        missing = [name for name in (*inside.only, *inside.without) if f"def {name}(" not in text]
        assert not missing, file
