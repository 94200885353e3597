"""What nodes have and lack, what herds say of it, and who does without what."""

from __future__ import annotations

from pathlib import Path

import pytest
from runink.capabilities import (
    BUBBLEWRAP,
    BY_NAME,
    CATALOGUE,
    CLOSING_OFF,
    EGRESS,
    FULL,
    ISOLATION,
    LANDLOCK,
    NAMESPACES,
    NO_ISOLATION,
    NODES_OWN,
    PARTIAL,
    REFUSED,
    SECCOMP,
    STREAMS,
    UNTOLD,
    IsolationPolicy,
    Kind,
    Told,
    hint,
    lacking,
    told_by_node,
    without,
)

DOCS = Path(__file__).parents[2] / "docs"
ALL = dict.fromkeys(CLOSING_OFF, "there")
NOBODYS = IsolationPolicy()


def told(**missing: str) -> Told:
    there = {name: said for name, said in ALL.items() if name not in missing}
    return told_by_node(Told(there, missing), is_plain=False)


def test_a_node_with_everything_isolates_fully_and_lacks_nothing() -> None:
    found = told()
    assert found.there.keys() == {ISOLATION, *BY_NAME} - {STREAMS}  # which is its agent's
    assert found.there[ISOLATION] == FULL
    assert not found.missing


def test_what_is_missing_is_told_with_the_reason_and_not_as_there() -> None:
    found = told(landlock="no Landlock")
    assert found.missing == {LANDLOCK: "no Landlock"}
    assert LANDLOCK not in found.there
    assert found.there[ISOLATION] == FULL, "a second wall, not one of the first"


def test_what_nobody_has_told_is_missing() -> None:
    found = told_by_node(Told({}, {}), is_plain=False)
    assert found.missing.keys() == set(CLOSING_OFF)
    assert found.missing["limit.cpu"] == UNTOLD
    assert found.there == {ISOLATION: REFUSED, EGRESS: NODES_OWN}


def test_what_is_told_as_there_and_as_missing_is_missing() -> None:
    found = told_by_node(Told(dict(ALL), {SECCOMP: "none"}), is_plain=False)
    assert SECCOMP not in found.there
    assert found.there[ISOLATION] == PARTIAL


def test_a_node_that_has_bubblewrap_isolates_by_it_as_long_as_it_has_every_wall() -> None:
    wrapped = ALL | {BUBBLEWRAP: "0.8.0"}
    found = told_by_node(Told(wrapped, {}), is_plain=False)
    assert (found.there[ISOLATION], found.there[BUBBLEWRAP]) == (BUBBLEWRAP, "0.8.0")
    assert not found.missing
    found = told_by_node(Told(wrapped, {LANDLOCK: "none"}), is_plain=False)
    assert found.there[ISOLATION] == BUBBLEWRAP, "that is none of the first walls"
    found = told_by_node(Told(wrapped, {SECCOMP: "none"}), is_plain=False)
    assert found.there[ISOLATION] == PARTIAL
    found = told_by_node(
        Told(ALL, {BUBBLEWRAP: "gone", NAMESPACES: "it made them"}), is_plain=False
    )
    assert found.there[ISOLATION] == REFUSED
    assert found.missing[BUBBLEWRAP] == "gone"


def test_without_namespaces_nothing_of_a_cell_is_there_but_cgroups_are() -> None:
    found = told(namespaces="ENOSPC")
    assert found.there[ISOLATION] == REFUSED
    assert found.missing[NAMESPACES] == "ENOSPC"
    assert {SECCOMP, LANDLOCK, "id_ranges"} < found.missing.keys()
    assert found.there[EGRESS] == NODES_OWN
    assert "limit.memory" in found.there


def test_an_ordinary_users_node_makes_no_networks_for_herds() -> None:
    found = told(id_ranges="one id")
    assert found.there[ISOLATION] == FULL
    assert "root" in found.missing[EGRESS]


def test_a_node_of_plain_processes_says_that_it_was_asked_for() -> None:
    found = told_by_node(Told(dict(ALL), {}), is_plain=True)
    assert found.there == {ISOLATION: NO_ISOLATION, EGRESS: NODES_OWN}
    assert found.missing.keys() == set(CLOSING_OFF)


@pytest.mark.parametrize(
    ("missing", "policy", "asked", "is_plain", "refused"),
    [
        ([], NOBODYS, (), False, []),
        ([LANDLOCK, "id_ranges", "limit.cpu", EGRESS], NOBODYS, (), False, []),
        ([SECCOMP], NOBODYS, (), False, [SECCOMP]),
        ([SECCOMP], IsolationPolicy((SECCOMP,)), (), False, []),
        ([SECCOMP], IsolationPolicy((LANDLOCK,)), (), False, [SECCOMP]),
        ([LANDLOCK], IsolationPolicy(require=(LANDLOCK,)), (), False, [LANDLOCK]),
        ([EGRESS], NOBODYS, (EGRESS,), False, [EGRESS]),
        ([NAMESPACES, SECCOMP], NOBODYS, (), False, [NAMESPACES, SECCOMP]),
        ([NAMESPACES, SECCOMP], IsolationPolicy((SECCOMP,)), (), False, [NAMESPACES]),
        ([NAMESPACES, SECCOMP], IsolationPolicy((NAMESPACES,)), (), False, []),
        ([NAMESPACES, SECCOMP], NOBODYS, (), True, []),
        ([NAMESPACES], IsolationPolicy(require=(NAMESPACES,)), (), True, [NAMESPACES]),
    ],
)
def test_a_slice_is_refused_for_want_of_a_wall_or_of_what_it_or_its_herd_requires(
    missing: list[str],
    policy: IsolationPolicy,
    asked: tuple[str, ...],
    refused: list[str],
    *,
    is_plain: bool,
) -> None:
    assert lacking(missing, policy, asked, is_plain=is_plain) == refused


def test_the_spawner_is_told_only_what_the_herd_allows() -> None:
    assert without(NOBODYS) == ()
    assert without(IsolationPolicy((SECCOMP,), (LANDLOCK,))) == (SECCOMP,)
    assert set(without(IsolationPolicy((NAMESPACES,)))) == {ISOLATION, NAMESPACES, SECCOMP}


def test_every_kind_of_refusal_says_what_to_do() -> None:
    for feature in CATALOGUE:
        said = hint(feature.name, "sales")
        assert ("herd sales" in said) == (feature.kind is not Kind.ASKED)


@pytest.mark.parametrize("page", ["nodes.md", "isolation.md"])
def test_the_pages_name_everything_of_the_catalogue(page: str) -> None:
    text = (DOCS / page).read_text()
    names = BY_NAME if page == "nodes.md" else CLOSING_OFF
    assert [name for name in names if f"`{name}`" not in text] == []
