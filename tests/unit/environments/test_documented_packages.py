"""docs/packages.md says what is: its lock is one, its codes are raised, its limits are ours."""

from __future__ import annotations

import re
from pathlib import Path

from runink.environments import collecting, lock, making, store

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/packages.md").read_text()


def test_the_lock_that_is_shown_is_one():
    (shown,) = re.findall(r"```\n(six==.*?)```", TEXT, re.DOTALL)
    (pin,) = lock.parsed_lock(shown).pins
    assert (pin.name, pin.version, len(pin.hashes)) == ("six", "1.17.0", 1)


def test_the_codes_that_are_listed_are_raised_and_all_of_them_are_listed():
    listed = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", TEXT.partition("| code |")[2]))
    source = "".join(path.read_text() for path in (ROOT / "runink/environments").glob("*.py"))
    raised = set(re.findall(r'code="([a-z_]+)"', source))
    raised |= set(re.findall(r'"((?:package|packages)_[a-z]+(?:_[a-z]+)*)"', source))
    assert listed - raised == {"step_import_failed"}
    assert raised - listed == set()


def test_the_limits_are_ours():
    assert lock.PACKAGES_MAX == 1000
    assert "At most 1,000 packages, 2 MiB of lock, 8 GiB installed" in TEXT
    assert lock.LOCK_BYTES_MAX == 2 << 20
    assert making.ENVIRONMENT_BYTES_MAX == 8 << 30
    assert "14 days" in TEXT
    assert collecting.UNUSED_S == 14 * 86_400
    assert "more than 20 GiB" in TEXT
    assert collecting.BYTES_MAX == 20 << 30
    assert "within 15 minutes" in TEXT
    assert store.MAKE_S_MAX == 15 * 60
