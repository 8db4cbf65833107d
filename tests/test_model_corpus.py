"""Damaged and hostile model files. Truth: by invariant, refused in one line or the same bytes.

60 damaged files as a rule; ``NST_CORPUS=500`` makes so many. They are opened in a process of their
own, because what is tested is also that it does not crash.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, numpy_helper
from PIL import Image

import infer.session
from infer.model_file import read_model
from infer.session import open_session
from nst.cli import main
from nst.errors import ModelError
from nst.seal import KEY, MARK, sealed, unsealed

CASES = int(os.environ.get("NST_CORPUS", "60"))
PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np
from infer.session import open_session
from nst.errors import NSTError
image = np.zeros((1, 5, 7, 3), np.uint8)
for path in sorted(Path(sys.argv[1]).glob("*.onnx")):
    print("opening", path.name, flush=True)
    try:
        open_session(path, "cpu").run(image)
        print(json.dumps([path.name, None]), flush=True)
    except NSTError as error:
        print(json.dumps([path.name, str(error)]), flush=True)
"""


@pytest.fixture(scope="module")
def model(invert_model: Path) -> ModelProto:
    """The negative model with as many weights as a small network, so that most damage hits them."""
    proto = unsealed(onnx.load(invert_model))
    weights = np.random.default_rng(0).normal(size=20_000).astype(np.float32)
    proto.graph.initializer.append(numpy_helper.from_array(weights, "weights"))
    return proto


def damaged(whole: bytes, cases: int) -> Iterator[bytes]:
    """Truncated, with 1 to 10 bits flipped, with up to 64 bytes zeroed; half of it at the ends."""
    rng = np.random.default_rng(4)
    for case in range(cases):
        data = bytearray(whole)
        edge = min(4000, len(data) // 2)
        places = rng.integers(0, len(data), 10)
        if case % 2:
            places = rng.choice([*range(edge), *range(len(data) - edge, len(data))], 10)
        if case % 3 == 0:
            del data[places[0] :]
        elif case % 3 == 1:
            for place in places[: rng.integers(1, 11)]:
                data[place] ^= 1 << int(rng.integers(8))
        else:
            stop = min(len(data), int(places[0] + rng.integers(1, 65)))
            data[places[0] : stop] = bytes(stop - int(places[0]))
        yield bytes(data)


def opened(folder: Path) -> dict[str, str | None]:
    """Open every model in a folder; the errors by name, None for one that painted."""
    found: dict[str, str | None] = {}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)], capture_output=True, text=True, check=False
    )
    last = done.stdout.splitlines()[-1:]
    assert done.returncode == 0, f"{last}: exit code {done.returncode}, {done.stderr[-500:]}"
    for line in done.stdout.splitlines():
        if not line.startswith("opening"):
            name, error = json.loads(line)
            found[name] = error
    return found


def test_damaged_files_are_refused_or_the_same(model: ModelProto, tmp_path: Path) -> None:
    whole = sealed(model)
    for number, data in enumerate(damaged(whole, CASES)):
        (tmp_path / f"{number:04d}.onnx").write_bytes(data)
    (tmp_path / "whole.onnx").write_bytes(whole)
    found = opened(tmp_path)
    assert len(found) == CASES + 1
    assert found.pop("whole.onnx") is None
    for name, error in found.items():
        if error is None:
            assert (tmp_path / name).read_bytes() == whole, name
        else:
            assert error.isprintable(), name
    assert sum(error is not None for error in found.values()) > 0.95 * CASES


def test_every_bit_of_the_ending_counts(model: ModelProto) -> None:
    """Where the hash itself lies, and at its border: a file must not pass for an older one."""
    whole = sealed(model)
    length = len(whole) - len(sealed_body(whole))
    assert 64 < length < 130
    for place in range(len(whole) - length, len(whole)):
        for bit in range(8):
            data = bytearray(whole)
            data[place] ^= 1 << bit
            with pytest.raises(ModelError, match="damaged"):
                read_model(bytes(data))
    for cut in range(1, length + 40):
        with pytest.raises(ModelError):
            read_model(whole[:-cut])


def sealed_body(whole: bytes) -> bytes:
    """The file without the entry of the hash: a file of protobuf is its entries in a row."""
    proto = onnx.load_model_from_string(whole)
    assert [proto.metadata_props[n].key for n in (0, -1)] == [MARK, KEY]
    del proto.metadata_props[-1]
    body: bytes = proto.SerializeToString(deterministic=True)
    assert whole.startswith(body)
    return body


def test_the_same_model_gives_the_same_bytes(model: ModelProto) -> None:
    assert sealed(model) == sealed(model)
    assert read_model(sealed(model)).is_sealed


def test_files_from_before_are_read_and_said(model: ModelProto) -> None:
    from infer.stylizer import Stylizer

    said: list[str] = []
    older: bytes = model.SerializeToString()
    assert not read_model(older).is_sealed
    Stylizer(older, provider="cpu", announce=said.append)
    assert len(said) == 1
    assert "export it again" in said[0]
    Stylizer(sealed(model), provider="cpu", announce=said.append)
    assert len(said) == 1


SAYS_SO = {
    "stylize": ("stylize", "old.onnx", "photo.png"),
    "webcam": ("webcam", "old.onnx", "--camera", "no camera"),
    "suggest": ("suggest", "photo.png", "old.onnx"),
    "serve": ("serve", "old.onnx", "--write", "studio", "--runtime", "none"),
    "evaluate": (
        *("evaluate", "old.onnx", "--style", "photo.png", "--loss-network", "compact"),
        *("--card", "photo.png"),
    ),
}
"""Commands that load a model file; all but the first end in an error right behind it."""


@pytest.mark.parametrize("command", SAYS_SO)
def test_every_command_says_that_a_file_is_from_before(
    model: ModelProto,
    command: str,
    photo: NDArray[np.uint8],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("infer.window.check_display", lambda: None)
    Path("old.onnx").write_bytes(model.SerializeToString())
    Image.fromarray(photo).save("photo.png")
    with pytest.raises(SystemExit):
        main([*SAYS_SO[command], "--provider", "cpu"])
    said = capsys.readouterr().err
    assert said.count("old.onnx carries no hash of itself, as older exports") == 1


EXTERNAL = {
    "same folder": ("weights.bin", "0", "80000"),
    "above": ("../secret.bin", "0", "4"),
    "above, with a dot": ("./../secret.bin", "0", "4"),
    "absolute": ("/etc/passwd", "0", "4"),
    "process": ("/proc/self/environ", "0", "4"),
    "symbolic link": ("symbolic.bin", "0", "4"),
    "hard link": ("hard.bin", "0", "4"),
    "endless": ("weights.bin", "0", str(2**40)),
    "before the start": ("weights.bin", "-8", "4"),
    "no place": ("", "0", "4"),
}
"""Location, offset and length, as field/reliability tried them."""


@pytest.mark.parametrize("case", EXTERNAL)
@pytest.mark.parametrize("has_hash", [True, False])
def test_nothing_outside_the_file_is_read(
    model: ModelProto,
    case: str,
    has_hash: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A right hash opens no other file: anybody can make one. ONNX Runtime never sees the model."""
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(range(100)))
    (folder / "weights.bin").write_bytes(bytes(80_000))
    (folder / "symbolic.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "hard.bin").hardlink_to(tmp_path / "secret.bin")
    hostile = ModelProto()
    hostile.CopyFrom(model)
    weights = hostile.graph.initializer[-1]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in zip(("location", "offset", "length"), EXTERNAL[case], strict=True):
        weights.external_data.add(key=key, value=value)
    path = folder / "model.onnx"
    path.write_bytes(sealed(hostile) if has_hash else hostile.SerializeToString())
    monkeypatch.setattr(infer.session, "create_session", None)  # a call of it would raise
    opens: list[str] = []
    sys.addaudithook(lambda event, args: opens.append(str(args[0])) if event == "open" else None)
    with pytest.raises(ModelError, match="keeps weights in another file"):
        open_session(path, "cpu")
    assert opens.count(str(path)) == 1
    others = [name for name in opens if name.endswith((".bin", "passwd", "environ"))]
    assert others == []
