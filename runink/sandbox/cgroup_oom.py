"""How one hears that the kernel has ended a process because a group's memory was at its end.

    v1    an eventfd, made known by cgroup.event_control: readable.  It is written before the kernel chooses, and for all groups below the one whose
          limit was reached, so whether this group has lost a process is seen in `oom_kill` of memory.oom_control, a moment later
    v2    memory.events: POLLPRI, also for each time that the limit was reached and memory could be taken back

So a watch is looked at when its descriptor is ready, and again at the time that it names, until it has seen the kill or enough time is over.
"""

from __future__ import annotations

import contextlib
import os
import select
from typing import Final

from runink.sandbox import cgroup_files as files
from runink.sandbox.cgroup_limits import Version

LOOK_AGAIN_S: Final = 0.005
LOOK_FOR_S: Final = 1.0  # the kernel chooses within microseconds; a machine without memory is slow


class OomWatch:
    """Hears of kills in one group. `descriptor` is ready in the sense of `mask` when there is something to look at. Raises OSError."""

    def __init__(self, version: Version, directory: str) -> None:
        assert version is not Version.NONE
        self._is_v1 = version is Version.V1
        self._path = f"{directory}/{'memory.oom_control' if self._is_v1 else 'memory.events'}"
        self.mask = select.POLLIN if self._is_v1 else select.POLLPRI
        self.due_s: float | None = None
        self._until_s = 0.0
        self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        self.descriptor = self._file
        try:
            if self._is_v1:
                self.descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
                announced = f"{self.descriptor} {self._file}"
                files.write(f"{directory}/cgroup.event_control", announced)
            self._kills_before = self.kills()
        except BaseException:
            self.close()
            raise

    def begin_again(self) -> None:
        """Forget what is to be looked at: the group is another cell's, and nobody was ended in it."""
        self.due_s, self._until_s = None, 0.0

    def look(self, *, now_s: float, is_ready: bool) -> bool:
        """Say whether the kernel has ended a process here since the watch began. `due_s` is when to look again, if ever."""
        if is_ready:
            self._until_s = now_s + LOOK_FOR_S
            if self._is_v1:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self.descriptor)
        has_killed = self.kills() > self._kills_before
        is_over = has_killed or now_s >= self._until_s
        self.due_s = None if is_over else now_s + LOOK_AGAIN_S
        return has_killed

    def kills(self) -> int:
        """Return how many processes the kernel has ended here. Raises OSError."""
        # The read also has the kernel note that we know of what was until now.
        try:
            text = os.pread(self._file, files.READ_BYTES, 0).decode()
        except OSError as error:  # ENODEV: the group was removed
            raise OSError(error.errno, error.strerror, self._path) from error
        return files.numbers(text).get("oom_kill", 0)

    def close(self) -> None:
        if self.descriptor != self._file:
            os.close(self.descriptor)
        os.close(self._file)
