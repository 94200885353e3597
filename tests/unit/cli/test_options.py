"""Options as they are read, and which project a command is about."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from runink.cli.options import parameters_of, project_here, seconds_in, state_folder
from runink.errors import Invalid


def test_parameters_are_names_and_values_and_a_value_may_hold_anything():
    assert parameters_of(("a=1", "b=x=y", "c=", "a=1")) == {"a": "1", "b": "x=y", "c": ""}


@pytest.mark.parametrize("pair", ["", "a", "=1"])
def test_what_is_no_parameter_is_refused(pair: str):
    with pytest.raises(click.BadParameter, match="not NAME=VALUE"):
        parameters_of((pair,))


def test_two_values_of_one_parameter_are_refused():
    with pytest.raises(click.BadParameter, match="a is given twice"):
        parameters_of(("a=1", "a=2"))


def test_a_timeout_is_a_duration():
    assert seconds_in("30m") == 1800
    assert seconds_in("250ms") == 0.25
    assert seconds_in(None) == 0


@pytest.mark.parametrize("text", ["soon", "", "0s", "-1s", "5"])
def test_what_is_no_timeout_is_refused(text: str):
    with pytest.raises(click.BadParameter):
        seconds_in(text)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project/below/deep"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def test_a_project_is_found_by_its_mark(here: Path):
    (here.parents[1] / "runink.toml").touch()
    (here.parents[1] / ".runink").mkdir()
    assert project_here() == here.parents[1]


def test_a_project_without_a_mark_is_found_by_its_state(here: Path):
    (here.parents[1] / ".runink").mkdir()
    assert project_here() == here.parents[1]


def test_a_project_of_its_own_is_not_the_one_above(here: Path):
    (here.parents[1] / ".runink").mkdir()
    (here / "features").mkdir()
    assert project_here() == here


def test_where_nothing_is_the_project_is_here(here: Path):
    assert project_here() == here


def test_the_state_is_in_the_project_or_where_it_is_said_to_be(tmp_path: Path):
    assert state_folder(None, tmp_path) == tmp_path / ".runink"
    assert state_folder(Path("/elsewhere"), tmp_path) == Path("/elsewhere")
    assert state_folder(Path("relative"), tmp_path).is_absolute()


def test_a_state_that_is_a_file_is_refused(tmp_path: Path):
    (tmp_path / ".runink").touch()
    with pytest.raises(Invalid, match="is no folder"):
        state_folder(None, tmp_path)
