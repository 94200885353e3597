"""How the command line says that something went wrong: the text, and the exit code that programs go by.

0 done                      4 not allowed                  8 the pipeline or a contract is invalid
1 what was asked failed     5 somebody else has it         130 interrupted
2 the command is wrong      6 out of time
3 not there                 7 nobody answers
"""

from __future__ import annotations

import json
from enum import IntEnum
from typing import Any

from runink.errors import (
    Conflict,
    Forbidden,
    Invalid,
    LinkLost,
    NotFound,
    RuninkError,
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


_LOCKED = "storage_locked"


def exit_code_of(error: RuninkError) -> ExitCode:
    """Return the exit code that an error ends the command with."""
    match error:
        case Invalid():
            return ExitCode.INVALID
        case NotFound():
            return ExitCode.NOT_FOUND
        case Forbidden():
            return ExitCode.FORBIDDEN
        case Conflict():
            return ExitCode.CONFLICT
        case TimedOut():
            return ExitCode.TIMED_OUT
        case LinkLost():
            return ExitCode.UNREACHABLE
        case Unavailable(code=code) if code == _LOCKED:
            return ExitCode.CONFLICT
        case _:
            return ExitCode.FAILED


def error_text(error: RuninkError) -> str:
    """Return the error as people read it: every finding with its place, then what to do."""
    if isinstance(error, Invalid) and error.findings:
        from runink.dsl.diagnostics import rendered  # noqa: PLC0415 - only where something is wrong

        return f"{rendered(error.findings)}\n{error.text}"
    lines = [f"error[{error.code}]: {error.text}"]
    if error.hint:
        lines.append(f"  help: {error.hint}")
    return "\n".join(lines)


def error_json(error: RuninkError) -> str:
    """Return the error as a document, in the form that a failed run has."""
    findings: list[dict[str, Any]] = []
    for finding in error.findings if isinstance(error, Invalid) else ():
        span = finding.span
        findings.append(
            {
                "code": finding.code,
                "text": finding.text,
                "hint": finding.hint,
                "file": span.file if span else "",
                "line": span.line if span else 0,
                "column": span.column if span else 0,
            }
        )
    told = {"code": error.code, "text": error.text, "hint": error.hint, "findings": findings}
    return json.dumps({"run": None, "state": "invalid", "error": told}, ensure_ascii=False)
