"""How slices are to run: what a command may insist on, and what is said where nothing closes them off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from msgspec.structs import replace as changed
from runink.capabilities import Isolation
from runink.cli.client import Embedding
from runink.cli.options import (
    ISOLATION,
    NO_ISOLATION,
    SliceOptions,
    slice_options,
    slices_by_environment,
)
from runink.cli.settings import check_settings, is_without_isolation, missing_walls
from runink.config import NodeSettings
from runink.dag import Resources
from runink.errors import Conflict
from runink.names import NodeId
from runink.runs.records import NodeRecord

PLAIN = SliceOptions(Isolation.NONE)
BY_BUBBLEWRAP = SliceOptions(Isolation.BUBBLEWRAP)
BY_CELLS = SliceOptions(Isolation.CELLS)


def asked_for(words: list[str], **environment: str) -> SliceOptions:
    found: list[SliceOptions] = []

    @click.command()
    @slice_options
    def command(*, slices: SliceOptions) -> None:
        found.append(slices)

    assert CliRunner().invoke(command, words, env=environment).exit_code == 0
    return found[0]


def node(**changes: Any) -> NodeRecord:
    settings = NodeSettings(state=Path("/s"), capacity=Resources(), **changes)
    return NodeRecord(NodeId("n"), Resources(), capabilities=settings.capabilities)


def test_what_is_said_is_what_is_insisted_on() -> None:
    assert asked_for([]) == SliceOptions(insists=True)
    plain = asked_for(["--no-isolation", "--no-host-network"])
    assert plain == SliceOptions(Isolation.NONE, shares_network=False, insists=True)
    assert asked_for(["--allow-host-network"]).shares_network is True
    assert asked_for([], **{NO_ISOLATION: "1"}).isolation is Isolation.NONE
    assert asked_for([], **{NO_ISOLATION: "0"}).isolation is None
    assert asked_for(["--isolation", "bubblewrap"]).isolation is Isolation.BUBBLEWRAP
    assert asked_for([], **{ISOLATION: "cells"}).isolation is Isolation.CELLS


def test_what_the_command_line_says_goes_before_what_the_environment_says() -> None:
    assert asked_for(["--no-isolation"], **{ISOLATION: "bubblewrap"}).isolation is Isolation.NONE
    named = asked_for(["--isolation", "bubblewrap"], **{NO_ISOLATION: "1"})
    assert named.isolation is Isolation.BUBBLEWRAP


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        (["--isolation", "bubblewrap", "--no-isolation"], {}),
        ([], {ISOLATION: "bubblewrap", NO_ISOLATION: "1"}),
        (["--isolation", "docker"], {}),
    ],
)
def test_two_ways_at_once_are_refused_and_so_is_one_that_is_not_known(
    words: list[str], environment: dict[str, str]
) -> None:
    @click.command()
    @slice_options
    def command(*, slices: SliceOptions) -> None:
        raise AssertionError(slices)

    said = CliRunner().invoke(command, words, env=environment)
    assert said.exit_code == click.UsageError.exit_code
    assert "--isolation" in said.output


def test_a_command_without_the_options_goes_by_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(NO_ISOLATION, raising=False)
    assert slices_by_environment() == SliceOptions()
    monkeypatch.setenv(NO_ISOLATION, "1")
    assert slices_by_environment() == SliceOptions(Isolation.NONE)
    monkeypatch.delenv(NO_ISOLATION)
    monkeypatch.setenv(ISOLATION, "bubblewrap")
    assert slices_by_environment() == SliceOptions(Isolation.BUBBLEWRAP)
    monkeypatch.setenv(ISOLATION, "docker")
    with pytest.raises(click.BadParameter):
        slices_by_environment()


def test_a_cluster_of_our_own_is_made_as_asked() -> None:
    ordinary = Embedding(Path("/s")).settings
    assert (ordinary.isolation, ordinary.shares_network) == (Isolation.CELLS, True)
    other = SliceOptions(Isolation.NONE, shares_network=False)
    asked = Embedding(Path("/s"), slices=other).settings
    assert (asked.isolation, asked.shares_network) == (Isolation.NONE, False)


@pytest.mark.parametrize(
    ("asked", "there", "told"),
    [
        (PLAIN, {}, "--no-isolation"),
        (PLAIN, {"isolation": Isolation.BUBBLEWRAP}, "isolates slices"),
        (BY_BUBBLEWRAP, {}, "does without bubblewrap, and --isolation bubblewrap"),
        (BY_BUBBLEWRAP, {"isolation": Isolation.NONE}, "does without bubblewrap"),
        (BY_CELLS, {"isolation": Isolation.BUBBLEWRAP}, "has bubblewrap close slices off"),
        (BY_CELLS, {"isolation": Isolation.NONE}, "plain processes, and --isolation cells"),
        (SliceOptions(shares_network=False), {}, "--no-host-network"),
        (SliceOptions(shares_network=True), {"shares_network": False}, "--allow-host-network"),
    ],
)
def test_a_cluster_that_is_otherwise_is_refused(
    asked: SliceOptions, there: dict[str, Any], told: str
) -> None:
    with pytest.raises(Conflict) as caught:
        check_settings([node(**there)], asked)
    assert caught.value.code == "cluster_settings"
    assert told in caught.value.text


def test_a_cluster_that_is_as_asked_is_taken() -> None:
    check_settings([node()], SliceOptions())
    for isolation in Isolation:
        check_settings([node(isolation=isolation)], SliceOptions(isolation))
        check_settings([node(isolation=isolation)], SliceOptions())  # it is told, and goes on
    check_settings([node()], SliceOptions(shares_network=True))
    check_settings([node(shares_network=False)], SliceOptions(shares_network=False))


def test_a_node_that_lacks_a_wall_is_warned_of_unless_it_was_told_to_do_without() -> None:
    missing = {"seccomp": "not built in", "landlock": "off", "namespaces": "ENOSPC"}
    (line,) = missing_walls([changed(node(), missing=missing)])
    assert line.startswith("WARNING: node n has no namespaces (ENOSPC): ")
    assert "plain processes" in line
    (line,) = missing_walls([changed(node(), missing={"seccomp": "not built in"})])
    assert "no seccomp (not built in)" in line
    assert list(missing_walls([node(), changed(node(), missing={"landlock": "off"})])) == []
    assert list(missing_walls([changed(node(isolation=Isolation.NONE), missing=missing)])) == []


def test_a_node_that_cannot_isolate_is_none_of_plain_processes() -> None:
    refusing = changed(node(), capabilities={"isolation": "refused"})
    with pytest.raises(Conflict) as caught:
        check_settings([refusing], PLAIN)
    assert "runs none as plain processes" in caught.value.text


def test_a_node_without_a_wall_that_has_bubblewrap_uses_it() -> None:
    partial = {"isolation": "partial", "bubblewrap": "0.8.0"}
    check_settings([changed(node(), capabilities=partial)], BY_BUBBLEWRAP)
    with pytest.raises(Conflict):
        check_settings([changed(node(), capabilities=partial)], BY_CELLS)


def test_only_a_node_that_says_so_is_without_isolation() -> None:
    assert is_without_isolation(node(isolation=Isolation.NONE))
    assert not is_without_isolation(node())
    assert not is_without_isolation(NodeRecord(NodeId("n"), Resources()))
