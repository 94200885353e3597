"""Pipeline files by chance: whole ones for laws, fuzzing and measurements, and ways to damage them.

A seed gives a text. Whole texts are right by the grammar; what they mean may be nonsense.
"""

from __future__ import annotations

from random import Random
from typing import Final

_WORDS: Final = ("a", "planes", "x-1", "a.b", "true", "when", "on", "aé1", "_")
_NAMES: Final = ("a", "uri", "as", "when", "on", "x.y", "key-1")
_QUOTED: Final = (
    '""', '"x"', '"csv://a/b.csv"', r'"\"q\" \n \d \\"', '"# no // note"', '"a > 1 && (b"', '"<x>"', '"é𝛑"', '"@a("',
)  # fmt: skip
_LONG: Final = ('""""""', '"""x"""', '"""SELECT 1\n  FROM "a"\n"""', '"""\nScenario: no\n"""')
_NUMBERS: Final = ("0", "-1.5", "1e-9", "512Mi", "250m", "20%", "1.5h")
_GAPS: Final = (
    "",
    "",
    "",
    " ",
    "  ",
    "\t",
    "\n",
    "\n      ",
    " # a note )\n",
    "\n  // note (\n\n    ",
)
_SIGNS: Final = ("=", "=", ":", " = ", "= ", "=\n    ")
_TEXTS: Final = (
    "a sentence", "x # no note", "7 // 8", 'he said "yes"', "a: b", "- x", "<who> goes", "é", "@no", "|", "(sink: x.csv)",
    "{}", "* x", "Scenario: x",
)  # fmt: skip
_ENTRIES: Final = (
    "- plain", "- name: id", '- note: "a" and b', "- [x", "- k: [x", "key: value", "key:", 'k: "v \\" w"',
    'k: [a, "b, c", d e,]', "k: []", "a.b-c: x: y", "last: # kept", "k: 'x'", "k: ]", "k: [ ]",
)  # fmt: skip
_CELLS: Final = ("", "a", "a b", r"a\|b", r"\\", r"\n", "<x>", "é", "a\\")
_DOCS: Final = ("", "x", "  @no(\n\nScenario: no", " | a |", "\t\ttabs\n x", '""')
_STEPS: Final = ("Given", "When", "Then", "And", "But", "Do", "*")
_BLOCKS: Final = ("Metadata", "Assertions", "Properties", "properties", "Then")
_SECTIONS: Final = ("Scenario", "Scenario", "Example", "Scenario Outline", "Rule")
SPLINTERS: Final = (
    *'@()[]",=:\\#|-*<> \t', '"""', "```", "'", "//", "---", "\n", "\r\n", "\r", "\x00", "\x1b", "\x85", "\u2028", "\u201c", "\u201d",
    "\xa0", "\ufeff", "\ufffd", "é", "𝛑", "when", ' when "a > 1"', "@source", "@step(", "Scenario:", "Feature:", "Scenario Outline:",
    "Examples:\n| a |\n", "Rule:", "Background:", "Metadata:\n  a: b\n", "Then:\n", "| a | b |", "- x", "Given", "Given x\n", "1e999", "-1",
    "[[[[[[[[[[[[", "((((((((((", "@a(" * 12, ")" * 12, "k: [", 'k: "', "domain=", "@a(b=", "\n---\n", "  - x\n", "\\|", "${x}", "<x>",
    "${", "$${", "\n\n", "\n@module\n", "@herd",
)  # fmt: skip


def whole_text(chance: Random) -> str:
    """Return a file without mistakes of grammar."""
    return _Texts(chance).file()


def annotation_text(chance: Random) -> str:
    """Return an annotation with whatever arguments."""
    return _Texts(chance).annotation(0)


def damaged_text(chance: Random) -> str:
    """Return a file with some places cut out, doubled or splintered."""
    text = whole_text(chance)
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(text))
        cut = chance.choice((0, 0, 1, 2, 12, 40))
        kind = chance.randrange(4)
        put = "" if kind == 0 else chance.choice(SPLINTERS)
        if kind == 1:
            start = chance.randint(0, len(text))
            put = text[start : start + chance.randint(1, 60)]
        text = text[:at] + put + text[at + cut :]
    return text


class _Texts:
    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._one = chance.choice

    def _often(self, times: int) -> range:
        return range(self._chance.randint(0, times))

    def _is_rare(self, times: int) -> bool:
        return self._chance.randrange(times) == 0

    # Annotations.

    def value(self, depth: int) -> str:
        if depth < 3 and self._is_rare(6):
            inner = [self.value(depth + 1) for _ in self._often(3)]
            comma = self._one(("", ",")) if inner else ""
            between = f",{self._one(_GAPS)}"
            return f"[{self._one(_GAPS)}{between.join(inner)}{comma}{self._one(_GAPS)}]"
        return self._one(self._one((_QUOTED, _QUOTED, _WORDS, _NUMBERS, _LONG)))

    def _argument(self, depth: int) -> str:
        kind = self._chance.randrange(10)
        if kind < 4:
            return self.value(0)
        if kind < 7:
            return f"{self._one(_NAMES)}{self._one(_SIGNS)}{self.value(0)}"
        if kind < 8 and depth < 3:
            return self.annotation(depth + 1)
        clause = self._one(("when", "with", "where", "on"))
        return f"{clause}{self._one(('', ' ', '  '))}{self._one(_QUOTED)}"

    def annotation(self, depth: int) -> str:
        name = self._one(
            ("@source", "@module", "@a", "@x-y", "@step", "@herd", "@retry", "@meta", "@feature")
        )
        if self._is_rare(5):
            return name
        pieces: list[str] = []
        for _ in self._often(4):
            one = self._argument(depth)
            lead, quote, _ = one.partition('"')
            is_clause = bool(quote) and lead.strip() in {"when", "with", "where", "on"}
            is_bare = one.startswith("@") or is_clause
            comma = "" if is_bare and self._is_rare(2) else ","
            pieces.append(f"{comma}{self._one(_GAPS)}      {one}" if pieces else one)
        tail = self._one(("", "", ",")) if pieces else ""
        gaps = [self._one(_GAPS) for _ in range(3)]
        if "\n" in gaps[0]:
            gaps[0] += "      "  # an annotation at the first column would begin a statement
        return f"{name}({gaps[0]}{''.join(pieces)}{gaps[1]}{tail}{gaps[2]})"

    # Lines.

    def _table(self, indent: str) -> list[str]:
        width = self._chance.randint(1, 3)
        gap = self._one(("", " ", "   "))
        rows = [
            [self._one(_CELLS) for _ in range(width)] for _ in range(self._chance.randint(1, 3))
        ]
        return [f"{indent}|{'|'.join(_cell(one, gap) for one in row)}|" for row in rows]

    def _step(self, indent: str) -> list[str]:
        told = [f"{indent}{self._one(_STEPS)} {self._one(_TEXTS)}"]
        below = self._chance.randrange(6)
        if below == 0:
            told += [f"{indent}  - {self._one(_TEXTS)}" for _ in self._often(3)]
        elif below == 1:
            told += self._table(indent + "  ")
        elif below == 2:
            mark = self._one(('"""', "```"))
            inner = self._one(_DOCS)
            middle = [f"{indent}{one}" for one in inner.split("\n")] if inner else []
            told += [
                f"{indent}{mark}{self._one(('', 'json', ' a b '))}",
                *middle,
                f"{indent}{mark}",
            ]
        return told

    def lines(self, indent: str) -> list[str]:
        kind = self._chance.randrange(10)
        if kind < 4:
            found = " ".join(self.annotation(0) for _ in range(self._one((1, 1, 1, 2))))
            return [indent + found + self._one(("", "", "  # note", " // ("))]
        if kind < 7:
            return self._step(indent)
        if kind < 9:
            entries = [
                f"{' ' * self._chance.randint(0, 3)}{self._one(_ENTRIES)}" for _ in self._often(5)
            ]
            return [f"{indent}{self._one(_BLOCKS)}:", *(indent + one for one in entries)]
        return [self._one(("", "   ", f"{indent}# note", f"{indent}// note (", "\t#"))]

    def _section(self, indent: str) -> list[str]:
        word = self._one(_SECTIONS)
        told = [f"{indent}{word}:{self._one(('', ' A title', '  x # y  ', 'x', ' <x>'))}"]
        free = (f"{indent} Free text.", "also: this", "- that", "", "# note", "é")
        told += [self._one(free) for _ in self._often(2)]
        if word == "Rule":
            return told
        inner = indent + self._one(("", "  ", "\t"))
        for _ in self._often(5):
            told += self.lines(inner)
        if word == "Scenario Outline":
            told += [f"{inner}Examples: of it", *self._table(inner + "  ")]
        if self._is_rare(5):
            told += [self._one(("---", "  -----  ")), indent + self.annotation(0)]
        return told

    def file(self) -> str:
        told = [self.annotation(0) for _ in self._often(2)]
        told += self._one(([], ["Feature: F"], ["Feature: F", "  What it is.", "# note"]))
        told += self._one(([], [], ["Background: b", "  Given x", "  @a(1)"], ["---"]))
        indent = self._one(("", "  "))
        for _ in self._often(4):
            told += [self._one(("", "", f"{indent}@module(layer=x)")), *self._section(indent)]
        end = self._one(("\n", "\n", "\r\n"))
        return end.join("\n".join(told).split("\n")) + self._one(("", "\n", "\n\n", "\n# note"))


def _cell(text: str, gap: str) -> str:
    """Return a cell; one that ends with a backslash needs a blank, or it would be a bar's."""
    is_open = (len(text) - len(text.rstrip("\\"))) % 2 == 1
    return f"{gap}{text}{gap or ' ' if is_open else gap}"
