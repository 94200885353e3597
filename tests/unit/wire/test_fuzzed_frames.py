"""Some thousand frames by chance, nearly right ones: `scripts/fuzz_wire.py` makes as many as one likes."""

from __future__ import annotations

from random import Random

import pytest
from runink.testing.wire_rounds import CODES, Rounds
from runink.testing.wire_served import SERVED
from runink.wire.codec import take
from runink.wire.frames import FrameReader

FRAMES = 6_000


def test_frames_by_chance_meet_refusals_and_nothing_else():
    rounds = Rounds(SERVED, Random(7))
    while rounds.frames < FRAMES:
        rounds.one()
    assert rounds.said["taken"] > FRAMES / 20
    assert rounds.said["refused bad_value"] > FRAMES / 50
    assert len(CODES & rounds.said.keys()) >= 6


@pytest.mark.parametrize("seed", range(3))
def test_a_reader_that_loses_a_byte_between_pieces_is_found(
    seed: int, monkeypatch: pytest.MonkeyPatch
):
    feed = FrameReader.feed

    def careless(reader: FrameReader, data: bytes) -> None:
        feed(reader, data if reader.is_between_frames else data[1:])

    monkeypatch.setattr(FrameReader, "feed", careless)
    with pytest.raises(AssertionError):
        go_on(Rounds(SERVED, Random(seed)))


def test_a_decoder_that_lets_another_error_out_is_found(monkeypatch: pytest.MonkeyPatch):
    def careless(value: object, kind: object) -> object:
        try:
            return take(value, kind)
        except Exception as error:
            raise KeyError from error

    monkeypatch.setattr("runink.testing.wire_rounds.take", careless)
    with pytest.raises(KeyError):
        go_on(Rounds(SERVED, Random(1)))


def go_on(rounds: Rounds) -> None:
    while rounds.frames < FRAMES:
        rounds.one()
