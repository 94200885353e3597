"""Throw texts by chance at the parsers of people's texts: pipeline files, their formatting, expressions.

    python scripts/fuzz_dsl.py --inputs 1000000 --seed 1
    python scripts/fuzz_dsl.py --atheris -runs=500000 -max_len=400 -timeout=5

A text gives a tree or findings, each at a place that is there, within SECONDS_MAX, and never anything else; a file that can be formatted is formatted once and for all and says the same.
What fails is printed as a Python literal, and belongs into a test.

The first way damages texts of `runink.testing.pipeline_texts`, and those of its own that made a parser say something new: it keeps a text whose findings no other has had.
The second is guided by which branches are taken; it needs the package atheris, which nothing else does.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
import time
from collections.abc import Iterator
from random import Random
from types import FrameType, FunctionType

from runink.dsl.diagnostics import Findings, rendered
from runink.dsl.formatting import formatted
from runink.dsl.outlines import expanded
from runink.dsl.parser import parsed
from runink.errors import Finding
from runink.expressions.parsing import parse
from runink.testing.pipeline_texts import SPLINTERS, annotation_text, damaged_text, whole_text

SECONDS_MAX = 5  # an input is some hundred characters
KEPT_MAX = 5_000  # texts that said something new
EXPRESSIONS = (
    "dep_delay > 15 && (carrier in ['UA', 'DL'] || !cancelled) && distance / air_time >= 5.5",
    "size(name) > 3 ? lower(name) : coalesce(a, 'x') + \"y\"",
    "record.x == null || has(record.y) && matches(z, '^a+b?$')",
    "timestamp('2013-01-01T00:00:00Z') + duration('1h') < now - -1.5e3 % 2",
    "null_ratio(a) <= 0.1 && freshness < duration('1h')",
)
PIECES = (
    "&&", "||", "!", "==", "!=", "<=", "in", "[", "]", "(", ")", "'", '"', "\\", ",", ".", "?", ":", "+", "-", "*", "/", "%", "a", "record.", "1e999",
    "null", "true", "has(", "size(", "matches(a, '(a+)+$')", "(((((((((", "!!!!!!!!", "--------", "[[[[[", "\n", "\x00", "é", "\u201c", "99999999999999999999",
    "timestamp('", "duration('1h')", "r'", "'''", "//", "#", "{", "}", "0x1", "1u", "b'x'",
)  # fmt: skip


def check_findings(text: str, found: tuple[Finding, ...]) -> set[str]:
    """Check that findings can be shown and are at places that are there; return what they say, without names."""
    lines = text.split("\n")
    for finding in found:
        span = finding.span
        if span is not None:
            assert 1 <= span.line <= len(lines), finding
            assert 1 <= span.column <= len(lines[span.line - 1]) + 1, finding
            assert span.length >= 1, finding
    assert rendered(found) or not found
    return {f"{one.code} {re.sub(r'[^a-z ]+', '', one.hint)[:40]}" for one in found}


def check_file(text: str) -> set[str]:
    """Read a file, make its outlines plain, and format it."""
    findings = Findings("x.dsl", text)
    document = parsed(text, findings)
    is_read = not findings.told()
    expanded(document, findings)
    said = check_findings(text, findings.told())
    if is_read:
        made = formatted(text, "x.dsl")
        assert formatted(made, "x.dsl") == made, "formatting twice gives something else"
    return said


def check_expression(text: str) -> set[str]:
    """Read an expression."""
    found = parse(text)
    mistakes = getattr(found, "mistakes", ())
    for mistake in mistakes:
        assert 0 <= mistake.at <= len(text), mistake
    return {f"{one.code} {re.sub(r'[^a-z ]+', '', one.text)[:40]}" for one in mistakes}


def check(text: str, *, is_expression: bool) -> set[str]:
    return check_expression(text) if is_expression else check_file(text)


def damaged(text: str, chance: Random, pieces: tuple[str, ...]) -> str:
    for _ in range(chance.randint(1, 3)):
        at = chance.randint(0, len(text))
        cut = chance.choice((0, 0, 1, 2, 8))
        put = (
            chance.choice(pieces) if chance.randrange(4) else text[at : at + chance.randint(1, 20)]
        )
        text = text[:at] + put + text[at + cut :]
    return text[:2_000]


def _drawn(chance: Random, kept: list[tuple[bool, str]]) -> tuple[bool, str]:
    kind = chance.randrange(10)
    if kind < 3 and kept:
        is_expression, text = chance.choice(kept)
        return is_expression, damaged(text, chance, PIECES if is_expression else SPLINTERS)
    if kind < 6:
        return True, damaged(chance.choice(EXPRESSIONS), chance, PIECES)
    if kind < 9:
        return False, damaged(annotation_text(chance), chance, SPLINTERS)
    return False, chance.choice((damaged_text, whole_text))(chance)


def _hangs(_: int, __: FrameType | None) -> None:
    raise TimeoutError(f"longer than {SECONDS_MAX} s")


def by_chance(inputs: int, seed: int, seconds: float) -> int:
    """Try texts until there are enough of them or time is over; return how many failed."""
    chance = Random(seed)
    signal.signal(signal.SIGPROF, _hangs)
    kept: list[tuple[bool, str]] = []
    known: set[str] = set()
    failed = done = 0
    began = time.monotonic()
    while done < inputs and time.monotonic() - began < seconds:
        is_expression, text = _drawn(chance, kept)
        done += 1
        # Of the processor, not of the clock: a machine with other work is no hang.
        signal.setitimer(signal.ITIMER_PROF, SECONDS_MAX)
        try:
            said = check(text, is_expression=is_expression)
        except Exception as error:  # noqa: BLE001 - whatever comes out is what is looked for
            failed += 1
            print(f"FAILED {type(error).__name__}: {error!s:.300}\n  {is_expression=} {text!r}")
            continue
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        if said - known and len(kept) < KEPT_MAX:
            known |= said
            kept.append((is_expression, text))
        if done % 50_000 == 0:
            rate = done / (time.monotonic() - began)
            print(
                f"{done:,} inputs, {rate:,.0f} a second, {len(kept)} kept, {failed} failed",
                flush=True,
            )
    print(f"{done:,} inputs, {failed} failed, {len(known)} different things said, seed {seed}")
    return failed


def by_branches(words: list[str]) -> None:
    """Let atheris choose texts by the branches that they take; it ends the process itself."""
    import atheris  # noqa: PLC0415 - only for this

    def one(data: bytes) -> None:
        text = data[1:].decode(errors="replace")
        check(text, is_expression=bool(data[:1] and data[0] % 2))

    for target in _followed():
        atheris.instrument_func(target)
    atheris.Setup([sys.argv[0], *words], one)
    atheris.Fuzz()


def _followed() -> Iterator[FunctionType]:
    """Yield the functions whose branches count: ours.  Those of the standard library would tell nothing and cost most of the time."""
    for name, module in list(sys.modules.items()):
        if not name.startswith(("runink.dsl.", "runink.expressions.")):
            continue
        for value in list(vars(module).values()):
            if getattr(value, "__module__", "") == name:
                held = vars(value).values() if isinstance(value, type) else (value,)
                yield from (one for one in held if isinstance(one, FunctionType))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n", maxsplit=1)[0] if __doc__ else ""
    )
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--atheris", action="store_true", help="the rest is for libFuzzer")
    arguments, rest = parser.parse_known_args()
    if arguments.atheris:
        by_branches(rest)
    return 1 if by_chance(arguments.inputs, arguments.seed, arguments.seconds) else 0


if __name__ == "__main__":
    sys.exit(main())
