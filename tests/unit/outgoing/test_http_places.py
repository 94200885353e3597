"""Where the HTTP client of the cluster's own calls goes, and whom it trusts there."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import anyio.abc
import pytest
import trustme
from http_servers import HERE, LATE_S, OK, serving
from runink.errors import Refused, TimedOut, Unavailable
from runink.outgoing.http_client import HttpClient, public_roots
from runink.outgoing.http_messages import Request, form
from runink.reach import Reach

pytestmark = pytest.mark.anyio


def naming(*addresses: str) -> Callable[[str, int], Awaitable[list[str]]]:
    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    return resolve


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fe80::1%eth0", "64:ff9b::7f00:1"],
)  # fmt: skip
async def test_a_name_that_leads_to_an_address_out_of_reach_is_not_asked(address: str):
    client = HttpClient(Reach(), resolve=naming(address))
    with pytest.raises(Refused) as caught:
        await client.ask(Request("https://login.example.com/"))
    assert caught.value.code == "address_refused"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "017700000001", "[::1]", "localhost"])  # fmt: skip
async def test_an_address_is_judged_however_it_is_written(host: str):
    with pytest.raises(Refused) as caught:
        await HttpClient(Reach(private=True)).ask(Request(f"https://{host}:1/"))
    assert caught.value.code == "address_refused"


async def test_the_address_that_was_judged_is_the_one_that_is_connected_to():
    """A name that means a public address first and this machine a moment later is asked for once."""
    answers = iter([["192.0.2.1"], ["127.0.0.1"]])

    async def rebinding(host: str, port: int) -> list[str]:
        return next(answers)

    async with serving(OK + b"Content-Length: 0\r\n\r\n") as server:
        client = HttpClient(Reach(loopback=True), resolve=rebinding)
        with pytest.raises(Refused) as caught:
            await client.ask(Request(f"https://rebind.example:{server.port}/"))
        assert caught.value.code == "address_refused"
        assert server.heads == []
    assert next(answers) == ["127.0.0.1"]  # nobody has looked again


async def test_of_several_addresses_only_those_in_reach_are_tried():
    async with serving(OK + b"Content-Length: 0\r\n\r\n") as server:
        client = HttpClient(HERE, resolve=naming("10.0.0.1", "::1", "127.0.0.1"))
        await client.ask(Request(f"http://localhost:{server.port}/"))
        assert len(server.heads) == 1


async def test_a_name_without_an_address_is_told():
    async def missing(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    for resolve in (missing, naming()):
        with pytest.raises(Unavailable) as caught:
            await HttpClient(HERE, resolve=resolve).ask(Request("https://login.example.com/"))
        assert caught.value.code == "host_unknown"


async def test_a_resolver_that_hangs_is_waited_for_no_longer_than_the_deadline():
    async def hanging(host: str, port: int) -> list[str]:
        await anyio.sleep_forever()
        raise AssertionError

    with anyio.fail_after(5), pytest.raises(TimedOut):
        await HttpClient(HERE, resolve=hanging).ask(
            Request("https://login.example.com/"), within_s=LATE_S
        )


async def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with serving(OK + b"Content-Length: 0\r\n\r\n") as server:
        assert (await HttpClient(HERE).ask(Request(server.url))).status == 200


# TLS.


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def authority_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


def server_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    return context


async def test_a_server_is_checked_with_the_authority_that_the_settings_name(
    authority: trustme.CA, authority_file: Path
):
    answer = OK + b"Content-Length: 2\r\n\r\n{}"
    async with serving(answer, tls=server_context(authority, "localhost", "127.0.0.1")) as server:
        client = HttpClient(HERE, authority=authority_file)
        for host in ("localhost", "127.0.0.1"):
            found = await client.ask(Request(f"https://{host}:{server.port}/"))
            assert found.body == b"{}"


async def test_a_server_is_checked_by_the_name_and_connected_by_the_address_that_was_judged(
    authority: trustme.CA, authority_file: Path
):
    """Nobody but our resolver knows this name, and the certificate is for nothing else."""
    context = server_context(authority, "login.example.com")
    async with serving(OK + b"Content-Length: 0\r\n\r\n", tls=context) as server:
        client = HttpClient(HERE, authority=authority_file, resolve=naming("127.0.0.1"))
        answer = await client.ask(Request(f"https://login.example.com:{server.port}/"))
        assert answer.status == 200
        assert f"host: login.example.com:{server.port}".encode() in server.heads[0].lower()


async def test_a_server_of_another_authority_or_another_name_is_not_trusted(
    authority: trustme.CA, authority_file: Path
):
    ours = HttpClient(HERE, authority=authority_file)
    for context, client in (
        (server_context(trustme.CA(), "127.0.0.1"), ours),
        (server_context(authority, "login.example.com"), ours),
        (server_context(authority, "127.0.0.1"), HttpClient(HERE)),
    ):
        async with serving(OK + b"\r\n", tls=context) as server:
            with pytest.raises(Unavailable) as caught:
                await client.ask(form(f"https://127.0.0.1:{server.port}/", {"code": "c0de"}))
            assert (type(caught.value), caught.value.code) == (Unavailable, "tls_failed")
            assert server.heads == []


async def test_an_answer_that_ends_without_a_word_of_tls_is_not_whole(
    authority: trustme.CA, authority_file: Path
):
    """Who is between could cut off an answer whose end is that of the connection."""

    async def cut(stream: anyio.abc.ByteStream) -> None:
        await stream.send(OK + b"\r\n[")
        await stream.transport_stream.aclose()

    async with serving(cut, tls=server_context(authority, "127.0.0.1")) as server:
        with pytest.raises(Unavailable):
            await HttpClient(HERE, authority=authority_file).ask(
                Request(f"https://127.0.0.1:{server.port}/")
            )


def test_an_old_tls_is_not_spoken(authority_file: Path):
    assert public_roots(authority_file).minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_file_that_holds_no_certificates_is_told(tmp_path: Path):
    (tmp_path / "ca.pem").write_text("no")
    for path in (tmp_path / "ca.pem", tmp_path / "missing.pem"):
        with pytest.raises(Refused) as caught:
            HttpClient(HERE, authority=path)
        assert caught.value.code == "bad_certificate"
