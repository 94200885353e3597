"""How the command line says that something went wrong: the text, and the exit code that programs go by.

0 done                      4 not allowed                  8 the pipeline or a contract is invalid
1 what was asked failed     5 somebody else has it         130 interrupted
2 the command is wrong      6 out of time
3 not there                 7 nobody answers
"""

from __future__ import annotations

import errno
import json
from enum import IntEnum
from typing import Any, Final

from runink.errors import (
    Conflict,
    Finding,
    Forbidden,
    Invalid,
    LinkLost,
    NotFound,
    Refused,
    RuninkError,
    Span,
    TimedOut,
    Unavailable,
)


class ExitCode(IntEnum):
    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    FORBIDDEN = 4
    CONFLICT = 5
    TIMED_OUT = 6
    UNREACHABLE = 7
    INVALID = 8
    INTERRUPTED = 130


LOCKED: Final = "storage_locked"
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_NOT_ALLOWED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def exit_code_of(error: RuninkError) -> ExitCode:
    """Return the exit code that an error ends the command with."""
    match error:
        case Invalid():
            return ExitCode.INVALID
        case NotFound():
            return ExitCode.NOT_FOUND
        case Forbidden() | Refused(code="unauthenticated"):
            return ExitCode.FORBIDDEN
        case Conflict():
            return ExitCode.CONFLICT
        case TimedOut():
            return ExitCode.TIMED_OUT
        case LinkLost():
            return ExitCode.UNREACHABLE
        case Unavailable(code=code) if code == LOCKED:
            return ExitCode.CONFLICT
        case _:
            return ExitCode.FAILED


def told(error: RuninkError | OSError, *, where: object = "") -> RuninkError:
    """Return the error that people are told: what the machine would not do is no bug of ours. `where` is known better by the caller."""
    if isinstance(error, RuninkError):
        cause = error.__cause__
        is_crash = error.code == "actor_crashed" and isinstance(cause, OSError)
        return told(cause, where=where) if is_crash and isinstance(cause, OSError) else error
    place = str(where or error.filename or "")
    text = f"{place}: {error.strerror or error}" if place else str(error.strerror or error)
    if error.errno in _FULL:
        hint = "free some space there; runi clean forgets old runs"
        return Unavailable(text, code="disk_full", hint=hint)
    if error.errno in _NOT_ALLOWED:
        hint = "give yourself the right to write there, or keep the state elsewhere with --state"
        return Forbidden(text, code="not_writable", hint=hint)
    return Refused(text, code="io_failed", hint="runi doctor checks this machine and this project")


def first_of(error: BaseException) -> BaseException:
    """Return the error of a group that came first; what tasks beside it were ended with says nothing."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def usage(text: str) -> RuninkError:
    """Return the error of a command line that is wrong."""
    return Refused(text, code="usage", hint="runi --help, or the command's own, says how")


def interrupted() -> RuninkError:
    """Return the error of a command that was left before it had an end to tell."""
    return Refused("interrupted", code="interrupted")


def error_text(error: RuninkError) -> str:
    """Return the error as people read it: every finding with its place, then what to do."""
    if isinstance(error, Invalid) and error.findings:
        from runink.dsl.diagnostics import rendered  # noqa: PLC0415 - only where something is wrong

        frames = rendered(error.findings)
        is_said = len(error.findings) == 1 and error.findings[0].text == error.text
        return frames.rstrip("\n") if is_said else f"{frames}\n{error.text}"
    lines = [f"error[{error.code}]: {error.text}"]
    if error.hint:
        lines.append(f"  help: {error.hint}")
    return "\n".join(lines)


def error_json(error: RuninkError, *, command: str) -> str:
    """Return the error as a document. That of `run` has the keys of a run that was none, so that programs read one form."""
    findings = [
        _finding(finding) for finding in (error.findings if isinstance(error, Invalid) else ())
    ]
    body: dict[str, Any] = {
        "code": error.code,
        "text": error.text,
        "hint": error.hint,
        "findings": findings,
    }
    if isinstance(error, Refused) and error.revision:
        body["revision"] = error.revision
    none: dict[str, Any] = {"run": None, "state": None, "seconds": 0.0, "steps": [], "outputs": []}
    return json.dumps({**(none if command == "run" else {}), "error": body}, ensure_ascii=False)


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "text": finding.text,
        "hint": finding.hint,
        **_place(finding.span),
        "labels": [{"text": one.text, **_place(one.span)} for one in finding.labels],
    }


def _place(span: Span | None) -> dict[str, Any]:
    return {
        "file": span.file if span else "",
        "line": span.line if span else 0,
        "column": span.column if span else 0,
        "length": span.length if span else 0,
    }
