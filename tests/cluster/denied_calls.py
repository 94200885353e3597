"""Starts a program to which some system calls are not there, as if its kernel had been built without them:

    python denied_calls.py NAME[,NAME...] PROGRAM [ARGUMENT...]

The filter is for this process and what it starts alone, and stays in force for all of them.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from runink.sandbox import privileges, seccomp
from runink.sandbox.bpf import IF_EQUAL, LOAD, OPERATION, RETURN, Line, Operation, assembled
from runink.sandbox.syscalls import NUMBERS

NUMBER_OFFSET = 0  # of `struct seccomp_data`


def denying(names: list[str]) -> seccomp.Filter:
    lines: list[Line] = [Operation(LOAD, NUMBER_OFFSET)]
    lines += [Operation(IF_EQUAL, NUMBERS[name], "absent") for name in names]
    lines += [Operation(RETURN, seccomp.RET_ALLOW)]
    lines += ["absent", Operation(RETURN, seccomp.RET_ERRNO | errno.ENOSYS)]
    instructions = assembled(lines)
    program = seccomp.Program(len(instructions) // OPERATION.size, instructions)
    return seccomp.Filter(instructions, program)


def without(*names: str) -> list[str]:
    """Return the words that a command is to be preceded by."""
    return [sys.executable, str(Path(__file__)), ",".join(names)]


if __name__ == "__main__":
    privileges.forbid_new_privileges()
    seccomp.install(denying(sys.argv[1].split(",")))
    os.execvp(sys.argv[2], sys.argv[2:])
