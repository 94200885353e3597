"""Who proposed what, so that a client's retry is answered and not applied again.

A client is an id that nobody else uses and that sorts by the time of its making (`names.run_id`); it numbers its proposals from 1.  Kept are the last
ANSWERS_MAX answers of the last CLIENTS_MAX clients, by their place in the log and by nothing else, so every member keeps the same ones.

    the client is        the sequence is                      then
    known                among those kept                     the first answer, again
    known                below those dropped                  declined: sequence_expired
    known                any other                            applied
    unknown              id above every dropped client's      applied: it is new
    unknown              otherwise                            declined: client_expired, it may be a retry

Results that take more than RESULT_BYTES_MAX are not kept: a retry is told that the command took effect, at which revision, and that they are gone.

So nothing is ever applied twice; in return a client that stayed silent while thousands of newer ones wrote must take a new id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Final

import msgspec

from runink.barn.commands import Answer, Applied, Declined

CLIENTS_MAX: Final = (
    2048  # agents, services and people's commands of a large cluster within some minutes
)
ANSWERS_MAX: Final = 64  # more than a client has under way at once (`clients/barn.py`: 32)
RESULT_BYTES_MAX: Final = 2048  # some keys; of 131,072 kept answers each may have as much

_sequence_of = itemgetter(0)
_encode: Final = msgspec.msgpack.Encoder().encode


class Session(msgspec.Struct, frozen=True, array_like=True):
    """One client's kept answers by sequence, lowest first; sequences up to `dropped` are forgotten."""

    client: str
    dropped: int
    answers: tuple[tuple[int, Answer], ...]


class Sessions:
    """The table. A dict keeps the order of the last proposal of each client, oldest first; another the answers of each by their numbers."""

    def __init__(self, kept: Iterable[Session] = (), *, dropped_client: str = "") -> None:
        self._dropped_client = dropped_client
        self._dropped = {session.client: session.dropped for session in kept}
        self._answers = {session.client: dict(session.answers) for session in kept}

    @property
    def dropped_client(self) -> str:
        """The highest id of a client that was dropped; empty if none was."""
        return self._dropped_client

    def __len__(self) -> int:
        return len(self._answers)

    def answer(self, client: str, sequence: int) -> Answer | None:
        """Return what this proposal was answered, or why it cannot be told; nothing if it is to be applied."""
        answers = self._answers.get(client)
        if answers is None:
            if client > self._dropped_client:
                return None
            return Declined("client_expired", f"client {client} is not known any more")
        if sequence <= self._dropped[client]:
            text = f"the answer to {sequence} of client {client} is not known any more"
            return Declined("sequence_expired", text)
        return answers.get(sequence)

    def record(self, client: str, sequence: int, answer: Answer) -> None:
        """Keep an answer; drop what is over the limits."""
        answers = self._answers.pop(client, None)
        if answers is None:
            answers = {}
            self._dropped[client] = 0
        is_newest = not answers or sequence > next(reversed(answers))
        answers[sequence] = _kept(answer)
        if not is_newest:
            answers = dict(sorted(answers.items(), key=_sequence_of))
        self._answers[client] = answers
        if len(answers) > ANSWERS_MAX:
            lowest = next(iter(answers))
            del answers[lowest]
            self._dropped[client] = lowest
        if len(self._answers) > CLIENTS_MAX:
            oldest = next(iter(self._answers))
            del self._answers[oldest]
            del self._dropped[oldest]
            self._dropped_client = max(self._dropped_client, oldest)

    def frozen(self) -> Kept:
        """Return the table as it is now."""
        dropped = self._dropped
        return Kept(
            [
                (client, dropped[client], tuple(answers.items()))
                for client, answers in self._answers.items()
            ]
        )


class Kept:
    """The table of one moment as values, in its order. Any thread may walk over it."""

    def __init__(self, rows: list[tuple[str, int, tuple[tuple[int, Answer], ...]]]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Session]:
        for client, dropped, answers in self._rows:
            yield Session(client, dropped, answers)


def _kept(answer: Answer) -> Answer:
    """Return what is kept of an answer."""
    if type(answer) is not Applied or not answer.results:
        return answer
    if len(_encode(answer.results)) <= RESULT_BYTES_MAX:
        return answer
    return msgspec.structs.replace(answer, results=(), are_results_gone=True)
