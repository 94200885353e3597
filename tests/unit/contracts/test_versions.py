"""The order of semantic versions, and which one follows."""

from __future__ import annotations

import pytest
from runink.contracts.changes import Bump
from runink.contracts.versions import bumped, is_enough, is_within, version_of
from runink.errors import Invalid


def test_versions_are_ordered_as_semver_says():
    pre = ["alpha", "alpha.1", "alpha.beta", "beta.2", "beta.11", "rc.1"]
    ordered = [*(f"1.0.0-{one}" for one in pre), "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0"]
    assert sorted(set(ordered), key=version_of) == ordered


@pytest.mark.parametrize(
    ("version", "bump", "next_"),
    [
        ("1.2.3", Bump.MAJOR, "2.0.0"),
        ("1.2.3", Bump.MINOR, "1.3.0"),
        ("1.2.3", Bump.PATCH, "1.2.4"),
        ("1.2.3", Bump.NONE, "1.2.3"),
        ("0.2.3", Bump.MAJOR, "0.3.0"),
        ("0.2.3", Bump.MINOR, "0.2.4"),
        ("0.2.3", Bump.PATCH, "0.2.4"),
        ("2.0.0-rc.1", Bump.MAJOR, "2.0.0"),
        ("2.0.0-rc.1", Bump.PATCH, "2.0.0"),
        ("2.1.0-rc.1", Bump.MAJOR, "3.0.0"),
        ("2.1.0-rc.1", Bump.MINOR, "2.1.0"),
        ("2.1.1-rc.1", Bump.MINOR, "2.2.0"),
    ],
)
def test_a_version_is_followed_by_the_next(version, bump, next_):
    assert bumped(version, bump) == next_


def test_a_version_has_gone_up_enough_or_not():
    assert is_enough("1.2.3", "2.0.0", Bump.MAJOR)
    assert is_enough("1.2.3", "2.0.0-rc.1", Bump.MAJOR)
    assert is_enough("1.2.3", "1.5.0", Bump.MINOR)
    assert not is_enough("1.2.3", "1.9.0", Bump.MAJOR)
    assert not is_enough("1.2.3", "1.2.3", Bump.PATCH)
    assert is_enough("1.2.3", "1.2.3", Bump.NONE)


@pytest.mark.parametrize("text", ["1", "1.2", "01.2.3", "1.2.3.4", "v1.2.3", "", "1.2.3-", "x"])
def test_what_is_no_version_is_told(text):
    with pytest.raises(Invalid, match=r"is not like 1\.0\.0"):
        version_of(text)


def test_a_part_of_a_version_is_a_wish():
    assert is_within("1.2.3", "1")
    assert is_within("1.2.3", "1.2")
    assert is_within("1.2.3", "1.2.3")
    assert not is_within("1.2.3", "1.3")
    assert not is_within("10.2.3", "1")
    assert is_within("1.2.3", "one") is None
