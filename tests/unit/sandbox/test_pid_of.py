"""Whose process a pidfd is."""

from __future__ import annotations

import os
import subprocess

from runink.sandbox.kernel import pid_of


def test_a_pidfd_says_the_number_of_its_process_until_that_is_reaped() -> None:
    child = subprocess.Popen(["sleep", "60"])
    pidfd = os.pidfd_open(child.pid)
    try:
        assert pid_of(pidfd) == child.pid
        child.kill()
        child.wait()
        assert pid_of(pidfd) == -1
    finally:
        os.close(pidfd)
