"""Where a client asks: addresses, and what it trusts there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trustme
from api_world import LOOPBACK
from asking_world import asking, served
from notebook import GET
from runink.api.serving import Certificate, Door
from runink.client import endpoint_of
from runink.errors import Invalid, LinkLost, Refused

pytestmark = pytest.mark.anyio


class Authority:
    """An authority, and a certificate of it for a name."""

    def __init__(self, folder: Path, name: str) -> None:
        self.ca = trustme.CA()
        self.file = folder / f"{name}-ca.pem"
        self.ca.cert_pem.write_to_path(str(self.file))
        leaf = self.ca.issue_cert(name)
        chain, key = folder / f"{name}.pem", folder / f"{name}.key"
        chain.write_bytes(b"".join(one.bytes() for one in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(str(key))
        self.door = Door(LOOPBACK, Certificate(chain, key))


async def test_tls_is_checked_against_the_authority_that_was_named(kind: Any, tmp_path: Path) -> None:  # fmt: skip
    ours, other = Authority(tmp_path, "127.0.0.1"), Authority(tmp_path, "localhost")
    with served(make_door=lambda: ours.door) as api:
        address = api.address.replace("http:", "https:")
        api.notebook.put("flights", "first", "milk")
        for right in (ours.file, str(ours.file), ours.file.read_text()):
            async with asking(kind, address, authority=right) as anna:
                assert (await anna.call(GET, herd="flights", note="first")).text == "milk"
        for wrong in ({"authority": other.file}, {"authority": other.file.read_text()}, {}):
            async with asking(kind, address, **wrong) as anna:
                with pytest.raises(LinkLost) as untrusted:
                    await anna.call(GET, herd="flights", note="first")
                assert untrusted.value.code == "tls_failed"
    with served(make_door=lambda: other.door) as api:
        address = api.address.replace("http:", "https:")
        async with asking(kind, address, authority=other.file) as anna:
            with pytest.raises(LinkLost) as another_name:
                await anna.call(GET, herd="flights", note="first")
            assert another_name.value.code == "tls_failed"


async def test_what_is_no_certificate_is_told(kind: Any, tmp_path: Path) -> None:
    with served() as api:
        address = api.address.replace("http:", "https:")
        for wrong in (tmp_path / "none.pem", "-----BEGIN CERTIFICATE-----\nAAAA"):
            async with asking(kind, address, authority=wrong) as anna:
                with pytest.raises(Refused) as told:
                    await anna.call(GET, herd="flights", note="first")
                assert told.value.code == "bad_certificate"


@pytest.mark.parametrize(
    ("text", "shown", "host"),
    [
        ("https://API.example", "https://api.example", "api.example"),
        ("https://api.example:7500/", "https://api.example:7500", "api.example:7500"),
        ("https://[fd00::1]:7500", "https://[fd00::1]:7500", "[fd00::1]:7500"),
        ("http://127.0.0.1:80", "http://127.0.0.1", "127.0.0.1"),
        ("http://localhost:7500", "http://localhost:7500", "localhost:7500"),
        ("unix:/run/runink/api.sock", "unix:/run/runink/api.sock", "localhost"),
    ],
)
def test_an_address_has_three_forms(text: str, shown: str, host: str) -> None:
    assert str(endpoint_of(text)) == shown
    assert endpoint_of(text).authority_text == host


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api.example:7500",
        "http://api.example",
        "http://10.0.0.1",
        "https://",
        "https://me:pass@api.example",
        "https://api.example/console",
        "https://api.example?x=1",
        "https://api.example:port",
        "https://api .example",
        "ftp://api.example",
        "unix:",
        "unix:\0",
    ],
)
def test_anything_else_is_no_address(text: str) -> None:
    with pytest.raises(Invalid) as bad:
        endpoint_of(text)
    assert bad.value.code == "bad_address"
