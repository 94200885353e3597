"""A slice that nobody waits for any more ends: first as the agent would end it, then by force."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from runink.dag import Each, Function, Step
from runink.documents import SliceDocument, encode_document
from runink.jobs import ChainJob, Ticket
from runink.testing.contexts import SOME

CANCELLED: Final = 7
SAID: Final = "nobody waits for this slice any more: it ends"
IDLE: Final = f"""
import os, signal, sys
from runink.actors import lifeline
if sys.argv[2] == "stubborn":
    lifeline.END_S = 0.05
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit({CANCELLED}))
there, here = os.pipe()
os.set_blocking(here, False)
signal.set_wakeup_fd(here)
lifeline.end_with(int(sys.argv[1]))
print("lives", flush=True)
while True:
    os.read(there, 1)
    print(len(os.listdir("/proc/self/task")), "thread", flush=True)
"""
SLICE: Final = """
import os, sys
from pathlib import Path
from runink.actors import lifeline
from runink.actors.slice import main
lifeline.END_S = 60.0  # a busy machine may take longer than a slice is given
os._exit(main(Path(sys.argv[2]).read_bytes(), int(sys.argv[1]), []))
"""
ENDLESS: Final = """
import pyarrow as pa
from runink import step

@step(each="stream")
def endless():
    print("runs", flush=True)
    while True:
        yield pa.record_batch({"n": [1]})
"""


@contextmanager
def started(control: socket.socket, script: str, word: str) -> Iterator[subprocess.Popen[str]]:
    """Run the script with the socket, of which only the other end is left here."""
    words = [sys.executable, "-c", script, str(control.fileno()), word]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        words, pass_fds=[control.fileno()], stdout=pipe, stderr=pipe, text=True
    ) as process:
        control.close()
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, told = process.communicate()
    return process.returncode, told.strip()


def test_it_ends_when_its_control_socket_does_and_not_when_something_comes() -> None:
    ours, theirs = socket.socketpair()
    with started(theirs, IDLE, "") as process, ours:
        assert line_of(process) == "lives"
        ours.send(b"a word")
        assert line_of(process) == "1 thread", "nothing has been begun"
        ours.close()
        assert ended(process) == (CANCELLED, SAID)


def test_it_ends_when_its_control_socket_had_ended_before() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    with started(theirs, IDLE, "") as process:
        assert ended(process) == (CANCELLED, SAID)


def test_one_that_does_not_let_itself_be_cancelled_ends_by_force() -> None:
    ours, theirs = socket.socketpair()
    with started(theirs, IDLE, "stubborn") as process, ours:
        assert line_of(process) == "lives"
        ours.close()
        assert ended(process) == (1, SAID)


def test_a_slice_whose_step_goes_on_for_ever_ends_with_its_control_socket(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text(ENDLESS)
    (tmp_path / "document").write_bytes(document_of(str(tmp_path)))
    ours, theirs = socket.socketpair()
    with started(theirs, SLICE, str(tmp_path / "document")) as process, ours:
        assert line_of(process) == "runs"
        ours.close()
        code, told = ended(process)
    assert code == 1
    assert told.splitlines()[0] == SAID
    assert "this slice cannot report" in told


def document_of(folder: str) -> bytes:
    """Return what a slice is told whose one step stands in `s.py` of the folder."""
    step = Step("s", "s", Function("s.py", "endless", Each.STREAM, takes_input=False))
    job = ChainJob(Ticket(SOME.run, SOME.slice, 1), folder, folder, folder, (step,), ())
    return encode_document(SliceDocument(job=job, context=SOME))
