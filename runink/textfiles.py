"""The text files that people write: read whole, with the place of what is no text, and written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from runink.dsl.diagnostics import LINE_KEPT_MAX
from runink.errors import Finding, Invalid, NotFound, Span
from runink.suggestions import near

FILE_BYTES_MAX: Final = 1 << 20  # of any text that people write


def read_text(file: Path, shown: str) -> str:
    """Return a file's text. Raises NotFound, or Invalid with the place for what is no text."""
    try:
        size_bytes = file.stat().st_size
        if size_bytes > FILE_BYTES_MAX:
            raise _unreadable(
                f"{shown} is larger than {FILE_BYTES_MAX >> 20} MiB", "is it code, or data?"
            )
        content = file.read_bytes()
    except FileNotFoundError:
        raise NotFound(
            f"there is no file {shown}", code="file_not_found", hint=_near(file)
        ) from None
    except IsADirectoryError:
        hint = f"name a file in it: {next((str(one) for one in sorted(file.glob('*.dsl'))), shown + '/x.dsl')}"
        raise _unreadable(f"{shown} is a folder", hint) from None
    except OSError as error:
        raise _unreadable(f"{shown} cannot be read: {error.strerror or error}", "") from None
    return decoded(content, shown)


def decoded(content: bytes, shown: str) -> str:
    """Return bytes as text. Raises Invalid with the place of what is not UTF-8, and for more than FILE_BYTES_MAX."""
    if len(content) > FILE_BYTES_MAX:
        raise _unreadable(
            f"{shown} is larger than {FILE_BYTES_MAX >> 20} MiB", "is it code, or data?"
        )
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise _undecodable(content, error, shown) from None


def replace_text(path: Path, text: str) -> None:
    """Put a text into a file's place: old or new is there, never half of one. A link keeps pointing to it."""
    real = path.resolve()
    mode = real.stat().st_mode & 0o7777
    aside = real.with_name(f".{real.name}.{os.getpid()}.new")
    try:
        with aside.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        aside.chmod(mode)
        aside.replace(real)
    finally:
        aside.unlink(missing_ok=True)


def _unreadable(text: str, hint: str) -> Invalid:
    return Invalid(
        text, findings=(Finding("D005", text, None, hint),), code="file_unreadable", hint=hint
    )


def _undecodable(content: bytes, error: UnicodeDecodeError, shown: str) -> Invalid:
    before = content[: error.start]
    line = before.count(b"\n") + 1
    column = len(before.rpartition(b"\n")[2].decode(errors="replace")) + 1
    source_line = content.split(b"\n")[line - 1].decode(errors="replace")[:LINE_KEPT_MAX]
    text = f"byte 0x{content[error.start]:02x} is not UTF-8"
    hint = "save the file as UTF-8"
    finding = Finding("D005", text, Span(shown, line, column), hint, source_line)
    return Invalid(f"{shown} is not UTF-8", findings=(finding,), code="file_unreadable", hint=hint)


def _near(file: Path) -> str:
    try:
        names = [entry.name for entry in file.absolute().parent.iterdir()]
    except OSError:
        return f"there is no folder {file.parent}"
    found = near(file.name, names)
    return found or "paths are relative to the folder you are in"
