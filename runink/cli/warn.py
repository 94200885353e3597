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


def warn_on_stderr(*, is_daemon: bool = False) -> None:
    """Have warnings shown; called again it changes nothing. A daemon shows errors that it gets over; a command tells the one that it ends with."""
    log = logging.getLogger("runink")
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setLevel(logging.WARNING)
        handler.setFormatter(_Fields())
        if not is_daemon:
            handler.addFilter(lambda record: not _is_known(record))
        log.addHandler(handler)
        log.propagate = False


def _is_known(record: logging.LogRecord) -> bool:
    """Say whether it is about an error that the machine or a person has caused, not one of ours."""
    is_bug = record.exc_info and not isinstance(record.exc_info[1], OSError)
    return hasattr(record, "error") and not is_bug
