"""What uv says when it fails, as an error for whoever wrote the lock or keeps the node.

    uv says                             it means                                               error
    Hash mismatch                       what is offered is not what was locked                 Invalid       package_hash_mismatch
    no usable wheels                    only its source is there, or files for other machines  Invalid       package_needs_build
    not found, no version of            the index does not have it                             Invalid       package_missing
    you require A and you require B     two versions of one package                            Invalid       packages_unsatisfiable
    Failed to install                   its file is broken, or would replace what is not its   Invalid       package_unusable
    No space left                       the disk is full                                       Unavailable   environment_disk_full
    cannot fetch, cannot connect        no network, or no right                                Unavailable   packages_unreachable
    anything else                                                                              Unavailable   environment_not_made

Its words are for people and may change: what is not known becomes the last row, with uv's own lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from runink.environments import worker
from runink.environments.lock import NAME, Lock, Pin, canonical, masked_address
from runink.errors import Finding, Invalid, RuninkError, Span, Unavailable

SECRET_NAMES: Final = re.compile(r"PASSWORD|TOKEN|SECRET", re.IGNORECASE)
SECRET_LENGTH_MIN: Final = 4  # to hide shorter ones would hide half of every line
LINES_MAX: Final = 30  # of uv's that stand in an error
BUILD_HINT: Final = (
    "only wheels are installed, because to build a package from source runs its code with the rights of the node. Pin a version that has a wheel for this"
    " Python and machine, or build a wheel yourself and offer it in a folder or index (UV_FIND_LINKS, UV_INDEX)"
)
_SPACE: Final = ("No space left", "os error 28", "Disk quota", "os error 122")
_NETWORK: Final = (
    "error sending request",
    "Failed to fetch",
    "network was disabled",
    "dns error",
    "HTTP status",
    "timed out",
    "Connection re",
    "401 ",
    "403 ",
)


class Mask:
    """Takes secrets out of lines: what addresses bear before their host, and what stands in variables that are named for it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        values = [value for name, value in environment.items() if SECRET_NAMES.search(name)]
        for value in environment.values():
            values += re.findall(r"://[^/\s:]*:?([^/\s]*)@", value)
        kept = {value for value in values if len(value) >= SECRET_LENGTH_MIN}
        self._secrets = sorted(kept, key=len, reverse=True)

    def masked(self, line: str) -> str:
        line = masked_address(line)
        for secret in self._secrets:
            line = line.replace(secret, "***")
        return line


def diagnosed(lock: Lock, code: int, lines: Sequence[str]) -> RuninkError:
    """Return the error that a worker's exit code and output stand for. `lines` bear no secrets any more."""
    said = "\n".join(lines)
    if code == worker.EXIT_DISK_FULL or any(word in said for word in _SPACE):
        text = "there is no room on the node's disk for the packages of this run"
        hint = "make room: runi clean removes environments that no run needs any more"
        return Unavailable(text, code="environment_disk_full", hint=hint)
    if code == worker.EXIT_TOO_LARGE:
        text = f"{NAME}: {_last(lines)}"
        return Invalid(text, code="environment_too_large", hint="leave out what no step imports")
    if "Hash mismatch" in said:
        return _mismatched(lock, said)
    if "no usable wheels" in said or "Wheels are required" in said:
        text = "has no wheel for this Python and machine"
        return _about(lock, said, text, "package_needs_build", BUILD_HINT)
    if any(word in said for word in _NETWORK):
        text = f"packages cannot be fetched: {_cause(lines)}"
        hint = "does this node reach its package index? its address and name are the node's settings (UV_DEFAULT_INDEX, or uv.toml)"
        return Unavailable(text, code="packages_unreachable", hint=hint)
    if "was not found in" in said or "there is no version of" in said:
        hint = f"make the lock anew with the index that this node has, or mend its name or version in {NAME}"
        return _about(lock, said, "is not in the package index", "package_missing", hint)
    if "requirements are unsatisfiable" in said:
        hint = "make the lock anew: uv pip compile finds versions that go together"
        return _about(lock, said, "cannot be had as pinned", "packages_unsatisfiable", hint)
    if "Failed to install" in said:
        hint = "pin another version of it, or have its maker mend it"
        return _about(lock, said, f"cannot be installed: {_cause(lines)}", "package_unusable", hint)
    told = "\n".join(lines[-LINES_MAX:])
    text = f"the packages of {NAME} could not be installed\n{told}"
    return Unavailable(text, code="environment_not_made", hint="see uv's lines in runi logs")


def _mismatched(lock: Lock, said: str) -> Invalid:
    computed = said.partition("Computed:")[2].split()
    found = f"; what is offered has {computed[0]}" if computed else ""
    hint = "if the file was exchanged, find out why before you make the lock anew"
    text = f"is not the file that was locked{found}"
    return _about(lock, said, text, "package_hash_mismatch", hint)


def _about(lock: Lock, said: str, text: str, code: str, hint: str) -> Invalid:
    """Return an error about the packages that uv names, or about all of the lock where it names none of it."""
    pins = list(_named(lock, said))
    findings = tuple(
        Finding("P003", f"{pin.name} {pin.version} {text}", Span(NAME, pin.line, 1), hint)
        for pin in pins
    )
    if not pins:
        return Invalid(f"{NAME}: a package {text}\n{said}", code=code, hint=hint)
    first = pins[0]
    told = f"{NAME}, line {first.line}: {first.name} {first.version} {text}"
    return Invalid(told, findings=findings, code=code, hint=hint)


def _named(lock: Lock, said: str) -> Iterable[Pin]:
    named = {
        (canonical(name), version)
        for name, version in re.findall(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.!+_-]+)", said)
    }
    return (pin for pin in lock.pins if (pin.name, pin.version) in named)


def _cause(lines: Sequence[str]) -> str:
    """Return the first line of uv's error and its last cause."""
    errors = [line.strip() for line in lines if line.lstrip().startswith(("error:", "cause:"))]
    told = dict.fromkeys(
        one.removeprefix("error:").removeprefix("cause:").strip() for one in errors
    )
    return ": ".join([*told][:1] + [*told][1:][-1:]) or _last(lines)


def _last(lines: Sequence[str]) -> str:
    return lines[-1].removeprefix("error:").strip() if lines else "uv said nothing"
