"""Who gets what a sink writes, or reads what is kept: which fields of contracts they see as they are. `views.py` says what becomes of the others.

Two things are asked of a field, and both must let it through:

    the place     may it hold this kind of personal data (`pii=`)? The herd's file says so, by `[[clearances]]`
    the role      does it show personal data of this kind, and is the field for it (`access=`)? Its rules say so, by `fields`

A sink that is for nobody in particular has no role: what is marked `access=` is in it as it came.  Who reads has what all of their roles show together, and no place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from runink.clearances import EVERYTHING
from runink.dsl.carried import Origin, Origins
from runink.identity.roles import Clearances, field_marks

ANY_KIND: Final = frozenset({EVERYTHING})


@dataclass(frozen=True, slots=True)
class Audience:
    """Somebody: `kinds` of personal data that the place may hold, `shown` what the role or the reader is cleared for, nothing for nobody in particular."""

    kinds: frozenset[str]
    shown: Clearances | None = None

    @classmethod
    def reader(cls, shown: Clearances) -> Self:
        """Return who reads what is kept already."""
        return cls(ANY_KIND, shown)

    def may_hold(self, origin: Origin) -> bool:
        """Say whether the place may hold it, whoever looks there."""
        return not origin.pii or origin.pii in self.kinds or EVERYTHING in self.kinds

    def sees(self, origin: Origin) -> bool:
        if not self.may_hold(origin):
            return False
        return self.shown is None or self.shown.shows_field(pii=origin.pii, access=origin.access)

    def lacks(self, origins: Origins) -> Origins:
        """Return those that it does not see."""
        return frozenset(one for one in origins if not self.sees(one))

    def marks(self, origins: Origins) -> tuple[str, ...]:
        """Return the marks by which it sees what it sees of these. Of the roles that a field is for, one is enough."""
        if self.shown is None:
            return ()
        found: set[str] = set()
        for one in origins - self.lacks(origins):
            personal, roles = field_marks(one.pii, one.access)
            found.update([personal] if personal else ())
            found.update(sorted(mark for mark in roles if self.shown.shows(mark))[:1])
        return tuple(sorted(found))
