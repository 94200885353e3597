"""The limits of the HTTP server. Everything that a client may use up has one."""

from __future__ import annotations

from runink.errors import Invalid
from runink.operations.idempotency import LEASE_MS
from runink.operations.purses import OPERATOR_TIMES, Budget


class Limits(Budget, frozen=True, kw_only=True):
    """How much, how long, how often: of all, and of one principal (`Budget`).

    `line_bytes_max` is what a request's first line may have, so the path and the query.  Browsers and proxies stop at 8 KiB, too.

    `field_bytes_max` is what one header may have: a token is at most 8 KiB, and all else is shorter.  `fields_max` is how many headers there may be.

    `body_bytes_max` is what a body may have.  A body is held in memory as it was sent and as a value; what is larger (bundles) is sent in parts.
    A compressed body is refused, so nothing is inflated.

    `bodies_bytes_max` is what all bodies that are held may have together.  Beyond that a request is refused (503): memory is the one thing that a server
    cannot have more of for a moment.

    `head_s` is how long a request's head may take from its first byte, or from the connection, to its end.  It cuts who dribbles headers.

    `body_s` is how long the body may take from the end of the head.  It cuts who dribbles bodies; at 1 MiB a line of 0.5 Mbit/s still has the time.

    `linger_s` is how long what is left of a refused body is read and dropped: a client that is still sending would not see the answer otherwise.

    `idle_s` is how long a connection may stay open between two requests.

    `write_s` is how long a client may take nothing (less than 4 KiB) of what is sent to it, a stream or an answer.  The buffers of the kernel and of the loop
    are full then.  A slow line may take its time: only who stands still is cut.

    `request_s` is how long a request may take from its body's end to its answer.  A call to the cluster has less.

    `handshake_s` is how long a TLS handshake may take.

    `connections_max` and `connections_per_address_max` are how many connections there may be; an IPv6 address counts by its /64, which one machine has
    for itself.  What comes behind a proxy has one address: raise the second one there.

    `requests_at_once_max` is how many requests may be under way together, without streams. More are refused at once (503), so that those keep their time.

    `requests_per_s` and `requests_burst` are how often one principal may ask: a burst, and then so many a second.

    `received_bytes_per_s` and `received_bytes_burst` are how many bytes of bodies one principal may send, `sent_bytes_per_s` and `sent_bytes_burst` how many bytes of answers it may be sent, streams among them.
    Four bundles of the largest size are a burst, and then one in four seconds.

    `operator_times` is how many times all of these who runs the server has, at its socket.

    `failures_per_s` and `failures_burst` are how often one address may send tokens that are not valid, before it is refused unheard.  Tokens that were
    valid a moment ago are heard nevertheless, so one misled client does not lock out its neighbours.

    `streams_per_principal_max` is how many streams of events one principal may have open.  A browser tab has one.

    `heartbeat_s` is how long a stream may be silent. A proxy in between closes what is silent for a minute.

    `rights_s` is how long a stream may go on after the caller's rights, or its token, were taken back.

    `drain_s` is how long requests may go on after the server was told to stop.
    """

    line_bytes_max: int = 8_190
    field_bytes_max: int = 8_190
    fields_max: int = 64
    body_bytes_max: int = 1 << 20
    bodies_bytes_max: int = 256 << 20
    head_s: float = 5.0
    body_s: float = 20.0
    linger_s: float = 2.0
    idle_s: float = 60.0
    write_s: float = 10.0
    request_s: float = 30.0
    handshake_s: float = 10.0
    connections_max: int = 4_000
    connections_per_address_max: int = 256
    requests_at_once_max: int = 256
    operator_times: int = OPERATOR_TIMES
    failures_per_s: float = 0.2
    failures_burst: int = 20
    streams_per_principal_max: int = 16
    heartbeat_s: float = 15.0
    rights_s: float = 1.0
    drain_s: float = 10.0

    def check(self) -> None:
        """Raise Invalid (`config_invalid`) for limits that let nothing through or contradict each other."""
        wrong = [name for name in self.__struct_fields__ if getattr(self, name) <= 0]
        if self.connections_per_address_max > self.connections_max:
            wrong.append("connections_per_address_max")
        if self.body_bytes_max > self.bodies_bytes_max:
            wrong.append("body_bytes_max")
        if self.request_s * 1000 >= LEASE_MS:
            wrong.append("request_s")
        if wrong:
            raise Invalid(
                f"limits of the HTTP server that cannot hold: {', '.join(wrong)}",
                code="config_invalid",
                hint="all are above 0; request_s is less than the lease of an idempotent call, no body larger than all of them, and no address has more connections than there are",
            )
