"""A page that an editor has open. What is made of its text is made when it is asked for, and once."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Final

from lsprotocol import types as lsp
from pygls.uris import to_fs_path

from runink.dsl.compiler import TEXT_CHARACTERS_MAX
from runink.lsp.page import Page
from runink.lsp.positions import Positions

LONG_CHARACTERS: Final = 50_000  # some 1,200 lines: to compile more takes longer than a key


class OpenPage:
    """A version of a page: it never changes, the next one takes its place."""

    def __init__(
        self, uri: str, text: str, version: int | None, encoding: lsp.PositionEncodingKind
    ) -> None:
        self.uri = uri
        self.text = text
        self.version = version
        self.encoding = encoding
        self.file = Path(to_fs_path(uri) or uri)

    @property
    def is_long(self) -> bool:
        return self.is_readable and len(self.text) > LONG_CHARACTERS

    @property
    def is_readable(self) -> bool:
        """Say whether it is short enough to be a pipeline."""
        return len(self.text) <= TEXT_CHARACTERS_MAX

    @cached_property
    def page(self) -> Page:
        """The text as questions need it; of one that is too large to be a pipeline, nothing."""
        return Page(self.text if self.is_readable else "")

    @cached_property
    def positions(self) -> Positions:
        return Positions(self.text, self.encoding)

    def range(self, start: int, end: int) -> lsp.Range:
        return self.positions.range(start, end)
