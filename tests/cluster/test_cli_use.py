"""Every command as its users meet it: what it prints, for people and for programs, and how it ends when something is not as it should be."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess

import pytest
from runi_project import Project

IN = "a,b\n1,x\n2,\n3,z\n"
CONTRACT = 'class Row(Contract, version="1.0.0"):\n    a: int\n    b: str\n'
GATE = '@step(each="record")\ndef work(row):\n    open("data/gate").read()\n    return row\n'


@pytest.fixture
def checked(project: Project) -> Project:
    """A pipeline that rejects its second row."""
    project.write("data/in.csv", IN)
    project.contract(CONTRACT)
    write_checked(project, "jsonl")
    return project


def write_checked(project: Project, form: str, more: str = "") -> None:
    project.pipeline(
        f'@source("csv://data/in.csv")\n@contract("contracts/c.py:Row")\n{more}'
        f'@sink("csv://out/o.csv")\n@deadletter("{form}://out/dead.{form}")'
    )


def test_the_summary_names_what_came_of_the_run(checked: Project):
    said = checked.runi("run", "features/p.dsl")
    assert said.code == 0, said
    assert re.search(
        r"^p · herd default · run \w{12} +succeeded in \d+\.\d s$", said.out, re.MULTILINE
    )
    assert re.search(r"^  one  csv → Row → csv +3 in +2 out +1 rejected", said.out, re.MULTILINE)
    assert "  1 rejected: b is missing 1\n" in said.out
    assert re.search(r"^  out/o.csv +2 rows, 12 B$", said.out, re.MULTILINE)
    assert re.search(
        r"^  out/dead.jsonl +1 row +look at them: runi dead show", said.out, re.MULTILINE
    )
    assert "one: 3 rows in, 2 out, 1 rejected\n" in said.err


def test_a_quiet_run_says_its_summary_only(checked: Project):
    said = checked.runi("run", "features/p.dsl", "-q")
    assert said.code == 0, said
    assert said.err == ""


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet", "json", "arrow"])
def test_rejected_rows_are_shown_from_every_format(checked: Project, form: str):
    write_checked(checked, form)
    assert checked.run().code == 0
    shown = checked.runi("dead", "show", "last")
    assert shown.code == 0, shown
    assert shown.out == "data/in.csv row 1: b is missing\n    a=2\n"
    [row] = checked.runi("dead", "show", "last", "-o", "json").document
    assert row["dead_row"] in (1, "1"), "rows are counted from 0"
    assert checked.runi("dead", "show", "last", "-n", "0").out == ""


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_rejected_rows_of_a_run_that_failed_are_kept_and_shown(checked: Project, form: str):
    write_checked(checked, form, '@assert("rejected == 0")\n')
    said = checked.run()
    assert said.code == 1, said
    assert not (checked.root / "out").exists() or checked.files("out") == []
    shown = checked.runi("dead", "show", "last")
    assert shown.out == "data/in.csv row 1: b is missing\n    a=2\n", shown


def test_a_run_without_rejected_rows_says_so(checked: Project):
    checked.write("data/in.csv", "a,b\n1,x\n")
    assert checked.run().code == 0
    shown = checked.runi("dead", "show", "last")
    assert (shown.code, shown.out) == (0, "")
    assert "rejected no rows" in shown.err
    assert checked.runi("dead", "show", "last", "-o", "json").document == []


def test_a_dead_letter_that_was_taken_away_is_told(checked: Project):
    assert checked.run().code == 0
    (checked.root / "out/dead.jsonl").unlink()
    shown = checked.runi("dead", "show", "last")
    assert shown.code == 3, shown
    assert "dead_letter_gone" in shown.err


def test_runs_are_listed_newest_first_and_named_by_a_beginning_of_their_id(checked: Project):
    first = checked.run().document["run"]
    second = checked.run().document["run"]
    listed = checked.runi("runs", "-o", "json").document
    assert [run["run"] for run in listed] == [second, first]
    assert checked.runi("runs", "-n", "1").out.startswith(second[:12])
    assert checked.runi("lineage", first[:14].lower()).code == 0
    ambiguous = checked.runi("lineage", first[:4], "-o", "json")
    assert ambiguous.code == 8
    assert ambiguous.document["error"]["code"] == "ambiguous_run"
    missing = checked.runi("lineage", "zzz", "-o", "json")
    assert missing.code == 3
    assert missing.document["error"]["code"] == "no_such_run"


def test_cleaning_forgets_the_oldest_and_leaves_what_they_published(checked: Project):
    checked.step('@step(each="record")\ndef work(row):\n    print("to the log")\n    return row\n')
    write_checked(checked, "jsonl", '@step("work")\n')
    runs = [checked.run().document["run"] for _ in range(3)]
    would = checked.runi("clean", "--keep", "1", "--dry-run")
    assert "would forget 2 runs" in would.out
    assert len(checked.runi("runs", "-o", "json").document) == 3
    assert checked.runi("clean", "--keep", "1", "-o", "json").document == {
        "forgotten": runs[:2],
        "dry_run": False,
    }
    assert [run["run"] for run in checked.runi("runs", "-o", "json").document] == runs[2:]
    assert [path.name for path in (checked.root / ".runink/runs").iterdir()] == runs[2:]
    assert checked.read("out/o.csv") == "a,b\n1,x\n3,z\n"
    assert checked.runi("logs", runs[0]).code == 3
    assert checked.runi("clean", "--keep", "0").out == "forgot 1 run\n"
    assert checked.runi("runs").out == ""
    (bundle,) = (checked.root / ".runink/bundles").iterdir()  # young: somebody may be submitting
    os.utime(bundle, (0, 0))
    assert checked.runi("clean").code == 0
    assert not bundle.exists()


def test_parameters_come_from_the_command_line_or_their_declaration(project: Project):
    project.write("data/one.csv", "a\n1\n")
    project.write("data/two.csv", "a\n2\n")
    project.write(
        "features/p.dsl",
        '@param("name", default="one")\nFeature: p\n  Scenario: s\n'
        '    @source("csv://data/${name}.csv")\n    @sink("jsonl://out/${name}.jsonl")\n',
    )
    assert project.run().code == 0
    assert project.run("features/p.dsl", "--param", "name=two").code == 0
    assert project.rows("out/one.jsonl") == [{"a": 1}]
    assert project.rows("out/two.jsonl") == [{"a": 2}]
    unknown = project.run("features/p.dsl", "-p", "nam=two")
    assert unknown.code == 8, unknown
    twice = project.run("features/p.dsl", "-p", "name=one", "-p", "name=two")
    assert twice.code == 2, twice
    assert twice.error["code"] == "usage"


def test_graphs_are_mermaid_or_dot(checked: Project):
    assert checked.runi("graph", "features/p.dsl").out.startswith("flowchart LR\n")
    assert checked.runi("graph", "features/p.dsl", "--format", "dot").out.startswith("digraph ")
    assert checked.runi("graph", "features/p.dsl", "--format", "png").code == 2


def test_compiling_gives_the_same_bytes_again(checked: Project):
    assert checked.runi("compile", "features/p.dsl").out.endswith(
        ": 1 scenario, 4 nodes, 1 slice in 1 gang\n"
    )
    first = checked.runi("compile", "features/p.dsl", "-o", "json")
    assert first.document["pipeline"] == "p"
    assert checked.runi("compile", "features/p.dsl", "-o", "json").out == first.out
    assert not (checked.root / ".runink").exists(), "compiling runs nothing"


def test_goldens_are_written_compared_and_told_by_their_rows(checked: Project):
    checked.pipeline(
        '@source("csv://data/in.csv")\n@sink("csv://out/o.csv")\n@golden("golden/o.csv", key=["a"])'
    )
    without = checked.runi("test")
    assert without.code == 1, without
    written = checked.runi("test", "--update")
    assert written.code == 0, written
    assert "written" in written.out
    assert checked.read("golden/o.csv").splitlines()[0] == '"a","b"'
    same = checked.runi("test", "features/p.dsl")
    assert same.code == 0, same
    assert "as expected" in same.out
    checked.write("data/in.csv", IN.replace("3,z", "3,other"))
    differs = checked.runi("test", "-o", "json")
    assert differs.code == 1, differs
    [test] = differs.document["tests"]
    assert (test["status"], test["differences"]["different"]) == ("failed", 1)
    assert checked.files("out") == [], "a rehearsal publishes nothing"


def test_a_project_without_goldens_has_nothing_to_test(checked: Project):
    said = checked.runi("test", "-o", "json")
    assert said.code == 8
    assert said.document["error"]["code"] == "no_goldens"


@pytest.fixture
def gated(checked: Project) -> Project:
    """A pipeline whose step waits at each row until somebody writes into a pipe that has a name."""
    os.mkfifo(checked.root / "data/gate")
    checked.step(GATE)
    # Its slices are shown the folder above the pattern, with the gate in it.
    checked.pipeline('@source("csv://data/*.csv")\n@step("work")\n@sink("jsonl://out/o.jsonl")')
    return checked


def open_gate(project: Project) -> None:
    """Let the row through that waits, and all that follow."""
    gate = project.root / "data/gate"
    writer = os.open(gate, os.O_WRONLY)  # waits for a reader
    project.write("data/open", "").replace(gate)
    os.close(writer)


def begun(child: subprocess.Popen[bytes]) -> None:
    """Wait until the run's slice runs."""
    assert child.stderr is not None
    while b"running" not in child.stderr.readline():
        assert child.poll() is None


def test_logs_follow_a_run_to_its_end(gated: Project):
    gated.step(
        '@step(each="record")\ndef work(row):\n    print("said", row.a, flush=True)\n    open("data/gate").read()\n    return row\n'
    )
    with gated.popen("run", "features/p.dsl") as run:
        begun(run)
        with gated.popen("logs", "last", "--follow") as logs:
            assert logs.stdout is not None
            assert logs.stdout.readline().rstrip().endswith(b"one stdout: said 1")
            for number in (2, 3):
                (gated.root / "data/gate").write_text("go")
                assert logs.stdout.readline().rstrip().endswith(b"said %d" % number)
            (gated.root / "data/gate").write_text("go")
            run.communicate(timeout=60)
            assert logs.stdout.read() == b""
            assert logs.wait(timeout=60) == 0
    assert run.returncode == 0
    document = gated.runi("logs", "last", "-o", "json").document
    assert [row["text"] for row in document] == ["said 1", "said 2", "said 3"]
    assert gated.runi("logs", "last", "--slice", "two").code == 3


def test_a_run_is_cancelled_by_an_interrupt_at_its_step(gated: Project):
    with gated.popen("run", "features/p.dsl") as child:
        begun(child)
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=60)
    assert child.returncode == 130
    assert b"nothing was published" in out
    assert gated.files("out") == []
    assert gated.processes() == []


def test_an_interrupt_leaves_logs_that_are_followed_and_says_nothing(gated: Project):
    gated.step(
        '@step(each="record")\ndef work(row):\n    print("said", row.a, flush=True)\n    open("data/gate").read()\n    return row\n'
    )
    with gated.popen("run", "features/p.dsl") as run:
        begun(run)
        with gated.popen("logs", "last", "--follow") as logs:
            assert logs.stdout is not None
            assert logs.stdout.readline().rstrip().endswith(b"one stdout: said 1")
            logs.send_signal(signal.SIGINT)
            out, err = logs.communicate(timeout=60)
        assert (logs.returncode, out, err) == (130, b"", b"")
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=60)


def test_a_run_can_be_cancelled_again_and_one_that_is_over_cannot(gated: Project):
    with gated.popen("run", "features/p.dsl") as child:
        begun(child)
        assert gated.runi("cancel", "last", "-o", "json").document["state"] == "cancelled"
        child.communicate(timeout=60)
    assert gated.runi("cancel", "last").code == 0
    gated.pipeline('@source("csv://data/in.csv")\n@sink("jsonl://out/o.jsonl")')
    assert gated.run().code == 0
    said = gated.runi("cancel", "last")
    assert said.code == 5
    assert "has succeeded already" in said.err


def test_a_command_whose_cluster_is_killed_says_how_to_go_on(gated: Project):
    with gated.up() as up, gated.popen("run", "features/p.dsl", "-o", "json") as child:
        begun_on(gated)
        up.kill()
        out, _ = child.communicate(timeout=60)
    assert child.returncode == 1, out
    assert json.loads(out)["error"]["code"] == "cluster_lost"


def begun_on(project: Project) -> None:
    """Wait until a run's slice runs in the cluster that is up."""
    while [run["state"] for run in project.runi("runs", "-o", "json").document] != ["running"]:
        os.sched_yield()


def test_a_command_that_is_killed_leaves_its_run_to_the_cluster_that_is_up(gated: Project):
    with gated.up():
        with gated.popen("run", "features/p.dsl") as child:
            begun_on(gated)
            child.kill()
        open_gate(gated)
        followed = gated.runi("logs", "last", "--follow")
        assert followed.code == 0, followed
    assert [run["state"] for run in gated.runi("runs", "-o", "json").document] == ["succeeded"]
    assert len(gated.rows("out/o.jsonl")) == 3


def test_questions_in_a_folder_where_nothing_was_run_leave_nothing_there(project: Project):
    assert project.runi("runs", "-o", "json").document == []
    for words in (["logs", "last"], ["lineage", "last"], ["dead", "show", "x"], ["clean"]):
        said = project.runi(*words, "-o", "json")
        assert said.code == 3, said
        assert said.document["error"]["code"] == "no_runs"
    assert project.runi("status", "-o", "json").document == {"running": False}
    assert [path.name for path in project.root.iterdir()] == ["runink.toml"]


def test_a_question_below_a_project_is_about_that_project(checked: Project):
    run = checked.run().document["run"]
    said = checked.runi("runs", cwd=checked.root / "out")
    assert run[:12] in said.out


@pytest.mark.parametrize(
    "words",
    [
        ["rum"],
        ["run"],
        ["run", "features/p.dsl", "--timeout", "soon"],
        ["run", "features/p.dsl", "-p", "x"],
        ["runs", "-n", "-1"],
        ["clean", "--keep", "-1"],
        ["logs"],
    ],
)
def test_a_wrong_command_line_is_told_to_people_and_to_programs(checked: Project, words: list[str]):
    said = checked.runi(*words, "-o", "json")
    assert said.code == 2, said
    assert said.document["error"]["code"] == "usage"
    assert "Error: " in said.err


def test_a_reader_that_has_had_enough_is_no_error_that_is_told(checked: Project):
    assert checked.run().code == 0
    reader, writer = os.pipe()
    os.close(reader)
    try:
        said = checked.runi("lineage", "last", stdout=writer)
    finally:
        os.close(writer)
    assert said.err == ""


def test_two_clusters_that_begin_at_once_are_one_and_the_other_is_told(checked: Project):
    first, second = checked.popen("up"), checked.popen("up")
    with first, second:
        assert first.stderr is not None
        assert second.stderr is not None
        lines = [first.stderr.readline(), second.stderr.readline()]
        assert sum(line.startswith(b"ready") for line in lines) == 1, lines
        up = first if lines[0].startswith(b"ready") else second
        other = second if up is first else first
        assert other.wait(timeout=60) == 5, lines
        up.terminate()
        assert up.wait(timeout=60) == 0
    assert any(line.startswith(b"error[already_up]") for line in lines), lines


def test_a_cluster_that_is_stopped_is_told_as_silent(checked: Project):
    with checked.up() as up:
        up.send_signal(signal.SIGSTOP)
        said = [checked.runi(*words, "-o", "json") for words in (["runs"], ["status"])]
        up.send_signal(signal.SIGCONT)
        assert [one.code for one in said] == [6, 6], said
        assert said[0].document["error"]["code"] == "cluster_silent"
        assert checked.run().code == 0
