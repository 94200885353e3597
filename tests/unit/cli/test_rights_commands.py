"""`runi auth`, `role`, `binding`, `issuer` and `audit`: asked of the API as anybody, with the exit codes that scripts go by."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from asked_cluster import Said, Shell, shell_at
from click.shell_completion import ShellComplete
from runink.barn.keys import BOOTSTRAP
from runink.cli.commands import runi
from runink.cli.completion import VARIABLE
from runink.identity.bootstrap import RECORD, SECRET_BYTES, make_word
from runink.operations.catalog import roles
from runink.testing.served import NOW_MS, bound, person
from served_cluster import ServedCluster, served_cluster

ANN, BEN = person("ann"), person("ben")
READ = [{"verbs": ["get"], "resources": ["runs"]}]


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Shell:
    return shell_at(tmp_path, monkeypatch, capfd)


@pytest.fixture
def cluster(tmp_path: Path, shell: Shell) -> Iterator[ServedCluster]:
    tokens = {"ann-token": ANN, "ben-token": BEN}
    bindings = [bound("ann", "admin", ANN.subject, herd="sales")]
    with served_cluster(tmp_path, "sales", "stock", bindings=bindings, tokens=tokens) as made:
        for name in ("ann", "ben"):
            file = shell.home / f"{name}.token"
            file.write_text(f"{name}-token\n")
            file.chmod(0o600)
            words = ("context", "add", name, made.address, "--token-file", str(file))
            assert shell.runi(*words, "--herd", "sales").code == 0
        yield made


@pytest.fixture
def operator(shell: Shell) -> tuple[str, ...]:
    """Return the words that ask as the operator of the machine."""
    return ("--state", str(shell.home))


def as_(shell: Shell, who: str, *words: str) -> Said:
    return shell.runi(*words, "--context", who)


@pytest.mark.usefixtures("cluster")
def test_one_may_or_may_not_and_the_exit_code_says_which(shell: Shell) -> None:
    may = as_(shell, "ann", "auth", "can-i", "run", "pipelines", "-o", "json")
    assert (may.code, may.json["allowed"]) == (0, True)
    no = as_(shell, "ben", "auth", "can-i", "run", "pipelines")
    assert (no.code, no.out.splitlines()[1].split()[:2]) == (1, ["no", "user:corp:ben"])
    other = as_(shell, "ann", "auth", "can-i", "get", "runs", "--as", "user:corp:ben")
    assert other.code == 1
    assert as_(shell, "ben", "auth", "can-i", "get", "runs", "--as", "user:corp:ann").code in {3, 4}
    assert as_(shell, "ann", "auth", "can-i", "gett", "runs").code == 2
    assert as_(shell, "ann", "auth", "can-i", "get", "nodes", "--cluster").code == 1
    who = as_(shell, "ann", "auth", "whoami", "-o", "json").json
    assert (who["subject"], who["herds"]) == ("user:corp:ann", ["sales"])


@pytest.mark.usefixtures("cluster")
def test_a_role_is_written_given_explained_and_taken_back(shell: Shell) -> None:
    rule = ("--verb", "run", "--resource", "pipelines", "--name", "daily*")
    made = as_(shell, "ann", "role", "set", "runner", *rule)
    assert made.code == 0, made.err
    given = as_(shell, "ann", "binding", "set", "runners", "--role", "runner", "--subject", BEN.subject, "--for", "8h", "-o", "json")  # fmt: skip
    assert given.code == 0, given.err
    assert given.json["has_ended"], "the cluster of the test lives in the future"
    said = as_(shell, "ann", "auth", "explain", "run", "pipelines", "--name", "daily-1", "--as", BEN.subject)  # fmt: skip
    assert said.code == 0, said.err
    assert "ended:" in said.out
    forever = as_(shell, "ann", "binding", "set", "runners", "--role", "runner", "--subject", BEN.subject)  # fmt: skip
    assert forever.code == 0, forever.err
    assert as_(shell, "ben", "auth", "can-i", "run", "pipelines", "--name", "daily-1").code == 0
    some = as_(shell, "ben", "auth", "can-i", "run", "pipelines", "-o", "json")
    assert (some.code, some.json["is_for_some"]) == (0, True)
    who = as_(shell, "ann", "auth", "who-can", "run", "pipelines", "--name", "daily-1", "-o", "name")  # fmt: skip
    assert who.out.split() == ["user:corp:ann", "user:corp:ben"]
    assert as_(shell, "ben", "role", "set", "mine", *rule).code == 4
    assert as_(shell, "ann", "role", "delete", "runner").code == 5
    assert as_(shell, "ann", "role", "list", "-o", "name").out == "runner\n"
    assert as_(shell, "ann", "binding", "list").out.splitlines()[1].split()[:2] == ["runners", "runner"]  # fmt: skip
    assert as_(shell, "ann", "binding", "delete", "runners").code == 0
    assert as_(shell, "ann", "role", "delete", "runner").code == 0
    assert as_(shell, "ann", "role", "get", "runner").code == 3


@pytest.mark.usefixtures("cluster")
def test_what_a_role_says_comes_from_options_or_from_a_file(
    shell: Shell, operator: tuple[str, ...]
) -> None:
    file = shell.home / "rules.json"
    file.write_text(json.dumps([{"verbs": ["get"], "resources": ["nodes"]}, {"fields": ["pii:*"]}]))
    words = ("role", "set", "watchman", "--cluster", "--rules", str(file), *operator)
    made = shell.runi(*words, "-o", "json")
    assert made.code == 0, made.err
    assert len(made.json["rules"]) == 2
    assert shell.runi(*words, "--verb", "get").code == 2
    file.write_text("{")
    assert shell.runi(*words).code == 8
    assert "cluster-admin" in shell.runi("role", "list", "--cluster", "-o", "name", *operator).out
    assert shell.runi("role", "list", "--cluster", "--herd", "sales", *operator).code == 2
    bad = shell.runi("role", "set", "x", "--cluster", "--verb", "gett", "--resource", "nodes", *operator)  # fmt: skip
    assert (bad.code, "there is no verb gett" in bad.err) == (8, True)


@pytest.mark.usefixtures("cluster")
def test_issuers_are_set_from_a_file_of_providers(shell: Shell, operator: tuple[str, ...]) -> None:
    file = shell.home / "providers.toml"
    text = (
        '[[providers]]\nid = "corp"\nissuer = "https://login.example.com"\nclient_id = "runink"\n'
    )
    file.write_text(text)
    for _ in range(2):
        made = shell.runi("issuer", "set", "-f", str(file), *operator)
        assert made.code == 0, made.err
    file.write_text(text + "private_addresses = true\n")
    assert as_(shell, "ann", "issuer", "set", "-f", str(file)).code == 4
    assert shell.runi("issuer", "set", "-f", str(file), *operator).code == 0
    shown = shell.runi("issuer", "get", "corp", "-o", "json", *operator).json
    assert shown["says"]["private_addresses"] is True
    assert shell.runi("issuer", "list", "-o", "name", *operator).out == "corp\n"
    assert shell.runi("issuer", "delete", "corp", *operator).code == 0
    assert shell.runi("issuer", "get", "corp", *operator).code == 3


@pytest.mark.usefixtures("cluster")
def test_the_audit_tells_what_was_done_and_by_whom(shell: Shell, operator: tuple[str, ...]) -> None:
    as_(shell, "ann", "role", "set", "reader", "--verb", "get", "--resource", "runs")
    as_(shell, "ben", "role", "delete", "reader")
    found = as_(shell, "ann", "audit", "list", "--oldest", "-o", "json").json
    assert [(one["who"], one["operation"], one["outcome"]) for one in found] == [
        ("user:corp:ann", "roles.create", "done"),
        ("user:corp:ben", "roles.delete", "denied"),
    ]
    table = as_(shell, "ann", "audit", "list", "--outcome", "denied").out.splitlines()
    assert len(table) == 2
    assert table[1].endswith("denied (not_found)")
    assert as_(shell, "ben", "audit", "list").code == 3
    assert shell.runi("audit", "list", "--cluster", "--action", "herds.*", *operator).code == 0


@pytest.mark.usefixtures("cluster")
def test_roles_and_bindings_are_completed_as_the_herd_has_them(shell: Shell) -> None:
    as_(shell, "ann", "role", "set", "reader", "--verb", "get", "--resource", "runs")
    as_(shell, "ann", "binding", "set", "readers", "--role", "reader", "--subject", BEN.subject)
    completing = ShellComplete(runi, {}, "runi", VARIABLE)
    words = ["--context", "ann", "--herd", "sales"]
    found = [completing.get_completions([noun, "get", *words], "rea") for noun in ("role", "binding")]  # fmt: skip
    assert [[one.value for one in some] for some in found] == [["reader"], ["readers"]]


def test_the_audit_is_watched(
    cluster: ServedCluster, shell: Shell, operator: tuple[str, ...]
) -> None:
    over = threading.Event()

    def act() -> None:
        for number in range(100_000):  # until it is seen
            if over.is_set():
                return
            says = {"herd": "sales", "role": f"r{number}", "rules": READ}
            cluster.on_loop(lambda says=says: cluster.cluster.ask(roles.CREATE, **says))

    acting = threading.Thread(target=act)
    acting.start()
    try:
        words = ("audit", "list", "--watch", "--outcome", "done", "--limit", "1")
        seen = as_(shell, "ann", *words, "-o", "json")
        line = as_(shell, "ann", *words)
    finally:
        over.set()
        acting.join()
    assert seen.code == 0, seen.err
    assert (seen.json["operation"], seen.json["what"]["herd"]) == ("roles.create", "sales")
    assert "roles.create" in line.out
    assert as_(shell, "ann", *words, "--oldest").code == 2
    assert as_(shell, "ben", *words).code == 3


def test_the_word_of_a_cluster_makes_its_first_administrator(
    shell: Shell, cluster: ServedCluster
) -> None:
    word, kept = make_word(bytes(SECRET_BYTES), now_s=NOW_MS // 1000)
    cluster.on_loop(lambda: cluster.cluster.barn.put(BOOTSTRAP.key(RECORD), kept))
    file = shell.home / "word"
    for wrong, code in (("rna1.x", 4), ("", 8), (f"{word}\n{word}", 8)):
        file.write_text(wrong)
        assert as_(shell, "ben", "auth", "bootstrap", "--word", f"@{file}").code == code
    file.write_text(f"{word}\n")
    assert as_(shell, "ben", "auth", "can-i", "create", "herds", "--cluster").code == 1
    made = as_(shell, "ben", "auth", "bootstrap", "--word", f"@{file}", "-o", "json")
    assert (made.json["subject"], made.json["role"]) == (BEN.subject, "cluster-admin")
    assert as_(shell, "ben", "auth", "can-i", "create", "herds", "--cluster").code == 0
    assert as_(shell, "ann", "auth", "bootstrap", "--word", f"@{file}").code == 4


@pytest.mark.usefixtures("cluster")
def test_a_word_on_the_command_line_is_not_taken(shell: Shell) -> None:
    said = as_(shell, "ben", "auth", "bootstrap", "--word", "rna1.x")
    assert said.code == 2
    assert "--word @FILE" in said.err
