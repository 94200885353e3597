"""What people get wrong, and what breaks under them: each is told clearly, ends with its exit code, and loses nothing that was there.

Every test begins with an output of an earlier run in place, and ends by looking that it is as it was and that nothing stray lies beside it.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from runi_project import Project, Said

FAILED = 1
INVALID = 8
BEFORE = '{"what": "was there before"}\n'
IN = "a,b\n1,x\n2,y\n3,z\n"


@pytest.fixture
def started(project: Project) -> Project:
    """A project with an input, an output of an earlier run, and a pipeline from the one to the other."""
    project.write("data/in.csv", IN)
    project.write("out/o.jsonl", BEFORE)
    project.pipeline('@source("csv://data/in.csv")\n@sink("jsonl://out/o.jsonl")')
    return project


def check_failed(project: Project, said: Said, code: str, *words: str) -> None:
    """Check that the run failed with this code and these words, and that nothing else has changed."""
    assert said.code == FAILED, said
    assert said.error["code"] == code, said
    told = f"{said.error['text']} {said.error['hint']} {said.error['position']}"
    for word in words:
        assert word in told, told
    assert project.read("out/o.jsonl") == BEFORE
    assert project.files("out") == ["out/o.jsonl"]


def test_the_pipeline_itself_works(started: Project):
    said = started.run()
    assert said.code == 0, said
    assert said.document["state"] == "succeeded"
    assert started.rows("out/o.jsonl") == [
        {"a": 1, "b": "x"},
        {"a": 2, "b": "y"},
        {"a": 3, "b": "z"},
    ]
    assert started.files("out") == ["out/o.jsonl"]


def test_a_missing_file_is_told_with_the_names_that_are_near(started: Project):
    (started.root / "data/in.csv").rename(started.root / "data/inn.csv")
    check_failed(started, started.run(), "source_not_found", "data/in.csv", "inn.csv")


def test_a_directory_is_no_file(started: Project):
    (started.root / "data/in.csv").unlink()
    (started.root / "data/in.csv").mkdir()
    check_failed(started, started.run(), "source_is_directory", "data/in.csv", "data/in.csv/*")


def test_an_empty_file_has_no_header(started: Project):
    started.write("data/in.csv", "")
    check_failed(started, started.run(), "source_empty", "data/in.csv")


def with_contract(project: Project) -> None:
    project.contract('class Row(Contract, version="1.0.0"):\n    a: int\n    b: str\n')
    project.pipeline(
        '@source("csv://data/in.csv")\n@contract("contracts/c.py:Row")\n@sink("jsonl://out/o.jsonl")'
    )


def test_a_header_that_lacks_a_column_of_the_contract(started: Project):
    with_contract(started)
    started.write("data/in.csv", "a,c\n1,x\n")
    check_failed(started, started.run(), "source_columns", "data/in.csv", "b")


def test_a_row_with_too_many_values_is_told_with_its_line(started: Project):
    started.write("data/in.csv", IN + "4,w,oh\n")
    check_failed(started, started.run(), "source_ragged", "data/in.csv", "line 5")


def test_a_quoted_line_break_is_part_of_its_value(started: Project):
    started.write("data/in.csv", 'a,b\n1,"two\nlines"\n2,y\n')
    assert started.run().code == 0
    assert started.rows("out/o.jsonl")[0] == {"a": 1, "b": "two\nlines"}


def test_text_that_is_no_utf_8_is_told_with_its_line(started: Project):
    started.write("data/in.csv", IN.encode() + "4,Müller\n".encode("latin-1"))
    check_failed(started, started.run(), "source_not_utf8", "data/in.csv", "line 5")


def test_a_line_of_200_megabytes_is_refused_in_bounded_memory(started: Project):
    with (started.root / "data/in.csv").open("wb") as file:
        file.write(b"a,b\n1,")
        for _ in range(200):
            file.write(b"x" * (1 << 20))
    said = started.run()
    check_failed(started, said, "source_record_too_long", "data/in.csv", "line 2")
    peaks = [one["memory_bytes_max"] for one in said.document["slices"]]
    assert max(peaks) < 400 << 20, peaks


def mounted(path: Path, size: str) -> Callable[[], object]:
    """Mount a small disk of memory there, and return what takes it away."""
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], check=True)
    return lambda: subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_full_disk_fails_the_run_and_keeps_what_was_published(started: Project):
    unmount = mounted(started.root / "out", "64k")
    try:
        started.write("out/o.jsonl", BEFORE)
        rows = "".join(f"{n},{'x' * 90}\n" for n in range(5000))
        started.write("data/in.csv", "a,b\n" + rows)
        check_failed(started, started.run(), "disk_full", "out/o.jsonl", "space")
        started.write("data/in.csv", IN)
        assert started.run().code == 0
    finally:
        unmount()


def test_a_folder_that_cannot_be_written_is_told(started: Project):
    unmount = mounted(started.root / "out", "64k")
    try:
        started.write("out/o.jsonl", BEFORE)
        path = str(started.root / "out")
        subprocess.run(["mount", "-o", "remount,ro", path], check=True)
        check_failed(started, started.run(), "sink_forbidden", "out/o.jsonl")
    finally:
        unmount()


def check_invalid(project: Project, said: Said, *words: str) -> None:
    assert said.code == INVALID, said
    for word in words:
        assert word in said.err, said.err
    assert project.read("out/o.jsonl") == BEFORE
    assert project.files("out") == ["out/o.jsonl"]


def test_a_contract_that_does_not_import_shows_its_own_line(started: Project):
    with_contract(started)
    started.contract("import no_such_module\n")
    check_invalid(started, started.run(), "contracts/c.py", "no_such_module", "line 3")


def with_step(project: Project, text: str) -> None:
    project.step(text)
    project.pipeline('@source("csv://data/in.csv")\n@step("work")\n@sink("jsonl://out/o.jsonl")')


def test_a_step_that_is_missing_is_told_with_near_names(started: Project):
    with_step(started, '@step(each="record")\ndef word(row):\n    return row\n')
    check_invalid(started, started.run(), "features/p.dsl:5", "work", "did you mean word?")


def test_a_step_that_loops_for_ever_is_ended_after_its_time(started: Project):
    with_step(started, '@step(each="record")\ndef work(row):\n    while True: pass\n')
    said = started.run("features/p.dsl", "--timeout", "2s")
    check_failed(started, said, "wall_time", "slice one timed out after 2 s", "--timeout")
    assert started.processes() == []
    found = started.runi("slice", "get", "last", "one", "-o", "json").document
    assert (found["exit"]["cause"], found["exit"]["wall_time_s"]) == ("timeout", 2)
    assert found["error"] == "cancelled", "it was told to end, and said so"
    assert found["exit"]["voluntary_switches"] > 0


def test_a_step_that_is_killed_is_told_with_the_signal(started: Project):
    text = '@step(each="record")\ndef work(row):\n    import os; os.kill(os.getpid(), 9)\n'
    with_step(started, text)
    check_failed(started, started.run(), "slice_killed", "signal 9", "SIGKILL")


def test_garbage_on_standard_output_goes_to_the_log_and_harms_nothing(started: Project):
    text = (
        "import os, sys\n"
        '@step(each="record")\ndef work(row):\n'
        "    os.write(1, bytes(range(256)) * 4)\n    print('said', row.a)\n    return row\n"
    )
    with_step(started, text)
    said = started.run()
    assert said.code == 0, said
    assert len(started.rows("out/o.jsonl")) == 3
    logged = started.runi("logs", "last")
    assert "said 1" in logged.out
    assert "said 3" in logged.out


def test_children_that_a_step_leaves_behind_are_ended(started: Project):
    text = (
        "import subprocess, sys\n"
        '@step(each="record")\ndef work(row):\n'
        "    subprocess.Popen(['setsid', 'sleep', '1000'])\n    return row\n"
    )
    with_step(started, text)
    assert started.run().code == 0
    assert started.processes() == []


def test_a_step_that_closes_what_is_not_its_own_is_told_so(started: Project):
    started.step(
        'import os\n@step(each="batch")\ndef work(batch):\n    os.close(3)\n    return batch\n'
    )
    started.pipeline('@source("csv://data/in.csv")\n@step("work")\n@sink("jsonl://out/o.jsonl")')
    said = started.run()
    check_failed(started, said, "slice_exit")
    assert "a step closes only what it has opened" in said.error["log_tail"][-1]


def test_a_child_that_comes_back_out_of_a_step_writes_nothing(started: Project):
    started.step(
        'import os\n@step(each="batch")\ndef work(batch):\n    os.fork()\n    return batch\n'
    )
    started.pipeline('@source("csv://data/in.csv")\n@step("work")\n@sink("jsonl://out/o.jsonl")')
    assert started.run().code == 0
    assert [row["a"] for row in started.rows("out/o.jsonl")] == [1, 2, 3]
    assert "os._exit" in started.runi("logs", "last").out


def test_a_step_that_raises_in_the_last_batch_is_told_with_its_line_and_place(started: Project):
    rows = "".join(f"{n},x\n" for n in range(200_000))
    started.write("data/in.csv", "a,b\n" + rows)
    text = (
        'import pyarrow as pa\n@step(each="batch")\ndef work(rows: pa.RecordBatch) -> pa.RecordBatch:\n'
        "    if 199_999 in rows.column('a').to_pylist():\n"
        "        raise ValueError('this one is wrong')\n    return rows\n"
    )
    with_step(started, text)
    said = started.run()
    check_failed(
        started, said, "step_raised", "work", "this one is wrong", "data/in.csv", "199,999"
    )
    assert any("line 6" in line for line in said.error["traceback"]), said.error


def test_two_runs_of_one_pipeline_at_once_both_succeed_and_the_output_is_one_of_theirs(
    started: Project,
):
    first = started.popen("run", "features/p.dsl", "-o", "json")
    second = started.popen("run", "features/p.dsl", "-o", "json")
    ended = [child.communicate(timeout=60) for child in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], ended
    assert len(started.rows("out/o.jsonl")) == 3
    assert started.files("out") == ["out/o.jsonl"]


def test_ten_mistakes_in_a_pipeline_are_told_at_once_each_at_its_line(started: Project):
    started.write(
        "features/p.dsl",
        'Feature: ten\n  Scenario: one\n    @sorce("csv://data/in.csv")\n    @source("cvs://data/in.csv")\n'
        '    @source("csv://data/in.csv", nuls=["NA"])\n    @contract("contracts/none.py:Row")\n    @step("nothing")\n'
        '    @requires(memory=12Qx)\n    @emits("alerts/x")\n    @assert("rejected <")\n    @sink("jsonl://out/o.jsonl", mode=ovrwrite)\n'
        '    @golden("golden/x.csv", tolerance="much")\n',
    )
    said = started.run()
    check_invalid(started, said, *(f"features/p.dsl:{line}" for line in range(3, 13)))


def test_an_interrupt_cancels_the_run_and_leaves_nothing(started: Project):
    text = (
        'import time\n@step(each="record")\ndef work(row):\n'
        "    print('begun', flush=True)\n    time.sleep(1000)\n"
    )
    with_step(started, text)
    child = started.popen("run", "features/p.dsl")
    assert child.stderr is not None
    while b"running" not in child.stderr.readline():
        assert child.poll() is None
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130, (out, err)
    assert b"cancelled" in out
    assert started.read("out/o.jsonl") == BEFORE
    assert started.files("out") == ["out/o.jsonl"]
    assert started.processes() == []


def test_a_run_that_is_killed_is_told_as_cut_by_the_next_start(started: Project):
    text = '@step(each="record")\ndef work(row):\n    import time; time.sleep(1000)\n'
    with_step(started, text)
    child = started.popen("run", "features/p.dsl")
    assert child.stderr is not None
    while b"running" not in child.stderr.readline():
        assert child.poll() is None
    os.kill(child.pid, signal.SIGKILL)
    child.communicate(timeout=60)
    with_step(started, '@step(each="record")\ndef work(row):\n    return row\n')
    said = started.run()
    assert said.code == 0, said
    assert "was ended before it was done" in said.err
    assert len(started.rows("out/o.jsonl")) == 3
    assert started.files("out") == ["out/o.jsonl"]
    listed = started.runi("runs")
    assert "failed" in listed.out
    assert "succeeded" in listed.out
