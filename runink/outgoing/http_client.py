"""The HTTP/1.1 client of the cluster's own calls: one request, one connection, one deadline for all of it.

    1. the URL is checked                       `url_refused`
    2. its name is resolved, here               `host_unknown`
    3. each address is judged (`reach.py`)      `address_refused` if none is left
    4. one of those that are left is connected  `not_connected`
    5. TLS, with the name of the URL            `tls_failed`
    6. the request goes, the answer comes       `http_messages.py`

What was judged is what is connected to: the name is not resolved again, so that a name that changes its meaning gains nothing.  There are no redirections, no
cookies, no kept connections and no proxies, whatever the environment says.

A POST that breaks off after it was sent may have been acted on: that is OutcomeUnknown.  Everything else that may be better later is Unavailable, and what stays
as it is until somebody changes something is Refused.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

from runink.errors import OutcomeUnknown, Refused, RuninkError, TimedOut, Unavailable
from runink.outgoing.http_messages import Answer, Exchange, Request
from runink.reach import Ip, Reach, Url, checked_url, why_not

WITHIN_S: Final = 5.0  # a provider answers in a tenth of a second; people wait behind it
ADDRESSES_TRIED_MAX: Final = 4
RECEIVE_BYTES: Final = 16 << 10

Resolve = Callable[[str, int], Awaitable[list[str]]]


async def resolved(host: str, port: int) -> list[str]:
    """Return the addresses of a name in the order of the system's resolver. Raises OSError."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


def public_roots(authority: Path | str | None = None) -> ssl.SSLContext:
    """Return what servers are checked with: the machine's roots, or a PEM file's alone, or those of a text in that form. Raises Refused (`bad_certificate`)."""
    text = authority if isinstance(authority, str) else None
    try:
        context = ssl.create_default_context(cafile=None if text else authority, cadata=text)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise Refused(
            f"cannot use the certificates of {'the text' if text else authority}: {error}",
            code="bad_certificate",
            hint="it must be a PEM file that this user can read",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # An answer that ends with its connection would be whole wherever somebody in between cuts it.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    context.set_alpn_protocols(["http/1.1"])
    return context


class HttpClient:
    """Asks places within its reach. It holds no connection, so nothing of it needs to be closed."""

    def __init__(
        self, reach: Reach, *, authority: Path | None = None, resolve: Resolve = resolved
    ) -> None:
        """Raises Refused (`bad_certificate`)."""
        self._reach = reach
        # The machine's roots are a tenth of a second to read: that is done for the first who needs them.
        self._context = public_roots(authority) if authority else None
        self._resolve = resolve

    async def ask(self, request: Request, *, within_s: float = WITHIN_S) -> Answer:
        """Return the answer, whatever its status but for a redirection. Raises Refused, Unavailable, TimedOut, OutcomeUnknown; see the module's docstring."""
        url = checked_url(request.url, self._reach)
        exchange = Exchange(request, url)
        data = exchange.sent()
        is_sent = False
        try:
            with anyio.fail_after(within_s):
                stream = await self._connected(url)
                try:
                    is_sent = True
                    await stream.send(data)
                    return await _answer(stream, exchange, url)
                finally:
                    await anyio.aclose_forcefully(stream)
        except TimeoutError:
            failure: RuninkError = TimedOut(f"{url.origin} has not answered within {within_s:g} s")
        except (anyio.BrokenResourceError, anyio.EndOfStream, OSError) as error:
            failure = _cut(url, str(error))
        except Unavailable as error:
            failure = error
        if is_sent and request.method == "POST":
            raise OutcomeUnknown(f"{failure.text}, and may have acted on what it was sent")
        raise failure

    async def _connected(self, url: Url) -> ByteStream:
        """Return a connection to one of the addresses that may be reached. Raises Refused, Unavailable."""
        found = await self._addresses(url)
        reasons = {str(one): why_not(one, self._reach, scheme=url.scheme) for one in found}
        allowed = [one for one, why in reasons.items() if not why][:ADDRESSES_TRIED_MAX]
        if not allowed:
            address, why = next(iter(reasons.items()))
            raise Refused(
                f"{url.origin} is not asked: {url.host} is {address}, and {why}",
                code="address_refused",
                hint="say in the settings that such addresses may be asked, if that is what you mean",
            )
        said = ""
        for address in allowed:
            try:
                stream: ByteStream = await anyio.connect_tcp(address, url.port)
            except OSError as error:
                said = str(error.__cause__ or error)
                continue
            return stream if url.scheme == "http" else await self._secured(stream, url)
        text = f"cannot connect to {url.origin} at {', '.join(allowed)}: {said}"
        raise Unavailable(text, code="not_connected")

    async def _addresses(self, url: Url) -> list[Ip]:
        try:
            return [ipaddress.ip_address(url.host)]
        except ValueError:
            pass  # a name
        try:
            texts = await self._resolve(url.host, url.port)
        except (OSError, UnicodeError) as error:
            texts, said = [], str(error)
        else:
            said = "it has no address"
        if not texts:
            raise Unavailable(f"cannot resolve {url.host}: {said}", code="host_unknown")
        return [ipaddress.ip_address(text.partition("%")[0]) for text in texts]

    async def _secured(self, stream: ByteStream, url: Url) -> ByteStream:
        try:
            if self._context is None:
                self._context = await anyio.to_thread.run_sync(public_roots)
            return await TLSStream.wrap(stream, hostname=url.host, ssl_context=self._context)
        except (ssl.SSLError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
            await anyio.aclose_forcefully(stream)
            why = getattr(error, "verify_message", "") or str(error) or "the connection was closed"
            raise Unavailable(
                f"{url.origin} is not trusted: {why}",
                code="tls_failed",
                hint="if its certificate is of an authority of your own, name that in the settings",
            ) from error
        except BaseException:
            await anyio.aclose_forcefully(stream)
            raise


async def _answer(stream: ByteStream, exchange: Exchange, url: Url) -> Answer:
    while True:  # ends with the answer, the connection or the caller's deadline
        try:
            data = await stream.receive(RECEIVE_BYTES)
        except anyio.EndOfStream:
            data = b""
        if answer := exchange.received(data):
            return answer
        if not data:
            raise _cut(url, "it has closed the connection")


def _cut(url: Url, why: str) -> Unavailable:
    return Unavailable(
        f"{url.origin} has not answered: {why or 'the connection broke'}", code="link_lost"
    )
