"""One file with several styles, from export to painting. Truths: torch, by invariant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from export.parity import FLAT_TOLERANCE, Case
from export.to_onnx import export_network
from infer.session import open_session
from infer.stylizer import Stylizer
from nst.contract import INPUT, MIX, Controls
from nst.dimensions import JohnsonDimensions, SwiftDimensions
from nst.errors import ModelError, UsageError
from nst.model_graph import controls_of, count_numbers
from nst.nets import build_network
from nst.network import StyleNetwork
from nst.seal import sealed
from nst.tensors import to_tensor, to_uint8
from train.warm_start import start_from, trained_at

CASES = (Case(1, 1, 1, "noise"), Case(3, 17, 23, "photograph"), Case(1, 98, 131, "noise"))
"""Sizes that were not traced; the export adds every style and the photograph alone."""
NETS = {
    "johnson": JohnsonDimensions(width=4),
    "swift": SwiftDimensions(width=8, blocks=1),
}
STYLES = ("wave", "scream", "night")


def network(name: str) -> StyleNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = build_network(NETS[name], len(STYLES)).eval()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.2)
        return net


def exported(folder: Path, name: str, controls: Controls) -> Path:
    path = folder / f"{name}-{controls}.onnx"
    hashes = [letter * 64 for letter in "abc"]
    info = export_network(
        network(name),
        path,
        styles=STYLES,
        style_sha256=hashes,
        training={},
        controls=controls,
        cases=CASES,
    )
    assert info.controls == controls
    assert len(info.parity) == len(CASES) + (name == "swift") + 1 + len(STYLES)
    assert all(
        entry["max_grey_levels"] <= (FLAT_TOLERANCE if entry["shape"][1:3] == [1, 1] else 1)
        for entry in info.parity
    )
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """Of both networks, the global and the regional file, compared with torch on the way."""
    folder = tmp_path_factory.mktemp("mix")
    kinds: tuple[Controls, ...] = ("global", "regional")
    return {(net, kind): exported(folder, net, kind) for net in NETS for kind in kinds}


@pytest.fixture(scope="module")
def photo() -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (45, 62, 3), dtype=np.uint8)


@pytest.mark.parametrize("net", NETS)
def test_the_border_of_the_file(models: dict[tuple[str, str], Path], net: str) -> None:
    for controls in ("global", "regional"):
        graph = onnx.load(models[net, controls]).graph
        assert controls_of(graph) == (controls, 3)
        (mix,) = (value for value in graph.input if value.name == MIX)
        sides = [d.dim_param or d.dim_value for d in mix.type.tensor_type.shape.dim]
        grid = [1, 1] if controls == "global" else ["grid_height", "grid_width"]
        assert sides == ["mixes", 4, *grid]
        whole = sum(p.numel() for p in network(net).parameters())
        assert count_numbers(models[net, controls].read_bytes()) - whole < 100


@pytest.mark.parametrize("net", NETS)
def test_a_file_paints_what_torch_paints(
    models: dict[tuple[str, str], Path], net: str, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    """By torch, through masks, shares and strength as people write them."""
    mask = np.zeros((45, 62), np.uint8)
    mask[:, 31:] = 255
    Image.fromarray(mask).save(tmp_path / "right.png")
    paint = Stylizer(
        models[net, "regional"],
        style="wave:0.7,scream:0.3",
        strength=0.8,
        regions=[(tmp_path / "right.png", "night")],
    )
    assert paint.mixture is not None
    mix = torch.from_numpy(paint.mixture.grid(45, 62, strength=0.8, name="photo"))
    with torch.inference_mode():
        expected = to_uint8(network(net)(to_tensor(photo), mix=mix))[0]
    found = paint(photo).rgb
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("net", NETS)
def test_both_files_paint_alike(
    models: dict[tuple[str, str], Path], net: str, photo: NDArray[np.uint8]
) -> None:
    one, other = (
        Stylizer(models[net, kind], style="scream:2,night", strength=0.6)(photo).rgb.astype(int)
        for kind in ("global", "regional")
    )
    assert np.abs(one - other).max() <= 1


@pytest.mark.parametrize("grid", [(1, 1), (1, 3), (2, 1)])
@pytest.mark.parametrize("net", NETS)
def test_a_side_of_one_cell_is_not_resized(
    models: dict[tuple[str, str], Path], net: str, grid: tuple[int, int], photo: NDArray[np.uint8]
) -> None:
    """Truth: the same mix with that cell twice, which is resized to the map."""
    mix = np.random.default_rng(1).random((1, 1 + len(STYLES), *grid), dtype=np.float32)
    twice = np.repeat(mix, 2, axis=2) if grid[0] == 1 else mix
    twice = np.repeat(twice, 2, axis=3) if grid[1] == 1 else twice
    session = open_session(models[net, "regional"])
    painted = session.run(photo[None], mix=mix)
    assert np.abs(painted.astype(int) - session.run(photo[None], mix=twice)).max() <= 1

    model = onnx.load(models[net, "regional"])
    maps = [node.output[0] for node in model.graph.node if node.op_type == "Resize"]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in maps)
    runtime = onnxruntime.InferenceSession(model.SerializeToString())
    for resized in runtime.run(maps, {INPUT: photo[None], MIX: mix}):
        sides = zip(resized.shape[2:], grid, strict=True)
        assert all((side == 1) == (cells == 1) for side, cells in sides)


def test_no_strength_is_the_photograph(
    models: dict[tuple[str, str], Path], photo: NDArray[np.uint8]
) -> None:
    for path in models.values():
        assert np.array_equal(Stylizer(path, style="wave", strength=0)(photo).rgb, photo)
        assert np.array_equal(Stylizer(path, style="original")(photo).rgb, photo)


def test_a_batch_has_a_mix_for_each(
    models: dict[tuple[str, str], Path], photo: NDArray[np.uint8]
) -> None:
    session = open_session(models["swift", "global"])
    mixes = np.eye(4, dtype=np.float32)[1:, :, None, None]
    together = session.run(np.stack([photo] * 3), mix=mixes)
    for n in range(3):
        alone = session.run(photo[None], mix=mixes[n : n + 1])[0]
        assert np.abs(together[n].astype(int) - alone).max() <= 1


@pytest.mark.parametrize(
    ("mix", "reason"),
    [
        (None, "needs a mix of its styles"),
        (np.ones((1, 3, 1, 1), np.float32), r"must be float32 \(1 or 2, 4, h, w\)"),
        (np.ones((3, 4, 1, 1), np.float32), r"got float32 \(3, 4, 1, 1\)"),
        (np.ones((1, 4, 1, 1), np.float64), "got float64"),
        (np.ones((1, 4, 2, 2), np.float32), "takes one mix for all of a picture"),
        (np.full((1, 4, 1, 1), -1, np.float32), "numbers from 0 on"),
        (np.full((1, 4, 1, 1), np.nan, np.float32), "numbers from 0 on"),
    ],
)
def test_a_mix_that_does_not_suit_is_refused(
    models: dict[tuple[str, str], Path],
    photo: NDArray[np.uint8],
    mix: NDArray[np.float32] | None,
    reason: str,
) -> None:
    session = open_session(models["swift", "global"])
    with pytest.raises(UsageError, match=reason):
        session.run(np.stack([photo] * 2), mix=mix)


def test_a_style_must_be_chosen(models: dict[tuple[str, str], Path]) -> None:
    with pytest.raises(UsageError, match="has 3 styles, choose with --style: wave, scream, night"):
        Stylizer(models["swift", "regional"])


def test_a_file_gives_its_weights_and_styles(models: dict[tuple[str, str], Path]) -> None:
    """By invariant: what is trained on from a file begins where the file is."""
    for (net, _), path in models.items():
        trained = trained_at(path, print)
        assert list(trained.styles) == list(STYLES)
        assert trained.style_files == ()
        expected = network(net).state_dict()
        found = trained.network.state_dict()
        assert all(torch.equal(found[name], value) for name, value in expected.items())
        more = build_network(NETS[net], 4)
        start_from(more, str(path), print)
        name = "norm1.weight" if net == "johnson" else "norm.weight"
        assert torch.equal(more.state_dict()[name][:4], expected[name])


def test_metadata_that_says_otherwise_is_refused(
    models: dict[tuple[str, str], Path], tmp_path: Path
) -> None:
    model = onnx.load(models["swift", "regional"])
    for entry in model.metadata_props:
        if entry.key == "nst.controls":
            entry.value = '"global"'
    (tmp_path / "other.onnx").write_bytes(sealed(model))
    with pytest.raises(ModelError, match="its input mix is not that of 3 styles, global"):
        open_session(tmp_path / "other.onnx")
