"""`runi login`: with a certified provider and a browser, by a code or by a redirect; its tokens are renewed once, kept for their owner alone, and never shown."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import pytest
from msgspec import structs
from oidc_client import world
from oidc_world import Browser, Issuer, OidcServer, oidc_server, signing_key
from runink.barn.keys import REVOCATIONS
from runink.client import Client
from runink.identity.issued import RevocationRecord
from runink.identity.principals import Principal, PrincipalKind
from runink.operations.calls import Authenticate
from runink.testing.served import bound

sys.path.insert(0, str(Path(__file__).parents[1] / "unit/api"))
sys.path.insert(0, str(Path(__file__).parents[1] / "unit/client"))

from served_cluster import ServedCluster, served_cluster

ADA = Principal(PrincipalKind.USER, "real:ada")
RUNI = Path(sys.executable).with_name("runi")
SOON_S = 60.0


@pytest.fixture(scope="module")
def server() -> Iterator[OidcServer]:
    with oidc_server() as server:
        yield server


@pytest.fixture(scope="module")
def issuer(server: OidcServer) -> Issuer:
    keys = [signing_key("ec", "ES256"), signing_key("rsa", "RS256")]
    return server.serve(keys=keys, groups={"ada": ["team-a"], "bob": []})


@pytest.fixture
def cluster(issuer: Issuer, tmp_path: Path) -> Iterator[ServedCluster]:
    @asynccontextmanager
    async def knowing() -> AsyncIterator[Authenticate]:
        async with world(issuer.settings("command-line")) as our:

            async def who(token: str) -> Principal:
                # The cluster in memory has a clock of its own, at which today's tokens have ended.
                return structs.replace(await our.who(token), until_s=0)

            yield who

    bindings = [bound("ada", "viewer", ADA.subject, herd="sales")]
    with served_cluster(tmp_path, "sales", "stock", bindings=bindings, tokens={}, signs=True, knowing=knowing) as made:  # fmt: skip
        yield made


@dataclass
class Shell:
    """A shell with a home of its own; all that commands have said is kept."""

    home: Path
    said: str = ""

    def __post_init__(self) -> None:
        (self.home / "runink.toml").touch()

    def begun(self, *words: str) -> subprocess.Popen[str]:
        environment = {name: text for name, text in os.environ.items() if not name.startswith(("XDG_", "RUNINK_"))}  # fmt: skip
        return subprocess.Popen(
            [RUNI, *words],
            cwd=self.home,
            env=environment | {"HOME": str(self.home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ended(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        """Return the exit code, and what was said on both."""
        out, err = process.communicate(timeout=SOON_S)
        self.said += out + err
        return process.returncode, out + err

    def runi(self, *words: str) -> tuple[int, str]:
        return self.ended(self.begun(*words))

    def line(self, process: subprocess.Popen[str], beginning: str) -> str:
        """Return the rest of the line that begins so, on standard error."""
        assert process.stderr is not None
        for line in process.stderr:
            self.said += line
            if line.startswith(beginning):
                return line.removeprefix(beginning).strip()
        raise AssertionError(f"it has not said {beginning!r}: {self.said}")

    @property
    def file(self) -> Path:
        return self.home / ".local/state/runink/logins/prod.json"

    @property
    def login(self) -> dict[str, Any]:
        return json.loads(self.file.read_text())

    def age(self) -> None:
        """Have the login end now."""
        self.file.write_text(json.dumps(self.login | {"until_ms": 1}))


@pytest.fixture
def shell(tmp_path: Path, cluster: ServedCluster, issuer: Issuer) -> Shell:
    home = tmp_path / "home"
    home.mkdir()
    made = Shell(home)
    scopes = [word for scope in ("openid", "offline_access", "groups") for word in ("--scope", scope)]  # fmt: skip
    code, said = made.runi(
        "context", "add", "prod", cluster.address, "--use", "--issuer", issuer.url, "--client-id", "command-line", *scopes
    )  # fmt: skip
    assert code == 0, said
    return made


def logged_in(shell: Shell, user: str = "ada") -> None:
    process = shell.begun("login", "--browser")
    url = shell.line(process, "log in at ")
    place = parse_qs(urlsplit(url).query)["redirect_uri"][0]
    query = Browser().log_in(url, user, back_to=place)
    # The browser of the tests stops before it goes there.
    with urlopen(f"{place}?{query}", timeout=SOON_S) as answer:
        assert b"close this page" in answer.read()
    code, said = shell.ended(process)
    assert code == 0, said


def test_somebody_logs_in_by_a_code_and_asks_the_cluster(
    shell: Shell, cluster: ServedCluster
) -> None:
    code, said = shell.runi("api", "GET", "/herds")
    assert (code, "runi login --context prod" in said) == (4, True)
    assert shell.runi("login", "--status")[0] == 3
    process = shell.begun("login")
    Browser().approve(shell.line(process, "or to "), "ada")
    assert shell.ended(process)[0] == 0
    code, said = shell.runi("api", "GET", "/herds")
    assert [one["herd"] for one in json.loads(said)["items"]] == ["sales"]
    assert "renewed by itself" in shell.runi("login", "--status")[1]
    login = shell.login
    assert login["refresh_token"]
    for secret in (login["access_token"], login["refresh_token"]):
        assert secret not in shell.said
    assert stat.S_IMODE(shell.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(shell.file.parent.stat().st_mode) == 0o700
    code, said = shell.runi("logout")
    assert (code, "note:" in said) == (0, False), said
    revoked = cluster.on_loop(lambda: cluster.cluster.barn.range(REVOCATIONS.prefix(), RevocationRecord))  # fmt: skip
    assert [one.value.by for one in revoked.items] == ["user:real:ada"]
    assert not shell.file.exists()
    assert shell.runi("api", "GET", "/herds")[0] == 4


def test_somebody_logs_in_with_the_browser_of_this_machine(shell: Shell) -> None:
    logged_in(shell)
    assert shell.runi("api", "GET", "/herds/sales")[0] == 0
    assert shell.runi("api", "GET", "/herds/stock")[0] == 3


def test_the_cluster_names_the_provider_where_the_context_has_none(
    shell: Shell, cluster: ServedCluster, issuer: Issuer
) -> None:
    assert shell.runi("context", "add", "prod", cluster.address, "--anew")[0] == 0
    code, said = shell.runi("login")
    assert (code, "no_provider" in said) == (3, True)
    settings = {"client_id": "command-line", "loopback": True, "scopes": ["openid", "groups"]}  # fmt: skip
    with Client(cluster.socket) as operator:
        for name, url in (("real", issuer.url), ("other", f"{issuer.url}/other")):
            operator.issuers.create(says={"id": name, "issuer": url, **settings})
    code, said = shell.runi("login")
    assert (code, "--provider" in said) == (8, True)
    process = shell.begun("login", "--provider", "real")
    Browser().approve(shell.line(process, "or to "), "ada")
    assert shell.ended(process)[0] == 0
    assert shell.runi("api", "GET", "/herds/sales")[0] == 0
    shell.age()
    assert shell.runi("api", "GET", "/herds/sales")[0] == 0


def test_who_says_no_is_not_logged_in(shell: Shell) -> None:
    process = shell.begun("login")
    Browser().approve(shell.line(process, "or to "), "bob", denies=True)
    code, said = shell.ended(process)
    assert (code, "login_denied" in said) == (4, True)
    assert not shell.file.exists()


def test_two_commands_at_once_renew_a_login_once(shell: Shell) -> None:
    logged_in(shell)
    for _ in range(
        2
    ):  # had a refresh token been used twice, the second time would find the login ended
        before = shell.login
        shell.age()
        both = [shell.begun("api", "GET", "/herds/sales") for _ in range(3)]
        assert [shell.ended(one)[0] for one in both] == [0, 0, 0]
        assert shell.login["refresh_token"] != before["refresh_token"]
        assert shell.login["until_ms"] > 1


def test_a_login_that_the_provider_has_ended_is_told(shell: Shell) -> None:
    logged_in(shell)
    shell.age()
    shell.file.write_text(json.dumps(shell.login | {"refresh_token": "made-up"}))
    shell.file.chmod(0o644)
    assert "chmod 600" in shell.runi("api", "GET", "/herds")[1]
    shell.file.chmod(0o600)
    code, said = shell.runi("api", "GET", "/herds")
    assert (code, "login_again" in said) == (4, True)
    assert "made-up" not in said


def test_a_refresh_token_that_was_used_twice_ends_the_login_of_both_and_both_are_told(
    shell: Shell,
) -> None:
    logged_in(shell)
    shell.age()
    stolen = shell.file.read_bytes()
    assert shell.runi("api", "GET", "/herds/sales")[0] == 0
    mine = shell.file.read_bytes()
    for file in (stolen, mine):
        shell.file.touch(0o600)
        shell.file.write_bytes(file)
        shell.age()
        token = shell.login["refresh_token"]
        code, said = shell.runi("api", "GET", "/herds/sales")
        assert (code, "login_again" in said, "used a second time" in said) == (4, True, True)
        assert token not in said
        assert not shell.file.exists(), "nothing is left that anybody could use"
    code, said = shell.runi("api", "GET", "/herds/sales")
    assert (code, "runi login --context prod" in said) == (4, True)
    logged_in(shell)
    assert shell.runi("api", "GET", "/herds/sales")[0] == 0
