"""Programs on stdin and stdout: real processes, started and ended."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from runink.dag import Executable, Format
from runink.errors import NotFound, Refused
from runink.pipes.batch import Batch
from runink.steps.executable import ProgramRun

FLIGHTS = pa.table(
    {
        "month": pa.array([1, 2, None], pa.int8()),
        "carrier": pa.array(["UA", None, 'B"6, zürich']),
        "time": pa.array([0, None, 3600], pa.timestamp("s", "UTC")),
    }
)


def stream(size: int = 2, *, fails_at: int = -1) -> Iterator[Batch]:
    for number, batch in enumerate(FLIGHTS.to_batches(max_chunksize=size)):
        if number == fails_at:
            raise LookupError("the source broke")
        yield Batch(batch, "data/flights.csv", number * size)


def program(*command: str, form: Format = Format.JSONL, bundle: Path = Path("/tmp")) -> ProgramRun:
    return ProgramRun(Executable(command, form), bundle=bundle, what="step f")


def python(code: str, form: Format = Format.JSONL) -> ProgramRun:
    return program(sys.executable, "-c", code, form=form)


def output(run: ProgramRun, batches=None) -> pa.Table:
    return pa.Table.from_batches(run.batches(stream() if batches is None else batches))


def test_what_goes_through_cat_is_what_went_in() -> None:
    assert output(program("cat", form=Format.ARROW)).equals(FLIGHTS)
    assert output(program("cat", form=Format.CSV)).equals(FLIGHTS)
    lines = output(program("cat", form=Format.JSONL)).to_pylist()
    assert [row["month"] for row in lines] == [1, 2, None]
    assert lines[2]["carrier"] == 'B"6, zürich'
    assert lines[2]["time"] == "1970-01-01T01:00:00Z"


def test_a_program_of_the_project_comes_before_the_path(tmp_path: Path) -> None:
    script = tmp_path / "bin" / "clean"
    script.parent.mkdir()
    script.write_text('#!/bin/sh\necho "{\\"here\\": \\"$(basename $PWD)\\"}"\ncat > /dev/null\n')
    script.chmod(0o755)
    run = program("bin/clean", bundle=tmp_path)
    assert output(run).to_pylist() == [{"here": tmp_path.name}]
    script.chmod(0o644)
    with pytest.raises(Refused, match="may not be executed") as caught:
        program("bin/clean", bundle=tmp_path)
    assert caught.value.hint == "chmod +x bin/clean"


def test_a_program_that_is_not_there_is_not_found() -> None:
    for name in ("no-such-program-here", "bin/none"):
        with pytest.raises(NotFound, match=f"no program '{name}'"):
            program(name)


def test_a_script_without_its_first_line_cannot_be_started(tmp_path: Path) -> None:
    script = tmp_path / "clean"
    script.write_text("echo hello\n")
    script.chmod(0o755)
    with pytest.raises(Refused, match="cannot be started"):
        program("clean", bundle=tmp_path)


def test_new_csv_columns_are_text_and_known_ones_keep_their_type() -> None:
    table = output(python("print('month,total'); print('7,1.5'); print(',x')", Format.CSV))
    assert table.schema == pa.schema([("month", pa.int8()), ("total", pa.string())])
    assert table.to_pylist() == [{"month": 7, "total": "1.5"}, {"month": None, "total": "x"}]


def test_a_program_may_stop_reading_early() -> None:
    many = (Batch(pa.record_batch({"n": pa.array(range(50_000))}), "f", 0) for _ in range(20))
    assert output(program("head", "-n", "2"), many).to_pylist() == [{"n": 0}, {"n": 1}]


def test_a_program_that_writes_nothing_gives_nothing() -> None:
    for form in (Format.JSONL, Format.CSV, Format.ARROW):
        assert list(program("true", form=form).batches(stream())) == []


def test_a_program_without_input_reads_an_empty_stdin() -> None:
    run = python("import sys; assert sys.stdin.read() == ''; print('{\"a\": 1}')")
    assert [batch.to_pylist() for batch in run.batches(None)] == [[{"a": 1}]]


def test_stderr_is_handed_on(capsys: pytest.CaptureFixture[str]) -> None:
    output(program("sh", "-c", "echo reading >&2; cat"))
    assert "reading" in capsys.readouterr().err


def test_an_exit_code_fails_with_the_last_lines() -> None:
    with pytest.raises(Refused) as caught:
        output(program("sh", "-c", "cat > /dev/null; echo no disk >&2; exit 3"))
    assert caught.value.code == "command_failed"
    assert "exited with 3\n  no disk" in caught.value.text


def test_a_program_that_is_killed_by_a_signal_without_a_name_is_told() -> None:
    with pytest.raises(Refused, match="was killed by signal 40"):
        output(program("sh", "-c", "cat; kill -40 $$"))


def test_a_killed_program_is_told_from_one_that_ended() -> None:
    for form in Format.JSONL, Format.CSV, Format.ARROW:
        with pytest.raises(Refused, match="was killed by SIGKILL"):
            output(program("sh", "-c", "cat > /dev/null; echo half a li; kill -9 $$", form=form))


@pytest.mark.parametrize(
    ("form", "printed", "told"),
    [
        (Format.JSONL, '{"a": 1}\nhello there\n', "line 2 is 'hello there'"),
        (Format.JSONL, "[1]\n", r"line 1 is '\[1\]'"),
        (Format.CSV, "a,b\n1,2\n3\n", "Expected 2 columns, got 1: 3"),
        (Format.ARROW, "hello there\nand on", "it begins with 'hello there'"),
    ],
)
def test_garbage_is_shown_with_its_place(form: Format, printed: str, told: str) -> None:
    with pytest.raises(Refused, match=told) as caught:
        output(python(f"import sys; sys.stdin.buffer.read(); print({printed!r}, end='')", form))
    assert caught.value.code == "command_output"
    assert "stderr" in caught.value.hint


def test_a_program_that_writes_garbage_for_ever_is_ended() -> None:
    with pytest.raises(Refused, match="line 1 is 'y'"):
        output(program("yes"))


def test_an_error_of_the_stream_comes_as_it_was_and_ends_the_program() -> None:
    run = program("cat")
    with pytest.raises(LookupError, match="the source broke"):
        output(run, stream(1, fails_at=2))
    with pytest.raises(ProcessLookupError):
        os.kill(run._process.pid, 0)


def test_columns_that_a_format_cannot_hold_are_refused() -> None:
    nested = Batch(pa.record_batch({"a": [[1]]}), "f", 0)
    with pytest.raises(Refused, match="cannot be written as csv"):
        output(program("cat", form=Format.CSV), [nested])


def test_an_interrupt_from_another_thread_ends_a_program_that_hangs() -> None:
    run = program("sleep", "1000")
    batches = run.batches(stream())
    threading.Timer(0.05, run.interrupt).start()
    with pytest.raises(Refused, match="was killed by SIGKILL"):
        next(batches)


def test_a_program_goes_when_nobody_reads_on() -> None:
    run = python("while True: print('{\"a\": 1}')")
    batches = run.batches(stream())
    next(batches)
    batches.close()
    assert run._process.poll() is not None
