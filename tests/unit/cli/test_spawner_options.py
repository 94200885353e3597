"""Where a cluster of our own has its spawner from, and which users can be meant."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest
from msgspec.structs import replace
from runink.capabilities import Isolation
from runink.cli.accounts import account_of, place_of
from runink.cli.client import Embedding
from runink.cli.options import SPAWNER, SliceOptions, slices_by_environment
from runink.config import NodeSettings
from runink.dag import Resources
from runink.errors import Invalid, Refused
from runink.node import spawner_place
from runink.sandbox.rights import User
from test_slice_options import asked_for

SETTINGS = NodeSettings(state=Path("/s"), capacity=Resources())
NOBODY = 4_711_000


def test_a_spawner_is_named_by_the_option_or_by_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(SPAWNER, raising=False)
    assert asked_for([]).spawner is None
    assert asked_for(["--spawner", "/run/s"]).spawner == Path("/run/s")
    assert asked_for(["--spawner", "s"]).spawner == Path.cwd() / "s"
    assert asked_for([], **{SPAWNER: "/run/s"}).spawner == Path("/run/s")
    assert slices_by_environment() == SliceOptions()
    monkeypatch.setenv(SPAWNER, "/run/s")
    assert slices_by_environment() == SliceOptions(spawner=Path("/run/s"))
    assert Embedding(Path("/s"), slices=slices_by_environment()).settings.spawner == Path("/run/s")


def test_a_named_spawner_is_found_and_not_started():
    own = spawner_place(SETTINGS)
    assert (own.socket, own.is_service) == (Path("/s/spawner-local.sock"), False)
    named = spawner_place(replace(SETTINGS, spawner=Path("/run/s.sock")))
    assert (named.socket, named.is_service) == (Path("/run/s.sock"), True)
    kept = spawner_place(replace(SETTINGS, spawner=Path("/run/s.sock"), keeper=7))
    assert (kept.is_service, kept.keeper, kept.log) == (False, 7, Path("/run/s.log"))


def test_another_users_spawner_has_no_plain_processes():
    with pytest.raises(Invalid, match="they would have its rights"):
        replace(SETTINGS, spawner=Path("/run/s"), isolation=Isolation.NONE).validate()


def test_each_state_has_a_spawner_of_its_own():
    assert place_of(Path("/a")) != place_of(Path("/b"))
    assert place_of(Path("/a")).is_relative_to("/run/runink")


def test_a_user_is_named_by_name_or_number_with_its_own_group_or_another():
    one = next(one for one in pwd.getpwall() if one.pw_uid and one.pw_gid)
    expected = User(one.pw_uid, one.pw_gid)
    assert account_of(one.pw_name).user == account_of(str(one.pw_uid)).user == expected
    assert account_of(one.pw_name).home == one.pw_dir
    assert account_of(f"{one.pw_name}:{NOBODY}").user == User(one.pw_uid, NOBODY)
    assert account_of(f"{NOBODY}:{NOBODY}").user == User(NOBODY, NOBODY)
    assert account_of(f"{NOBODY}:{NOBODY}").owner == f"{NOBODY}:{NOBODY}"


@pytest.mark.parametrize(
    "text",
    [
        "root",
        "0",
        "0:1",
        "1:0",
        "65534:1",
        "1:65534",
        "no such user",
        "",
        ":1",
        str(NOBODY),
        "1:no such group",
        str(1 << 40),
    ],
)
def test_who_cannot_be_served_is_no_user(text: str):
    with pytest.raises(Refused) as refused:
        account_of(text)
    assert refused.value.code == "usage"
