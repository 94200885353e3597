"""The spawner's side of slices that bubblewrap closes off: what it asks for cells, where there is no fork server, and what it knows of bubblewrap's own process.

A launch is a clone of the spawner itself (`bubblewrap_launcher.py`), its own child: bubblewrap ends when its parent does, and a fork server may.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Final

from runink.sandbox.arguments import INTERPRETER_OPTIONS, listed
from runink.sandbox.bubblewrap_launcher import Inside, Plan, Program, be_launcher
from runink.sandbox.inner_protocol import Fork, Forked, Unforked
from runink.sandbox.isolation import prepared_seals
from runink.sandbox.kernel import ALL_SIGNALS, NO_SIGNALS, mask
from runink.sandbox.log import describe
from runink.sandbox.namespaces import Child, cloned_untold
from runink.sandbox.network import within
from runink.sandbox.nursery import Loaded, Nursery
from runink.sandbox.protocol import ForkServerReady
from runink.sandbox.syscalls import CLONE_INTO_CGROUP, CLONE_NEWNS, CLONE_NEWUSER

MODULE: Final = "runink.sandbox.bubblewrap_inside"


class BubblewrapNursery(Nursery):
    """In the place of a fork server: always there, and with nothing loaded. `has_ranges` says that herds have ids of their own."""

    def __init__(self, program: Program, wanted: Loaded, network: str, *, has_ranges: bool) -> None:
        super().__init__(wanted, network)
        self._program = program
        seals = prepared_seals(network.partition(" ")[0])
        self._seals = seals._replace(has_groups=has_ranges)
        self._told: list[tuple[Forked | Unforked, list[int]]] = []
        self.ready = ForkServerReady(os.getpid(), [], [], 0, "")

    @property
    def is_ready(self) -> bool:
        return True

    def due_s(self) -> None:
        """Return that nothing is to be started."""

    def has_tried(self, module: str) -> bool:  # noqa: ARG002 - whichever it is
        """Say that nothing is waited for: each slice loads by itself what it needs."""
        return True

    def ask(self, fork: Fork, handed: Sequence[int]) -> bool:
        """Clone a launcher for the cell. What came of it is `told`. Raises OSError."""
        complaints, theirs = os.pipe()
        try:
            child = self._cloned(fork, handed, theirs)
        except OSError as error:
            os.close(complaints)
            self._told.append((Unforked(fork.cell, describe(error)), []))
        else:
            self._told.append((Forked(fork.cell, child.pid, alone=0), [child.pidfd, complaints]))
        finally:
            os.close(theirs)
        return True

    def told(self) -> list[tuple[Forked | Unforked, list[int]]]:
        """Return what has come of the cells that were asked for."""
        told, self._told = self._told, []
        return told

    def _cloned(self, fork: Fork, handed: Sequence[int], complaints: int) -> Child:
        plan = self._plan(fork, handed, complaints)
        flags, group = CLONE_NEWUSER | CLONE_NEWNS, 0
        if fork.born_in:
            flags, group = flags | CLONE_INTO_CGROUP, handed[1 + fork.doors]
        place = within(self.namespace) if self.namespace >= 0 else contextlib.nullcontext()
        mask(ALL_SIGNALS)  # until the clone is another program, and from there on
        try:
            with place:
                child = cloned_untold(flags, cgroup=group)
                if not child.pid:
                    be_launcher(plan)
            return child
        finally:
            mask(NO_SIGNALS)

    def _plan(self, fork: Fork, handed: Sequence[int], complaints: int) -> Plan:
        link, *rest = handed
        seals, loaded = self._seals, self._wanted
        return Plan(
            fork,
            link,
            doors=rest[: fork.doors],
            trees=rest[fork.doors + fork.born_in :],
            complaints=complaints,
            program=self._program,
            limits=loaded.limits,
            seals=seals,
            inside=Inside(
                loaded.entry,
                listed(loaded.path, separator=os.pathsep),
                folder=fork.folder,
                writable=fork.writable,
                network=seals.network,
                landlock=seals.landlock,
                is_filtered=seals.filter is not None,
                has_ranges=seals.has_groups,
                version=self._program.version,
                end_at=loaded.end_at,
            ),
            words=[sys.executable, *INTERPRETER_OPTIONS, "-m", MODULE],
            end_at=loaded.end_at,
        )
