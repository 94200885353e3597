"""Children of a test that give up rights, of which the test itself must keep all."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable
from typing import Any

from runink.sandbox.bpf import IF_EQUAL, LOAD, OPERATION, RETURN, Line, Operation, assembled
from runink.sandbox.seccomp import RET_ALLOW, RET_ERRNO, Program
from runink.sandbox.syscalls import SECCOMP_SET_MODE_FILTER, call

ANSWER = 90  # the descriptor by which a child answers, above those that tests play with


def in_child(work: Callable[[], Any]) -> Any:
    """Fork, do the work there and return what it returned, as JSON keeps it."""
    source, target = os.pipe()
    pid = os.fork()
    if not pid:
        os.dup2(target, ANSWER)
        os.close(target)
        try:
            os.write(ANSWER, json.dumps(work()).encode())
        except BaseException:  # noqa: BLE001 - the child must not go on as the test
            os.write(ANSWER, json.dumps(traceback.format_exc()).encode())
        finally:
            os._exit(0)
    os.close(target)
    with os.fdopen(source, "rb") as answer:
        found = answer.read()
    os.waitpid(pid, 0)
    return json.loads(found)


def put_on(instructions: bytes) -> None:
    """Put a filter on this process, as root may without giving up anything else."""
    program = Program(len(instructions) // OPERATION.size, instructions)
    call("seccomp", SECCOMP_SET_MODE_FILTER, 0, program)


def answering(number: int, code: int, *, option: int | None = None) -> bytes:
    """Return a filter that answers this call with that errno, 0 for a lie: success and nothing done. `option` narrows it to that first argument."""
    lines: list[Line] = [Operation(LOAD, 0), Operation(IF_EQUAL, number, "", "others")]
    if option is not None:
        lines += [Operation(LOAD, 16), Operation(IF_EQUAL, option, "", "others")]
    return assembled(
        [*lines, Operation(RETURN, RET_ERRNO | code), "others", Operation(RETURN, RET_ALLOW)]
    )
