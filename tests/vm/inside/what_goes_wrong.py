"""Tests that fail and one that is skipped, so that a test outside can see how that is told. No run of all tests finds them."""

from __future__ import annotations

import unittest

import pytest


def test_that_passes() -> None:
    assert True


def test_that_fails() -> None:
    print("said before it failed")  # noqa: T201 - to be found in the report
    kept = "what was found"
    assert kept == "what was expected"


def test_that_is_skipped() -> None:
    raise unittest.SkipTest("it has no network")


@pytest.fixture
def _broken() -> None:
    raise OSError("no such device")


@pytest.mark.usefixtures("_broken")
def test_that_is_never_reached() -> None:
    assert True
