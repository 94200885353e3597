"""Effects carried out with sockets that block. What a name means is asked of the system's resolver, which has deadlines of its own."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from runink.client.effects import (
    Close,
    Connect,
    Effect,
    Give,
    Keep,
    Link,
    Pause,
    Receive,
    Send,
    Steps,
    Token,
)
from runink.client.endpoints import Endpoint
from runink.client.transports import (
    RECEIVE_BYTES,
    Kept,
    cut,
    not_connected,
    not_trusted,
    too_late,
    trust_of,
)
from runink.errors import RuninkError

Credential = Callable[[str], str]
NOTHING_MORE: Final = object()


class BlockingTransport:
    """Connections to one endpoint. Several threads may use it."""

    def __init__(self, endpoint: Endpoint, credential: Credential) -> None:
        self._endpoint = endpoint
        self._credential = credential
        self._kept = Kept()
        self._context: ssl.SSLContext | None = None

    clock = staticmethod(time.monotonic)

    def close(self) -> None:
        for link in self._kept.clear():
            _close(link)

    def run(self, steps: Steps[Any]) -> Any:
        """Return what a call returns. Raises what it raises."""
        running = BlockingRun(self, steps)
        value = running.next()
        assert value is NOTHING_MORE
        return running.result

    def do(self, effect: Effect, held: list[Link]) -> Any:
        match effect:
            case Connect(within_s=within_s, is_fresh=is_fresh):
                link = self._connected(within_s, is_fresh=is_fresh)
                held.append(link)
                return link
            case Send(link=link, data=data, within_s=within_s):
                self._in_time(link, within_s, lambda: link.carrier.sendall(data))
            case Receive(link=link, within_s=within_s):
                return self._in_time(link, within_s, lambda: link.carrier.recv(RECEIVE_BYTES))
            case Keep(link=link):
                held.remove(link)
                surplus = self._kept.put(link, self.clock())
                if surplus is not None:
                    _close(surplus)
            case Close(link=link):
                if link in held:
                    held.remove(link)
                _close(link)
            case Pause(seconds=seconds):
                time.sleep(seconds)
            case Token(refused=refused):
                return self._credential(refused)
        return None

    def _connected(self, within_s: float, *, is_fresh: bool) -> Link:
        kept, old = self._kept.take(self.clock()) if not is_fresh else (None, [])
        for link in old:
            _close(link)
        if kept is not None:
            if not is_readable(kept.carrier):
                return kept
            _close(kept)  # the other side has closed it, or has said what nobody asked for
        return Link(self._dialled(within_s))

    def _dialled(self, within_s: float) -> socket.socket:
        endpoint = self._endpoint
        until_s = self.clock() + within_s
        if endpoint.is_tls and self._context is None:
            self._context = trust_of(endpoint)
        try:
            if endpoint.path is not None:
                raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                raw.settimeout(within_s)
                try:
                    raw.connect(str(endpoint.path))
                except BaseException:
                    raw.close()
                    raise
            else:
                raw = socket.create_connection((endpoint.host, endpoint.port), within_s)
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except TimeoutError:
            raise too_late(endpoint, within_s) from None
        except OSError as error:
            raise not_connected(endpoint, error) from error
        if self._context is None:
            return raw
        return self._secured(raw, self._context, max(until_s - self.clock(), 0.001))

    def _secured(
        self, raw: socket.socket, context: ssl.SSLContext, within_s: float
    ) -> socket.socket:
        try:
            raw.settimeout(within_s)
            return context.wrap_socket(raw, server_hostname=self._endpoint.host)
        except TimeoutError:
            raw.close()
            raise too_late(self._endpoint, within_s) from None
        except OSError as error:
            raw.close()
            raise not_trusted(self._endpoint, error) from error
        except BaseException:
            raw.close()
            raise

    def _in_time(self, link: Link, within_s: float, act: Callable[[], Any]) -> Any:
        try:
            link.carrier.settimeout(within_s)
            return act()
        except TimeoutError:
            raise too_late(self._endpoint, within_s) from None
        except OSError as error:
            raise cut(self._endpoint, error.strerror or error) from error


class BlockingRun:
    """A call under way: it goes on as far as the next value that it gives."""

    def __init__(self, transport: BlockingTransport, steps: Steps[Any]) -> None:
        self._transport = transport
        self._steps = steps
        self._held: list[Link] = []
        self.result: Any = None

    def next(self) -> Any:
        """Return the next value that is given, NOTHING_MORE at the end. Raises what the call raises, and has then let go of everything."""
        answer: Any = None
        error: RuninkError | None = None
        try:
            while True:  # ends with a value, or with the call
                effect = self._steps.send(answer) if error is None else self._steps.throw(error)
                if isinstance(effect, Give):
                    return effect.value
                answer, error = None, None
                try:
                    answer = self._transport.do(effect, self._held)
                except RuninkError as raised:
                    error = raised
        except StopIteration as ended:
            self.result = ended.value
            return NOTHING_MORE
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Leave the call where it is."""
        self._steps.close()
        while self._held:
            _close(self._held.pop())


def is_readable(connection: socket.socket) -> bool:
    """Say whether something has come on a connection that should be silent: its end, most of the time."""
    try:
        return bool(select.select([connection], [], [], 0)[0])
    except (OSError, ValueError):
        return True  # it is closed; or its number is too large for select, and then it is not kept


def _close(link: Link) -> None:
    with suppress(OSError):
        link.carrier.close()
