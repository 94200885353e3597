"""A certified OpenID provider as a real process (npm `oidc-provider`, run by node), and a browser that logs in there.

    with oidc_server() as server:
        issuer = server.serve(keys=[signing_key("a", "ES256")], groups={"ada": ["team-a"]})
        query = Browser().log_in(url, "ada", back_to="http://127.0.0.1:9/back")   the authorization code flow, to its redirect
        Browser().approve(device.complete_uri, "ada")                             the device flow

One process serves many issuers, each on a port of its own, and an issuer can be served anew with other keys or taken away.  Whoever is named logs in: the provider
asks for a password, and takes any.

The package is installed once into tests/oidc/node_modules, exactly as the lock says.  It needs node and npm.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import selectors
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from http.client import HTTPMessage
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlencode, urljoin, urlsplit

from joserfc.jwk import ECKey, OKPKey, RSAKey
from runink.identity.providers import Provider
from runink.names import ProviderId
from runink.reach import Reach

ROOT: Final = Path(__file__).parents[1] / "oidc"
WITHIN_S: Final = 30.0  # of an answer of the server's: it begins in a second
INSTALL_S: Final = 240.0
PAGES_MAX: Final = 12  # of a login
AUDIENCE: Final = "https://api.runink.test"
BACK_TO: Final = "http://127.0.0.1:9/back"  # nobody is there: the browser stops before it
SECRET: Final = "a-secret-of-a-client-that-is-long-enough"
CLIENTS: Final = (
    {  # a program with a secret of its own
        "client_id": "program",
        "client_secret": SECRET,
        "grant_types": ["client_credentials"],
        "redirect_uris": [],
        "response_types": [],
    },
    {  # the console
        "client_id": "console",
        "client_secret": SECRET,
        "grant_types": ["authorization_code", "refresh_token"],
        "redirect_uris": [BACK_TO],
        "post_logout_redirect_uris": [BACK_TO],
        "response_types": ["code"],
    },
    {  # the command line, which can keep no secret
        "client_id": "command-line",
        "token_endpoint_auth_method": "none",
        "grant_types": [
            "urn:ietf:params:oauth:grant-type:device_code",
            "authorization_code",
            "refresh_token",
        ],
        "redirect_uris": [BACK_TO],
        "response_types": ["code"],
        "application_type": "native",
    },
)
_ABORT: Final = 'name="abort"'  # the button of a page with which somebody says no


def signing_key(kid: str, algorithm: str) -> dict[str, Any]:
    """Return a new private key as a JWK: for RS256, ES256 or EdDSA."""
    about = {"kid": kid, "alg": algorithm, "use": "sig"}
    match algorithm:
        case "RS256":
            return dict(RSAKey.generate_key(2048, about).as_dict(private=True))
        case "ES256":
            return dict(ECKey.generate_key("P-256", about).as_dict(private=True))
        case _:
            return dict(OKPKey.generate_key("Ed25519", about).as_dict(private=True))


class Issuer:
    """Where a provider is served."""

    def __init__(self, url: str, port: int, asked: dict[str, Any]) -> None:
        self.url = url
        self.port = port
        self.asked = asked

    def settings(self, client: str, **others: Any) -> Provider:
        """Return what Runink's settings of this provider would be, for one of its clients."""
        fields: dict[str, Any] = {
            "id": ProviderId("real"),
            "issuer": self.url,
            "client_id": client,
            "audience": AUDIENCE,
            "scopes": ("openid", "offline_access", "groups"),
            "reach": Reach(loopback=True),
        }
        return Provider(**fields | others)


class OidcServer:
    """The process; commands go in as lines, one answer comes for each."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._count = 0
        self._read = b""

    def serve(
        self,
        *,
        keys: list[dict[str, Any]],
        groups: dict[str, list[str]] | None = None,
        again: Issuer | None = None,
        tls: dict[str, str] | None = None,
        algorithm: str = "ES256",
    ) -> Issuer:
        """Serve an issuer with these keys, `again` the one that was served before, also after it was closed. `tls` is a certificate and its key as PEM."""
        asked = {
            "clients": CLIENTS,
            "groups": groups or {},
            "audience": AUDIENCE,
            "tls": tls,
            "issuer": "",
            "port": 0,
        }
        if again is not None:
            asked = again.asked | {"issuer": again.url, "port": again.port}
        asked |= {"keys": keys, "algorithm": algorithm}
        told = self._told(asked)
        return Issuer(told["issuer"], told["port"], asked)

    def close(self, issuer: Issuer) -> None:
        """Take an issuer away: nobody listens at its port any more."""
        self._told({"close": issuer.port})

    def _told(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._count += 1
        self._process.stdin.write(json.dumps(command | {"id": self._count}).encode() + b"\n")
        self._process.stdin.flush()
        while True:  # ends with the answer, or as `_line`; warnings stand between
            line = self._line()
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                assert answer["id"] == self._count
                return answer

    def _line(self) -> str:
        """Return the next line. What is read by the way is kept here, where a selector sees that it is there."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while b"\n" not in self._read:
            with selectors.DefaultSelector() as selector:
                selector.register(descriptor, selectors.EVENT_READ)
                assert selector.select(WITHIN_S), "the provider does not answer"
            data = os.read(descriptor, 65_536)
            assert data, "the provider has ended"
            self._read += data
        line, _, self._read = self._read.partition(b"\n")
        return line.decode()


@contextmanager
def oidc_server() -> Iterator[OidcServer]:
    """Run the provider for as long as the block."""
    _install()
    process = subprocess.Popen(
        ["node", "--no-warnings", "server.mjs"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield OidcServer(process)
    finally:
        process.kill()
        process.communicate()


def _install() -> None:
    """Install what the lock says, unless that is there already. Two at once are one after the other."""
    lock, installed = ROOT / "package-lock.json", ROOT / "node_modules" / ".package-lock.json"
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
            return
        command = ["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(command, cwd=ROOT, check=True, timeout=INSTALL_S)
        installed.touch()


class _Forms(HTMLParser):
    """The forms of a page: where each goes, and what it holds already."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((said.get("action", ""), {}))
        elif tag == "input" and self.forms and "name" in said:
            self.forms[-1][1][said["name"]] = said.get("value", "")


class _Stays(urllib.request.HTTPRedirectHandler):
    """Follows no redirection by itself."""

    def redirect_request(
        self, req: Any, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


class Browser:
    """Keeps cookies, follows redirections and sends the forms of pages, by plain HTTP."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(),
            urllib.request.HTTPSHandler(context=tls),
            _Stays(),
        )

    def log_in(self, url: str, user: str, *, back_to: str = BACK_TO, denies: bool = False) -> str:
        """Log in where `url` leads, and return the query with which the browser is sent back. With `denies`, the user refuses."""
        place, page = self._open(url, None, back_to)
        for _ in range(PAGES_MAX):
            if place.startswith(back_to):
                return urlsplit(place).query
            place, page = self._answer(place, page, user, back_to, denies=denies)
        raise AssertionError(f"the login does not end: {place}")

    def approve(self, url: str, user: str, *, denies: bool = False) -> str:
        """Log in where a device's login leads (with its code in the URL), and return the last page."""
        place, page = self._open(url, None, "")
        for _ in range(PAGES_MAX):
            is_last = denies and _ABORT in page
            place, page = self._answer(place, page, user, "", denies=denies)
            if is_last or "<form" not in page:
                return page
        raise AssertionError(f"the login does not end: {place}")

    def _answer(
        self, place: str, page: str, user: str, back_to: str, *, denies: bool
    ) -> tuple[str, str]:
        parser = _Forms()
        parser.feed(page)
        assert parser.forms, f"nothing to send at {place}: {page[:500]}"
        action, fields = parser.forms[0]
        if "login" in fields:
            fields |= {"login": user, "password": "any"}
        if denies and _ABORT in page:
            fields["abort"] = "yes"
        elif (
            denies and "login" not in fields and (abort := re.search(r'href="([^"]*/abort)"', page))
        ):
            return self._open(urljoin(place, abort[1]), None, back_to)
        return self._open(urljoin(place, action), urlencode(fields).encode(), back_to)

    def _open(self, url: str, body: bytes | None, back_to: str) -> tuple[str, str]:
        """Return the place where it ends, and the page there."""
        for _ in range(PAGES_MAX):
            if back_to and url.startswith(back_to):
                return url, ""
            try:
                with self._opener.open(url, body, WITHIN_S) as answer:
                    return url, answer.read().decode()
            except urllib.error.HTTPError as error:
                with error:
                    if not 300 <= error.code < 400:
                        raise AssertionError(f"{url}: {error.code} {error.read()!r}") from error
                    url, body = urljoin(url, error.headers["Location"]), None
        raise AssertionError(f"redirected for ever: {url}")
