"""The slice's filter, run by a machine of our own: it answers every number and every kind of argument as its table says."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runink.sandbox.bpf import IF_EQUAL, JUMP_MAX, RETURN, Operation, assembled, by_range
from runink.sandbox.seccomp import RET_ALLOW, RET_ERRNO, RET_KILL_PROCESS, built
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

NEW_NAMESPACES = 0x7E020000  # all CLONE_NEW* flags of clone
ABOVE = 1 << 40  # the kernel reads 32 bits of these arguments
WORDS = (0, 1, 2, 8, 10, 16, 17, 40, 0x5412, 0x541C, 0x541B, 0x10000000, 0xFFFFFFFF)
PROTOCOLS = (0, 1, 2, 4, 6, 15, 17, 58, 132, 136, 255, 256, 262)
FILTERS = {
    (machine, egress): built(machine, egress=egress)
    for machine in MACHINES
    for egress in (False, True)
}
OPERATIONS_OF_A_NUMBER_MAX = 11  # two for the architecture, a load, seven comparisons, a return

every_filter = pytest.mark.parametrize("which", FILTERS, ids=str)


def expected(machine: str, called: Called, *, egress: bool) -> int:
    """Say what the answer must be, in the words of the table and of `seccomp.py`."""
    audit, column = MACHINES[machine]
    number = called.number
    if called.architecture != audit:
        return RET_KILL_PROCESS
    if number > LAST:
        return RET_ERRNO | errno.ENOSYS
    for group in REFUSED:
        for numbers in group.calls.values():
            if numbers[column] != ABSENT and numbers[column] == number:
                return RET_ERRNO | group.errno
    arguments = (*called.arguments, 0, 0, 0, 0)
    first, second, third = (argument & 0xFFFFFFFF for argument in arguments[:3])
    code = 0
    if number == SOCKET[column]:
        code = expected_of_socket(first, second & 0xF, third, egress=egress)
    elif number == SOCKETPAIR[column]:
        code = 0 if first == 1 else errno.EAFNOSUPPORT
    elif (
        (number == CLONE[column] and first & NEW_NAMESPACES)
        or (number == IOCTL[column] and second in (0x5412, 0x541C))
        or (number == PERSONALITY[column] and first not in (0, 0xFFFFFFFF))
    ):
        code = errno.EPERM
    for one in MODES.values():
        if number == one.numbers[column]:
            makes = one.flags == ABSENT or arguments[one.flags] & 0o20000100
            code = errno.EPERM if makes and arguments[one.mode] & 0o6000 else 0
    return RET_ERRNO | code if code else RET_ALLOW


def expected_of_socket(family: int, kind: int, protocol: int, *, egress: bool) -> int:
    match family:
        case 1:
            return 0
        case 2 | 10 if kind not in (1, 2):
            return errno.EPERM
        case 2 | 10:
            return 0 if protocol in (0, 6 if kind == 1 else 17) else errno.EPROTONOSUPPORT
        case 16 if egress:
            return 0 if protocol == 0 else errno.EPROTONOSUPPORT
        case _:
            return errno.EAFNOSUPPORT


def arguments_of(column: int, number: int) -> Iterator[tuple[int, ...]]:
    """Give the arguments to try with a call: of those that are decided by them, everything that matters."""
    yield from ((), (0xFFFFFFFF,) * 6, (ABOVE,) * 6)
    if number in (SOCKET[column], SOCKETPAIR[column]):
        types = (*range(16), 1 | 0x80000, 2 | 0x800, 3 | 0x80800, 0xDEAD0001)
        yield from itertools.product(range(47), types, PROTOCOLS)
        yield from ((16, 3, protocol) for protocol in range(33))
        yield from ((ABOVE | family, ABOVE | 1, ABOVE) for family in range(47))
    elif number == CLONE[column]:
        flags = [1 << bit for bit in range(64)]
        yield from ((first | second,) for first, second in itertools.product(flags, flags))
    elif number in {one.numbers[column] for one in MODES.values()}:
        modes = (0, 0o100, 0o20000000, 0o1777, 0o4755, 0o2755, 0o6100, ABOVE | 0o4000)
        yield from itertools.product((0, 0o4000), modes, modes, modes)
    elif number in (IOCTL[column], PERSONALITY[column]):
        yield from itertools.product((*WORDS, *(ABOVE | word for word in WORDS)), repeat=2)


@every_filter
def test_every_number_gets_the_answer_of_the_table(which: tuple[str, bool]) -> None:
    machine, egress = which
    audit, column = MACHINES[machine]
    program = FILTERS[which]
    for number in (*range(600), 0x40000000 | 39, 0x40000000 | 521, 0x7FFFFFFF, 0xFFFFFFFF):
        for arguments in arguments_of(column, number):
            called = Called(audit, number, arguments)
            wanted = expected(machine, called, egress=egress)
            assert answer(program, called).action == wanted, called


@pytest.mark.parametrize("machine", MACHINES)
def test_without_a_right_to_links_nothing_else_is_answered_otherwise(machine: str) -> None:
    audit, column = MACHINES[machine]
    with_links, without = FILTERS[machine, False], built(machine, egress=False, links=False)
    links = {numbers[column] for numbers in LINKS.values()} - {ABSENT}
    for number in range(600):
        called = Called(audit, number)
        found = answer(without, called).action
        if number in links:
            assert answer(with_links, called).action == RET_ALLOW
            assert found == RET_ERRNO | errno.EPERM
        else:
            assert found == answer(with_links, called).action, number


@every_filter
def test_every_other_architecture_ends_the_process(which: tuple[str, bool]) -> None:
    own = MACHINES[which[0]].audit
    others = {machine.audit for machine in MACHINES.values()} | {0x40000003, 0x40000028, 0, own ^ 1}
    for architecture, number in itertools.product(others - {own}, range(600)):
        called = Called(architecture, number)
        assert answer(FILTERS[which], called).action == RET_KILL_PROCESS


@every_filter
def test_no_call_that_its_number_decides_costs_more_than_a_few_operations(
    which: tuple[str, bool],
) -> None:
    audit, column = MACHINES[which[0]]
    modes = [one.numbers for one in MODES.values()]
    calls = (CLONE, IOCTL, PERSONALITY, SOCKET, SOCKETPAIR, *modes)
    by_argument = {numbers[column] for numbers in calls}
    costs = [
        answer(FILTERS[which], Called(audit, number)).operations
        for number in range(600)
        if number not in by_argument
    ]
    assert max(costs) <= OPERATIONS_OF_A_NUMBER_MAX


@given(
    st.sampled_from(sorted(FILTERS)),
    st.one_of(st.integers(0, 700), st.integers(0, 0xFFFFFFFF)),
    st.lists(st.integers(0, (1 << 64) - 1) | st.sampled_from(WORDS), max_size=6),
    st.sampled_from((None, 0x40000003)),
)
def test_any_call_gets_the_answer_of_the_table(
    which: tuple[str, bool], number: int, arguments: list[int], foreign: int | None
) -> None:
    machine, egress = which
    architecture = foreign or MACHINES[machine].audit
    called = Called(architecture, number, tuple(arguments))
    assert answer(FILTERS[which], called).action == expected(machine, called, egress=egress)


def test_no_number_stands_in_the_table_twice() -> None:
    for column in (machine.column for machine in MACHINES.values()):
        numbers = [
            both[column]
            for both in (
                *(numbers for group in REFUSED for numbers in group.calls.values()),
                *(CLONE, IOCTL, PERSONALITY, SOCKET, SOCKETPAIR),
            )
            if both[column] != ABSENT
        ]
        assert len(numbers) == len(set(numbers))
        assert max(numbers) <= LAST


@given(st.sets(st.integers(1, 1 << 20), min_size=1, max_size=60), st.integers(0, 1 << 21))
def test_a_search_finds_the_range_of_every_number(starts: set[int], number: int) -> None:
    ranges = [0, *sorted(starts)]
    program = assembled(
        [
            Operation(0x20, 0),
            *by_range([(start, f"from {start}") for start in ranges]),
            *[
                line
                for start in ranges
                for line in (f"from {start}", Operation(RETURN, start))
            ],
        ]
    )  # fmt: skip
    assert answer(program, Called(0, number)).action == max(s for s in ranges if s <= number)


@pytest.mark.parametrize(
    "lines",
    [
        [Operation(IF_EQUAL, 1, "far"), *[Operation(RETURN, 0)] * (JUMP_MAX + 1), "far"],
        ["back", Operation(IF_EQUAL, 1, "back"), Operation(RETURN, 0)],
    ],
    ids=["too far", "back"],
)
def test_a_jump_that_the_kernel_could_not_make_is_refused(lines: list[Operation | str]) -> None:
    with pytest.raises(ValueError, match="operations away"):
        assembled(lines)
