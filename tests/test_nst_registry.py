"""Models by name. Truths: the files on the disk, SHA-256 by hashlib, by hand."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from infer.model_file import read_model
from nst import registry
from nst.contract import ModelInfo
from nst.errors import ModelError, OutputError, UsageError
from nst.model_entry import Entry, check_name
from nst.registry import chosen, embedded, entries, identity, named

DATA = b"\x08\x0aan ONNX file in the eyes of the registry"
INFO = ModelInfo(
    styles=("wave", "Große Nacht"),
    style_sha256=("0" * 64, "1" * 64),
    network="swift",
    width=8,
    reach_px=0,
    size_multiple=1,
    bytes_per_pixel=6,
)
SHIPPED = registry.EMBEDDED
"""What is embedded in truth."""

Embed = Callable[..., None]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder, not made yet, and nothing embedded."""
    monkeypatch.setenv("NST_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(registry, "EMBEDDED", tmp_path / "embedded")
    (tmp_path / "embedded").mkdir()
    (tmp_path / "embedded/models.json").write_text('{"models": []}')
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data/models"


@pytest.fixture
def embed(tmp_path: Path) -> Embed:
    """Embed models of these names, in their order."""

    def write(*names: str) -> None:
        records = []
        for name in names:
            data = DATA + name.encode()
            (tmp_path / f"embedded/{name}.onnx").write_bytes(data)
            record = {
                "name": name,
                "file": f"{name}.onnx",
                "sha256": hashlib.sha256(data).hexdigest(),
                "bytes": len(data),
                "styles": ["wave"],
                "net": "johnson",
                "width": 16,
            }
            records.append(record)
        (tmp_path / "embedded/models.json").write_text(json.dumps({"models": records}))

    return write


def add(name: str, data: bytes = DATA, *, overwrite: bool = False) -> Entry:
    return registry.add(data, INFO, name, overwrite=overwrite)


def test_what_was_added_is_found_again(folder: Path) -> None:
    entry = add("night")
    assert named("night") == entry
    assert entries() == [entry]
    assert entry.read() == DATA
    assert entry.sha256 == hashlib.sha256(DATA).hexdigest()
    assert (entry.styles, entry.net, entry.width) == (INFO.styles, "swift", 8)
    assert sorted(path.name for path in folder.iterdir()) == [
        f"night-{entry.sha256[:12]}.onnx",
        "night.json",
    ]
    assert identity("night") == {"name": "night", "sha256": entry.sha256}


@pytest.mark.skipif(os.name != "posix", reason="Windows keeps the user's folders private itself")
def test_the_folder_is_private(folder: Path) -> None:
    add("night")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "name", ["", "Night", "ночь", "-night", "../night", "a/b", "a b", "a" * 65, "night\n"]
)
def test_names_that_are_refused(name: str, folder: Path) -> None:
    with pytest.raises(UsageError, match="no model can be called"):
        add(name)
    assert named(name) is None
    assert not folder.exists()


@pytest.mark.parametrize("name", ["auto", "none", "night.onnx"])
def test_words_that_mean_something_else(name: str) -> None:
    with pytest.raises(UsageError, match="means something else"):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "0.5-night_2", "a" * 64])
def test_names_that_are_taken(name: str) -> None:
    add(name)
    entry = named(name)
    assert entry is not None
    assert entry.read() == DATA


@pytest.mark.parametrize(
    "changed", [DATA + b"x", DATA[:-1], b"", DATA.replace(b"ONNX", b"ONNY")], ids=len
)
def test_a_file_that_was_changed_is_refused(changed: bytes) -> None:
    entry = add("night")
    entry.file.write_bytes(changed)
    with pytest.raises(ModelError, match=r"night: .* is not the file that was added, .*; add it"):
        entry.read()
    with pytest.raises(ModelError, match="nst models add FILE --name night --overwrite"):
        read_model("night")


def test_a_file_that_is_gone() -> None:
    entry = add("night")
    entry.file.unlink()
    with pytest.raises(ModelError, match=r"night: .* cannot be read, no such file or folder; add"):
        entry.read()


def test_a_model_is_replaced_only_when_that_is_wanted(folder: Path) -> None:
    first = add("night")
    with pytest.raises(OutputError, match="there is a model night already; --overwrite"):
        add("night", b"other")
    assert first.read() == DATA
    second = add("night", b"other", overwrite=True)
    assert named("night") == second
    assert second.read() == b"other"
    assert len(list(folder.iterdir())) == 2
    add("night", b"other", overwrite=True)
    assert second.read() == b"other"


def test_no_model_is_half_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a disk that is full between file and record: what was there stays whole."""
    first = add("night")

    def fail(*args: object, **options: object) -> str:
        raise OutputError("the disk is full")

    monkeypatch.setattr(json, "dumps", fail)
    for name in ("night", "day"):
        with pytest.raises(OutputError):
            add(name, b"other", overwrite=True)
    assert entries() == [first]
    assert first.read() == DATA
    assert named("day") is None


def test_a_folder_that_cannot_be_made(folder: Path) -> None:
    folder.parent.write_text("a file")
    with pytest.raises(OutputError, match=r"data/models: cannot be made, a file stands where"):
        add("night")


def test_a_model_is_removed_with_its_file_and_no_other(folder: Path) -> None:
    """Also one whose name is another's and what looks like a hash."""
    entry = add("night")
    add(f"night-{entry.sha256[:12]}")
    add("night-2")
    registry.remove("night")
    assert named("night") is None
    assert [entry.read() for entry in entries()] == [DATA, DATA]
    assert len(list(folder.iterdir())) == 4
    for name in ("night", "../night", ""):
        with pytest.raises(UsageError, match=r"no model .*; there are night-"):
            registry.remove(name)


RECORD = {
    "name": "night",
    "file": "night.onnx",
    "sha256": "0" * 64,
    "bytes": 3,
    "styles": ["wave"],
    "net": "swift",
    "width": 8,
}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"{}",
        json.dumps(RECORD | {"name": "day"}).encode(),
        json.dumps(RECORD | {"file": "../night.onnx"}).encode(),
        json.dumps(RECORD | {"bytes": "3"}).encode(),
        json.dumps(RECORD | {"styles": []}).encode(),
        json.dumps(RECORD | {"styles": [1]}).encode(),
    ],
)
def test_a_damaged_record_spoils_no_other(folder: Path, text: bytes) -> None:
    other = add("other")
    (folder / "night.json").write_bytes(text)
    with pytest.raises(ModelError, match=r"night\.json is damaged; `nst models remove night`"):
        named("night")
    with pytest.raises(ModelError, match="is damaged"):
        entries()
    said: list[str] = []
    assert entries(said.append) == [other]
    assert len(said) == 1
    assert "night.json is damaged" in said[0]
    registry.remove("night")
    assert entries() == [other]


def test_this_record_is_whole(folder: Path) -> None:
    """Else the test above could not fail."""
    folder.mkdir(parents=True)
    (folder / "night.json").write_text(json.dumps(RECORD))
    assert [entry.name for entry in entries()] == ["night"]


def test_the_users_come_first_then_those_of_the_index_in_its_order(embed: Embed) -> None:
    embed("swift-2", "gallery", "another")
    with pytest.raises(UsageError, match="an embedded model is called gallery"):
        add("gallery")
    add("z")
    add("b")
    assert [entry.name for entry in entries()] == ["b", "z", "swift-2", "gallery", "another"]
    assert [entry.is_embedded for entry in entries()] == [False, False, True, True, True]
    entry = named("gallery")
    assert entry is not None
    assert entry.read() == DATA + b"gallery"
    with pytest.raises(UsageError, match="gallery came with the program and cannot be removed"):
        registry.remove("gallery")


def test_a_name_that_was_the_users_first_stays_the_users(embed: Embed) -> None:
    mine = add("gallery")
    embed("gallery")
    assert named("gallery") == mine
    assert entries() == [mine]
    mine.file.write_bytes(b"changed")
    with pytest.raises(ModelError):  # and the embedded one does not take its place
        read_model("gallery")
    registry.remove("gallery")
    assert entries() == embedded()


def test_an_embedded_file_that_was_changed(embed: Embed, tmp_path: Path) -> None:
    embed("gallery")
    (tmp_path / "embedded/gallery.onnx").write_bytes(b"changed")
    with pytest.raises(ModelError, match=r"not the file that was embedded.*; install nst again"):
        read_model("gallery")


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"models": 3}', '{"models": [{}]}'])
def test_an_index_that_is_missing_or_damaged(tmp_path: Path, text: str | None) -> None:
    index = tmp_path / "embedded/models.json"
    if text is None:
        index.unlink()
    else:
        index.write_text(text)
    with pytest.raises(ModelError, match="is missing or damaged; install nst again"):
        entries()


def test_what_ships_is_what_its_index_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file lies there unknown; each is whole, of the contract, and described as it is."""
    monkeypatch.setattr(registry, "EMBEDDED", SHIPPED)
    shipped = embedded()
    found = {path.name for path in SHIPPED.iterdir()} - {"models.json"}
    assert found == {entry.file.name for entry in shipped}
    assert sum(entry.size for entry in shipped) <= 12_000_000
    for entry in shipped:
        check_name(entry.name)
        info = read_model(entry.name).info
        assert (entry.styles, entry.net, entry.width) == (info.styles, info.network, info.width)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"NST_DATA": "/here", "XDG_DATA_HOME": "/xdg"}, "/here/models"),
        ({"XDG_DATA_HOME": "/xdg"}, "/xdg/nst/models"),
        ({"XDG_DATA_HOME": "xdg"}, "/home/u/.local/share/nst/models"),
        ({}, "/home/u/.local/share/nst/models"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="these are the folders of Linux")
def test_where_the_users_models_lie(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    """By the XDG Base Directory Specification, which has relative paths passed over."""
    for name in ("NST_DATA", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/u")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert registry.models_folder() == Path(expected)


def test_a_name_goes_before_a_file_and_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    assert chosen("night", said.append) == Path("night")
    add("night")
    assert chosen("night", said.append) == "night"
    assert said == []
    (tmp_path / "night").mkdir()
    assert chosen("night", said.append) == "night"
    assert said == ["night: the model of the registry, not what is called so here; that is ./night"]
    for text in ("./night", "night.onnx", "night/"):
        assert chosen(text, said.append) == Path(text)
    assert len(said) == 1


def test_identity_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(DATA)
    sha256 = hashlib.sha256(DATA).hexdigest()
    assert identity(str(tmp_path / "a.onnx")) == {"name": "a.onnx", "sha256": sha256}


def test_a_record_tells_all_but_the_place() -> None:
    entry = add("night")
    assert json.loads((entry.file.parent / "night.json").read_text()) == entry.to_record()
    moved = dataclasses.replace(entry, file=Path("/elsewhere") / entry.file.name)
    assert moved.to_record() == entry.to_record()
