"""The agent's connection to the spawner: numbered requests, their answers, and what comes unasked.

Rules
- One task reads (`read`); any may ask.  Packets are sent one at a time and whole.
- What came for a request that nobody waits for any more is closed, and the slice that it started is reported to `unwanted`.
- When the connection has ended, whatever is or will be asked raises LinkLost.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

import anyio

from runink import errors
from runink.errors import LinkLost, Overloaded, RuninkError, TimedOut, Unavailable
from runink.loops import Bell, Readiness, now_s
from runink.sandbox.codec import BadMessage, Received, encode
from runink.sandbox.kernel import pid_of
from runink.sandbox.packets import Packet, close_all, receive, understood
from runink.sandbox.places import OFFERED
from runink.sandbox.protocol import (
    COUNTED_BEFORE,
    FIELDS,
    NOT_ADMITTED,
    TO_AGENT,
    TO_SPAWNER,
    Exited,
    ForkServerLost,
    ForkServerReady,
    Hello,
    Launch,
    Launched,
    Listed,
    Refused,
    Waiting,
    Welcome,
    Withdrawn,
)

PACKETS_AT_ONCE: Final = 64  # before other tasks have their turn
CROWDED_S: Final = 0.002  # until descriptors that are on their way have been taken out
LAST_WORDS_S: Final = 1.0  # they are there already
KEPT: Final = 4  # descriptors of a slice: control, stdout, stderr, pidfd

Event = Exited | ForkServerReady | ForkServerLost

_KIND_OF: Final = {message: kind for kind, message in TO_SPAWNER.items()}
# What a refusal is to a caller; what does not stand here is a plain Refused.
_REFUSALS: Final[Mapping[str, type[RuninkError]]] = {
    "no_slice": errors.NotFound,
    "slice_exists": errors.Conflict,
    "too_many_slices": Overloaded,
    "no_descriptors": Overloaded,
    "fork_failed": Overloaded,
    "node_exhausted": Overloaded,
    "fork_server_lost": Unavailable,
    "spawner_ending": Unavailable,
    "no_cell": Unavailable,
    "launch_timed_out": TimedOut,
}
_HINTS: Final = {
    "slice_not_shown": "the node's agent must reach what sources and sinks name, and be allowed to write where sinks do: by its owner, group and mode, and by ReadWritePaths= where the agent is a service",
    "isolation_unavailable": "runi run, up and test take --no-isolation: slices are then plain processes, with all rights of who starts them",
}


@dataclass(frozen=True, slots=True)
class LaunchedSlice:
    """A slice that has started, with our ends of its channels: non-blocking, and the holder's to close. `sealed` is what closes it off, `counted_before` what its cgroup had counted for others before."""

    slice: str
    attempt: int
    sealed: dict[str, str]
    control: socket.socket
    stdout: int
    stderr: int
    pidfd: int
    counted_before: str = ""

    @property
    def pid(self) -> int:
        """Its first process's number, as this process sees it. -1 if that has ended."""
        return pid_of(self.pidfd)

    def kill(self) -> None:
        """End its first process without the spawner's help, for when that is gone."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def close(self) -> None:
        self.control.close()
        close_all((self.stdout, self.stderr, self.pidfd))


@dataclass(eq=False, slots=True)
class Asked:
    """A request. `answer` is a message or a slice, or the error that came of it; `listed` are the slices that came before it."""

    message: Any
    bell: Bell = field(default_factory=Bell)  # rings with the answer
    is_settled: bool = False
    answer: Any = None
    listed: list[LaunchedSlice] = field(default_factory=list)

    def settle(self, answer: Any) -> None:
        if not self.is_settled:
            self.is_settled = True
            self.answer = answer
            self.bell.ring()


class SpawnerLink:
    """The connection. `happened` is awaited with each event, `unwanted` is told the name of a slice whose launch was given up.

    `offered` is given cells that wait, with their descriptors, and `withdrawn` the numbers of those that do not any more.
    """

    def __init__(
        self,
        link: socket.socket,
        *,
        happened: Callable[[Event], Awaitable[None]],
        unwanted: Callable[[str], None],
        offered: Callable[[Waiting, Sequence[int]], None],
        withdrawn: Callable[[int], None],
    ) -> None:
        self._link = link
        self._readiness = Readiness()
        self._come = Bell()
        self._happened = happened
        self._unwanted = unwanted
        self._offered = offered
        self._withdrawn = withdrawn
        self._numbers = count(1)
        self._asked: dict[int, Asked] = {}
        self._sending = anyio.Lock(fast_acquire=True)  # who asks waits for the answer anyway
        self._why_ended = ""
        self._is_admitted = True
        self.ended = anyio.Event()

    async def ask(self, message: Any, *, within: float, descriptors: Sequence[int] = ()) -> Asked:
        """Send a request and return it with its answer. Raises what the refusal is (`_REFUSALS`), TimedOut, LinkLost."""
        number, asked = next(self._numbers), Asked(message)
        kind = _KIND_OF[type(message)]
        try:
            body = encode(kind, message, request=number, descriptors=len(descriptors))
        except BadMessage as problem:
            raise errors.Refused(problem.text, code=problem.code) from problem
        self._asked[number] = asked
        until_s = now_s() + within
        try:
            if not self._is_sent_at_once(body, descriptors):
                with anyio.move_on_after(within):
                    await self._send(body, descriptors)
            await asked.bell.wait_within(max(until_s - now_s(), 0.0))
        except BaseException:
            self._give_back(asked)
            raise
        finally:
            del self._asked[number]
        if not asked.is_settled:
            asked.settle(TimedOut(f"the spawner has not answered {kind} within {within:.0f} s"))
        if isinstance(asked.answer, RuninkError):
            self._give_back(asked)
            raise asked.answer
        return asked

    async def read(self) -> None:
        """Take in what the spawner says, until the connection ends."""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._readiness.run)
                await self._read_to_the_end()
                group.cancel_scope.cancel()
        finally:
            self._readiness.close()

    def end(self, why: str) -> None:
        """Close the connection: nothing that was asked will be answered. The first reason stays."""
        if self.ended.is_set():
            return
        self._why_ended = why
        self.ended.set()
        anyio.notify_closing(self._link)
        self._readiness.forget(self._link.fileno())
        self._link.close()
        self._come.ring()
        for asked in self._asked.values():
            asked.settle(self.lost())

    def lost(self) -> LinkLost | errors.Forbidden:
        """Return the error of everything that is asked from now on."""
        if not self._is_admitted:
            return errors.Forbidden(
                f"the spawner does not let us in: {self._why_ended}", code=NOT_ADMITTED
            )
        text = f"no connection to the spawner: {self._why_ended}"
        return LinkLost(text, hint="its log says what became of it")

    def _is_sent_at_once(self, body: bytes, descriptors: Sequence[int]) -> bool:
        """Send where nobody is ahead of us and there is room, as there mostly is; say whether it is sent. Why it is not, `_send` finds out."""
        if self._sending.locked() or self.ended.is_set():
            return False
        try:
            if descriptors:
                socket.send_fds(self._link, [body], descriptors)
            else:
                self._link.send(body)
        except OSError:
            return False
        return True

    async def _send(self, body: bytes, descriptors: Sequence[int]) -> None:
        async with self._sending:
            while not self.ended.is_set():
                try:
                    socket.send_fds(self._link, [body], descriptors)
                except BlockingIOError:
                    with suppress(anyio.ClosedResourceError):
                        await anyio.wait_writable(self._link)
                except OSError as error:
                    if error.errno != errno.ETOOMANYREFS:
                        # Why it has ended may be among what it has said, which the reader is about to find.
                        with anyio.move_on_after(LAST_WORDS_S):
                            await self.ended.wait()
                        self.end(str(error.strerror))
                        break
                    await anyio.sleep(CROWDED_S)
                else:
                    return
        raise self.lost()

    def _give_back(self, asked: Asked) -> None:
        """Undo what came of a request that nobody waits for any more."""
        for launched in asked.listed:
            launched.close()
        if isinstance(asked.answer, LaunchedSlice):
            self._disown(asked.answer)
        elif isinstance(asked.message, Hello) and isinstance(asked.answer, tuple):
            os.close(asked.answer[1])

    def _disown(self, launched: LaunchedSlice) -> None:
        launched.close()
        self._unwanted(launched.slice)

    async def _read_to_the_end(self) -> None:
        if not self.ended.is_set():
            self._readiness.watch(self._link.fileno(), lambda _: self._come.ring())
        try:
            while not self.ended.is_set():
                await self._come.wait()
                await self._read_some()
        except BadMessage as problem:
            self.end(f"it is not understood: {problem.text}")
        except OSError as error:
            self.end(str(error))

    async def _read_some(self) -> None:
        for _ in range(PACKETS_AT_ONCE):
            try:
                packet = receive(self._link)
            except BlockingIOError:
                return
            if packet is None:
                self.end("it has ended, or another agent has come")
                return
            await self._heard(packet)
            if self.ended.is_set():
                return
        self._come.ring()  # there may be more: nothing would tell of that

    async def _heard(self, packet: Packet) -> None:
        try:
            received = understood(packet, TO_AGENT, FIELDS)
        except BadMessage as problem:
            if not packet.whole and not problem.request:
                return  # a cell was offered that we have no room for; it is closed again
            if packet.whole or problem.request not in self._asked:
                raise
            self._on_cut(self._asked[problem.request])
            return
        match received.message:
            case Waiting() as waiting:
                self._on_waiting(waiting, packet.descriptors)
            case Withdrawn(cell):
                self._withdrawn(cell)
            case Launched() | Listed():
                self._on_slice(received, packet.descriptors)
            case Welcome():
                self._on_welcome(received, packet.descriptors)
            case Exited() | ForkServerReady() | ForkServerLost():
                await self._happened(received.message)
            case Refused(code, text) if code == NOT_ADMITTED and not received.request:
                self._is_admitted = False
                self.end(text)
            case answer:
                if (asked := self._asked.get(received.request)) is not None:
                    is_refusal = isinstance(answer, Refused)
                    asked.settle(_refusal(asked.message, answer) if is_refusal else answer)

    def _on_welcome(self, received: Received, descriptors: Sequence[int]) -> None:
        if len(descriptors) != 1:
            close_all(descriptors)
            raise BadMessage("descriptor_count", "a welcome brings the spawner's pidfd")
        asked = self._asked.get(received.request)
        if asked is None:
            close_all(descriptors)
        else:
            asked.settle((received.message, descriptors[0]))

    def _on_waiting(self, waiting: Waiting, descriptors: Sequence[int]) -> None:
        if len(descriptors) != OFFERED:
            close_all(descriptors)
            raise BadMessage("descriptor_count", f"{len(descriptors)} descriptors of a cell")
        self._offered(waiting, descriptors)

    def _on_slice(self, received: Received, descriptors: Sequence[int]) -> None:
        if len(descriptors) != KEPT:
            close_all(descriptors)
            raise BadMessage("descriptor_count", f"{len(descriptors)} descriptors of a slice")
        launched = _slice_of(received.message, descriptors)
        asked = self._asked.get(received.request)
        if isinstance(received.message, Listed):
            if asked is None:
                launched.close()
            else:
                asked.listed.append(launched)
        elif asked is None:
            self._disown(launched)
        else:
            asked.settle(launched)

    def _on_cut(self, asked: Asked) -> None:
        """Fail a request whose answer's descriptors did not fit into this process."""
        if isinstance(asked.message, Launch):
            self._unwanted(asked.message.slice)
        text = "the agent has too many files open to take up another slice"
        hint = "raise its limit (ulimit -n), or run less at once"
        asked.settle(Overloaded(text, code="no_descriptors", hint=hint))


def _slice_of(message: Launched | Listed, descriptors: Sequence[int]) -> LaunchedSlice:
    control, stdout, stderr, pidfd = descriptors
    for descriptor in (stdout, stderr):
        os.set_blocking(descriptor, False)
    # What kind it is need not be asked for.
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, control)
    channel.setblocking(False)
    before = message.sealed.pop(COUNTED_BEFORE, "")
    return LaunchedSlice(
        message.slice, message.attempt, message.sealed, channel, stdout, stderr, pidfd, before
    )


def _refusal(message: Any, refused: Refused) -> RuninkError:
    """Return the error that a refusal is, saying of which slice it speaks."""
    kind = _REFUSALS.get(refused.code, errors.Refused)
    name = getattr(message, "slice", "")
    is_named = not name or repr(name) in refused.text
    text = refused.text if is_named else f"slice {name}: {refused.text}"
    return kind(text, code=refused.code, hint=_HINTS.get(refused.code, ""))
