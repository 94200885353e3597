"""A pipeline between two pipes of a shell: rows come from standard input and go to standard output, everything else to standard error."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from runi_project import Project

IN = b"a,b\n1,x\n2,y\n3,z\n"
OUT = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": "z"}]
ROWS_MANY = 200_000


@pytest.fixture
def piped(project: Project) -> Project:
    project.pipeline('@source("csv://-")\n@sink("jsonl://-")')
    return project


def rows(out: bytes | str) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.splitlines()]


def test_rows_go_from_standard_input_to_standard_output_and_nothing_else_does(piped: Project):
    said = piped.runi("run", "features/p.dsl", given=IN)
    assert said.code == 0, said
    assert rows(said.out) == OUT
    assert "succeeded" in said.err
    assert "3 rows" in said.err


def test_the_document_goes_to_standard_error_where_the_rows_have_standard_output(piped: Project):
    said = piped.run(given=IN)
    assert rows(said.out) == OUT
    document = json.loads(said.err.splitlines()[-1])
    assert document["state"] == "succeeded"
    assert document["steps"][0]["rows_out"] == 3
    assert document["outputs"] == [], "what was shown was not published"


def test_two_pipelines_are_joined_by_the_shell(piped: Project):
    piped.write(
        "features/q.dsl",
        'Feature: q\n  Scenario: one\n    @source("jsonl://-")\n    @sink("csv://-")\n',
    )
    piped.write("in.csv", IN)
    with (piped.root / "in.csv").open("rb") as file:
        first = piped.popen("run", "features/p.dsl", "-q", "--state", "a", stdin=file)
        second = piped.popen("run", "features/q.dsl", "-q", "--state", "b", stdin=first.stdout)
    assert first.stdout is not None
    first.stdout.close()
    out, err = second.communicate(timeout=60)
    first.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 0), err
    assert out == IN


def test_the_streams_are_those_of_the_command_where_another_process_is_the_cluster(piped: Project):
    with piped.up():
        said = piped.runi("run", "features/p.dsl", given=IN)
    assert said.code == 0, said
    assert rows(said.out) == OUT


def check_early_close(project: Project) -> None:
    project.write("in.csv", b"a,b\n" + b"".join(b"%d,some text\n" % n for n in range(ROWS_MANY)))
    with (
        (project.root / "in.csv").open("rb") as file,
        project.popen("run", "features/p.dsl", stdin=file) as child,
    ):
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline() == b'{"a":0,"b":"some text"}\n'
        child.stdout.close()
        said = child.stderr.read().decode()
        assert child.wait(timeout=60) == 1, said
    assert "sink_stdout_closed" in said
    assert "Traceback" not in said


def test_a_reader_that_closes_early_ends_the_run_with_a_word_about_it(piped: Project):
    check_early_close(piped)
    assert piped.processes() == []


def test_a_reader_that_closes_early_is_noticed_by_another_process_that_is_the_cluster(
    piped: Project,
):
    with piped.up():
        check_early_close(piped)
    assert piped.processes() == []


def test_standard_input_that_is_closed_is_an_empty_one(piped: Project):
    def close() -> None:
        os.close(0)

    said = piped.run(stdin=None, preexec_fn=close)
    assert said.code == 1, said
    assert '"source_empty"' in said.err


def test_standard_output_that_is_closed_is_no_crash(piped: Project):
    def close() -> None:
        os.close(1)

    said = piped.runi("runs", stdout=None, preexec_fn=close)
    assert said.code == 0, said
    assert "Traceback" not in said.err


def test_standard_input_that_is_a_terminal_is_refused_before_anything_waits(piped: Project):
    ours, theirs = os.openpty()
    try:
        said = piped.run(stdin=theirs)
    finally:
        os.close(ours)
        os.close(theirs)
    assert said.code == 8, said
    assert said.document["error"]["code"] == "stdin_is_terminal"


def test_input_that_never_ends_is_given_up_with_the_run(piped: Project):
    with piped.popen("run", "features/p.dsl", stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stderr is not None
        child.stdin.write(IN)
        child.stdin.flush()
        while b"running" not in child.stderr.readline():
            assert child.poll() is None
        child.terminate()
        said = child.stderr.read().decode()
        assert child.wait(timeout=60) == 130, said
    assert "cancelled" in said
    assert piped.processes() == []


def test_a_full_disk_behind_standard_output_is_told(piped: Project):
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        said = piped.runi("run", "features/p.dsl", given=IN, stdout=full)
    assert said.code == 1, said
    assert "space" in said.err
    assert "Traceback" not in said.err
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        listed = piped.runi("runs", stdout=full)
    assert listed.code == 1, listed
    assert "disk_full" in listed.err
