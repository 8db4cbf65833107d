"""What a release is made of: locks, changes and terms; they agree with pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import nst

HOUSE = Path(__file__).parent.parent
PROJECT = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]
LOCK = (HOUSE / "requirements.lock").read_text()
EXTRAS = [text for name, many in PROJECT["optional-dependencies"].items() for text in many]
REQUIRED = [
    Requirement(text) for text in PROJECT["dependencies"] + EXTRAS if not text.startswith("nst[")
]


def locked() -> dict[str, tuple[str, int]]:
    """Release and number of hashes, by the normal form of the name."""
    found = {}
    for block in re.split(r"\n(?=[a-z])", LOCK):
        if match := re.match(r"([a-z0-9-]+)==([^ ]+)", block):
            found[match[1]] = match[2], len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", block))
    return found


@pytest.mark.parametrize("required", REQUIRED, ids=str)
def test_the_lock_has_what_is_required(required: Requirement) -> None:
    """By packaging: a release that pyproject.toml allows."""
    release, _ = locked()[required.name.lower().replace("_", "-")]
    assert required.specifier.contains(release)


def test_the_lock_has_hashes_and_no_address() -> None:
    releases = locked()
    assert len(releases) > len(REQUIRED)
    assert all(count for _, count in releases.values())
    assert "://" not in LOCK


def test_one_version() -> None:
    assert nst.__version__ == PROJECT["version"]
    top = re.search(r"^## ([0-9.]+)", (HOUSE / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert top is not None
    assert top[1] == nst.__version__


@pytest.mark.parametrize("required", REQUIRED, ids=str)
def test_terms_of_each_dependency_are_named(required: Requirement) -> None:
    _, _, table = (HOUSE / "THIRD_PARTY.md").read_text().partition("## Installed beside it")
    assert required.name in re.findall(r"[\w-]+", table)
