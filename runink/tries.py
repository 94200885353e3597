"""How often something is tried again, and how long before each try: the value of `@retry`."""

from __future__ import annotations

from typing import Final

import msgspec

DELAY_MS: Final = 500  # before the second try, where nobody says otherwise
DELAY_MAX_MS: Final = 60_000  # a person who watches would give up before


class Retry(msgspec.Struct, frozen=True, omit_defaults=True):
    """After a failure `times` tries more, 0 for none. The wait before them begins with `delay_ms` and doubles up to `delay_max_ms`."""

    times: int
    delay_ms: int = DELAY_MS
    delay_max_ms: int = DELAY_MAX_MS
