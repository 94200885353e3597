"""The server on a process's own standard input and output."""

from __future__ import annotations

import os
import sys
from typing import Final

from runink.lsp.answers import answer_all
from runink.lsp.server import made

SWITCH_S: Final = 0.001  # how long a thread that compiles may keep a question waiting for Python: a fifth of what is usual


def serve() -> int:
    """Speak on standard input and output until the editor ends it or is gone; return the exit code that the protocol demands."""
    sys.setswitchinterval(SWITCH_S)
    server = made()
    answer_all(server)
    # The editor's line is put aside: whatever else writes to standard output must not end up in the middle of a message.
    editor = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    server.start_io(stdout=editor)
    return server.exit_code
