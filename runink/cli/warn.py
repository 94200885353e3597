"""What the cluster in this process logs, on standard error: an event and its fields in one line, warnings and worse.

A traceback follows where the program is to blame for it, so that it can be reported; a disk that is full or forbidden has none.
"""

from __future__ import annotations

import logging
from typing import Final

_PLAIN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class _Fields(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(
            f"{name}={value}" for name, value in vars(record).items() if name not in _PLAIN
        )
        line = f"{record.levelname.lower()}: {record.getMessage()} {fields}".rstrip()
        if record.exc_info and not isinstance(record.exc_info[1], OSError):
            line += "\n" + self.formatException(record.exc_info)
        return line


def warn_on_stderr() -> None:
    """Have warnings shown, but not of a known error: the command tells the one that it ends with. Called again it changes nothing."""
    log = logging.getLogger("runink")
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setLevel(logging.WARNING)
        handler.setFormatter(_Fields())
        handler.addFilter(_is_unknown)
        log.addHandler(handler)
        log.propagate = False


def warn_of_known_too() -> None:
    """From here on have warnings of known errors shown as well: a daemon that has begun gets over them."""
    for handler in logging.getLogger("runink").handlers:
        handler.removeFilter(_is_unknown)


def _is_unknown(record: logging.LogRecord) -> bool:
    return not _is_known(record)


def _is_known(record: logging.LogRecord) -> bool:
    """Say whether it is about an error that the machine or a person has caused, not one of ours."""
    is_bug = record.exc_info and not isinstance(record.exc_info[1], OSError)
    return hasattr(record, "error") and not is_bug
