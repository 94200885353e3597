"""Steps that are programs: the stream goes to their stdin, what they write on stdout is the stream behind them.

    format   stdin and stdout hold
    ARROW    one Arrow IPC stream
    JSONL    one JSON object a line; times as ISO 8601 text
    CSV      a header, then rows; columns that the input has keep its types, new ones are text (a contract behind gives them types)

A thread feeds, the caller reads, another thread copies stderr to the slice's own and keeps its last lines for the
error.  A program may stop reading early, as `head` does; it has failed if it ends with anything but 0 or writes what is not its format.
It stays in the slice's process group, so that whatever ends the slice ends it too.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final

import pyarrow as pa

from runink.dag import Executable
from runink.errors import NotFound, Refused
from runink.pipes.batch import Batch
from runink.steps.codecs import Garbage, decoded, encoded
from runink.steps.schemas import one_schema

STDERR_LINES_MAX: Final = 20  # the last lines of a program say why it ended
STDERR_LINE_BYTES_MAX: Final = 2_000
END_WAIT_S: Final = 5.0  # a program that has closed its stdout ends at once, or is made to


class ProgramRun:
    """One program's run. `interrupt` may be called from another thread and ends the program."""

    def __init__(self, spec: Executable, *, bundle: Path, what: str) -> None:
        self._spec = spec
        self._what = what
        self._last_lines: deque[str] = deque(maxlen=STDERR_LINES_MAX)
        self._feed_error: BaseException | None = None
        command = [_found(spec.command[0], bundle, what), *spec.command[1:]]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - running the user's program is what the step is
                command,
                cwd=bundle,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise Refused(
                f"{what}: {shlex.join(spec.command)} cannot be started: {error.strerror}",
                code="command_failed",
                hint="a script needs its #! line and the right to be executed (chmod +x)",
            ) from error

    def interrupt(self) -> None:
        self._process.kill()

    def batches(self, stream: Iterable[Batch] | None) -> Iterator[pa.RecordBatch]:
        """Feed the program and yield what it writes. Raises Refused for its failures, and what the stream raised."""
        first, rest = _begun(stream, self._what)
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        feeder = _thread("feed", self._feed, process.stdin, first, rest)
        echo = _thread("stderr", self._echo, process.stderr)
        try:
            like = first.schema if first is not None else pa.schema([])
            output = decoded(self._spec.format, process.stdout, like=like, what=self._what)
            yield from one_schema(output, self._what)
            self._wait()
            feeder.join()
            echo.join(END_WAIT_S)
        except Garbage as error:
            raise self._blamed(error, echo) from None
        finally:
            process.kill()
            process.stdout.close()
            process.wait()
        self._check(process.returncode)

    def _feed(
        self, stdin: IO[bytes], first: pa.RecordBatch | None, rest: Iterator[pa.RecordBatch]
    ) -> None:
        try:
            with stdin:
                if first is not None:
                    encoded(self._spec.format, stdin, first, rest)
        except BrokenPipeError:
            pass  # The program reads no further; how it ends says whether that is well.
        except BaseException as error:  # noqa: BLE001 - handed to the reader, which raises it
            self._feed_error = error
            self._process.kill()

    def _echo(self, stderr: IO[bytes]) -> None:
        with stderr:
            for line in iter(lambda: stderr.readline(STDERR_LINE_BYTES_MAX), b""):
                self._last_lines.append(line.decode(errors="replace").rstrip())
                sys.stderr.write(line.decode(errors="replace"))
        sys.stderr.flush()

    def _wait(self) -> None:
        try:
            self._process.wait(END_WAIT_S)
        except subprocess.TimeoutExpired:
            raise self._failed(
                f"closed its output and was still running {END_WAIT_S:.0f} s later"
            ) from None

    def _check(self, code: int) -> None:
        if self._feed_error is not None:
            raise self._feed_error
        if code > 0:
            raise self._failed(f"exited with {code}")
        if code < 0:
            raise self._failed(f"was killed by {_signal_name(code)}")

    def _blamed(self, garbage: Garbage, echo: threading.Thread) -> BaseException:
        """Say what came first: a program that breaks down also leaves half a line behind."""
        if self._feed_error is not None:
            return self._feed_error
        assert self._process.stdout is not None
        self._process.stdout.close()
        try:
            code = self._process.wait(END_WAIT_S)
        except subprocess.TimeoutExpired:
            code = 0
        if code not in {0, -signal.SIGPIPE}:
            echo.join(END_WAIT_S)
            told = f"exited with {code}" if code > 0 else f"was killed by {_signal_name(code)}"
            return self._failed(told)
        return Refused(
            f"{self._what}: {shlex.join(self._spec.command)} wrote what is not {self._spec.format.name}: {garbage}",
            code="command_output",
            hint=f"its stdout holds the stream in {self._spec.format.name} and nothing else; print messages to stderr",
        )

    def _failed(self, how: str) -> Refused:
        last = "\n".join(f"  {line}" for line in self._last_lines)
        text = f"{self._what}: {shlex.join(self._spec.command)} {how}"
        return Refused(f"{text}\n{last}" if last else text, code="command_failed")


def _signal_name(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _found(name: str, bundle: Path, what: str) -> str:
    """Return the program's path: a file of the project, else one on PATH."""
    own = (bundle / name).absolute()
    if own.is_file():
        if not os.access(own, os.X_OK):
            raise Refused(
                f"{what}: {name} may not be executed",
                code="command_failed",
                hint=f"chmod +x {name}",
            )
        return str(own)
    path = None if "/" in name and not name.startswith("/") else shutil.which(name)
    if path is None:
        raise NotFound(
            f"{what}: there is no program {name!r}",
            code="command_missing",
            hint="name a file of the project (bin/clean) or a program on the PATH of the agent's machine",
        )
    return path


def _begun(
    stream: Iterable[Batch] | None, what: str
) -> tuple[pa.RecordBatch | None, Iterator[pa.RecordBatch]]:
    """Split a stream into its first batch, which has its schema, and the rest."""
    data = (batch.data for batch in stream or ())
    batches = one_schema(data, f"the input of {what}")
    return next(batches, None), batches


def _thread(name: str, target: object, *arguments: object) -> threading.Thread:
    assert callable(target)
    thread = threading.Thread(target=target, args=arguments, name=name, daemon=True)
    thread.start()
    return thread
