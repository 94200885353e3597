"""The functions of expressions: what each takes, what it gives, and how it may be written.

A function of nothing is nothing, save for `has` and `coalesce`, which are there for it.  Names and meanings are CEL's where CEL has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from runink.expressions.tree import Function
from runink.expressions.typing import INSTANTS, NUMBERS, Sort

TEXT: Final = frozenset({Sort.TEXT})
ANY: Final = frozenset(Sort)


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function takes, argument by argument, and gives. `plain` are the places that take a plain text only, known before any row."""

    takes: tuple[frozenset[Sort], ...]
    gives: Sort
    plain: tuple[int, ...] = ()
    takes_lists: bool = False
    is_method: bool = True


def _of_text(gives: Sort, arguments: int = 1) -> Signature:
    return Signature((TEXT,) * arguments, gives, plain=tuple(range(1, arguments)))


_GETTER: Final = Signature((INSTANTS,), Sort.INT)
SIGNATURES: Final[dict[Function, Signature]] = {
    Function.HAS: Signature((ANY,), Sort.BOOLEAN, takes_lists=True, is_method=False),
    Function.COALESCE: Signature((ANY, ANY), Sort.UNKNOWN, is_method=False),
    Function.SIZE: Signature((TEXT,), Sort.INT, takes_lists=True),
    Function.MATCHES: _of_text(Sort.BOOLEAN, 2),
    Function.STARTS_WITH: _of_text(Sort.BOOLEAN, 2),
    Function.ENDS_WITH: _of_text(Sort.BOOLEAN, 2),
    Function.CONTAINS: _of_text(Sort.BOOLEAN, 2),
    Function.LOWER: _of_text(Sort.TEXT),
    Function.UPPER: _of_text(Sort.TEXT),
    Function.TRIM: _of_text(Sort.TEXT),
    Function.TIMESTAMP: Signature((INSTANTS | TEXT,), Sort.TIME, is_method=False),
    Function.DURATION: Signature((TEXT | {Sort.DURATION},), Sort.DURATION, is_method=False),
    Function.INT: Signature((NUMBERS | TEXT | INSTANTS,), Sort.INT, is_method=False),
    Function.DOUBLE: Signature((NUMBERS | TEXT,), Sort.NUMBER, is_method=False),
    Function.STRING: Signature((TEXT | {Sort.INT, Sort.BOOLEAN},), Sort.TEXT, is_method=False),
    Function.FULL_YEAR: _GETTER,
    Function.MONTH: _GETTER,
    Function.DAY_OF_MONTH: _GETTER,
    Function.DAY_OF_WEEK: _GETTER,
    Function.DAY_OF_YEAR: _GETTER,
    Function.HOURS: _GETTER,
    Function.MINUTES: _GETTER,
    Function.SECONDS: _GETTER,
    Function.MILLISECONDS: _GETTER,
}
ALIASES: Final = {"lowerAscii": Function.LOWER, "upperAscii": Function.UPPER}
BY_NAME: Final = {one.value: one for one in SIGNATURES} | ALIASES
# Other languages' names, and what they are called here.
FOREIGN: Final = {
    "len": "size",
    "length": "size",
    "startswith": "startsWith",
    "starts_with": "startsWith",
    "endswith": "endsWith",
    "ends_with": "endsWith",
    "like": "matches",
    "regexp_matches": "matches",
    "strip": "trim",
    "float": "double",
    "str": "string",
    "ifnull": "coalesce",
    "nvl": "coalesce",
    "is_null": "!has(x)",
    "isnull": "!has(x)",
    "datetime": "timestamp",
}
