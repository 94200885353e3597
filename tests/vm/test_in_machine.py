"""What runs in a machine with a kernel of cgroup v2, and what came of it.

To have more tests run there, add their file to `FILES`.  They see the project and the distributions of `machine_image.py`; what else
they import is named in `MACHINE`, which then needs more memory.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from debian_packages import CannotMake, require, with_libraries
from virtual_machine import Machine, MachineLost, Run, read_reports, run_in

RUN_S = 300  # some 50 s on a calm machine with two cores
MACHINE = Machine(memory_mib=768, packages=("coreutils",))  # busybox drops a set user id

# What runs inside: a file, and those of its tests that may be skipped there, with the reason.
FILES: dict[str, dict[str, str]] = {
    "tests/vm/inside/kernel_in_machine.py": {},
    "tests/unit/sandbox/test_cgroup_layouts.py": {},
    "tests/unit/sandbox/test_cgroup_texts.py": {},
    "tests/unit/sandbox/test_sandbox_packets.py": {},
    "tests/unit/sandbox/test_slice_births.py": {},
    "tests/cluster/test_cgroups.py": {},
    "tests/cluster/test_cgroup_ends.py": {},
    "tests/cluster/test_sandbox_landlock.py": {},
    "tests/cluster/test_sandbox_privileges.py": {},
}
WRONG = "tests/vm/inside/what_goes_wrong.py"

pytestmark = pytest.mark.timeout(RUN_S + 180)  # the first one makes the root and boots


@pytest.fixture(scope="module")
def run(request: pytest.FixtureRequest) -> Run:
    """The machine's one run of all files."""
    done = run_in(MACHINE, [*FILES, WRONG], within_s=RUN_S)
    found = Counter(outcome.outcome for outcome in done.outcomes if outcome.file != WRONG)
    counts = [f"{found[outcome]} {outcome}" for outcome in ("passed", "failed", "skipped")]
    plugins = request.config.pluginmanager
    with plugins.getplugin("capturemanager").global_and_fixture_disabled():
        told = f"\nin the machine: {', '.join(counts)}, in {done.duration_s:.0f} s"
        plugins.getplugin("terminalreporter").write_line(told)
    return done


@pytest.mark.parametrize("file", FILES)
def test_every_test_passes_and_none_is_skipped_without_a_reason(
    run: Run, subtests: pytest.Subtests, file: str
) -> None:
    found = [outcome for outcome in run.outcomes if outcome.file == file]
    assert found, run.console
    for outcome in found:
        with subtests.test(outcome.test):
            if outcome.outcome == "failed":
                pytest.fail(outcome.text, pytrace=False)
    skipped = {outcome.test: outcome.text for outcome in found if outcome.outcome == "skipped"}
    assert skipped.keys() == FILES[file].keys(), skipped


def test_nothing_else_has_run(run: Run) -> None:
    assert {outcome.file for outcome in run.outcomes} == {*FILES, WRONG}


def test_a_failure_inside_is_told_with_what_was_printed(run: Run) -> None:
    found = {outcome.test: outcome for outcome in run.outcomes if outcome.file == WRONG}
    assert {test.partition("::")[2]: outcome.outcome for test, outcome in found.items()} == {
        "test_that_passes": "passed",
        "test_that_fails": "failed",
        "test_that_is_skipped": "skipped",
        "test_that_is_never_reached": "failed",
    }
    assert "'what was found'" in found[f"{WRONG}::test_that_fails"].text
    assert "said before it failed" in found[f"{WRONG}::test_that_fails"].text
    assert "no such device" in found[f"{WRONG}::test_that_is_never_reached"].text
    assert found[f"{WRONG}::test_that_is_skipped"].text == "Skipped: it has no disk"
    assert run.status == pytest.ExitCode.TESTS_FAILED


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


def test_what_is_missing_is_said_with_the_command_that_mends_it() -> None:
    with pytest.raises(CannotMake, match=r"run `apt-get install one two`"):
        require({"sh": "none", "runink-no-program": "two", "runink-no-other": "one"})
    with pytest.raises(CannotMake, match=r"run `apt-get update`"):
        with_libraries(["busybox-static", "runink-no-package"])


def test_a_root_that_does_not_fit_is_told_before_the_kernel_fails() -> None:
    with pytest.raises(CannotMake, match="does not fit into half of 128 MiB"):
        run_in(replace(MACHINE, memory_mib=128), [WRONG], within_s=1)
