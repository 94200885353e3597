"""Words that were shown once: from a file or standard input, where no list of processes shows them."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from runink.cli.agent import agent
from runink.cli.given_texts import given_bytes, given_word
from runink.errors import Invalid


def test_a_text_is_itself_and_a_file_is_what_it_holds(tmp_path: Path) -> None:
    file = tmp_path / "body.json"
    file.write_bytes(b'{"a": 1}\n')
    assert given_bytes("{}") == b"{}"
    assert given_bytes(f"@{file}") == b'{"a": 1}\n'
    with pytest.raises(Invalid) as missing:
        given_bytes(f"@{tmp_path / 'none'}")
    assert missing.value.code == "no_such_file"


@pytest.mark.parametrize("content", [b"", b"\n", b"rnk1.a\nrnk1.b\n", b"x" * 5000, b"rnk1.\0", b"\xff\x00"])  # fmt: skip
def test_a_file_without_one_word_is_told(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "word"
    file.write_bytes(content)
    with pytest.raises(Invalid) as told:
        given_word(f"@{file}")
    assert told.value.code == "no_word"


def test_a_node_reads_its_join_token_from_standard_input(tmp_path: Path) -> None:
    words = ["--state", str(tmp_path / "w1"), "--server", "127.0.0.1:1", "--join", "@-"]
    with pytest.raises(Invalid) as told:
        CliRunner().invoke(agent, words, input="no token\n", catch_exceptions=False, standalone_mode=False)  # fmt: skip
    assert told.value.code == "bad_join_token"
