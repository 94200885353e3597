r"""Expressions of pipelines, text to value: `when "dep_delay > 15 && carrier in ['UA', 'DL']"`, `@assert("rejected <= 10")`.

    or          ||
    and         &&
    comparison  == != < <= > >= in          one, not a chain
    sum         + -
    product     * /
    unary       ! -
    primary     12  1.5  'text'  "text"  true  false  null  name  ( … )        ['a', 'b'] to the right of `in`

The notation is CEL's, of which this is a part; `record.x` is `x`.  The logic is SQL's: what is compared with nothing is nothing, and only what is
true is kept.  So `x == null` is never true, which nobody means: it is refused.

Where the names and their kinds are known, names and operands are checked here, by the same rules that a slice would fail by.
"""

from __future__ import annotations

import re
from typing import Final

from runink.dsl.diagnostics import Findings, near, near_or_all
from runink.dsl.operands import (
    COMPARE,
    FIGURES,
    UNKNOWN,
    Scope,
    Sort,
    Token,
    Typed,
    Wrong,
    check_boolean,
    check_comparable,
    compared,
    fields_of,
    logical,
    negated,
    reckoned,
)
from runink.dsl.syntax import Text
from runink.expressions import Binary, Expression, Items, Literal, Name, Not, Operator

__all__ = ["FIGURES", "UNKNOWN", "Scope", "condition", "fields_of"]


LENGTH_MAX: Final = 2_000  # characters: a longer condition belongs into a step
DEPTH_MAX: Final = 50  # brackets and operators within each other: evaluating goes down as deep
INT_MAX: Final = (1 << 63) - 1


def condition(text: Text, scope: Scope, findings: Findings) -> Expression | None:
    """Return the condition, or nothing if it is none, which `findings` tells."""
    if len(text.value) > LENGTH_MAX:
        findings.add(
            "D060",
            f"a condition has {LENGTH_MAX} characters at most",
            text.span,
            "filter in a step",
        )
        return None
    try:
        return _Parser(text, scope).whole()
    except Wrong as wrong:
        findings.add(wrong.code, wrong.text, text.at(wrong.at, wrong.length), wrong.hint)
        return None


_TOKEN: Final = re.compile(
    r"""
    (?P<blank>\s+)
  | (?P<number>(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?)
  | (?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
  | (?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
  | (?P<operator>\|\||&&|==|!=|<=|>=|[<>+\-*/!()\[\],])
    """,
    re.VERBOSE,
)
_INSTEAD: Final = {
    "=": "equality is ==",
    "&": "write &&",
    "|": "write ||",
    "%": "remainders are not there yet; compute it in a step",
    "?": "a ? b : c is not there yet; decide in a step",
    ".": "names have no parts, but for record.x",
    "'": "this text is never closed",
    '"': "this text is never closed",
    ";": "it is one condition",
}
_PAIRS: Final = {"=<": "write <=", "=>": "write >=", "<>": "write !=", "**": "write a * a"}
_WORDS: Final = {"and": "write &&", "or": "write ||", "not": "write !", "is": "write =="}
_COMPARE_WORDS: Final = (*COMPARE, "in")
_CONSTANTS: Final[dict[str, tuple[bool | None, Sort]]] = {
    "true": (True, Sort.BOOLEAN),
    "false": (False, Sort.BOOLEAN),
    "null": (None, Sort.NOTHING),
}
_ESCAPES: Final = {"n": "\n", "t": "\t", "'": "'", '"': '"', "\\": "\\"}


def _tokens(value: str) -> list[Token]:
    tokens: list[Token] = []
    at = 0
    while at < len(value):
        pair = value[at : at + 2]
        if pair in _PAIRS:
            raise Wrong(f"{pair} means nothing here", Token("", pair, at), hint=_PAIRS[pair])
        match = _TOKEN.match(value, at)
        if match is None:
            raise Wrong(
                f"{value[at]} means nothing here",
                Token("", value[at], at),
                hint=_INSTEAD.get(value[at], ""),
            )
        kind = match.lastgroup
        assert kind is not None
        if kind != "blank":
            tokens.append(Token(kind, match[0], at))
        at = match.end()
    tokens.append(Token("end", "", len(value)))
    return tokens


class _Parser:
    """Goes down the table of the module's docstring, a method a line."""

    def __init__(self, text: Text, scope: Scope) -> None:
        self._tokens = _tokens(text.value)
        self._at = 0
        self._scope = scope
        self._depth = 0

    def whole(self) -> Expression:
        if self._next.kind == "end":
            raise Wrong("the condition is empty", self._next, hint="as in dep_delay > 15")
        found = self._or()
        if self._next.kind != "end":
            token = self._next
            hint = _WORDS.get(token.text.lower(), "join conditions by && or ||")
            raise Wrong(f"{token.text} does not belong here", token, hint=hint)
        if found.sort not in {Sort.BOOLEAN, Sort.UNKNOWN}:
            raise Wrong(
                f"it is {found.sort.value}, not a condition",
                found.token,
                hint="compare it with something: == != < <= > >= in",
                code="D062",
            )
        if _height(found.expression) > DEPTH_MAX:
            raise _too_deep(found.token)
        return found.expression

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._next
        self._at += 1
        return token

    def _is(self, *texts: str) -> bool:
        return self._next.kind in {"operator", "name"} and self._next.text in texts

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise _too_deep(self._next)

    def _or(self) -> Typed:
        self._deeper()
        left = self._and()
        while self._is("||"):
            left = logical(Operator.OR, left, self._take(), self._and())
        self._depth -= 1
        return left

    def _and(self) -> Typed:
        left = self._comparison()
        while self._is("&&"):
            left = logical(Operator.AND, left, self._take(), self._comparison())
        return left

    def _comparison(self) -> Typed:
        left = self._sum()
        if not self._is(*_COMPARE_WORDS):
            return left
        token = self._take()
        found = (
            self._among(left, token) if token.text == "in" else compared(left, token, self._sum())
        )
        if self._is(*_COMPARE_WORDS):
            raise Wrong("comparisons do not chain", self._next, hint="write a < b && b < c")
        return found

    def _sum(self) -> Typed:
        left = self._product()
        while self._is("+", "-"):
            left = reckoned(left, self._take(), self._product())
        return left

    def _product(self) -> Typed:
        left = self._unary()
        while self._is("*", "/"):
            left = reckoned(left, self._take(), self._unary())
        return left

    def _unary(self) -> Typed:
        if not self._is("!", "-"):
            return self._primary()
        token = self._take()
        self._deeper()
        operand = self._unary()
        self._depth -= 1
        if token.text == "!":
            check_boolean(operand)
            return Typed(Not(operand.expression), Sort.BOOLEAN, operand.token)
        return negated(token, operand)

    def _primary(self) -> Typed:
        token = self._take()
        match token.kind:
            case "number":
                return Typed(Literal(_number(token)), Sort.NUMBER, token)
            case "string":
                return Typed(Literal(_string(token)), Sort.TEXT, token)
            case "name":
                return self._name(token)
            case "end":
                raise Wrong("the condition ends too early", self._before_end())
        if token.text == "(":
            found = self._or()
            if not self._is(")"):
                raise Wrong("this ( is never closed", token, hint="put ) where it ends")
            self._take()
            return found
        if token.text == "[":
            raise Wrong(
                "a list stands only to the right of in", token, hint="as in x in ['a', 'b']"
            )
        raise Wrong(f"{token.text} does not belong here", token, hint=_doubled(token))

    def _before_end(self) -> Token:
        return self._tokens[-2] if len(self._tokens) > 1 else self._tokens[-1]

    def _name(self, token: Token) -> Typed:
        if token.text in _CONSTANTS:
            value, sort = _CONSTANTS[token.text]
            return Typed(Literal(value), sort, token)
        if token.text.lower() in _WORDS or token.text == "in":
            raise Wrong(
                f"{token.text} does not belong here", token, hint=_WORDS.get(token.text.lower(), "")
            )
        if self._is("("):
            raise Wrong(
                f"functions are not there yet: {token.text}()", token, hint="compute it in a step"
            )
        name = token.text.removeprefix("record.")
        if "." in name:
            raise Wrong(f"{token.text} is no name", token, hint=_INSTEAD["."])
        return Typed(Name(name), self._sort_of(name, token), token)

    def _sort_of(self, name: str, token: Token) -> Sort:
        scope = self._scope
        if scope.sorts is None:
            return Sort.UNKNOWN
        found = scope.sorts.get(name)
        if found is None:
            whose = f"{scope.whose} has" if scope.whose else "there is"
            hint = near(name, scope.sorts) if scope.whose else near_or_all(name, scope.sorts)
            raise Wrong(
                f"{whose} no {scope.what} {name}",
                token,
                hint=hint or near_or_all("", scope.sorts),
                code="D061",
            )
        return found

    def _among(self, left: Typed, token: Token) -> Typed:
        if not self._is("["):
            raise Wrong(
                "in is followed by a list",
                self._next if self._next.text else token,
                hint="as in x in ['a', 'b']",
            )
        self._take()
        values: list[int | float | str | bool | None] = []
        while not self._is("]"):
            item = self._unary()
            if not isinstance(item.expression, Literal):
                raise Wrong("a list holds plain values", item.token)
            check_comparable(left, item)
            values.append(item.expression.value)
            if not self._is("]"):
                if not self._is(","):
                    raise Wrong("this list is never closed", token, hint="as in x in ['a', 'b']")
                self._take()
        self._take()
        return Typed(
            Binary(Operator.IN, left.expression, Items(tuple(values))), Sort.BOOLEAN, token
        )


def _too_deep(token: Token) -> Wrong:
    hint = "use a list (x in ['a', 'b']), or filter in a step"
    return Wrong(f"more than {DEPTH_MAX} operators within each other", token, hint=hint)


def _height(expression: Expression) -> int:
    """Return how many operators stand within each other; without recursion, because that is what it guards against."""
    highest = 0
    waiting = [(expression, 1)]
    while waiting:
        found, height = waiting.pop()
        highest = max(highest, height)
        if isinstance(found, Binary):
            waiting.extend(((found.left, height + 1), (found.right, height + 1)))
        elif isinstance(found, Not):
            waiting.append((found.operand, height + 1))
    return highest


def _doubled(token: Token) -> str:
    return (
        "something is missing before it"
        if token.text in {")", "]", ","}
        else "a value is missing before it"
    )


def _number(token: Token) -> int | float:
    if token.text.isdigit():
        value = int(token.text)
        if value > INT_MAX:
            raise Wrong("a whole number of more than 64 bits", token)
        return value
    found = float(token.text)
    if found == float("inf"):
        raise Wrong("this number is too large", token)
    return found


def _string(token: Token) -> str:
    return re.sub(
        r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), token.text[1:-1], flags=re.DOTALL
    )
