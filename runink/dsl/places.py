"""What `@requires` and `@affinity` say of the node, and `@priority` of the run: read from their arguments."""

from __future__ import annotations

import re
from typing import Final

from runink.dsl.arguments import Arguments
from runink.dsl.clauses import AffinityClause
from runink.dsl.later import count_of
from runink.dsl.syntax import Text
from runink.errors import Invalid
from runink.labels import KEY, parsed
from runink.wants import PRIORITY_MAX, STEP

GPUS_MAX: Final = 64  # of one machine; more is a slip
_NAME: Final = re.compile(r"[A-Za-z_][\w-]*")
_SEEN: Final = re.compile(r"[A-Za-z][\w./:+-]*")
_WHOLE: Final = re.compile(r"-?[0-9]{1,9}")


def gpus_of(arguments: Arguments) -> int | None:
    """Return how many graphics processors are asked for."""
    gpus = count_of(arguments, "gpu")
    if gpus is not None and gpus > GPUS_MAX:
        arguments.unfit("gpu", f"no machine has more than {GPUS_MAX} of them", "as in gpu=1")
    return gpus


def labels_of(arguments: Arguments) -> tuple[str, ...] | None:
    """Return what is asked of a node's labels, each in its one spelling."""
    if not arguments.has("label"):
        return None
    found = []
    for text in _readable(arguments, "label"):
        try:
            found.append(str(parsed(text.value)))
        except Invalid as error:
            arguments.unfit("label", error.text, error.hint)
    return tuple(sorted(set(found)))


def names_seen(arguments: Arguments) -> tuple[str, ...] | None:
    """Return the names of secrets and data that a node must be allowed to see."""
    if not arguments.has("sees"):
        return None
    texts = _readable(arguments, "sees")
    for text in texts:
        if _SEEN.fullmatch(text.value) is None:
            hint = "as runi agent --sees names it: letters, digits and ./:+-_, the first a letter"
            arguments.unfit("sees", f"{text.value!r} is no name of a secret or of data", hint)
    return tuple(sorted({text.value for text in texts}))


def affinity_clause(arguments: Arguments) -> AffinityClause:
    """Return what an `@affinity` says."""
    together = _company(arguments, "colocate_with", takes_words=False)
    apart = _company(arguments, "anti", takes_words=True)
    domain = arguments.text("domain")
    if domain is not None and re.fullmatch(KEY, domain.value) is None:
        arguments.unfit(
            "domain", f"{domain.value!r} is no label", "as in domain=zone, or domain=node"
        )
    return AffinityClause(
        arguments.annotation.span,
        labels_of(arguments),
        together,
        apart,
        domain.value if domain is not None else None,
        count_of(arguments, "skew"),
    )


def _company(arguments: Arguments, name: str, *, takes_words: bool) -> tuple[Text, ...] | None:
    """Return the steps that are named, and words of the herd where they may stand."""
    if not arguments.has(name):
        return None
    texts = _readable(arguments, name)
    for text in texts:
        is_step = text.value.startswith(STEP)
        is_word = takes_words and _NAME.fullmatch(text.value) is not None
        if not (is_step or is_word):
            hint = f'as in {name}="step:clean"'
            hint += ", or a word that others say, too" if takes_words else ""
            arguments.unfit(name, f"{text.value!r} names no step", hint)
    return texts


def _readable(arguments: Arguments, name: str) -> tuple[Text, ...]:
    """Return the texts of a list; those that could not be read have been told, and are empty."""
    return tuple(one for one in arguments.texts(name) if one.value or arguments.is_usable)


def priority_of(arguments: Arguments) -> int | None:
    """Return the priority that is said, nothing where it is none, which is told."""
    text = arguments.text("level")
    if text is None or not arguments.is_usable:
        return None
    if _WHOLE.fullmatch(text.value) is None or abs(int(text.value)) > PRIORITY_MAX:
        told = f"a priority is a whole number from -{PRIORITY_MAX} to {PRIORITY_MAX}"
        arguments.unfit("level", told, "0 is that of a run that says nothing; more is sooner")
        return None
    return int(text.value)
