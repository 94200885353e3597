"""What Arrow asks of a file that it writes to, beside `write`."""

from __future__ import annotations


class ArrowOutput:
    """A file that is written from its beginning to its end. Closing it only says so; who has more to do then, does it in `close`."""

    closed = False

    def flush(self) -> None:
        """Nothing is held back that could go on."""

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True
