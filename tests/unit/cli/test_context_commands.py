"""`runi context`: clusters by names, in a file of their owner's alone."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from asked_cluster import Shell, shell_at
from runink.cli.contexts import Context, Contexts, change_contexts, config_folder, read_contexts
from runink.errors import NotFound, TimedOut


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Shell:
    return shell_at(tmp_path, monkeypatch, capfd)


def test_contexts_are_kept_listed_used_and_forgotten(shell: Shell) -> None:
    assert shell.runi("context", "list", "-o", "json").json == []
    assert shell.runi("context", "add", "prod", "https://Api.example:7443", "--herd", "sales").code == 0  # fmt: skip
    assert shell.runi("context", "add", "here", "unix:api.sock", "--use").code == 0
    assert shell.runi("context", "list", "-o", "name").out == "here\nprod\n"
    table = shell.runi("context", "list").out.splitlines()
    assert table[1].split() == ["*", "here", f"unix:{Path.cwd() / 'api.sock'}", "-", "-"]
    assert table[2].split() == ["prod", "https://api.example:7443", "sales", "-"]
    assert shell.runi("context", "use", "prod").code == 0
    shown = shell.runi("context", "show", "prod", "-o", "json").json
    assert shown == {
        "name": "prod",
        "address": "https://api.example:7443",
        "herd": "sales",
        "is_used": True,
    }
    assert shell.runi("context", "remove", "prod").code == 0
    assert shell.runi("context", "list", "-o", "name").out == "here\n"
    assert shell.runi("context", "use", "--none").code == 0
    assert "*" not in shell.runi("context", "list").out


def test_the_file_is_its_owners_alone_and_one_that_others_read_is_not_believed(shell: Shell) -> None:  # fmt: skip
    shell.runi("context", "add", "prod", "https://api.example")
    path = config_folder() / "contexts.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    said = shell.runi("context", "list")
    assert said.code == 1
    assert "chmod 600" in said.err
    path.chmod(0o600)
    path.write_text('{"contexts": 7}')
    assert shell.runi("context", "list").code == 8


def test_a_context_is_replaced_only_where_that_is_said(shell: Shell) -> None:
    shell.runi("context", "add", "prod", "https://api.example")
    assert shell.runi("context", "add", "prod", "https://other.example").code == 5
    assert shell.runi("context", "add", "prod", "https://other.example", "--anew").code == 0
    assert shell.runi("context", "show", "prod", "-o", "json").json["address"] == "https://other.example"  # fmt: skip


def test_of_many_commands_at_once_none_loses_what_another_has_made(shell: Shell) -> None:
    shell.runi("context", "add", "prod", "https://api.example")

    def add(number: int) -> None:
        made = Context(f"c{number}", "unix:/api.sock")
        change_contexts(lambda contexts: contexts.added(made, anew=False))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(24)))
    assert {one.name for one in read_contexts().contexts} == {"prod", *(f"c{n}" for n in range(24))}
    folder = config_folder()
    assert {one.name for one in folder.iterdir()} == {"contexts.json", "contexts.lock"}
    assert stat.S_IMODE((folder / "contexts.lock").stat().st_mode) == 0o600


def test_who_changes_contexts_has_them_alone_and_a_change_that_fails_changes_nothing(
    shell: Shell,
) -> None:
    shell.runi("context", "add", "prod", "https://api.example")

    def meanwhile(contexts: Contexts) -> Contexts:
        with pytest.raises(TimedOut) as busy:
            change_contexts(lambda other: other.without("prod"), within_s=0.01)
        assert busy.value.code == "contexts_locked"
        return contexts.without("nowhere")

    with pytest.raises(NotFound):
        change_contexts(meanwhile)
    assert [one.name for one in read_contexts().contexts] == ["prod"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["show", "nowhere"], 3),
        (["use", "nowhere"], 3),
        (["remove", "nowhere"], 3),
        (["use"], 2),
        (["use", "prod", "--none"], 2),
        (["add", "prod", "http://10.0.0.1"], 8),
        (["add", "../prod", "https://api.example"], 8),
        (["add", "prod", "https://api.example", "--herd", "No Herd"], 8),
        (["add", "prod", "https://api.example", "--issuer", "https://login.example"], 2),
        (["add", "prod", "https://api.example", "--issuer", "https://login.example", "--client-id", "cli", "--token-file", "t"], 2),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_exit_code(
    shell: Shell, words: list[str], code: int
) -> None:
    assert shell.runi("context", *words).code == code
