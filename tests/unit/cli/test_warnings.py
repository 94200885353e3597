"""What the cluster logs is shown as lines with fields; a traceback only where the program is to blame."""

from __future__ import annotations

import logging

import pytest
from runink.cli.warn import warn_of_known_too, warn_on_stderr

LOG = logging.getLogger("runink.somewhere")


def crash(error: Exception) -> None:
    try:
        raise error
    except type(error) as caught:
        extra = {"address": "barn", "error": repr(caught)}
        LOG.warning("actor crashed", extra=extra, exc_info=caught)


def test_an_event_is_a_line_with_its_fields(capsys: pytest.CaptureFixture[str]):
    warn_on_stderr()
    warn_on_stderr()
    LOG.info("nobody hears this")
    LOG.warning("spawner lost", extra={"node": "local"})
    assert capsys.readouterr().err == "warning: spawner lost node=local\n"


def test_a_mistake_of_ours_has_its_traceback(capsys: pytest.CaptureFixture[str]):
    warn_on_stderr()
    crash(KeyError("ours"))
    said = capsys.readouterr().err
    assert said.startswith("warning: actor crashed address=barn error=KeyError('ours')\nTraceback")


def test_what_a_disk_does_is_told_by_the_command_itself_and_by_a_daemon_in_one_line(
    capsys: pytest.CaptureFixture[str],
):
    warn_on_stderr()
    crash(PermissionError(13, "denied"))
    assert capsys.readouterr().err == ""
    warn_of_known_too()
    crash(PermissionError(13, "denied"))
    assert capsys.readouterr().err.count("\n") == 1
