"""What a node that stays is told on its command line, and what becomes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from runink.cli.node_options import NodeOptions, node_options
from runink.config import NodeSettings
from runink.errors import Invalid


def settings(*arguments: str) -> NodeSettings:
    """Return what a command with these options would start its node with."""
    found: list[NodeSettings] = []

    @click.command()
    @node_options
    def command(options: NodeOptions) -> None:
        found.append(options.settings(Path("/nowhere")))

    done: Any = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return found[0]


def test_a_node_says_what_it_has_whom_it_takes_what_it_may_see_and_is_near() -> None:
    found = settings(
        "--label", "gpu", "--label", "zone=eu", "--gpus", "2", "--disk", "1Gi",
        "--herd", "a", "--herd", "b", "--herd", "a", "--sees", "s3://lake", "--sees", "crm",
        "--near", "s3://lake", "--near", "s3://bay", "--near", "s3://lake",
    )  # fmt: skip
    assert found.labels == ("gpu", "zone=eu")
    assert (found.gpus, found.disk_bytes) == (2, 1 << 30)
    assert found.herds == ("a", "b")
    assert found.visible == ("crm", "s3://lake")
    assert found.near == ("s3://bay", "s3://lake")
    found.validate()


def test_a_node_that_says_nothing_takes_all_and_offers_what_is_found() -> None:
    found = settings()
    assert (found.gpus, found.disk_bytes, found.herds, found.visible) == (None, None, (), None)
    assert found.near == ()


def test_a_label_with_two_values_is_refused() -> None:
    with pytest.raises(Invalid, match="two values of the label zone"):
        settings("--label", "zone=eu", "--label", "zone=us").validate()


def test_what_is_near_is_a_store_and_not_what_is_in_it() -> None:
    with pytest.raises(Invalid, match="is no store") as refused:
        settings("--near", "s3://lake/flights.csv").validate()
    assert refused.value.hint == "as in s3://lake"


def test_a_herd_that_is_no_name_is_refused() -> None:
    with pytest.raises(Invalid):
        settings("--herd", "no name")
