"""The language server: how soon an editor is told what is wrong after a key, and that questions never wait for that.

`runi lsp` runs as editors start it, and is spoken to over its pipe.  A change replaces one line in the middle.  Processor time is that of
the server's process with all its threads, from the change until its diagnostics are there; waiting is by the clock.  The large file is
that of `dsl.py`, 10,051 lines: what the parser finds comes first, what the compiler finds when nothing has changed for a moment.
"""

from __future__ import annotations

import argparse
import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from dsl import HEAD, SCENARIO, SCENARIOS
from figures import Figure, below, main, middle

DIAGNOSTICS = "textDocument/publishDiagnostics"
WITHIN_S = 60.0  # of anything that is waited for
TURNS = 15
SHORT = 30  # scenarios: 451 lines
SHORT_MS_MUST, LONG_MS_MUST, ANSWER_MS_MUST = 50, 100, 100
CONTRACT = """from typing import Annotated
from runink import Contract, Field


class Flight(Contract, version="1.2.0"):
    carrier: Annotated[str, Field(pattern="[A-Z]{{2}}"{personal})]
    dep_delay: Annotated[int, Field(ge=-120)]
    tailnum: str | None = None
"""
PERSONAL = ', pii="name", mask="redact"'
VALID = ((", as=flights)", ")"), ("dep_delay > 15", "delay > 15"), (", on_invalid=fail", ""))
STEP = '\n\n@step(each="batch")\ndef clean_{n}(flights):\n    return flights\n'


class Server:
    """A server with one page open."""

    def __init__(self, root: Path, page: Path) -> None:
        runi = Path(sys.executable).with_name("runi")
        self._process = subprocess.Popen(
            [runi, "lsp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root
        )
        self._uri = page.as_uri()
        self._number = 0
        self._version = 0
        self._messages: queue.Queue[dict[str, Any]] = queue.Queue()
        self._others: list[dict[str, Any]] = []
        # As an editor does: what is not read holds the server up.
        threading.Thread(target=self._listen, daemon=True).start()
        self.ask("initialize", {"capabilities": {}, "processId": None, "rootUri": root.as_uri()})
        self._say("initialized", {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ask("shutdown", None)
        self._say("exit", None)
        self._process.communicate()

    def open(self, text: str) -> None:
        self._version += 1
        item = {"uri": self._uri, "languageId": "runink", "version": self._version, "text": text}
        self._say("textDocument/didOpen", {"textDocument": item})

    def change(self, text: str) -> None:
        self._version += 1
        where = {"uri": self._uri, "version": self._version}
        self._say(
            "textDocument/didChange", {"textDocument": where, "contentChanges": [{"text": text}]}
        )

    def told(self) -> list[dict[str, Any]]:
        """Wait for what is wrong with the page as it is now. Of a long one the parser speaks first; asked again, all that there is."""
        while True:  # the server's end ends it: there is no message then
            last = self._next(lambda one: one.get("method") == DIAGNOSTICS)["params"]
            if last["version"] == self._version:
                return list(last["diagnostics"])

    def ask(self, method: str, params: object) -> Any:
        self._number += 1
        number = self._number
        self._send({"id": number, "method": method, "params": params})
        return self._next(lambda one: one.get("id") == number and "method" not in one)["result"]

    def place(self, line: int, character: int) -> dict[str, Any]:
        return {
            "textDocument": {"uri": self._uri},
            "position": {"line": line, "character": character},
        }

    @property
    def cpu_s(self) -> float:
        """Seconds of a processor that the process has used by now."""
        tasks = Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")
        return sum(int(one.read_text().split()[0]) for one in tasks) / 1e9

    def _say(self, method: str, params: object) -> None:
        self._send({"method": method, "params": params})

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._process.stdin.flush()

    def _next(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait for the next message that fits; the others are kept."""
        for place, message in enumerate(self._others):
            if fits(message):
                return self._others.pop(place)
        while not fits(message := self._messages.get(timeout=WITHIN_S)):
            self._others.append(message)
        return message

    def _listen(self) -> None:
        assert self._process.stdout is not None
        while True:  # the server's end ends it
            size = 0
            while (line := self._process.stdout.readline()) not in {b"\r\n", b""}:
                name, _, value = line.partition(b":")
                size = int(value) if name == b"Content-Length" else size
            if not size:
                return
            self._messages.put(json.loads(self._process.stdout.read(size)))


def project(root: Path, count: int, personal: str) -> tuple[Path, list[str]]:
    """Write a project of that many scenarios, and return its pipeline."""
    for folder in ("features", "steps", "contracts"):
        (root / folder).mkdir()
    (root / "runink.toml").write_text("")
    steps = "".join(STEP.format(n=n) for n in range(count))
    (root / "steps/flights.py").write_text(f"from runink import step\n{steps}")
    (root / "contracts/flights.py").write_text(CONTRACT.format(personal=personal))
    scenarios = (SCENARIO.format(n=n) for n in range(count))
    text = "".join([HEAD, *scenarios])
    for old, new in VALID:
        text = text.replace(old, new)
    page = root / "features/many.dsl"
    page.write_text(text)
    return page, text.split("\n")


def changed(lines: list[str], turn: int) -> str:
    """Return the text with another line in the middle: every other time a mistake that the parser finds."""
    at = len(lines) // 2 // 15 * 15 + 5
    end = ")" if turn % 2 else ""
    return "\n".join([*lines[:at], f'    @step("clean_{turn}"{end}', *lines[at + 1 :]])


def told_ms(personal: str, count: int) -> float:
    """Return the processor's time from a change to the first diagnostics, the middle of some."""
    cpu = []
    with tempfile.TemporaryDirectory() as folder:
        page, lines = project(Path(folder), count, personal)
        with Server(Path(folder), page) as server:
            server.open("\n".join(lines))
            server.told()
            for turn in range(TURNS):
                text = changed(lines, turn)
                before = server.cpu_s
                server.change(text)
                found = server.told()
                cpu.append(server.cpu_s - before)
                assert turn % 2 or any(one["code"] == "D003" for one in found)
    return middle(cpu) * 1e3


def answered_ms(method: str) -> float:
    """Return how long a question waits that is asked while the large file is compiled, of 20 the longest but one."""
    waited = []
    with tempfile.TemporaryDirectory() as folder:
        page, lines = project(Path(folder), SCENARIOS, "")
        with Server(Path(folder), page) as server:
            server.open("\n".join(lines))
            server.told()
            for turn in range(TURNS):
                server.change(changed(lines, turn))
                server.told()  # the parser has spoken: the compiler begins when nothing has changed for a moment
                for _ in range(20):
                    began = time.perf_counter()
                    server.ask(method, server.place(3, 6))
                    waited.append(time.perf_counter() - began)
                server.told()
    return sorted(waited)[-len(waited) // 20] * 1e3


def coloured_ms() -> float:
    """Return the processor's time from the question how the colours of the large file have changed to the answer, the middle of some."""
    cpu = []
    with tempfile.TemporaryDirectory() as folder:
        page, lines = project(Path(folder), SCENARIOS, "")
        where = {"textDocument": {"uri": page.as_uri()}}
        with Server(Path(folder), page) as server:
            server.open("\n".join(lines))
            last = server.ask("textDocument/semanticTokens/full", where)["resultId"]
            for turn in range(TURNS):
                server.change(changed(lines, turn))
                for _ in range(2):
                    server.told()  # else the compiler's time is counted, too
                before = server.cpu_s
                asked = {**where, "previousResultId": last}
                last = server.ask("textDocument/semanticTokens/full/delta", asked)["resultId"]
                cpu.append(server.cpu_s - before)
    return middle(cpu) * 1e3


def measure(_: argparse.Namespace) -> list[Figure]:
    short, personal, long = told_ms("", SHORT), told_ms(PERSONAL, SHORT), told_ms("", SCENARIOS)
    hover, completion = (answered_ms(f"textDocument/{one}") for one in ("hover", "completion"))
    return [
        below("451 lines, one changed: told, ms of a processor", short, SHORT_MS_MUST),
        below("the same, personal data followed", personal, SHORT_MS_MUST),
        below("10,051 lines, one changed: what the parser says, likewise", long, LONG_MS_MUST),
        below("its colours after the change, likewise", coloured_ms(), LONG_MS_MUST),
        below(
            "a hover while that is compiled, the slowest of 20 by the clock", hover, ANSWER_MS_MUST
        ),
        below("a completion, likewise", completion, ANSWER_MS_MUST),
    ]


if __name__ == "__main__":
    main(measure, str(__doc__))
