"""`runi account` and `runi token`: programs, their secrets and tokens, from a shell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from asked_cluster import Said, Shell, shell_at
from msgspec.structs import replace as changed
from runink.barn.keys import REVOCATIONS
from runink.cli.exits import ExitCode
from runink.identity.issued import RevocationRecord
from runink.testing.served import NOW_MS, bound, person
from served_cluster import ServedCluster, served_cluster

BEN = person("ben")
LOST = changed(person("ann"), token="lost", issued_s=NOW_MS // 1000, until_s=NOW_MS // 1000 + 600)
OF = ("--herd", "sales")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ServedCluster]:
    bindings = [bound("ben", "viewer", BEN.subject, herd="sales")]
    with served_cluster(tmp_path, "sales", bindings=bindings, tokens={"ben": BEN, "lost-token": LOST}, signs=True) as made:  # fmt: skip
        yield made


@pytest.fixture
def shell(
    tmp_path: Path,
    cluster: ServedCluster,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Shell:
    found = shell_at(tmp_path, monkeypatch, capfd)
    added = found.runi("context", "add", "here", cluster.socket, "--use")
    assert added.code == 0, added.err
    return found


def done(shell: Shell, *words: str) -> Said:
    said = shell.runi(*words)
    assert said.code == 0, said.err
    return said


def test_a_program_is_made_shown_shut_out_and_taken_away(shell: Shell) -> None:
    made = done(shell, "account", "create", "nightly", *OF, "--description", "loads", "-o", "json")
    assert (made.json["client_id"], made.json["disabled"]) == ("sales/nightly", False)
    done(shell, "account", "disable", "nightly", *OF)
    listed = done(shell, "account", "list", *OF).out
    assert "nightly" in listed
    assert "disabled" in listed
    refused = shell.runi("token", "mint", "nightly", *OF)
    assert refused.code == ExitCode.CONFLICT
    done(shell, "account", "enable", "nightly", *OF)
    found = done(shell, "account", "get", "nightly", *OF, "-o", "json").json
    assert (found["disabled"], found["description"]) == (False, "loads")
    done(shell, "account", "delete", "nightly", *OF)
    assert done(shell, "account", "list", *OF, "-o", "name").out == ""
    assert shell.runi("account", "get", "nightly", *OF).code == ExitCode.NOT_FOUND


def test_a_secret_is_printed_alone_and_once(shell: Shell) -> None:
    done(shell, "account", "create", "nightly", *OF)
    made = done(shell, "account", "secret", "nightly", *OF, "--expires", "7d")
    secret = made.out.strip()
    assert secret.startswith("rnc1.")
    assert "sales/nightly" in made.err
    shown = done(shell, "account", "get", "nightly", *OF, "-o", "json")
    assert secret not in shown.out
    (kept,) = shown.json["secrets"]
    assert (kept["last"], kept["until_ms"]) == (secret[-4:], NOW_MS + 7 * 86_400_000)
    done(shell, "account", "secret", "nightly", *OF, "--revoke", kept["secret"])
    assert done(shell, "account", "get", "nightly", *OF, "-o", "json").json["secrets"] == []


def test_a_token_is_printed_alone_listed_and_taken_back(shell: Shell) -> None:
    done(shell, "account", "create", "nightly", *OF)
    made = done(shell, "token", "mint", "nightly", *OF, "--expires", "10m", "--description", "a look")  # fmt: skip
    token = made.out.strip()
    assert token.count(".") == 2
    listed = done(shell, "token", "list", *OF, "-o", "json")
    assert token not in listed.out
    (known,) = listed.json
    assert (known["state"], known["until_ms"]) == ("good", NOW_MS + 600_000)
    done(shell, "token", "revoke", "nightly", known["token"], *OF)
    assert done(shell, "token", "list", *OF, "-o", "json").json[0]["state"] == "revoked"
    done(shell, "token", "revoke", "nightly", "--all", *OF)
    assert shell.runi("token", "revoke", "nightly", *OF).code == ExitCode.USAGE


def test_who_may_not_is_told_so(shell: Shell, cluster: ServedCluster) -> None:
    done(shell, "account", "create", "nightly", *OF)
    file = shell.home / "ben.token"
    file.write_text("ben\n")
    file.chmod(0o600)
    done(shell, "context", "add", "ben", cluster.address, "--token-file", str(file))
    for words in (("account", "create", "other"), ("account", "secret", "nightly"), ("token", "mint", "nightly"), ("token", "list")):  # fmt: skip
        assert shell.runi(*words, *OF, "--context", "ben").code == ExitCode.FORBIDDEN, words
    assert done(shell, "account", "list", *OF, "--context", "ben", "-o", "name").out == "nightly\n"


def test_people_of_a_provider_are_signed_out(shell: Shell) -> None:
    provider = '[[providers]]\nid = "corp"\nissuer = "https://login.example.com"\nclient_id = "x"\n'
    file = shell.home / "providers.toml"
    file.write_text(provider)
    done(shell, "issuer", "set", "-f", str(file))
    lines = done(shell, "issuer", "sign-out", "corp", "bert", "ann@example.com").out.splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        "bert is signed out",
        "ann@example.com is signed out",
    ]
    assert shell.runi("issuer", "sign-out", "corp").code == ExitCode.USAGE


def test_a_token_that_was_found_is_taken_back_by_whoever_has_it(tmp_path: Path, shell: Shell, cluster: ServedCluster) -> None:  # fmt: skip
    file = tmp_path / "found"
    file.write_text("lost-token\n")
    shown = ("token", "revoke", "--shown", f"@{file}")
    done(shell, *shown)
    listing = cluster.on_loop(lambda: cluster.cluster.barn.range(REVOCATIONS.prefix(), RevocationRecord))  # fmt: skip
    (record,) = [one.value for one in listing.items]
    assert (record.by, record.what.issuer, record.what.token_id) == ("user:corp:ann", "corp", "lost")  # fmt: skip
    file.write_text("another\n")
    assert shell.runi(*shown).code == ExitCode.FORBIDDEN
    for words in (("--shown", "lost-token"), ("nightly", "--shown", f"@{file}"), ()):
        assert shell.runi("token", "revoke", *words).code == ExitCode.USAGE
