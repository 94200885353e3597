"""What slices print, kept line by line.

A file a slice and attempt: `RUNFOLDER/logs/SLICE.ATTEMPT.jsonl`, one JSON object a line:

    at_ms    when it was read, milliseconds of the Unix epoch
    stream   stdout, stderr, or runink for our own words about the slice
    text     the line without its end; bytes that are no UTF-8 are shown as replacement characters

Lines are cut at LINE_BYTES_MAX and a file ends at FILE_BYTES_MAX, both with a word about it: a slice that prints for ever fills no disk.
So does one that was slowed down (`log_pace.py`) say so, once, and one whose lines are left out because the disk is nearly full (`log_room.py`).
The file appears with the first line: most slices print nothing, and making a file costs more than all else that is done for a log.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

LINE_BYTES_MAX: Final = 16 << 10  # longer lines are data, not log
FILE_BYTES_MAX: Final = 64 << 20  # some hundred thousand lines of one attempt
LOG_MODE: Final = 0o666  # less the umask
TAIL_LINES: Final = 20  # what is kept in memory, to stand in a failure
TAIL_BYTES: Final = 256 << 10  # of a file that are read for its last lines


class Stream(Enum):
    STDOUT = "stdout"
    STDERR = "stderr"
    RUNINK = "runink"


class LogLine(msgspec.Struct, frozen=True):
    at_ms: int
    stream: Stream
    text: str


class LogFacts(NamedTuple):
    """What a log was given: lines, of these the bytes that it wrote, and the bytes that were lost; for how long who printed them was held up."""

    lines: int = 0
    written_bytes: int = 0
    dropped_bytes: int = 0
    slowed_s: float = 0.0


SLOWED: Final = "this slice prints faster than its lines are taken in: it is slowed down"
NO_ROOM: Final = "lines are left out here: the disk has no more room than the node keeps free"
_APPENDED: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(LogLine).decode


class LineSplitter:
    """Cuts a stream of bytes into lines of at most LINE_BYTES_MAX."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False

    def feed(self, data: bytes) -> list[str]:
        """Return the lines that end in `data`; the beginning of the next one is kept."""
        *lines, rest = (self._rest + data).split(b"\n")
        found: list[str] = []
        for line in lines:
            if self._skipping:
                self._skipping = False
                continue
            found.append(_text(line))
        if len(rest) > LINE_BYTES_MAX:
            if not self._skipping:
                found.append(_text(rest))
            self._skipping = True
            rest = b""
        self._rest = rest
        return found

    @property
    def is_empty(self) -> bool:
        """Whether nothing stands behind the last line end."""
        return not self._rest

    def end(self) -> list[str]:
        """Return what stands behind the last line end, if anything does."""
        rest, self._rest = self._rest, b""
        return [_text(rest)] if rest and not self._skipping else []


def _text(line: bytes) -> str:
    cut = line[:LINE_BYTES_MAX]
    text = cut.decode(errors="replace").removesuffix("\r")
    left = len(line) - len(cut)
    return f"{text} [cut: the line is longer than {LINE_BYTES_MAX} bytes]" if left else text


class SliceLog:
    """The log of one attempt of a slice. It goes on behind what an earlier start of the agent has written. `has_room` says whether its disk takes more."""

    def __init__(self, path: Path, *, has_room: Callable[[], bool] = lambda: True) -> None:
        self._path = path
        self._has_room = has_room
        self._is_paused = False
        self._file = -1
        self._bytes = 0
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._lines = 0
        self._written_bytes = 0
        self._dropped_bytes = 0
        self._slowed_s = 0.0

    def resume(self) -> None:
        """Begin with the last lines that an earlier start of the agent has written."""
        self._tail.extendleft(reversed(last_lines(self._path)[: TAIL_LINES - len(self._tail)]))

    def write(self, stream: Stream, texts: list[str], *, at_ms: int) -> None:
        """Append lines. A full disk, or a folder that is not ours, loses them and nothing else: a log is not worth a run."""
        self._tail.extend(texts)
        self._lines += len(texts)
        if self._bytes > FILE_BYTES_MAX or not texts:
            self._drop(texts)
            return
        if not self._has_room():
            self._pause(at_ms)
            self._drop(texts)
            return
        self._is_paused = False
        try:
            self._append(b"".join(_encode(LogLine(at_ms, stream, text)) + b"\n" for text in texts))
            if self._bytes > FILE_BYTES_MAX:
                said = f"the log ends here: it is longer than {FILE_BYTES_MAX >> 20} MiB"
                self._append(_encode(LogLine(at_ms, Stream.RUNINK, said)) + b"\n")
        except OSError:
            self._bytes = FILE_BYTES_MAX + 1
            self._drop(texts)

    def _pause(self, at_ms: int) -> None:
        """Say that what comes now is left out, once for as long as it is."""
        if not self._is_paused:
            with suppress(OSError):
                self._append(_encode(LogLine(at_ms, Stream.RUNINK, NO_ROOM)) + b"\n")
        self._is_paused = True

    def slowed(self, seconds: float, *, at_ms: int) -> None:
        """Take note that who prints was held up. The first time it is said in the log."""
        if not self._slowed_s and self._file >= 0 and self._bytes <= FILE_BYTES_MAX:
            with suppress(OSError):
                self._append(_encode(LogLine(at_ms, Stream.RUNINK, SLOWED)) + b"\n")
        self._slowed_s += seconds

    def _drop(self, texts: list[str]) -> None:
        self._dropped_bytes += sum(len(text.encode()) for text in texts)

    def _append(self, data: bytes) -> None:
        if self._file < 0:
            self._file, self._bytes = _opened(self._path)
        self._bytes += len(data)
        self._written_bytes += os.write(self._file, data)

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines."""
        return tuple(self._tail)

    @property
    def facts(self) -> LogFacts:
        return LogFacts(self._lines, self._written_bytes, self._dropped_bytes, self._slowed_s)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _opened(path: Path) -> tuple[int, int]:
    """Open a log to append to it; return how long it is, too.

    Its folder is there but for the first log of a run, the log itself only behind a restart. Each slice that prints opens one, in a thread that has to
    wait for the interpreter behind each call: so it is mostly one call, and no file object is made.
    """
    try:
        return os.open(path, _APPENDED | os.O_EXCL, LOG_MODE), 0
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        pass
    file = os.open(path, _APPENDED, LOG_MODE)
    return file, os.lseek(file, 0, os.SEEK_END)


def log_path(run_folder: Path, slice_id: str, attempt: int) -> Path:
    """Return where an attempt's log is."""
    return run_folder / f"logs/{slice_id}.{attempt}.jsonl"


def read_log(path: Path) -> Iterator[LogLine]:
    """Yield the lines of a log; a line that was cut by a crash is left out."""
    with path.open("rb") as file:
        for line in file:
            try:
                yield _decode(line)
            except msgspec.DecodeError:
                continue


def last_lines(path: Path) -> list[str]:
    """Return what the slice printed last, TAIL_LINES at most; nothing where no log can be read."""
    try:
        with path.open("rb") as file:
            whole = file.seek(0, os.SEEK_END)
            file.seek(max(whole - TAIL_BYTES, 0))
            found = file.read(TAIL_BYTES).split(b"\n")
    except OSError:
        return []
    texts: deque[str] = deque(maxlen=TAIL_LINES)
    for line in found[1:] if whole > TAIL_BYTES else found:
        with suppress(msgspec.DecodeError):
            told = _decode(line)
            if told.stream is not Stream.RUNINK:
                texts.append(told.text)
    return list(texts)
