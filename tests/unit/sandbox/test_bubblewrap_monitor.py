"""What is heard of bubblewrap's own process."""

from __future__ import annotations

import os

from runink.sandbox.bubblewrap_monitor import COMPLAINT_BYTES_MAX, Monitor


def test_what_it_has_said_is_told_and_silence_is_no_wait():
    source, target = os.pipe()
    monitor = Monitor(source)
    assert monitor.complained() == ""
    os.write(target, b"bwrap: no\xff such thing\n")
    assert monitor.complained() == "bwrap: no\ufffd such thing"
    os.write(target, b"x" * (COMPLAINT_BYTES_MAX + 1))
    assert len(monitor.complained()) == COMPLAINT_BYTES_MAX
    os.close(target)
    monitor.complained()
    assert monitor.complained() == "", "at its end, too"
    monitor.close()


def test_a_monitor_that_is_closed_says_nothing_and_may_be_closed_again():
    source, target = os.pipe()
    monitor = Monitor(source)
    os.write(target, b"too late")
    monitor.close()
    monitor.close()
    assert monitor.complained() == ""
    os.close(target)
