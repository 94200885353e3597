"""Where records of CSV end, found without looking at each byte in Python.

The rules are Arrow's own (and RFC 4180's, read generously): a quote opens a value only where a value begins, `""` inside it is a
quote, what follows the closing quote belongs to the value, a quote elsewhere is a character like any other. So
counting quotes is not enough (`6" pipe` has one), and regular expressions that never go back walk the text instead:

    without a quote in the block   the last line end                                      31 MB in 1 ms
    otherwise                      1. over all but the end, from quote to quote           31 MB in 20 to 180 ms
                                   2. over the end, record by record

`(?>…)` and `*+` give nothing back once they have matched: the time is linear whatever the text.
"""

from __future__ import annotations

import csv
import io
import re
from typing import Final

from runink.connectors.blocks import RECORD_BYTES_MAX
from runink.errors import Invalid

QUOTE: Final = ord('"')
END_BYTES: Final = (
    64 << 10
)  # looked at record by record: larger than nearly all records, small beside a block


class Records:
    """Finds records of one delimiter. Raises Invalid for a delimiter that can be none."""

    def __init__(self, delimiter: str, *, end_bytes: int = END_BYTES) -> None:
        if len(delimiter.encode()) != 1 or delimiter in '"\r\n\0':
            raise Invalid(
                f"{delimiter!r} cannot separate the values of a CSV file",
                code="source_delimiter",
                hint='one character of ASCII, as in delimiter=";" or delimiter="\\t"',
            )
        # Python's own limit (131,072) would end the walk that is to say what is wrong with a record.
        csv.field_size_limit(max(csv.field_size_limit(), RECORD_BYTES_MAX))
        self.delimiter = delimiter
        self._end_bytes = end_bytes
        before = re.escape(delimiter.encode()) + rb"\r\n"
        quoted = rb'(?<![^%b])"[^"]*+(?>""[^"]*+)*+"' % before
        stray = rb'(?<=[^%b])"' % before
        value = rb"(?>%b|%b)" % (quoted, stray)
        record = rb'[^"\n]*+(?>%b[^"\n]*+)*+' % value
        self._between_quotes = re.compile(rb'(?>[^"]*+%b)*+[^"]*+' % value)
        self._records = re.compile(rb"(?>%b\n)*+" % record)
        self._record = re.compile(rb"%b(?>\n|\Z)" % record)

    def cut(self, buffer: bytearray, end: int) -> int:
        """Return where the last whole record in `buffer[:end]` ends, 0 if there is none."""
        if buffer.find(b'"', 0, end) < 0:
            return buffer.rfind(b"\n", 0, end) + 1
        middle = max(0, end - self._end_bytes)
        while middle and buffer[middle] == QUOTE:
            middle -= 1  # or it might part a doubled quote
        start = _end(self._between_quotes, buffer, 0, middle)
        cut = _end(self._records, buffer, start, end)
        return cut if cut > start else _end(self._records, buffer, 0, end)

    def first_end(self, view: memoryview, start: int = 0) -> int:
        """Return where the record that begins at `start` ends, behind its line end; -1 if a quote in it is never closed."""
        match = self._record.match(view, start)
        return match.end() if match else -1

    def names(self, header: str) -> list[str]:
        """Return the values of a header."""
        return next(csv.reader(io.StringIO(header, newline=""), delimiter=self.delimiter), [])


def _end(pattern: re.Pattern[bytes], buffer: bytearray, start: int, end: int) -> int:
    match = pattern.match(buffer, start, end)
    assert match is not None, "the pattern matches nothing at all, too"
    return match.end()
