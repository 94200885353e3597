"""A machine with a kernel of its own: boots Debian's cloud kernel in QEMU, runs tests inside, and tells the outcome of each.

The machine has one disk, no network and no module; its processor is computed (TCG), so /dev/kvm is never opened.  Its first serial
port is the console, its second one carries the reports of `inside/reported_run.py`; both are files here.

It is a `pc`, for its clock.  A `microvm` boots no faster than this one with its small firmware, but there the kernel finds nothing to
measure the processor's counter with: its clock goes in steps of 4 ms, and falls behind when this machine is busy.
"""

from __future__ import annotations

import shlex
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cpio_archive import Archive
from machine_image import ROOT, add_project, made

from run_reports import BrokenOff, Outcome, reported, whole

CONSOLE_LINES_TOLD = 40
COMMAND_LINE = (
    "console=ttyS0 quiet loglevel=1 panic=-1 psi=1 mitigations=off tsc=nowatchdog reboot=t"
)
REPORTS_PORT = "/dev/ttyS1"


@dataclass(frozen=True, slots=True)
class Machine:
    """What a machine is made of. Its memory is for what runs: its files are on its disk."""

    memory_mib: int = 1024
    processors: int = 1
    packages: tuple[str, ...] = ()  # of Debian, beside what every machine has
    distributions: tuple[str, ...] = ()  # of Python, from the virtual environment
    environment: tuple[str, ...] = ()  # NAME=VALUE, of what runs inside


@dataclass(frozen=True, slots=True)
class Run:
    """What came out of a machine: pytest's exit status, every test's outcome, all that the console said, how long it ran."""

    status: int
    outcomes: tuple[Outcome, ...]
    console: str
    duration_s: float


class MachineLost(Exception):
    """A machine did not come to its end; the text says how far it came and what its console said last."""


def run_in(machine: Machine, arguments: Sequence[str], *, within_s: float) -> Run:
    """Boot, run pytest with these arguments in the project's folder, and return what came out.

    Raises CannotMake if something is missing here, and MachineLost if the machine hangs or ends without a whole report.
    """
    parts = made(machine.packages, machine.distributions)
    command = ["env", *machine.environment, *reported(REPORTS_PORT, *arguments)]
    with tempfile.TemporaryDirectory(prefix="runink-vm-") as folder:
        project, console, reports = (
            Path(folder, name) for name in ("project", "console", "reports")
        )
        with project.open("wb") as target, Archive(target) as archive:
            run = f"cd {shlex.quote(str(ROOT))}\n{shlex.join(command)}\n"
            add_project(archive, parts / "busybox", run)
        began_s = time.monotonic()
        end = _boot(_command(machine, parts, project, console, reports), within_s)
        text, said = (
            path.read_text(errors="replace") if path.exists() else "" for path in (reports, console)
        )
        return read_reports(text, said, end, time.monotonic() - began_s)


def _command(
    machine: Machine, parts: Path, project: Path, console: Path, reports: Path
) -> list[str]:
    # Of the disk everybody has the same file: what a machine writes is kept beside it, and goes with it.
    disk = f"if=none,id=root,format=raw,snapshot=on,cache=unsafe,file={parts / 'disk'}"
    return [
        *("setpriv", "--pdeathsig", "KILL"),  # it ends with us, however we end
        *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"),
        *("-machine", "pc", "-bios", "qboot.rom", "-accel", "tcg", "-cpu", "max"),
        *("-m", str(machine.memory_mib), "-smp", str(machine.processors)),
        *("-net", "none", "-no-reboot"),
        *("-drive", disk, "-device", "nvme,drive=root,serial=root"),
        *("-chardev", f"file,id=console,path={console}", "-serial", "chardev:console"),
        *("-chardev", f"file,id=reports,path={reports}", "-serial", "chardev:reports"),
        *("-kernel", str(parts / "kernel"), "-initrd", str(project), "-append", COMMAND_LINE),
    ]


def _boot(command: Sequence[str], within_s: float) -> str:
    """Run a machine to its end; say how it ended."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=within_s
        )
    except subprocess.TimeoutExpired:
        return f"it was killed after {within_s:g} s"
    return f"QEMU ended with {done.returncode} {done.stderr}".rstrip()


def read_reports(text: str, console: str, end: str, duration_s: float) -> Run:
    """Return what the lines of a whole report say. Raises MachineLost if it is not whole."""
    try:
        report = whole(text)
    except BrokenOff as problem:
        tail = "\n".join(console.splitlines()[-CONSOLE_LINES_TOLD:])
        raise MachineLost(f"{end}; {problem}. The console's last lines:\n{tail}") from None
    return Run(report.status, report.outcomes, console, duration_s)
