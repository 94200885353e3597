"""What slices print: cut into lines, kept within limits, and never worth a run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from runink.observe import slice_logs
from runink.observe.slice_logs import (
    LINE_BYTES_MAX,
    NO_ROOM,
    TAIL_LINES,
    LineSplitter,
    SliceLog,
    Stream,
    log_path,
    read_log,
)


def lines_of(*parts: bytes) -> list[str]:
    splitter = LineSplitter()
    found = [line for part in parts for line in splitter.feed(part)]
    return found + splitter.end()


@pytest.mark.parametrize(
    ("parts", "lines"),
    [
        ((b"a\nb\n",), ["a", "b"]),
        ((b"a", b"b\nc"), ["ab", "c"]),
        ((b"\n\n",), ["", ""]),
        ((b"a\r\nb",), ["a", "b"]),
        ((b"\xff\n",), ["\ufffd"]),
        (("ü".encode()[:1], "ü".encode()[1:] + b"\n"), ["ü"]),
        ((), []),
    ],
)
def test_lines_are_cut_however_they_come_in_pieces(
    parts: tuple[bytes, ...], lines: list[str]
) -> None:
    assert lines_of(*parts) == lines


def test_a_line_that_is_too_long_is_cut_once_and_the_next_one_is_whole() -> None:
    long = b"x" * (LINE_BYTES_MAX + 1)
    first, second = lines_of(long, long, b"\nnext\n")
    assert first == "x" * LINE_BYTES_MAX + f" [cut: the line is longer than {LINE_BYTES_MAX} bytes]"
    assert second == "next"
    assert lines_of(long) == [first]


def test_a_slice_that_prints_nothing_has_no_log(tmp_path: Path) -> None:
    path = log_path(tmp_path, "s", 1)
    log = SliceLog(path)
    log.write(Stream.STDOUT, [], at_ms=1)
    log.close()
    assert not path.exists()


def test_lines_are_read_as_they_were_written_and_a_torn_one_is_left_out(tmp_path: Path) -> None:
    path = log_path(tmp_path, "s", 2)
    for text in ("one", "two"):  # an agent that starts anew goes on behind the other
        log = SliceLog(path)
        log.write(Stream.STDERR, [text], at_ms=7)
        log.close()
    with path.open("ab") as file:
        file.write(b'{"at_ms":8,"str')
    assert [(one.at_ms, one.stream, one.text) for one in read_log(path)] == [
        (7, Stream.STDERR, "one"),
        (7, Stream.STDERR, "two"),
    ]


def test_the_folder_of_a_log_comes_with_the_first_one_and_comes_again_if_it_was_taken_away(
    tmp_path: Path,
) -> None:
    path = log_path(tmp_path / "run", "s", 1)
    for _ in range(2):
        log = SliceLog(path)
        log.write(Stream.STDOUT, ["one"], at_ms=7)
        log.close()
        assert [one.text for one in read_log(path)] == ["one"]
        shutil.rmtree(tmp_path / "run")


def test_the_last_lines_are_kept_in_memory(tmp_path: Path) -> None:
    log = SliceLog(log_path(tmp_path, "s", 1))
    log.write(Stream.STDOUT, [str(number) for number in range(100)], at_ms=1)
    log.close()
    assert log.tail == tuple(str(number) for number in range(100 - TAIL_LINES, 100))


def test_a_log_ends_at_its_limit_and_says_so_also_behind_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slice_logs, "FILE_BYTES_MAX", 1000)
    path = log_path(tmp_path, "s", 1)
    for _ in range(3):
        log = SliceLog(path)
        for _ in range(100):
            log.write(Stream.STDOUT, ["x" * 50], at_ms=1)
        log.close()
    assert path.stat().st_size < 2000
    assert [one for one in read_log(path) if one.stream is Stream.RUNINK]
    assert log.tail[-1] == "x" * 50


def test_a_log_that_cannot_be_written_is_lost_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("no folder")
    log = SliceLog(log_path(tmp_path, "s", 1))
    log.write(Stream.STDOUT, ["a"], at_ms=1)
    log.write(Stream.STDOUT, ["b"], at_ms=1)
    log.close()
    assert log.tail == ("a", "b")


def test_a_log_says_what_it_was_given_and_what_it_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slice_logs, "FILE_BYTES_MAX", 200)
    path = log_path(tmp_path, "s", 1)
    log = SliceLog(path)
    log.write(Stream.STDOUT, ["x" * 300, "y"], at_ms=1)
    log.write(Stream.STDOUT, [], at_ms=1)
    log.write(Stream.STDOUT, ["ü" * 10], at_ms=1)
    log.close()
    assert log.facts == (3, path.stat().st_size, 20, 0.0)


def test_a_log_that_cannot_be_written_says_what_was_lost(tmp_path: Path) -> None:
    (tmp_path / "logs").touch()  # in the way of the folder
    log = SliceLog(log_path(tmp_path, "s", 1))
    log.write(Stream.STDOUT, ["one", "two"], at_ms=1)
    log.write(Stream.STDOUT, ["three"], at_ms=1)
    log.close()
    assert log.facts == (3, 0, len("onetwothree"), 0.0)


def test_lines_are_left_out_while_the_disk_has_no_room_and_that_is_said_once(
    tmp_path: Path,
) -> None:
    room = [True]
    log = SliceLog(log_path(tmp_path, "s", 1), has_room=lambda: room[0])
    for has_room, text in ((True, "a"), (False, "bb"), (False, "cc"), (True, "d"), (False, "ee")):
        room[0] = has_room
        log.write(Stream.STDOUT, [text], at_ms=1)
    log.close()
    told = [line.text for line in read_log(log_path(tmp_path, "s", 1))]
    assert told == ["a", NO_ROOM, "d", NO_ROOM]
    assert log.tail == ("a", "bb", "cc", "d", "ee")
    assert log.facts.dropped_bytes == 6
