"""`runi eval`: what an expression says of records on standard input, to try a condition before it stands in a pipeline."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from typing import Any, Final

import click

from runink.cli.contract_reference import contract_of
from runink.cli.options import output_option
from runink.cli.wording import echo_json, harmless
from runink.contracts.fields import ContractSpec
from runink.errors import Finding, Invalid, Refused, Span
from runink.expressions import Expression, evaluate, names_in
from runink.expressions.parsing import parse
from runink.expressions.typing import UNKNOWN, Mistake, Scope
from runink.suggestions import near_or_all

RECORDS_BYTES_MAX: Final = 64 << 20  # of standard input: to try an expression, not to run one
WHERE: Final = "expression"  # what its findings give in place of a file


class Record(dict[str, Any]):
    """A record whose other fields are nothing."""

    def __missing__(self, name: str) -> None:
        return None


@click.command("eval")
@click.argument("expression", metavar="EXPRESSION")
@click.option(
    "--contract",
    "reference",
    metavar="FILE:CLASS",
    help="Type and check the records by a contract, and the expression by its fields.",
)
@output_option
def eval_(expression: str, reference: str | None, output: str) -> None:
    """Print what EXPRESSION says of each record on standard input: a JSON object, several (as in JSON lines), or a list of them.

    An expression without a field needs no record. What a condition keeps is what it says true of. Write -- before an expression that begins with a minus.
    """
    spec = contract_of(reference) if reference is not None else None
    tree = _parsed(expression, spec)
    missing, known, found = set(names_in(tree)), set[str](), []
    for place, record in _records(tree, spec):
        missing -= record.keys()
        known |= record.keys()
        found.append(_evaluated(tree, record, place))
    for name in sorted(missing) if found else ():
        hint = near_or_all(name, sorted(known))
        click.echo(harmless(f"note: no record has {name}, so it is nothing; {hint}"), err=True)
    if output == "json":
        echo_json({"expression": expression, "values": [_json(one) for one in found]})
        return
    for value in found:
        click.echo(harmless(_text(value)))


def _parsed(text: str, spec: ContractSpec | None) -> Expression:
    parsed = parse(text, _scope(spec))
    if parsed.expression is not None:
        return parsed.expression
    findings = tuple(_finding(one, text) for one in parsed.mistakes)
    count = len(findings)
    told = findings[0].text if count == 1 else f"{count} mistakes in the expression"
    raise Invalid(told, findings=findings, code="invalid_expression")


def _scope(spec: ContractSpec | None) -> Scope:
    if spec is None:
        return UNKNOWN
    from runink.contracts.scopes import fields_of  # noqa: PLC0415 - only with a contract

    return fields_of(spec)


def _finding(mistake: Mistake, text: str) -> Finding:
    before = text[: mistake.at]
    line = before.count("\n")
    column = mistake.at - (before.rfind("\n") + 1)
    source_line = text.split("\n")[line]
    length = max(min(mistake.length, len(source_line) - column), 1)
    span = Span(WHERE, line + 1, column + 1, length)
    return Finding(mistake.code, mistake.text, span, mistake.hint, source_line)


def _evaluated(expression: Expression, record: Record, place: int) -> Any:
    try:
        return evaluate(expression, record)
    except Invalid as error:
        text = f"record {place}: {error.text}" if place else error.text
        raise Invalid(text, code=error.code, hint=error.hint) from None


# Records.


def _records(expression: Expression, spec: ContractSpec | None) -> Iterator[tuple[int, Record]]:
    """Yield the records and their numbers, from 1; one empty record, 0, where the expression asks for none."""
    if not names_in(expression):
        yield 0, Record()
        return
    typed = _typing(spec) if spec is not None else lambda value, _place: Record(value)
    for place, value in enumerate(_values(_standard_input()), start=1):
        if not isinstance(value, dict):
            text = f"record {place} is no JSON object: {json.dumps(value)[:40]}"
            raise Invalid(text, code="invalid_record", hint='as in {"carrier": "UA"}')
        yield place, typed(value, place)


def _standard_input() -> str:
    if sys.stdin.isatty():
        hint = "as in: runi eval 'delay > 15' < record.json"
        raise Refused("there is no record on standard input", code="usage", hint=hint)
    given = sys.stdin.buffer.read(RECORDS_BYTES_MAX + 1)
    if len(given) > RECORDS_BYTES_MAX:
        text = f"standard input has more than {RECORDS_BYTES_MAX >> 20} MiB"
        raise Refused(text, code="too_large", hint="filter a file in a pipeline: @sink(…, when …)")
    try:
        return given.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text = f"standard input is not UTF-8: byte {error.start + 1:,}"
        raise Invalid(text, code="invalid_record") from None


def _values(text: str) -> Iterator[Any]:
    """Yield the JSON values that stand one behind the other; of a list those in it."""
    decoder = json.JSONDecoder()
    at = _behind_blanks(text, 0)
    while at < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            told = f"standard input is no JSON: {error.msg} in line {error.lineno}, column {error.colno}"
            raise Invalid(told, code="invalid_record") from None
        except (RecursionError, ValueError) as error:
            told = f"standard input is too deep or has a number that is too long: {error}"
            raise Invalid(told, code="invalid_record") from None
        if "\\u" in text and not _is_text(value):
            told = "standard input holds half of a character, which is no text (\\ud800, say)"
            raise Invalid(told, code="invalid_record")
        yield from value if isinstance(value, list) else [value]
        at = _behind_blanks(text, at)


def _is_text(value: Any) -> bool:
    """Say whether all that is in a value can be stored and sent."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _behind_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _typing(spec: ContractSpec) -> Callable[[dict[str, Any], int], Record]:
    """Return what makes a record of its fields as the contract's check does. It raises Refused for one that is rejected."""
    import pyarrow as pa  # noqa: PLC0415 - only with a contract

    from runink.contracts.plan import compile_plan  # noqa: PLC0415 - as above

    plan = compile_plan(spec)

    def typed(value: dict[str, Any], place: int) -> Record:
        # As in a file of JSON: what is missing is nothing, unless a default stands in for it.
        fields = [field for field in spec.fields if field.name in value or not field.has_default]
        names = ["", *(field.name for field in fields)]  # one column at least, which has the row
        try:
            columns = [pa.nulls(1), *(pa.array([value.get(name)]) for name in names[1:])]
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            text = f"record {place} cannot be read: {error}"
            raise Refused(text, code="invalid_record") from None
        checked = plan.check(pa.record_batch(columns, names))
        if checked.rejected is not None:
            reasons = "; ".join(one["message"] for one in checked.rejected.reasons[0].as_py())
            raise Refused(f"record {place} breaks {spec.name}: {reasons}", code="invalid_record")
        return Record(checked.good.to_pylist()[0])

    return typed


# What comes out.


def _json(value: Any) -> Any:
    match value:
        case datetime() | date() | time():
            return value.isoformat().replace("+00:00", "Z")
        case timedelta():
            return f"{value.total_seconds():.6f}".rstrip("0").rstrip(".") + "s"
        case bytes():
            return value.hex()
        case float() if value - value != 0:
            return "inf" if value > 0 else "-inf"
        case dict():
            return {str(key): _json(one) for key, one in value.items()}
        case list() | tuple():
            return [_json(one) for one in value]
        case _:
            return value


def _text(value: Any) -> str:
    found = _json(value)
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
