"""What a person is shown of an exception: the lines of their own files, and what was raised.

Frames of Runink, of Arrow and of the engines say nothing to whoever wrote the step or the contract, so only frames of files in the bundle are
kept, with paths relative to it.  If none is (the file raised nothing itself), the exception's own line is all there is.
"""

from __future__ import annotations

import traceback
from itertools import groupby
from pathlib import Path
from typing import Final

from runink.errors import encodable

LINES_MAX: Final = 60  # a longer traceback is recursion or a chain that nobody reads to its end
REPEATS_SHOWN_MAX: Final = 3  # of one line that calls itself
MESSAGE_CHARACTERS_MAX: Final = 2_000  # some libraries put whole tables into their messages


def own_lines(error: BaseException, bundle: Path) -> tuple[str, ...]:
    """Return the lines to show for `error`, oldest call first, causes before what they caused."""
    lines: list[str] = []
    for link in _causes(error):
        lines += _frames(link, bundle)
        lines += described(link).splitlines()
    if len(lines) > LINES_MAX:
        half = LINES_MAX // 2
        left_out = f"  … {len(lines) - LINES_MAX} lines left out"
        lines = [*lines[:half], left_out, *lines[-half:]]
    return tuple(lines)


def import_hint(error: BaseException, bundle: Path) -> str:
    """Say how to mend an import of a module that there is not; nothing for any other error."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return ""
    near = next(bundle.glob(f"*/{error.name}.py"), None) if error.name.isidentifier() else None
    if near is not None:
        return f"modules are named from the project's root: from {near.parent.name} import {error.name}"
    return f"add the package that has {error.name!r} to requirements.lock, install it beside Runink, or mend its name"


def described(error: BaseException) -> str:
    """Say what was raised, as Python does: `ValueError: no such month`, or `ValueError` alone."""
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ not in {"builtins", "__main__"}:
        name = f"{kind.__module__}.{name}"
    # What cannot be written as UTF-8 (a file name's stray byte) would keep the whole report from being sent.
    message = str(error).encode("utf-8", "backslashreplace").decode()
    if len(message) > MESSAGE_CHARACTERS_MAX:
        message = f"{message[:MESSAGE_CHARACTERS_MAX]} …"
    return encodable(f"{name}: {message}") if message else name


def _causes(error: BaseException) -> list[BaseException]:
    """List the exceptions that led to `error`, the first cause first; a circle (possible by assignment) ends the list."""
    chain = [error]
    while True:
        last = chain[-1]
        earlier = last.__cause__ or (None if last.__suppress_context__ else last.__context__)
        if earlier is None or earlier in chain:
            return chain[::-1]
        chain.append(earlier)


def _frames(error: BaseException, bundle: Path) -> list[str]:
    lines: list[str] = []
    frames = traceback.extract_tb(error.__traceback__)
    for (filename, lineno, name), same in groupby(frames, _place):
        file = _inside(filename, bundle)
        if file is None:
            continue
        repeats = list(same)
        for frame in repeats[:REPEATS_SHOWN_MAX]:
            lines.append(f'  File "{file}", line {lineno}, in {name}')
            if frame.line:
                lines.append(f"    {frame.line}")
        if len(repeats) > REPEATS_SHOWN_MAX:
            lines.append(f"  … the same {len(repeats) - REPEATS_SHOWN_MAX} times more")
    if isinstance(error, SyntaxError) and error.filename:
        file = _inside(error.filename, bundle) or error.filename
        lines.append(f'  File "{file}", line {error.lineno}')
        if error.text:
            lines.append(f"    {error.text.strip()}")
    return lines


def _place(frame: traceback.FrameSummary) -> tuple[str, int | None, str]:
    return frame.filename, frame.lineno, frame.name


def _inside(filename: str, bundle: Path) -> str | None:
    path = Path(filename)
    for root in (bundle, bundle.resolve()):
        if path.is_relative_to(root):
            return str(path.relative_to(root))
    return None
