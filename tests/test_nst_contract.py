"""The contract between export and infer. Truth: by hand."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nst.contract import safe_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Starry Night", "Starry-Night"),
        ("the_scream (1)", "the-scream-1"),
        ("--x--", "x"),
        ("a.b.c", "a-b-c"),
        ("../../etc/passwd", "etc-passwd"),
        ("Große Welle", "Große-Welle"),
        ("北斎", "北斎"),
        ("神奈川沖浪裏 №1", "神奈川沖浪裏-1"),
        ("हिन्दी", "हिन्दी"),
        ("Cafe\u0301", "Café"),
        ("x" * 300, "x" * 64),
        ("x" * 63 + " y", "x" * 63),
        ("///", ""),
        ("", ""),
        (".hidden", "hidden"),
        ("a\nb\0c", "a-b-c"),
    ],
)
def test_a_name_that_is_safe_by_hand(text: str, name: str) -> None:
    assert safe_name(text) == name


@given(st.text())
def test_a_name_that_is_safe_has_nothing_but_letters_digits_and_hyphens(text: str) -> None:
    """By invariant: a part of a path everywhere, and its own name."""
    name = safe_name(text)
    assert len(name) <= 64
    assert all(c == "-" or unicodedata.category(c)[0] in "LMN" for c in name)
    assert not name.startswith("-")
    assert not name.endswith("-")
    assert safe_name(name) == name
