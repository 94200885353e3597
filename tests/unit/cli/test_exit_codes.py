"""Every error has its exit code, its text and its document; what the machine would not do is told as that."""

from __future__ import annotations

import errno
import json

import pytest
from msgspec.structs import replace as changed
from runink.cli.exits import (
    ExitCode,
    error_json,
    error_text,
    exit_code_of,
    first_of,
    interrupted,
    told,
    usage,
)
from runink.errors import (
    Broken,
    Conflict,
    Finding,
    Forbidden,
    Invalid,
    InvariantBroken,
    Label,
    LinkLost,
    NotFound,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    ProtocolViolation,
    QuotaExceeded,
    Refused,
    RuninkError,
    Span,
    TimedOut,
    Unavailable,
    WalCorrupt,
)

CODES = {
    RuninkError: ExitCode.FAILED,
    Refused: ExitCode.FAILED,
    Invalid: ExitCode.INVALID,
    NotFound: ExitCode.NOT_FOUND,
    Conflict: ExitCode.CONFLICT,
    Forbidden: ExitCode.FORBIDDEN,
    QuotaExceeded: ExitCode.FAILED,
    Unavailable: ExitCode.FAILED,
    NotLeader: ExitCode.FAILED,
    Overloaded: ExitCode.FAILED,
    TimedOut: ExitCode.TIMED_OUT,
    LinkLost: ExitCode.UNREACHABLE,
    OutcomeUnknown: ExitCode.FAILED,
    Broken: ExitCode.FAILED,
    WalCorrupt: ExitCode.FAILED,
    InvariantBroken: ExitCode.FAILED,
    ProtocolViolation: ExitCode.FAILED,
}


def kinds(root: type[RuninkError]) -> set[type[RuninkError]]:
    found = {root}
    for child in root.__subclasses__():
        found |= kinds(child)
    return {kind for kind in found if kind.__module__ == "runink.errors"}


def test_every_class_of_error_has_an_exit_code_here():
    assert set(CODES) == kinds(RuninkError)


@pytest.mark.parametrize("kind", CODES, ids=lambda kind: kind.__name__)
def test_the_exit_code_is_that_of_the_class(kind: type[RuninkError]):
    assert exit_code_of(kind("text")) is CODES[kind]


def test_a_state_that_another_process_has_is_a_conflict():
    assert exit_code_of(Unavailable("text", code="storage_locked")) is ExitCode.CONFLICT


@pytest.mark.parametrize("kind", CODES, ids=lambda kind: kind.__name__)
def test_the_text_has_the_code_and_the_hint(kind: type[RuninkError]):
    assert error_text(kind("what is wrong", code="some_code", hint="mend it")) == (
        "error[some_code]: what is wrong\n  help: mend it"
    )
    assert "help" not in error_text(kind("what is wrong"))


@pytest.mark.parametrize("kind", CODES, ids=lambda kind: kind.__name__)
def test_the_document_has_code_text_and_hint(kind: type[RuninkError]):
    found = json.loads(error_json(kind("wörds", code="c", hint="h"), command="runs"))
    assert found == {"error": {"code": "c", "text": "wörds", "hint": "h", "findings": []}}


def test_the_document_of_a_run_that_was_none_has_the_keys_of_a_run():
    found = json.loads(error_json(Refused("no"), command="run"))
    assert (found["run"], found["state"], found["steps"], found["outputs"]) == (None, None, [], [])


FINDING = Finding("D001", "no such thing", Span("p.dsl", 3, 5, 4), "write it so", "    @thing")


def test_findings_are_told_with_their_place_and_counted():
    error = Invalid("p.dsl: 1 mistake", findings=(FINDING,), code="dsl_invalid")
    text = error_text(error)
    assert "error[D001]: no such thing" in text
    assert "p.dsl:3:5" in text
    assert text.endswith("\np.dsl: 1 mistake")
    [found] = json.loads(error_json(error, command="run"))["error"]["findings"]
    assert found == {
        "code": "D001",
        "text": "no such thing",
        "hint": "write it so",
        "file": "p.dsl",
        "line": 3,
        "column": 5,
        "length": 4,
        "labels": [],
    }


def test_the_other_places_of_a_finding_are_told_to_programs():
    label = Label(Span("p.dsl", 1, 2, 3), "opened here", "  abc")
    one = changed(FINDING, labels=(label,))
    document = json.loads(error_json(Invalid("x", findings=(one,)), command="compile"))
    assert document["error"]["findings"][0]["labels"] == [
        {"text": "opened here", "file": "p.dsl", "line": 1, "column": 2, "length": 3}
    ]


def test_one_finding_that_says_it_all_is_not_said_twice():
    bare = Finding("D005", "x is a folder", None, "name a file in it")
    text = error_text(Invalid("x is a folder", findings=(bare,)))
    assert text.count("x is a folder") == 1


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (errno.ENOSPC, Unavailable, "disk_full"),
        (errno.EDQUOT, Unavailable, "disk_full"),
        (errno.EACCES, Forbidden, "not_writable"),
        (errno.EPERM, Forbidden, "not_writable"),
        (errno.EROFS, Forbidden, "not_writable"),
        (errno.EIO, Refused, "io_failed"),
    ],
)
def test_what_the_machine_would_not_do_is_told_with_its_place(
    number: int, kind: type[RuninkError], code: str
):
    found = told(OSError(number, "so it says", "/state/wal"))
    assert type(found) is kind
    assert (found.code, found.text) == (code, "/state/wal: so it says")
    assert found.hint
    assert told(OSError(number, "so it says"), where="/state").text == "/state: so it says"
    assert told(OSError(number, "so it says")).text == "so it says"


def test_an_actor_that_crashed_by_the_disk_is_told_as_the_disk():
    crashed = Broken("barn crashed", code="actor_crashed")
    crashed.__cause__ = PermissionError(errno.EACCES, "denied", "wal-1")
    assert told(crashed, where="/state").code == "not_writable"
    other = Broken("barn crashed", code="actor_crashed")
    other.__cause__ = KeyError("ours")
    assert told(other) is other


def test_the_first_error_of_a_group_is_the_one_to_tell():
    inner = ValueError("first")
    group = ExceptionGroup("g", [ExceptionGroup("h", [inner, KeyError()]), OSError()])
    assert first_of(group) is inner
    assert first_of(inner) is inner


def test_a_wrong_command_line_and_an_interrupt_have_codes_of_their_own():
    assert usage("text").code == "usage"
    assert interrupted().code == "interrupted"
