"""Mixes as people write them. Truths: by hand."""

from __future__ import annotations

import pytest

from nst.errors import UsageError
from nst.recipe import shares_named

STYLES = ("starry-night", "great-wave", "the-scream", "night")


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ("great-wave", [0, 0, 1, 0, 0]),
        ("wave", [0, 0, 1, 0, 0]),
        ("WAVE , scream", [0, 0, 0.5, 0.5, 0]),
        ("night", [0, 0, 0, 0, 1]),  # the whole name, though starry-night holds it too
        ("starry", [0, 1, 0, 0, 0]),
        ("Starry Night", [0, 1, 0, 0, 0]),
        ("great_wave,THE_SCREAM", [0, 0, 0.5, 0.5, 0]),
        ("wave:0.7,scream:0.3", [0, 0, 0.7, 0.3, 0]),
        ("wave:3,scream:1", [0, 0, 0.75, 0.25, 0]),
        ("wave,wave,scream", [0, 0, 2 / 3, 1 / 3, 0]),
        ("original", [1, 0, 0, 0, 0]),
        ("original:1,wave:3", [0.25, 0, 0.75, 0, 0]),
        ("wave:0,scream", [0, 0, 0, 1, 0]),
    ],
)
def test_by_hand(text: str, shares: list[float]) -> None:
    found = shares_named(text, STYLES, flag="--style", model="m.onnx")
    assert found.tolist() == pytest.approx(shares)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("foo", "--style: foo is none of the styles of m.onnx: starry-night, great-wave"),
        ("stary-nigt", "the-scream, night; did you mean starry-night[?]$"),
        ("e", "e could be several of the styles"),
        ("", "the name of a style is missing"),
        ("wave,", "the name of a style is missing"),
        ("wave:x", "a share must be a number from 0 to 1000000, as in wave:0.7, got wave:x"),
        ("wave:-1", "from 0 to 1000000"),
        ("wave:nan", "from 0 to 1000000"),
        ("wave:inf", "from 0 to 1000000"),
        ("wave:0", "--style wave:0: all shares are 0"),
    ],
)
def test_what_is_refused(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        shares_named(text, STYLES, flag="--style", model="m.onnx")
