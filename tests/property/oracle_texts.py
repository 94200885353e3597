"""What patterns and forms of text mean, as functions of a text: the oracle gives none to Python's `re`, which reads some otherwise than RE2."""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Callable
from datetime import date
from typing import Any

UPPER, DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
WORD = UPPER + UPPER.lower() + DIGITS + "_"


def only(characters: str, least: int = 0) -> Callable[[str], bool]:
    return lambda text: len(text) >= least and all(one in characters for one in text)


PATTERNS: dict[str, Callable[[str], bool]] = {
    "[A-Z]+": only(UPPER, 1),
    "a|ABC": lambda text: text in ("a", "ABC"),
    ".*": lambda text: "\n" not in text,
    "[^a]?": lambda text: text == "" or (len(text) == 1 and text != "a"),
    r"\d*": only(DIGITS),
    r"\w+": only(WORD, 1),
    r"\s*": only(" \t\n\f\r"),
    r"\S*": lambda text: not any(one in " \t\n\f\r" for one in text),
    "[A-Z]+$": only(UPPER, 1),
    r"(?s).*\z": lambda text: True,
    r"[[:upper:]]{2}": lambda text: len(text) == 2 and only(UPPER)(text),
    r".*\bABC": lambda text: text.endswith("ABC") and "\n" not in text and (len(text) == 3 or text[-4] not in WORD),
}  # fmt: skip


def _parses(parse: Callable[[str], Any]) -> Callable[[str], bool]:
    def is_one(text: str) -> bool:
        try:
            parse(text)
        except ValueError:
            return False
        return text.isascii()

    return is_one


FORMATS: dict[str, Callable[[str], bool]] = {
    "ipv4": _parses(ipaddress.IPv4Address),
    "ipv6": lambda text: "%" not in text and _parses(ipaddress.IPv6Address)(text),
    "uuid": lambda text: (
        [len(part) for part in text.split("-")] == [8, 4, 4, 4, 12] and _parses(uuid.UUID)(text)
    ),
    "date": lambda text: (
        len(text) == 10
        and [at for at, one in enumerate(text) if one == "-"] == [4, 7]
        and _parses(date.fromisoformat)("2000" + text[4:] if text.startswith("0000") else text)
    ),
}
