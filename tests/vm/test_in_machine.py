"""What runs in machines with a kernel of cgroup v2, and what came of it.

Two machines run at once, each on a core of its own.  To have more tests run there, add their file to `FIRST` or `SECOND`, whichever takes
less time.  They see the project and what `MACHINE` names.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath

import pytest
from debian_packages import CannotMake, require, with_libraries
from disk_image import Disk
from virtual_machine import Machine, MachineLost, Run, read_reports, run_in

from run_reports import Inside, Outcome, check, counted, tell

RUN_S = 600  # some 140 s on a calm machine with two cores
MACHINE = Machine(
    packages=(
        "coreutils",  # busybox drops a set user id
        "util-linux",
        "bubblewrap",  # what escapes are compared with
        "dpkg",
        "libstdc++6",
    ),
    distributions=("fsspec", "lark", "pyarrow", "rich", "uvloop"),
    environment=("RUNINK_LAUNCHES=100",),
)


FIRST = {
    "tests/vm/inside/kernel_in_machine.py": Inside(),
    "tests/unit/sandbox/test_cgroup_layouts.py": Inside(),
    "tests/unit/sandbox/test_cgroup_texts.py": Inside(),
    "tests/unit/sandbox/test_sandbox_packets.py": Inside(),
    "tests/cluster/test_cgroups.py": Inside(),
    "tests/cluster/test_cgroup_ends.py": Inside(),
    "tests/cluster/test_confines.py": Inside(),
    "tests/cluster/test_sandbox_landlock.py": Inside(),
    "tests/cluster/test_sandbox_privileges.py": Inside(),
    "tests/cluster/test_escapes.py": Inside(),
    "tests/cluster/test_slice_cells.py": Inside(),
    "tests/cluster/test_slice_binds.py": Inside(
        only=(
            "test_what_a_slice_writes_belongs_to_who_runs_the_agent",
            "test_what_only_the_agent_may_read_a_slice_may_and_what_others_own_stays_theirs",
            "test_a_device_or_a_privileged_program_that_lies_there_is_none",
        )
    ),
    "tests/cluster/test_slices_out_of_time.py": Inside(
        only=("test_wall_time_ends_a_slice_with_its_tree",)
    ),
    "tests/cluster/test_sandbox_slices.py": Inside(
        only=(
            "test_killing_takes_every_descendant_and_is_told_only_then",
            "test_what_an_ended_slice_left_behind_is_ended_too",
        )
    ),
    "tests/cluster/test_limits.py": Inside(
        # A run takes 12 s there; test_cgroups.py tries the other limits with less.
        only=("test_all_of_a_slice_dies_when_one_of_its_processes_takes_too_much",)
    ),
}
SECOND = {
    "tests/unit/sandbox/test_slice_births.py": Inside(),
    "tests/cluster/test_launch_faults.py": Inside(),
    "tests/cluster/test_spawner_leftovers.py": Inside(
        # Not the one of claims that come and go at once: they are locks of files, not of this kernel alone.
        only=(
            "test_another_spawner_clears_what_a_killed_one_has_left",
            "test_where_processes_are_left_nobody_ends_them_for_being_unclaimed",
            "test_a_spawner_whose_socket_was_taken_away_keeps_its_cgroups_beside_its_successor",
            "test_what_a_machine_had_when_it_went_down_is_cleared_at_the_next_start",
            "test_an_orderly_end_leaves_the_log_alone",
            "test_without_root_nothing_is_claimed",
        )
    ),
    "tests/cluster/test_sandbox_adoption.py": Inside(),
    "tests/cluster/test_users_cgroup.py": Inside(),
    "tests/cluster/test_sandbox_leaks.py": Inside(),
    "tests/cluster/test_warm_cells.py": Inside(
        only=(
            "test_a_slice_in_a_cell_that_waited_has_what_its_own_launch_gave_it",
            "test_slices_in_cells_that_waited_draw_numbers_of_their_own",
        )
    ),
    "tests/cluster/test_spawner_deaths.py": Inside(
        only=(
            "test_when_the_spawner_is_killed_its_slices_end_and_the_agent_is_told",
            "test_a_launch_that_the_spawner_is_killed_over_is_lost",
            "test_when_the_fork_server_is_killed_its_slices_go_on",
            "test_a_terminated_spawner_ends_its_slices_first",
        )
    ),
    "tests/cluster/test_spawner_requests.py": Inside(
        only=(
            "test_before_hello_nothing_is_done",
            "test_the_agents_own_mistakes_are_answered_and_cost_it_nothing",
            "test_more_slices_than_the_spawner_has_descriptors_for_are_refused",
            "test_a_slice_costs_the_spawner_no_more_descriptors_than_it_reckons_with",
        )
    ),
}
FILES = FIRST | SECOND
WRONG = "tests/vm/inside/what_goes_wrong.py"
# Behind bubblewrap each slice starts an interpreter, which takes seconds there: the walls are tried, the rest only where it is quick.
CHOSEN = ("-k", "not bubblewrap or test_escapes")

pytestmark = pytest.mark.timeout(RUN_S + 180)  # the first one makes the disk and boots


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest) -> list[Run]:
    """The runs of both machines."""
    wanted = [
        [*CHOSEN, *(one for file, inside in files.items() for one in inside.arguments(file))]
        for files in (FIRST, SECOND)
    ]
    wanted[0].append(WRONG)
    with ThreadPoolExecutor(len(wanted)) as threads:
        done = list(threads.map(partial(run_in, MACHINE, within_s=RUN_S), wanted))
    counts = counted(one for run in done for one in run.outcomes if one.file != WRONG)
    lasted = " and ".join(f"{run.duration_s:.0f} s" for run in done)
    tell(request.config, f"in the machines: {counts}, in {lasted}")
    return done


@pytest.fixture(scope="module")
def outcomes(runs: list[Run]) -> list[Outcome]:
    return [outcome for run in runs for outcome in run.outcomes]


@pytest.mark.parametrize("file", FILES)
def test_every_test_passes_and_none_is_skipped_without_a_reason(
    outcomes: list[Outcome], subtests: pytest.Subtests, file: str
) -> None:
    check(outcomes, file, FILES[file], subtests)


def test_nothing_else_has_run(outcomes: list[Outcome]) -> None:
    assert {outcome.file for outcome in outcomes} == {*FILES, WRONG}


def test_a_failure_inside_is_told_with_what_was_printed(
    runs: list[Run], outcomes: list[Outcome]
) -> None:
    found = {outcome.test: outcome for outcome in outcomes if outcome.file == WRONG}
    assert {test.partition("::")[2]: outcome.outcome for test, outcome in found.items()} == {
        "test_that_passes": "passed",
        "test_that_fails": "failed",
        "test_that_is_skipped": "skipped",
        "test_that_is_never_reached": "failed",
    }
    assert "'what was found'" in found[f"{WRONG}::test_that_fails"].text
    assert "said before it failed" in found[f"{WRONG}::test_that_fails"].text
    assert "no such device" in found[f"{WRONG}::test_that_is_never_reached"].text
    assert found[f"{WRONG}::test_that_is_skipped"].text == "Skipped: it has no network"
    first, second = runs
    assert first.status == pytest.ExitCode.TESTS_FAILED
    assert second.status == pytest.ExitCode.OK


def test_a_machine_that_does_not_end_is_killed_and_its_console_is_told() -> None:
    with pytest.raises(MachineLost, match=r"it was killed after 1 s; no test\. The console's last"):
        run_in(MACHINE, [WRONG], within_s=1)


def test_a_report_that_breaks_off_is_no_report() -> None:
    line = '{"test": "a.py::test_a", "outcome": "passed", "text": "", "duration_s": 0.1}\n'
    whole = line + '{"status": 0, "tests": 1}\n'
    outcomes = read_reports(whole, "", "ended", 1.0).outcomes
    assert [outcome.outcome for outcome in outcomes] == ["passed"]
    for length in range(len(whole)):
        with pytest.raises(MachineLost, match="the last line"):
            read_reports(whole[:length], "the last line", "ended", 1.0)


def test_no_file_of_a_disk_is_written_through_a_link_that_leads_out_of_it(tmp_path: Path) -> None:
    with Disk(tmp_path / "disk") as disk:
        disk.link(PurePosixPath("/out"), str(tmp_path))
        with pytest.raises(ValueError, match="is not in the subpath"):
            disk.file(PurePosixPath("/out/file"), b"")
    assert [path.name for path in tmp_path.iterdir()] == ["disk"]


def test_what_is_missing_is_said_with_the_command_that_mends_it() -> None:
    with pytest.raises(CannotMake, match=r"run `apt-get install one two`"):
        require({"sh": "none", "runink-no-program": "two", "runink-no-other": "one"})
    with pytest.raises(CannotMake, match=r"run `apt-get update`"):
        with_libraries(["busybox-static", "runink-no-package"])
