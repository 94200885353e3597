"""`@retry`, `@timeout`, `@checkpoint` and the grace of `@requires`: read, and said to a person again."""

from __future__ import annotations

from typing import Final

from runink.dag import Format, Limit
from runink.dsl.arguments import Arguments
from runink.dsl.clauses import CheckpointClause, RetryClause, TimeoutClause
from runink.dsl.later import count_of
from runink.quantities import counted, format_duration, parse_duration
from runink.tries import DELAY_MAX_MS, DELAY_MS, Retry
from runink.wants import GRACE_MS_MAX

TIME_MS_MAX: Final = 366 * 24 * 3_600_000  # of what a launch may be allowed
WAIT_MS_MAX: Final = 24 * 3_600_000  # a run that waits longer belongs to a schedule
_KEPT_AS: Final = {one.value: "" for one in (Format.ARROW, Format.PARQUET)}


def retry_clause(arguments: Arguments) -> RetryClause | None:
    """Return what a `@retry` says, or nothing where something of it is wrong, which has been told then."""
    times = count_of(arguments, "times")
    delay_ms = arguments.quantity("delay", parse_duration) or DELAY_MS
    longest_ms = arguments.quantity("delay_max", parse_duration) or max(DELAY_MAX_MS, delay_ms)
    for name, wait_ms in (("delay", delay_ms), ("delay_max", longest_ms)):
        if arguments.has(name) and wait_ms > WAIT_MS_MAX:
            text = f"{name} is {format_duration(WAIT_MS_MAX)} at most"
            arguments.unfit(name, text, "what is tried again a day later is a schedule's")
    if longest_ms < delay_ms and arguments.is_usable:
        text = "delay_max is less than the first delay"
        arguments.unfit("delay_max", text, "the wait begins with delay and doubles up to delay_max")
    if times is None or not arguments.is_usable:
        return None
    return RetryClause(arguments.annotation.span, Retry(times, delay_ms, longest_ms))


def retry_told(retry: Retry) -> str:
    """Say a policy in a few words."""
    first, longest = format_duration(retry.delay_ms), format_duration(retry.delay_max_ms)
    waits = f"after {first}"
    if retry.times > 1 and retry.delay_max_ms > retry.delay_ms:
        waits = f"{waits}, then twice as long each time up to {longest}"
    return f"tried again {counted(retry.times, 'time')} at most, {waits}"


def timeout_clause(arguments: Arguments) -> TimeoutClause | None:
    """Return what a `@timeout` says, or nothing where something of it is wrong, which has been told then."""
    after_ms = arguments.quantity("after", parse_duration)
    if after_ms is not None and after_ms > TIME_MS_MAX:
        text = f"after is {format_duration(TIME_MS_MAX)} at most"
        arguments.unfit("after", text, "what has no limit needs no @timeout")
    if after_ms is None or not arguments.is_usable:
        return None
    span = arguments.annotation.span
    return TimeoutClause(span, Limit(after_ms, span.line))


def timeout_told(limit: Limit) -> str:
    """Say a limit of time, and where it stands."""
    return f"{format_duration(limit.amount)}, from @timeout in line {limit.line}"


def grace_of(arguments: Arguments) -> int | None:
    """Return how long a step goes on that is told to give way, milliseconds; nothing where nobody says so."""
    grace_ms = arguments.quantity("grace", parse_duration)
    if grace_ms is not None and grace_ms > GRACE_MS_MAX:
        text = f"grace is {format_duration(GRACE_MS_MAX)} at most"
        arguments.unfit(
            "grace", text, "others wait for it: what takes longer is kept by a @checkpoint"
        )
    return grace_ms


def checkpoint_clause(arguments: Arguments) -> CheckpointClause | None:
    """Return what a `@checkpoint` says, or nothing where something of it is wrong, which has been told then."""
    name = arguments.choice("format", _KEPT_AS)
    if arguments.has("every") and arguments.quantity("every", parse_duration) is not None:
        instead = f"@checkpoint(format={name})" if name else "@checkpoint"
        hint = f"write {instead}: what has an end is kept once, when it is whole; to lose less of a long way, put another one on it"
        arguments.unfit("every", "every is not there yet", hint, code="D012")
    if not arguments.is_usable:
        return None
    return CheckpointClause(arguments.annotation.span, Format(name or Format.ARROW.value))
