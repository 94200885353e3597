"""The slice's filter against libseccomp's: the same rules given to it by name make a filter that answers every call in the same way."""

from __future__ import annotations

import itertools
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from debian import install
from runink.sandbox.seccomp import built
from runink.sandbox.seccomp_table import (
    ABSENT,
    CLONE,
    IOCTL,
    LAST,
    LINKS,
    MACHINES,
    MODES,
    PERSONALITY,
    REFUSED,
    SOCKET,
    SOCKETPAIR,
)
from runink.testing.bpf_machine import Called, answer

HERE = Path(__file__).parent
MAKING_S = 120
# Younger than Debian's libseccomp: linux/unistd.h of 6.6, 6.8 and 6.15.
YOUNG = {"fchmodat2": 452, "lsm_set_self_attr": 460, "open_tree_attr": 467}
BY_ARGUMENT = {
    "clone": CLONE,
    "ioctl": IOCTL,
    "personality": PERSONALITY,
    "socket": SOCKET,
    "socketpair": SOCKETPAIR,
} | {name: one.numbers for name, one in MODES.items()}


def oracle(machine: str, network: str) -> dict[str, Any]:
    """Return libseccomp's filter, and the numbers that it knows, from the distribution's Python, which has its binding."""
    install("python3-seccomp")
    refused = {name: group.errno for group in REFUSED for name in group.calls if name not in YOUNG}
    modes = [(name, one.mode, one.flags) for name, one in MODES.items() if name not in YOUNG]
    done = subprocess.run(
        ["/usr/bin/python3", HERE / "seccomp_oracle.py", machine, network],
        input=json.dumps(
            {"refused": refused, "numbers": [*refused, *BY_ARGUMENT, *LINKS], "modes": modes}
        ),
        capture_output=True,
        text=True,
        check=False,
        timeout=MAKING_S,
    )
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("network", ["none", "egress"])
@pytest.mark.parametrize("machine", MACHINES)
def test_both_filters_answer_alike(machine: str, network: str):
    audit, column = MACHINES[machine]
    ours = built(machine, egress=network == "egress")
    theirs = bytes.fromhex(oracle(machine, network)["filter"])
    young = set(YOUNG.values())
    for number in set(range(LAST + 1)) - young:
        for arguments in arguments_of(column, number):
            called = Called(audit, number, arguments)
            assert answer(ours, called).action == answer(theirs, called).action, called
    foreign = Called(0x40000003, 0)
    assert answer(ours, foreign).action == answer(theirs, foreign).action


@pytest.mark.parametrize("machine", MACHINES)
def test_both_know_calls_by_the_same_numbers(machine: str):
    column = MACHINES[machine].column
    ours = {name: both[column] for group in REFUSED for name, both in group.calls.items()}
    ours |= {name: both[column] for name, both in (BY_ARGUMENT | LINKS).items()}
    theirs = oracle(machine, "none")["numbers"] | YOUNG
    # A call that an architecture does not have gets a number below 0 there.
    assert ours == {name: max(number, ABSENT) for name, number in theirs.items()}


def arguments_of(column: int, number: int) -> list[tuple[int, ...]]:
    flags = [0, *(1 << bit for bit in range(32))]
    if number == CLONE[column]:
        return [(first | second,) for first, second in itertools.product(flags, flags)]
    if number in (SOCKET[column], SOCKETPAIR[column]):
        kinds = (*range(12), 1 | 0x80000, 3 | 0x800)
        return list(itertools.product(range(47), kinds, (0, 1, 6, 15, 17, 132, 255, 262)))
    if number in [one.numbers[column] for one in MODES.values()]:
        words = (0, 0o100, 0o20000000, 0o1777, 0o4755, 0o2755, 1 << 40 | 0o4100, 0xFFFFFFFF)
        return list(itertools.product(words[:2], words, words, words))
    if number not in (IOCTL[column], PERSONALITY[column]):
        return [(), (0xFFFFFFFF,) * 6]
    words = (0, 1, 8, 0x5412, 0x541B, 0x541C, 0x40000, 0xFFFFFFFF, 1 << 40, 1 << 40 | 0x5412)
    return list(itertools.product(words, words))
