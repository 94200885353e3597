"""Which packages of a lock collide with what slices have loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from runink.environments.lock import parsed_lock
from runink.environments.packages import (
    Conflict,
    Package,
    collisions,
    conflicts,
    installed,
    packages_of,
    refused,
    same_version,
)
from runink.errors import Unavailable

HASH = f"--hash=sha256:{'0' * 64}"
NUMPY = Package("numpy", "1.26.4", ("numpy",))


def test_a_lock_that_pins_another_version_than_is_preloaded_collides():
    lock = parsed_lock(f"six==1 {HASH}\nPyArrow==20.0.0 {HASH}\nnumpy==2.3 {HASH}\n")
    found = collisions(lock, {"pyarrow": "24.0.0", "numpy": "2.3.0", "polars": "1.40"})
    assert found == (Conflict("pyarrow", "20.0.0", "24.0.0"),)


def test_a_pin_for_some_machines_only_is_left_to_what_was_installed():
    lock = parsed_lock(f"numpy==1.26.4 ; python_version < '3.9' {HASH}\n")
    assert collisions(lock, {"numpy": "2.3.0"}) == ()
    assert conflicts([NUMPY], {"numpy"}, {"numpy": "2.3.0"}) == (
        Conflict("numpy", "1.26.4", "2.3.0"),
    )


def test_a_package_that_nothing_has_loaded_is_free():
    assert conflicts([NUMPY], {"pyarrow"}, {"numpy": "2.3.0"}) == ()


def test_the_version_that_is_loaded_is_no_conflict():
    assert conflicts([NUMPY], {"numpy"}, {"numpy": "1.26.4"}) == ()


def test_a_package_with_a_module_of_ours_is_a_conflict():
    thief = Package("thief", "1.0", ("runink", "thief"))
    assert conflicts([thief], {"runink"}, {"runink": "0.1.0"}) == (Conflict("thief", "1.0", ""),)


def test_the_error_names_the_line_and_the_way_out():
    lock = parsed_lock(f"six==1 {HASH}\npyarrow==20 {HASH}\nnumpy==1 {HASH}\n")
    error = refused(collisions(lock, {"pyarrow": "24.0.0", "numpy": "2.0"}), lock)
    assert error.code == "packages_conflict"
    assert "pyarrow is pinned to 20, and slices on this node have 24.0.0 loaded" in error.text
    assert "and so for numpy" in error.text
    assert "pin pyarrow==24.0.0 or leave it out" in error.hint
    assert [one.span.line for one in error.findings if one.span] == [2, 3]


def test_without_a_lock_at_hand_the_error_has_no_line():
    error = refused((Conflict("thief", "1.0", ""),))
    assert error.findings[0].span is None
    assert "leave thief out" in error.hint


def test_versions_are_compared_as_versions():
    assert same_version("1.0", "1.0.0")
    assert same_version("v1.0", "1")
    assert not same_version("2.0.0+cpu", "2.0.0")
    assert not same_version("1.10", "1.1")


def test_what_is_installed_is_read_from_the_names_of_folders(tmp_path: Path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (
        first / "ruamel_yaml-0.18.6.dist-info",
        first / "six",
        second / "ruamel_yaml-0.17.0.dist-info",
        second / "old-1.0-py3.11.egg-info",
    ):
        folder.mkdir(parents=True)
    places = [str(first), str(tmp_path / "library.zip"), str(second)]
    assert installed(places) == {"ruamel-yaml": "0.18.6", "old": "1.0"}


@pytest.mark.parametrize("content", [None, "", "{", '{"packages": [{"name": 1}]}'])
def test_an_environment_that_does_not_say_what_is_in_it_is_told(
    content: str | None, tmp_path: Path
):
    if content is not None:
        (tmp_path / "runink-environment.json").write_text(content)
    with pytest.raises(Unavailable) as caught:
        packages_of(tmp_path)
    assert caught.value.code == "environment_damaged"
