"""Distillation. Truths: by invariant, by another implementation, by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import typer
from torch import Tensor
from torch.autograd import gradgradcheck

from nst.checkpoint import load_checkpoint
from nst.encoder import VGG19
from nst.errors import CheckpointError, UsageError, WeightsError
from nst.files import held
from nst.functional import gram_matrix, mapped_features, mapped_gram
from nst.losses import PerceptualLoss
from nst.weights import VGGWeights, load_weights
from train.distill import LAYERS, _square_root
from train.distill_cli import app
from train.pruning import prune

pytestmark = pytest.mark.usefixtures("one_thread")

OPTIONS = (
    "--size 64 --batch 1 --style-size 64 --channels 4,4,6,6,8,8,8 --steps 4 --device cpu"
    " --precision float32 --log-every 2"
)
SMALL = OPTIONS.split()


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.fixture
def styles(style_file: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "styles"
    folder.mkdir()
    shutil.copy(style_file, folder / "one.png")
    return folder


def run(*arguments: object) -> Path:
    command = typer.main.get_command(app)
    path = command.main([str(a) for a in arguments], standalone_mode=False)
    assert isinstance(path, Path)
    return path


def test_mapping_a_gram_matrix_is_mapping_the_features() -> None:
    """By another implementation: map first, then correlate."""
    features, matrix = random(2, 5, 6, 7), random(9, 5, seed=1)
    mapped = mapped_features(features, matrix)
    assert mapped.shape == (2, 9, 6, 7)
    torch.testing.assert_close(
        mapped, torch.einsum("kn,bnhw->bkhw", matrix, features), rtol=1e-5, atol=1e-5
    )
    torch.testing.assert_close(
        mapped_gram(gram_matrix(features), matrix), gram_matrix(mapped), rtol=1e-5, atol=1e-4
    )


def test_a_square_root_keeps_distances() -> None:
    """By invariant: |R x| = |W x|."""
    matrix, vectors = random(20, 6), random(6, 50, seed=1)
    root = _square_root(matrix)
    assert root.shape == (6, 6)
    torch.testing.assert_close(
        (root @ vectors).norm(dim=0), (matrix @ vectors).norm(dim=0), rtol=1e-4, atol=1e-4
    )


def test_the_gradient_of_a_gram_matrix_has_a_gradient() -> None:
    """By differences, in float64: matching gradients asks for it."""
    assert gradgradcheck(gram_matrix, (random(2, 3, 4, 3, dtype=torch.float64).requires_grad_(),))


def test_pruning_to_the_whole_width_keeps_the_network(tiny_vgg: VGGWeights) -> None:
    """By invariant: with every channel kept, inside the border, features are the teacher's.

    Layers whose channels are dead or alike leave the fit undetermined, their features do not.
    """
    pictures = random(6, 3, 64, 64)
    teacher = VGG19(tiny_vgg, deepest="relu2_1")
    with torch.no_grad():
        found, matrices = prune(
            teacher, tiny_vgg, pictures, channels=(4, 4, 6), layers=("relu1_1", "relu2_1"), seed=0
        )
        narrow = VGG19(found, deepest="relu2_1")
        for layer in ("relu1_1", "relu2_1"):
            truth = teacher(pictures, [layer])[layer]
            estimate = mapped_features(narrow(pictures, [layer])[layer], matrices[layer])
            error = (estimate - truth)[..., 4:-4, 4:-4].square().sum() / truth.square().sum()
            assert error < 1e-3, layer


def test_a_distillation_gives_a_loss_network(
    photo_folder: Path, styles: Path, vgg_file: Path, tmp_path: Path
) -> None:
    """By hand: what the file holds, and that the objective takes it where it was distilled for."""
    path = run(
        "--data", photo_folder, "--styles", styles, "--vgg", vgg_file, *SMALL, "--runs", tmp_path
    )
    assert path == tmp_path / "compact-1" / "compact.safetensors"
    weights = load_weights(path)
    assert weights.name == "compact"
    assert weights.deepest_layer == "relu3_3"
    assert sorted(weights.maps) == sorted(LAYERS)
    style, photograph = random(1, 3, 48, 48), random(1, 3, 48, 48, seed=1)
    criterion = PerceptualLoss(weights, style)
    assert "compact" in criterion.describe()
    with torch.no_grad():
        terms = criterion(photograph, criterion.content_target(photograph))
    assert terms.content.item() == 0
    assert terms.style.item() > 0
    with pytest.raises(WeightsError, match=r"distilled for .*; relu1_2 needs VGG-19"):
        criterion.encoder.gram(random(1, 4, 8, 8), "relu1_2")
    lines = [json.loads(line) for line in (path.parent / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]


def test_a_resumed_distillation_equals_an_unbroken_one(
    photo_folder: Path, styles: Path, vgg_file: Path, tmp_path: Path
) -> None:
    """By invariant: to the bit."""
    inputs = ("--data", photo_folder, "--styles", styles, "--vgg", vgg_file, *SMALL)
    whole = run(*inputs, "--runs", tmp_path / "a").parent
    broken = run(*inputs, "--checkpoint-every", "2", "--runs", tmp_path / "b").parent
    (broken / "prev.safetensors").replace(broken / "last.safetensors")
    assert load_checkpoint(broken / "last.safetensors").header["step"] == 2
    log = (broken / "log.jsonl").read_text()
    with held(broken), pytest.raises(UsageError, match="another process"):
        run("--resume", broken)
    assert (broken / "log.jsonl").read_text() == log
    run("--resume", broken)
    hashes = [
        load_checkpoint(folder / "last.safetensors").header["tensors_sha256"]
        for folder in (whole, broken)
    ]
    assert hashes[0] == hashes[1]
    (styles / "two.png").write_bytes((styles / "one.png").read_bytes())
    with pytest.raises(CheckpointError, match="styles_sha256"):
        run("--resume", broken)


def test_missing_arguments() -> None:
    with pytest.raises(UsageError, match="--data PHOTOGRAPHS --styles"):
        run()


def test_settings_beside_resume_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"leave out --batch, --styles"):
        run("--resume", tmp_path, "--steps", "9", "--batch", "2", "--styles", tmp_path)


def test_a_finished_distillation_goes_on(
    photo_folder: Path, styles: Path, vgg_file: Path, tmp_path: Path
) -> None:
    """By hand: the new length counts from the first step, and a shorter one is none."""
    inputs = ("--data", photo_folder, "--styles", styles, "--vgg", vgg_file, *SMALL)
    folder = run(*inputs, "--runs", tmp_path).parent
    with pytest.raises(UsageError, match="--steps 4: the run has made 4 already"):
        run("--resume", folder, "--steps", "4")
    before = (folder / "compact.safetensors").read_bytes()
    run("--resume", folder, "--steps", "6")
    header = load_checkpoint(folder / "last.safetensors").header
    assert (header["step"], header["config"]["steps"]) == (6, 6)
    assert "steps = 6\n" in (folder / "config.toml").read_text()
    assert (folder / "compact.safetensors").read_bytes() != before


def test_maps_that_fit_no_layer_are_refused(tiny_vgg: VGGWeights, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "odd.safetensors"
    kept = {name: tensor for name, tensor in tiny_vgg.tensors.items() if name < "conv2"}
    save_file({**kept, "relu3_1.map": torch.eye(4)}, path)
    with pytest.raises(WeightsError, match=r"relu3_1\.map"):
        load_weights(path)
