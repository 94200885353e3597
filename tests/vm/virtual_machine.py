"""A machine with a kernel of its own: boots Debian's cloud kernel in QEMU, runs tests inside, and tells the outcome of each.

The machine has one disk, no network and no module; its processor is computed (TCG), so /dev/kvm is never opened.  Its first serial
port is the console, its second one carries the reports of `inside/reported_run.py`; both are files here.

It is a `pc`, for its clock.  A `microvm` boots no faster than this one with its small firmware, but there the kernel finds nothing to
measure the processor's counter with: its clock goes in steps of 4 ms, and falls behind when this machine is busy.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cpio_archive import Archive
from machine_image import HERE, ROOT, add_project, made

CONSOLE_LINES_TOLD = 40
COMMAND_LINE = (
    "console=ttyS0 quiet loglevel=1 panic=-1 psi=1 mitigations=off tsc=nowatchdog reboot=t"
)
REPORTS_PORT = "/dev/ttyS1"
# By their modules: found by their packages, pytest would compile all of anyio and trio anew, which takes the machine 5 s.
PLUGINS = ("pytest_timeout", "pytest_trio.plugin", "anyio.pytest_plugin")
OPTIONS = (
    *("--color=no", "--quiet", "--disable-plugin-autoload"),
    *(f"-p{module}" for module in PLUGINS),
)


@dataclass(frozen=True, slots=True)
class Machine:
    """What a machine is made of. Its memory is for what runs: its files are on its disk."""

    memory_mib: int = 1024
    processors: int = 1
    packages: tuple[str, ...] = ()  # of Debian, beside what every machine has
    distributions: tuple[str, ...] = ()  # of Python, from the virtual environment
    environment: tuple[str, ...] = ()  # NAME=VALUE, of what runs inside


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one test inside; `text` says why it failed or was skipped."""

    test: str
    outcome: str
    text: str
    duration_s: float

    @property
    def file(self) -> str:
        return self.test.partition("::")[0]


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
    inside = HERE / "inside" / "reported_run.py"
    command = ["env", *machine.environment, f"{sys.prefix}/bin/python", str(inside)]
    command += [REPORTS_PORT, *OPTIONS, *arguments]
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
    lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
    outcomes = tuple(Outcome(**line) for line in lines if "test" in line)
    last = lines[-1] if lines else {}
    if last.get("tests") != len(outcomes):
        tail = "\n".join(console.splitlines()[-CONSOLE_LINES_TOLD:])
        raise MachineLost(f"{end}; {_told_so_far(outcomes)}. The console's last lines:\n{tail}")
    return Run(last["status"], outcomes, console, duration_s)


def _told_so_far(outcomes: tuple[Outcome, ...]) -> str:
    if not outcomes:
        return "no test"
    failed = "".join(f"\n{one.test}\n{one.text}" for one in outcomes if one.outcome == "failed")
    return f"the last of {len(outcomes)} tests: {outcomes[-1].test}{failed}"
