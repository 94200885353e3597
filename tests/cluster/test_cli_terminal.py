"""`runi run` on a terminal, wide and narrow, with and without colour, and on one that can do nothing."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import termios

import pytest
from runi_project import Project


@pytest.fixture
def plain(project: Project) -> Project:
    """A pipeline from one file to another that is there already."""
    project.write("data/in.csv", "a,b\n1,x\n2,\n3,z\n")
    project.write("out/o.csv", "before")
    project.pipeline('@source("csv://data/in.csv")\n@sink("csv://out/o.csv")')
    return project


def on_terminal(project: Project, *words: str, columns: int, **environment: str) -> str:
    """Run a command on a terminal of its own, and return all that it wrote there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    project.environment = {"TERM": "xterm-256color", **environment}
    child = project.popen(*words, stdout=theirs, stderr=theirs)
    os.close(theirs)
    written = b""
    try:
        while select.select([ours], [], [], 60)[0]:
            written += os.read(ours, 1 << 16)
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(ours)
    assert child.wait(timeout=60) == 0, written
    return written.decode()


PLAIN = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.mark.parametrize("columns", [50, 200])
def test_on_a_terminal_a_table_is_redrawn_and_no_line_is_longer_than_it(
    plain: Project, columns: int
):
    written = on_terminal(plain, "run", "features/p.dsl", "-q", columns=columns)
    assert "succeeded in" in written
    drawn = on_terminal(plain, "run", "features/p.dsl", columns=columns)
    assert "\x1b[2K" in drawn, "it is redrawn"
    lines = PLAIN.sub("", drawn).replace("\r", "\n").split("\n")
    long = [line for line in lines if len(line) > columns and not line.startswith("note: ")]
    assert long == []
    assert "3 in" in drawn


def test_without_colour_there_is_none(plain: Project):
    drawn = on_terminal(plain, "run", "features/p.dsl", columns=120, NO_COLOR="1")
    assert not re.search(r"\x1b\[(?:\d+;)*3\dm", drawn)


def test_a_terminal_that_cannot_redraw_gets_lines(plain: Project):
    drawn = on_terminal(plain, "run", "features/p.dsl", columns=120, TERM="dumb")
    assert "\x1b" not in drawn
    assert "one: 3 rows in, 3 out\r\n" in drawn
