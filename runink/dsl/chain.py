"""The stream that a scenario's lines hand down, and the streams that have names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from runink.contracts.fields import ContractSpec
from runink.dsl.diagnostics import Findings
from runink.dsl.syntax import Text
from runink.suggestions import near_or_all

UNREAD: Final = "unread"  # stands for a node that could not be had, which is told


@dataclass(frozen=True, slots=True)
class Stream:
    """Nodes whose rows together are a stream, and the contract that all of them keep, if one stands right in front."""

    nodes: tuple[str, ...]
    contract: ContractSpec | None = None


class Chain:
    """What `main` is at the line that is read, what each name means there, and which names nothing has read yet."""

    def __init__(self, findings: Findings) -> None:
        self.main = Stream(())
        self.named: dict[str, Stream] = {}
        self.unread: dict[str, Text] = {}
        self.circling: frozenset[str] = frozenset()  # names told already, because of a circle
        self.below: tuple[str, ...] = ()  # names that are given somewhere in the scenario
        self._findings = findings

    def call(self, alias: Text, stream: Stream) -> None:
        """Give a stream a name."""
        if alias.value in self.named:
            hint = "a name stands for one stream"
            self._findings.add("D016", f"the name {alias.value} is taken", alias.span, hint)
            return
        self.named[alias.value] = stream
        self.unread[alias.value] = alias

    def called(self, name: Text, *, is_use: bool = True) -> Stream | None:
        """Return the stream of a name; nothing if there is none, which is told."""
        found = self.named.get(name.value)
        if is_use:
            self.unread.pop(name.value, None)
        if found is None and name.value not in self.circling:
            names = dict.fromkeys((*self.named, *self.below))
            hint = near_or_all(name.value, names) or "give a source or a step a name: as=NAME"
            self._findings.add("D054", f"nothing is called {name.value}", name.span, hint)
        return found

    def inputs(self, names: tuple[Text, ...]) -> Stream:
        """Return what a step or a sink reads: what comes down the chain, or the streams that it names."""
        if not names:
            return self.main
        streams = [self.called(name) for name in names]
        known = [stream for stream in streams if stream is not None]
        nodes = tuple(dict.fromkeys(node for stream in known for node in stream.nodes))
        first = known[0].contract if known else None
        if not nodes:
            return Stream((UNREAD,))  # what is behind it is checked as if it were there
        is_one = all(stream.contract == first for stream in known)
        return Stream(nodes, first if is_one else None)

    def replace(self, stream: Stream, by: Stream) -> None:
        """Let the chain, if it is at that stream, and every name of it mean the one behind a check."""
        if self.main.nodes == stream.nodes:
            self.main = by
        for name, known in self.named.items():
            if known.nodes == stream.nodes:
                self.named[name] = by
