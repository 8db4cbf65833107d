"""Which model is meant by what was typed. Truths: by hand, the table in docs/models.md."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from infer.model_choice import model_and_inputs, model_of, models_in, wishes_of
from infer.model_file import read_model
from infer.session import open_session
from infer.shelf import open_shelf
from infer.stylizer import Stylizer
from nst import registry
from nst.errors import ModelError, UsageError
from nst.registry import named
from nst.seal import sealed, unsealed


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty registry, nothing embedded, and a current folder with what looks like pictures."""
    monkeypatch.setenv("NST_DATA", str(tmp_path / "data"))
    (tmp_path / "embedded").mkdir()
    (tmp_path / "embedded/models.json").write_text('{"models": []}')
    monkeypatch.setattr(registry, "EMBEDDED", tmp_path / "embedded")
    monkeypatch.chdir(tmp_path)
    for name in ("photo.jpg", "b.jpg", "plain"):
        Path(name).write_bytes(b"\xff\xd8\xff")
    Path("folder").mkdir()
    return tmp_path


@pytest.fixture
def add(invert_model: Path, mix_model: Path) -> Callable[..., None]:
    """Add the negative, or the model of two styles, under other names."""

    def add_one(name: str, *styles: str, net: str = "swift") -> None:
        model = onnx.load(invert_model if len(styles) == 1 else mix_model)
        told = {entry.key: entry.value for entry in model.metadata_props}
        told["nst.styles"] = "[" + ", ".join(f'"{style}"' for style in styles) + "]"
        told["nst.network"] = f'"{net}"'
        helper.set_model_props(model, told)
        data = sealed(model)
        registry.add(data, read_model(data).info, name)

    return add_one


def choose(
    *arguments: str,
    style: str | None = None,
    gradient: str | None = None,
    region: str | None = None,
    net: str | None = None,
) -> tuple[str | Path, list[str], list[str]]:
    """Return the model, the pictures and what was said."""
    said: list[str] = []
    regions = [] if region is None else [("mask.png", region)]
    wishes = wishes_of(style, gradient, regions)
    model, inputs = model_and_inputs(arguments, wishes, net, said.append)
    return model, inputs, said


def test_without_a_registry_the_first_is_the_model() -> None:
    """Every form that was there before it."""
    for model in ("m.onnx", "gone.onnx", "M.ONNX", "dir/m.onnx"):
        assert choose(model, "photo.jpg", "b.jpg") == (Path(model), ["photo.jpg", "b.jpg"], [])
        assert choose(model, "-", style="wave") == (Path(model), ["-"], [])
    assert choose("photo.jpg", "b.jpg") == (Path("photo.jpg"), ["b.jpg"], [])


def test_a_model_without_its_suffix_is_known_by_how_it_begins(invert_model: Path) -> None:
    Path("model").write_bytes(invert_model.read_bytes())
    assert choose("model", "photo.jpg", style="negative") == (Path("model"), ["photo.jpg"], [])


def test_a_run_folder_is_its_model(invert_model: Path) -> None:
    """A folder of pictures is none."""
    Path("run").mkdir()
    assert choose("run", "photo.jpg") == (Path("run"), ["photo.jpg"], [])
    Path("run/n.onnx").write_bytes(invert_model.read_bytes())
    assert choose("run", "photo.jpg", style="negative") == (Path("run"), ["photo.jpg"], [])
    assert read_model(Path("run")).name == str(Path("run/n.onnx"))
    Path("run/o.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match=r"^run: 2 models in this folder, .* n\.onnx; name one$"):
        read_model(Path("run"))
    Path("pictures").mkdir()
    with pytest.raises(ModelError, match=r"^pictures: no model in this folder"):
        read_model(Path("pictures"))


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="no such files here")
def test_a_model_from_a_shells_process(invert_model: Path) -> None:
    """Nothing is read to find out what it is: it can be read once."""
    reader, writer = os.pipe()
    os.write(writer, invert_model.read_bytes()[:10])
    place = f"/dev/fd/{reader}"
    assert choose(place, "photo.jpg") == (Path(place), ["photo.jpg"], [])
    assert choose(place, "photo.jpg", style="wave") == (Path(place), ["photo.jpg"], [])
    assert len(os.read(reader, 100)) == 10
    os.close(reader)
    os.close(writer)


def test_a_name_is_a_model(add: Callable[..., None]) -> None:
    add("night", "negative")
    assert choose("night", "photo.jpg") == ("night", ["photo.jpg"], [])
    assert choose("night", "photo.jpg", style="negative") == ("night", ["photo.jpg"], [])
    Path("night").touch()
    assert choose("./night", "photo.jpg")[0] == Path("night")
    assert choose("night", "photo.jpg")[2] == [
        "night: the model of the registry, not what is called so here; that is ./night"
    ]


def test_a_style_finds_its_model(add: Callable[..., None]) -> None:
    add("two", "wave", "scream")
    add("one", "starry-night", net="johnson")
    said = ["model: two, swift 8"]
    assert choose("photo.jpg", style="wave") == ("two", ["photo.jpg"], said)
    assert choose("photo.jpg", "b.jpg", style="SCREAM:0.2,wave:0.8")[:2] == (
        "two",
        ["photo.jpg", "b.jpg"],
    )
    for inputs in (["-"], ["folder"], ["plain"], ["*.jpg"]):
        assert choose(*inputs, style="wave") == ("two", inputs, said)
    assert choose("photo.jpg", gradient="wave,scream") == ("two", ["photo.jpg"], said)
    assert choose("photo.jpg", region="scream") == ("two", ["photo.jpg"], said)
    assert choose("photo.jpg", style="original", region="scream")[0] == "two"
    assert choose("photo.jpg", style="night")[0] == "one"  # part of a name
    assert choose("photo.jpg", style="auto", region="scream")[0] == "two"


def test_models_of_the_same_styles_may_choose_one(add: Callable[..., None]) -> None:
    add("a", "wave", "scream")
    add("b", "scream", "wave", net="johnson")
    said = ["model: a, swift 8; b could do it too"]
    assert choose("photo.jpg", style="auto") == ("a", ["photo.jpg"], said)


def test_of_several_the_first_of_the_list_is_taken_and_said(add: Callable[..., None]) -> None:
    add("c", "wave", net="swift")
    add("b", "wave", net="johnson")
    add("a", "waves")
    assert choose("photo.jpg", style="wave") == (
        "b",  # a has the word as a part of a name alone
        ["photo.jpg"],
        ["model: b, johnson 8; c could do it too"],
    )
    assert choose("photo.jpg", style="wave", net="swift")[0] == "c"
    assert choose("photo.jpg", style="wave", net="johnson")[2] == ["model: b, johnson 8"]
    assert choose("photo.jpg", style="waves")[0] == "a"


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (("photo.jpg",), {}, "what shall photo.jpg be painted with? Name a MODEL before it, or"),
        (("two",), {}, "what shall two paint? Name an INPUT behind it"),
        (("m.onnx",), {"style": "wave"}, "what shall m.onnx paint?"),
        (("photo.jpg",), {"style": "dance"}, "--style: dance is none of the styles of the reg"),
        (("photo.jpg",), {"style": "e"}, "--style: e could be several of the styles of the reg"),
        (("photo.jpg",), {"style": "wav:x"}, "--style: a share must be a number"),
        (("photo.jpg",), {"style": ""}, "--style: the name of a style is missing"),
        (
            ("photo.jpg",),
            {"style": "wave,starry-night"},
            "--style wave,starry-night: in the registry no single model has all of it",
        ),
        (
            ("photo.jpg",),
            {"style": "wave", "net": "johnson"},
            "--style: wave is none of the styles of the johnson models of the registry: starry",
        ),
        (("photo.jpg",), {"style": "auto"}, "the styles of one MODEL; name it: one, two, watch"),
        (("photo.jpg",), {"style": "original"}, "is no style to look for; name a MODEL"),
        (
            ("photo.jpg",),
            {"style": "night"},
            "--style night could be starry-night of one or night-watch of watch",
        ),
        (("gone.jpg",), {"style": "wave"}, "gone.jpg: no such file, and no model of the registry"),
        (
            ("twoo", "photo.jpg"),
            {},
            "twoo: no such file, and no model of the registry; did you mean",
        ),
        (("watsh", "photo.jpg"), {"style": "wave"}, "registry; did you mean watch?"),
        (("wave", "photo.jpg"), {}, "no model of the registry; for a style write --style wave"),
        (("two", "photo.jpg"), {"net": "swift"}, "no use for --net beside the MODEL two"),
    ],
)
def test_what_is_not_clear_is_refused(
    add: Callable[..., None], arguments: tuple[str, ...], options: dict[str, str], words: str
) -> None:
    add("two", "wave", "scream")
    add("one", "starry-night", net="johnson")
    add("watch", "night-watch", net="johnson2")
    with pytest.raises(UsageError) as error:
        choose(*arguments, **options)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_an_empty_registry_says_what_to_do(add: Callable[..., None]) -> None:
    words = "--style without a MODEL is looked for in the registry; there is none yet, `nst models"
    with pytest.raises(UsageError, match=words):
        choose("photo.jpg", style="wave")
    with pytest.raises(UsageError, match=r"no MODEL is given.* there is none yet, `nst models add"):
        models_in([])
    add("two", "wave", "scream")
    with pytest.raises(UsageError, match="looked for in the johnson models of the registry; there"):
        choose("photo.jpg", style="wave", net="johnson")


def test_a_damaged_record_is_said_and_left_out(add: Callable[..., None], here: Path) -> None:
    add("two", "wave", "scream")
    (here / "data/models/a.json").write_text("{")
    _, _, said = choose("photo.jpg", style="wave")
    assert "left out: " in said[0]
    assert "a.json is damaged" in said[0]
    assert said[1] == "model: two, swift 8"


def test_a_command_without_pictures(add: Callable[..., None]) -> None:
    """As the webcam's."""
    add("two", "wave", "scream")
    said: list[str] = []
    assert model_of("two", [], None, said.append) == "two"
    assert model_of("m.onnx", [], None, said.append) == Path("m.onnx")
    assert model_of(None, wishes_of("wave", None), None, said.append) == "two"
    with pytest.raises(UsageError, match="needs a MODEL"):
        model_of(None, [], None, said.append)


def test_the_model_of_a_name_is_that_file(
    add: Callable[..., None], photo: NDArray[np.uint8]
) -> None:
    """By hand: the negative. A path is a file, whatever the registry has."""
    add("night", "negative")
    entry = named("night")
    assert entry is not None
    assert read_model("night").data == entry.file.read_bytes()
    assert open_session("night", "cpu").name == "night"
    np.testing.assert_array_equal(Stylizer("night", provider="cpu")(photo).rgb, 255 - photo)
    with pytest.raises(Exception, match="night: the model cannot be read, no such file"):
        read_model(Path("night"))


def test_the_hash_of_the_registry_is_as_good_as_the_files_own(invert_model: Path) -> None:
    """Of a file from before files had one."""
    data = unsealed(onnx.load(invert_model)).SerializeToString()
    Path("old.onnx").write_bytes(data)
    assert not read_model(Path("old.onnx")).is_sealed
    registry.add(data, read_model(data).info, "old")
    assert read_model("old").is_sealed


def test_a_shelf_holds_names_folders_and_files(
    add: Callable[..., None], invert_model: Path
) -> None:
    """Without any, all of the registry."""
    add("a.b", "negative")
    add("two", "wave", "scream")
    assert models_in([]) == ["a.b", "two"]
    Path("folder/x.onnx").write_bytes(invert_model.read_bytes())
    assert models_in(["two", "folder", "y.onnx"]) == ["two", Path("folder/x.onnx"), Path("y.onnx")]
    shelf = open_shelf(models_in(["folder", "a.b"]), "cpu")
    assert [model.name for model in shelf] == ["x", "a.b"]
    assert shelf.get("a.b").data == read_model("a.b").data
