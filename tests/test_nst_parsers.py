"""What comes from outside as text: refused by one of our errors, in one line, or understood.

Truth: by invariant, on inputs that are drawn. A hundred of each as a rule; ``NST_FUZZ=20000`` draws
so many. Checkpoints have their own in ``test_nst_checkpoint``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nst.contract import ModelInfo
from nst.dimensions import Dimensions, dimensions_from, dimensions_named
from nst.errors import NSTError
from nst.recipe import shares_named
from nst.registry import named
from nst.settings import from_dict, from_toml
from train.config import TrainConfig

drawn = settings(
    max_examples=int(os.environ.get("NST_FUZZ", "100")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
DEEP = "[" * 100_000 + "]" * 100_000
ODD = (
    "",
    "0",
    "-1",
    "1e400",
    "-0.0",
    "nan",
    "Infinity",
    "9" * 400,
    "\0",
    "\n",
    "..",
    "\ud800",
    "é",
)
"""Numbers and texts at the border of what numbers and texts are."""
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, -(10**400), 2**63]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(ODD),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


def refused(call: Callable[[], object]) -> object:
    """Return what a call gives, or None where it is refused as a person can read it."""
    try:
        return call()
    except NSTError as error:
        message = str(error)
    assert message
    assert "\n" not in message
    return None


def texts(*words: str) -> st.SearchStrategy[str]:
    """Texts made of some words, odd ones and any characters, in any order."""
    return st.lists(st.sampled_from((*words, *ODD)) | st.text(max_size=3), max_size=7).map("".join)


def changed(whole: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A dictionary of which some values are others, some keys are missing, some are new."""

    def change(values: dict[str, Any], gone: set[str], more: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in {**whole, **values, **more}.items() if k not in gone}

    names = st.sampled_from(sorted(whole))
    return st.builds(
        change,
        st.dictionaries(names, VALUES, max_size=3),
        st.sets(names, max_size=1),
        st.dictionaries(st.text(max_size=4), VALUES, max_size=1),
    )


INFO = ModelInfo(
    styles=("wave", "scream"),
    style_sha256=("0" * 64, "1" * 64),
    network="swift",
    width=8,
    reach_px=0,
    size_multiple=1,
    bytes_per_pixel=6,
    controls="regional",
    training={"step": 7, "strength": 1.0},
    dimensions={"network": "swift", "width": 8},
)
PLAIN = {key: json.loads(value) for key, value in INFO.to_metadata().items()}


@drawn
@given(changed(PLAIN))
def test_metadata_of_a_model(values: dict[str, Any]) -> None:
    """What is accepted comes back as it was."""
    metadata = {key: json.dumps(value) for key, value in values.items()}
    info = refused(lambda: ModelInfo.from_metadata(metadata, source="x.onnx"))
    if isinstance(info, ModelInfo):
        again = ModelInfo.from_metadata(info.to_metadata(), source="x.onnx")
        assert again.to_metadata() == info.to_metadata()


@drawn
@given(st.sampled_from(sorted(PLAIN)), texts("{", "}", "[", "]", '"', ",", ":", "1", "true"))
def test_metadata_that_is_no_json(key: str, text: str) -> None:
    metadata = {**INFO.to_metadata(), key: text}
    refused(lambda: ModelInfo.from_metadata(metadata, source="x.onnx"))


@pytest.mark.parametrize("key", sorted(PLAIN))
def test_metadata_that_is_nested_without_end(key: str) -> None:
    """The parser of JSON gives up on it with an error of its own."""
    metadata = {**INFO.to_metadata(), key: DEEP}
    assert refused(lambda: ModelInfo.from_metadata(metadata, source="x.onnx")) is None


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of models with one that is sound."""
    folder = tmp_path_factory.mktemp("data") / "models"
    folder.mkdir()
    (folder / "night-0123456789ab.onnx").write_bytes(b"model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NST_DATA", str(folder.parent))
        yield folder


RECORD = {
    "name": "night",
    "file": "night-0123456789ab.onnx",
    "sha256": hashlib.sha256(b"model").hexdigest(),
    "bytes": 5,
    "styles": ["night"],
    "net": "swift",
    "width": 32,
}


def read_named(folder: Path, record: str) -> object:
    (folder / "night.json").write_text(record, "utf-8", errors="surrogatepass")

    def read() -> bytes:
        entry = named("night")
        assert entry is not None
        return entry.read()

    return refused(read)


def test_a_sound_record(registry: Path) -> None:
    assert read_named(registry, json.dumps(RECORD)) == b"model"


@drawn
@given(changed(RECORD) | VALUES)
def test_record_of_a_model(registry: Path, values: object) -> None:
    """What is read is the file that the record means, or nothing."""
    assert read_named(registry, json.dumps(values)) in (b"model", None)


@drawn
@given(texts(*json.dumps(RECORD).split()))
def test_record_that_is_no_json(registry: Path, text: str) -> None:
    assert read_named(registry, text) is None


def test_a_record_that_is_nested_without_end(registry: Path) -> None:
    assert read_named(registry, DEEP) is None


@drawn
@given(texts("johnson", "swift", ":", ",", "=", "width", "noise", "blocks", "head", "kernel", "8"))
def test_network_by_name(text: str) -> None:
    """What is understood can be said again."""
    found = refused(lambda: dimensions_named(text))
    if isinstance(found, Dimensions):
        assert dimensions_named(found.name) == found


@drawn
@given(changed({"network": "swift", "width": 32, "noise": 0.5, "factor": 4, "head": "direct"}))
def test_network_by_numbers(values: dict[str, Any]) -> None:
    refused(lambda: dimensions_from(values))


@drawn
@given(texts("wave", "scream", "original", ":", ",", "0.7", "1e308", "5e-324", " "))
def test_recipe(text: str) -> None:
    """Shares of at least 0 that add up to 1."""
    found = refused(lambda: shares_named(text, INFO.styles, flag="--style", model="x.onnx"))
    if found is not None:
        shares = np.asarray(found)
        assert shares.shape == (3,)
        assert shares.min() >= 0
        assert shares.sum() == pytest.approx(1)


@drawn
@given(
    st.dictionaries(
        st.sampled_from(["size", "strength", "minutes", "precision", "steps", "batch", "cache"]),
        VALUES,
        max_size=3,
    )
)
def test_settings(values: dict[str, Any]) -> None:
    refused(lambda: from_dict(TrainConfig, values, source="config.toml"))


@drawn
@given(texts("size", "strength", "=", "1", '"', "[", "]", "\n", "#", "1979-05-27", "inf", "true"))
def test_settings_in_a_file(text: str) -> None:
    refused(lambda: from_toml(TrainConfig, text, source="config.toml"))
