"""A mix of styles as people write it: ``wave``, ``wave,scream``, ``wave:0.7,scream:0.3``.

Torch-free.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nst.errors import UsageError, in_one_line

ORIGINAL = "original"
"""Names the photograph itself."""
_MOST_SHARE = 1_000_000
"""The sum of larger ones might be infinite."""


def plain(name: str) -> str:
    """Return a name without what people write in one way or another."""
    return name.lower().replace("_", "-").replace(" ", "-")


def shares_named(text: str, styles: Sequence[str], *, flag: str, model: str) -> NDArray[np.float32]:
    """Return the shares that a text names.

    A style is called by its name, or by a part of it that no other style's has: ``wave`` is
    ``great-wave``, as are ``Great Wave`` and ``great_wave``. Shares without a number are equal;
    they need not add up to 1.

    Args:
        text: Names with or without shares, separated by commas.
        styles: Names of the K styles of a model.
        flag: Where it was written, for errors.
        model: What to call the model in an error.

    Returns:
        ``(K + 1,)``, adding up to 1; first that of the photograph, ``original``.

    Raises:
        UsageError: A name is unknown or could be several, or a share is none.
    """
    shares = np.zeros(len(styles) + 1, np.float64)
    for part in text.split(","):
        name, _, number = part.partition(":")
        share = _share(number.strip(), flag, part) if number else 1.0
        shares[_place(name.strip(), styles, flag, model)] += share
    total = shares.sum()
    if total <= 0:
        raise UsageError(f"{flag} {in_one_line(text)}: all shares are 0")
    normal: NDArray[np.float32] = (shares / total).astype(np.float32)
    return normal


def _share(text: str, flag: str, part: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= _MOST_SHARE:
        raise UsageError(
            f"{flag}: a share must be a number from 0 to {_MOST_SHARE}, as in wave:0.7, got"
            f" {in_one_line(part)}"
        )
    return share


def _place(name: str, styles: Sequence[str], flag: str, model: str) -> int:
    """Return the channel of a mix that a name means."""
    if name.lower() == ORIGINAL:
        return 0
    if name in styles:
        return 1 + styles.index(name)
    asked, known = plain(name), [plain(style) for style in styles]
    if known.count(asked) == 1:
        return 1 + known.index(asked)
    meant = [n for n, style in enumerate(known) if asked and asked in style]
    if len(meant) == 1:
        return 1 + meant[0]
    there = in_one_line(", ".join(styles))
    if not name:
        raise UsageError(f"{flag}: the name of a style is missing; {model} has {there}")
    wrong = "could be several of the styles" if meant else "is none of the styles"
    close = [] if meant else difflib.get_close_matches(asked, known, n=1, cutoff=0.7)
    hint = f"; did you mean {in_one_line(styles[known.index(close[0])])}?" if close else ""
    raise UsageError(f"{flag}: {in_one_line(name)} {wrong} of {model}: {there}{hint}")
