"""The objective. Truths: by hand, by numpy from the encoder's features, by invariant.

The numbers worked out by hand use an encoder that hands pictures on as they are: kernels of one
tap, mean 0, deviation 1. Its features at relu1_1 are the pixels themselves.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from nst.config import ObjectiveConfig
from nst.encoder import LAYERS
from nst.errors import ImageError, UsageError, WeightsError
from nst.features import reduce_image
from nst.loss_terms import LossTerms, LossWeights
from nst.losses import PerceptualLoss
from nst.presets import PRESETS, Preset, Tap, find_preset, parse_tap
from nst.tensors import load_style
from nst.weights import VGGWeights

ONE_LAYER = Preset("one layer", Tap("relu1_1"), (Tap("relu1_1"),))
PYRAMID, GATYS = PRESETS["pyramid"], PRESETS["gatys"]


def picture(height: int, width: int, *, batch: int = 1, seed: int = 0) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def red(*rows: list[float]) -> Tensor:
    """A picture of these values in red, without green and blue."""
    image = torch.zeros(1, 3, len(rows), len(rows[0]))
    image[0, 0] = torch.tensor(rows)
    return image


def plain(*scales: float) -> VGGWeights:
    """An encoder whose convolutions multiply pictures by these numbers and do nothing else."""
    tap = torch.zeros(3, 3, 3, 3)
    for channel in range(3):
        tap[channel, channel, 1, 1] = 1.0
    tensors: dict[str, Tensor] = {}
    for name, scale in zip(("conv1_1", "conv1_2"), scales, strict=False):
        tensors |= {f"{name}.weight": scale * tap, f"{name}.bias": torch.zeros(3)}
    return VGGWeights(tensors=tensors, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


STYLE = red([1.0, 0.0], [0.0, 1.0])  # Gram matrix 2 at (red, red), divided by 4 positions 0.5
PHOTOGRAPH = red([1.0, 1.0], [0.0, 0.0])
OUTPUT = red([1.0, 1.0], [1.0, 0.0])  # Gram matrix 3, divided 0.75


def values(terms: LossTerms) -> list[float]:
    return [terms.content.item(), terms.style.item(), terms.total_variation.item()]


def test_balanced_by_hand() -> None:
    criterion = PerceptualLoss(plain(1.0), STYLE, preset=ONE_LAYER, strength=2.0, tv_weight=0.3)
    terms = criterion(OUTPUT, criterion.content_target(PHOTOGRAPH))
    # S = (0.75 - 0.5)^2 / 0.5^2; C = 1 / 2, one pixel of error against an energy of 2;
    # one step of 1 among 3 channels x 2 differences, down as well as to the right: 1/6 + 1/6.
    assert values(terms) == pytest.approx([0.5, 0.25, 1 / 3])
    assert terms.total.item() == pytest.approx(0.5 + 4.5 * 2.0 * 0.25 + 0.3 / 3)


def test_plain_weights_by_hand() -> None:
    criterion = PerceptualLoss(
        plain(1.0),
        STYLE,
        preset=ONE_LAYER,
        weighting="gatys",
        strength=2.0,
        content_weight=3.0,
        style_weight=100.0,
        tv_weight=0.3,
    )
    terms = criterion(OUTPUT, criterion.content_target(PHOTOGRAPH))
    # 1/2 * 1; 1 / (4 * 3^2 * 4^2) * (3 - 2)^2
    assert values(terms) == pytest.approx([0.5, 1 / 576, 1 / 3])
    assert terms.total.item() == pytest.approx(3.0 * 0.5 + 2.0 * 100.0 / 576 + 0.3 / 3)


def test_content_floor_by_hand() -> None:
    """A black photograph has no energy; a quarter of the style image's counts instead."""
    criterion = PerceptualLoss(plain(1.0), STYLE, preset=ONE_LAYER)
    target = criterion.content_target(torch.zeros(2, 3, 2, 2))
    assert target.energy.tolist() == [0.5, 0.5]  # 0.25 * 2
    # Three pixels of error / 0.5.
    assert criterion(OUTPUT.expand(2, -1, -1, -1), target).content.tolist() == [6.0, 6.0]
    # The floor is per position: twelve times the pixels, twelve times the floor.
    assert criterion.content_target(torch.zeros(1, 3, 4, 12)).energy.tolist() == [6.0]


def test_content_above_the_floor_is_measured_against_itself() -> None:
    criterion = PerceptualLoss(plain(1.0), STYLE, preset=ONE_LAYER)
    batch = torch.cat([PHOTOGRAPH, OUTPUT, 0.1 * OUTPUT])
    assert criterion.content_target(batch).energy.tolist() == pytest.approx([2.0, 3.0, 0.5])


def test_energy_floor_by_hand() -> None:
    """A layer a hundredth as strong has 1e-8 of the energy and counts with 1e-3 of it."""
    preset = Preset("two", Tap("relu1_1"), (Tap("relu1_1"), Tap("relu1_2")))
    criterion = PerceptualLoss(plain(1.0, 0.01), STYLE, preset=preset)
    terms = criterion(OUTPUT, criterion.content_target(PHOTOGRAPH))
    weak = (0.75e-4 - 0.5e-4) ** 2 / (1e-3 * 0.5**2)
    assert terms.style.item() == pytest.approx((0.25 + weak) / 2, rel=1e-6)
    unfloored = (0.25 + 0.25) / 2
    assert terms.style.item() < unfloored


def test_an_empty_gram_scores_one() -> None:
    criterion = PerceptualLoss(
        plain(1.0, 0.5),
        STYLE,
        preset=Preset("two", Tap("relu1_2"), (Tap("relu1_1"), Tap("relu1_2"), Tap("relu1_1", 2))),
    )
    terms = criterion(torch.zeros(1, 3, 2, 2), criterion.content_target(PHOTOGRAPH))
    assert values(terms)[:2] == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("preset", [PYRAMID, GATYS])
@pytest.mark.parametrize("weighting", ["balanced", "gatys"])
def test_style_and_photograph_score_zero_against_themselves(
    tiny_vgg: VGGWeights, preset: Preset, weighting: str
) -> None:
    style, photograph = picture(48, 64), picture(40, 56, seed=1)
    criterion = PerceptualLoss(tiny_vgg, style, preset=preset, weighting=weighting)  # type: ignore[arg-type]
    painted = criterion(style, criterion.content_target(style))
    assert values(painted)[:2] == [0.0, 0.0]
    untouched = criterion(photograph, criterion.content_target(photograph))
    assert untouched.content.item() == 0.0
    assert untouched.style.item() > 0.0


def test_presets() -> None:
    """The taps of DESIGN: relu3_3 at half size and nine Gram matrices; the layers of the paper."""
    assert PYRAMID.content == ("relu3_3", 2)
    assert PYRAMID.style == (
        ("relu1_1", 1),
        ("relu2_1", 1),
        ("relu3_1", 1),
        ("relu1_1", 2),
        ("relu2_1", 2),
        ("relu3_1", 2),
        ("relu1_1", 4),
        ("relu2_1", 4),
        ("relu3_1", 4),
    )
    assert PYRAMID.deepest_layer == "relu3_3"
    assert GATYS.content == ("relu4_2", 1)
    assert GATYS.style == tuple((f"relu{block}_1", 1) for block in (1, 2, 3, 4, 5))
    assert GATYS.deepest_layer == "relu5_1"
    assert str(GATYS) == (
        "gatys (content relu4_2; style relu1_1, relu2_1, relu3_1, relu4_1, relu5_1)"
    )


def test_find_preset() -> None:
    assert find_preset("pyramid") is PYRAMID
    assert find_preset("gatys") is GATYS
    changed = find_preset("gatys", content_layer="relu3_3/2")
    assert (changed.content, changed.style) == (Tap("relu3_3", 2), GATYS.style)
    changed = find_preset("pyramid", style_layers=["relu1_1", "conv5_4/8"])
    assert (changed.content, changed.style) == (
        PYRAMID.content,
        (Tap("relu1_1"), Tap("conv5_4", 8)),
    )
    assert changed.deepest_layer == "conv5_4"
    assert "pyramid" in changed.name
    assert changed.name != "pyramid"


@pytest.mark.parametrize(
    ("name", "content", "style", "message"),
    [
        ("johnson", None, (), "--preset must be one of pyramid, gatys, got johnson"),
        ("pyramid", "relu6_1", (), "--content-layer: unknown layer relu6_1; choose from conv1_1, "),
        ("pyramid", None, ("relu1_1", "pool2/2"), "--style-layers: unknown layer pool2;"),
        ("pyramid", "relu1_1/3", (), "--content-layer relu1_1/3: the scale behind the slash must"),
        ("pyramid", None, ("relu1_1/3",), "--style-layers relu1_1/3: the scale behind the slash"),
        ("pyramid", "relu1_1/", (), "the scale behind the slash must be"),
        ("pyramid", "relu1_1/02", (), "the scale behind the slash must be"),
        ("pyramid", "", (), "unknown layer"),
        ("pyramid", None, ("",), "unknown layer"),
    ],
)
def test_find_preset_refuses(
    name: str, content: str | None, style: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        find_preset(name, content_layer=content, style_layers=style)


@settings(deadline=None)
@given(layer=st.sampled_from(LAYERS), scale=st.sampled_from([1, 2, 4, 8]))
def test_a_tap_is_read_as_it_is_written(layer: str, scale: int) -> None:
    tap = Tap(layer, scale)
    assert parse_tap(str(tap), flag="--x") == tap
    assert parse_tap(f"  {tap} ", flag="--x") == tap


def test_layers_of_the_settings_may_stand_apart(tiny_vgg: VGGWeights) -> None:
    """By hand: as they are typed, with a space behind the comma."""
    style = picture(64, 64)
    config = ObjectiveConfig(style_layers="relu1_1, relu2_1/2", content_layer=" relu2_2")
    preset = PerceptualLoss.from_config(tiny_vgg, style, config).preset
    assert preset.style == (Tap("relu1_1"), Tap("relu2_1", 2))
    assert preset.content == Tap("relu2_2")
    with pytest.raises(UsageError, match="--style-layers: unknown layer"):
        PerceptualLoss.from_config(tiny_vgg, style, ObjectiveConfig(style_layers=""))


def gram(features: Tensor) -> tuple[np.ndarray, int]:
    f = features[0].double().numpy()
    f = f.reshape(f.shape[0], -1)
    return f @ f.T, f.shape[1]


def test_plain_weights_are_those_of_the_paper(tiny_vgg: VGGWeights) -> None:
    """Gatys et al. 2016, eq. 1, 4, 5 and 7 in numpy float64 from the features of one encoder."""
    style, photograph, output = picture(64, 64), picture(64, 64, seed=1), picture(64, 64, seed=2)
    criterion = PerceptualLoss(
        tiny_vgg, style, preset=GATYS, weighting="gatys", content_weight=0.5, style_weight=20.0
    )
    terms = criterion(output, criterion.content_target(photograph))
    layers = [tap.layer for tap in GATYS.taps]
    f, p, a = (criterion.encoder(image, layers) for image in (output, photograph, style))
    content = 0.5 * (f["relu4_2"] - p["relu4_2"]).double().square().sum().item()
    style_sum = 0.0
    for layer in (f"relu{block}_1" for block in range(1, 6)):
        (g, m), (target, _) = gram(f[layer]), gram(a[layer])
        style_sum += ((g - target) ** 2).sum() / (4 * g.shape[0] ** 2 * m**2)
    assert terms.content.item() == pytest.approx(content, rel=1e-5)
    assert terms.style.item() == pytest.approx(style_sum, rel=1e-5)
    assert terms.total.item() == pytest.approx(0.5 * content + 20.0 * style_sum, rel=1e-5)


def test_balanced_from_the_features(tiny_vgg: VGGWeights) -> None:
    """S and C of the pyramid in numpy float64, each size of a picture in a pass of its own."""
    style, photograph, output = picture(64, 48), picture(40, 56, seed=1), picture(40, 56, seed=2)
    criterion = PerceptualLoss(tiny_vgg, style)
    terms = criterion(output, criterion.content_target(photograph))
    energies, errors = [], []
    for layer, scale in PYRAMID.style:
        g, m = gram(criterion.encoder(reduce_image(output, scale), [layer])[layer])
        a, n = gram(criterion.encoder(reduce_image(style, scale), [layer])[layer])
        errors.append(((g / m - a / n) ** 2).sum())
        energies.append(((a / n) ** 2).sum())
    floor = 1e-3 * max(energies)
    relative = [error / max(e, floor) for error, e in zip(errors, energies, strict=True)]
    assert terms.style.item() == pytest.approx(np.mean(relative), rel=1e-4)
    f, p, q = (
        criterion.encoder(reduce_image(x, 2), ["relu3_3"])["relu3_3"].double().numpy()
        for x in (output, photograph, style)
    )
    least = 0.25 * (q**2).sum() / (q.size / q.shape[1]) * (p.size / p.shape[1])
    expected = ((f - p) ** 2).sum() / max((p**2).sum(), least)
    assert terms.content.item() == pytest.approx(expected, rel=1e-4)
    assert terms.total.item() == pytest.approx(4.5 * np.mean(relative) + expected, rel=1e-4)


@pytest.mark.parametrize("weighting", ["balanced", "gatys"])
def test_pictures_of_a_batch_do_not_know_each_other(tiny_vgg: VGGWeights, weighting: str) -> None:
    criterion = PerceptualLoss(tiny_vgg, picture(48, 48), weighting=weighting, tv_weight=0.1)  # type: ignore[arg-type]
    photographs, outputs = picture(40, 48, batch=3, seed=1), picture(40, 48, batch=3, seed=2)
    together = criterion(outputs, criterion.content_target(photographs))
    alone = [
        criterion(outputs[i : i + 1], criterion.content_target(photographs[i : i + 1]))
        for i in range(3)
    ]
    for name in ("content", "style", "total_variation", "per_picture"):
        expected = torch.cat([getattr(terms, name) for terms in alone])
        torch.testing.assert_close(getattr(together, name), expected)
    torch.testing.assert_close(together.total, together.per_picture.mean())


def test_loss_terms_add_up_by_hand() -> None:
    terms = LossTerms(
        torch.tensor([1.0, 2.0]),
        torch.tensor([0.5, 1.0]),
        torch.tensor([0.1, 0.3]),
        LossWeights(content=2.0, style=10.0, total_variation=5.0),
    )
    assert terms.per_picture.tolist() == pytest.approx([7.5, 15.5])
    assert terms.total.item() == pytest.approx(11.5)


def test_a_flat_style_image_is_refused(tiny_vgg: VGGWeights) -> None:
    flat = torch.tensor([0.9, 0.5, 0.1]).reshape(1, 3, 1, 1).expand(1, 3, 64, 48)
    noise = 0.2 / 255 * picture(64, 48)
    for style in (flat, flat + noise, torch.zeros(1, 3, 1, 1)):
        with pytest.raises(ImageError, match="flat: it has no structure"):
            PerceptualLoss(tiny_vgg, style)
    one_channel = flat.clone()
    one_channel[:, 2, ::2] += 0.1
    PerceptualLoss(tiny_vgg, one_channel)


def save(path: Path, height: int, width: int) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(noise).save(path)
    return path


def test_a_tiny_style_image_is_refused_by_name(tmp_path: Path) -> None:
    path = save(tmp_path / "tiny.png", 3, 3)
    with pytest.raises(ImageError) as caught:
        load_style(path, 512)
    message = str(caught.value)
    assert message.startswith(f"{path}: 3x3 px is too small for a style image")
    assert "32x32 px" in message
    assert "\n" not in message


@pytest.mark.parametrize("preset", [PYRAMID, GATYS])
@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_the_least_style_image_reaches_every_layer(
    tmp_path: Path, tiny_vgg: VGGWeights, preset: Preset, padding: str, ceil_mode: bool
) -> None:
    style, _ = load_style(save(tmp_path / "least.png", 32, 39), 512)
    assert style.shape == (1, 3, 32, 32)
    weights = replace(tiny_vgg, padding=padding, ceil_mode=ceil_mode)
    criterion = PerceptualLoss(weights, style, preset=preset)
    assert values(criterion(style, criterion.content_target(style)))[:2] == [0.0, 0.0]


def test_weights_that_stop_too_early(tiny_vgg: VGGWeights) -> None:
    short = replace(
        tiny_vgg,
        tensors={name: t for name, t in tiny_vgg.tensors.items() if name < "conv3_4"},
    )
    PerceptualLoss(short, picture(64, 64), preset=PYRAMID)
    with pytest.raises(WeightsError, match="ends at relu3_3, before relu5_1; choose a preset"):
        PerceptualLoss(short, picture(64, 64), preset=GATYS)


def test_only_the_output_gets_a_gradient(tiny_vgg: VGGWeights) -> None:
    criterion = PerceptualLoss(tiny_vgg, picture(48, 48))
    photograph = picture(40, 40, seed=1).requires_grad_()
    target = criterion.content_target(photograph)
    assert not target.features.requires_grad
    assert not target.energy.requires_grad
    output = picture(40, 40, seed=2).requires_grad_()
    criterion(output, target).total.backward()
    assert output.grad is not None
    assert photograph.grad is None
    assert list(criterion.parameters()) == list(criterion.encoder.parameters())
    assert not any(p.requires_grad for p in criterion.parameters())


def test_targets_are_no_weights(tiny_vgg: VGGWeights) -> None:
    """Only the encoder's tensors would be saved; the style image's follow ``.to``."""
    criterion = PerceptualLoss(tiny_vgg, picture(48, 48))
    assert all(name.startswith("encoder.") for name in criterion.state_dict())
    moved = criterion.to(torch.float64)
    assert {b.dtype for b in moved.buffers()} == {torch.float64}


@pytest.mark.parametrize(("height", "width"), [(33, 41), (35, 38)])
def test_every_pixel_of_an_odd_size_gets_a_gradient(
    tiny_vgg: VGGWeights, height: int, width: int
) -> None:
    criterion = PerceptualLoss(tiny_vgg, picture(48, 48))
    target = criterion.content_target(picture(height, width, seed=1))
    output = picture(height, width, seed=2).requires_grad_()
    criterion(output, target).total.backward()
    assert output.grad is not None
    assert bool((output.grad.abs().sum(1) > 0).all())


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 2, 4, 8]))
def test_reduce_image_uses_every_pixel(height: int, width: int, scale: int) -> None:
    """The gradient of a sum over the reduced picture is above 0 at each pixel of any size, the
    range of values does not grow, and a constant stays what it is."""
    image = picture(height, width).requires_grad_()
    reduced = reduce_image(image, scale)
    assert reduced.shape[-2:] == (-(-height // scale), -(-width // scale))
    assert image.min() <= reduced.min() + 1e-6
    assert reduced.max() <= image.max() + 1e-6
    torch.autograd.backward(reduced.sum())
    assert image.grad is not None
    assert bool((image.grad > 0).all())
    white = reduce_image(torch.full((1, 3, height, width), 0.75), scale)
    torch.testing.assert_close(white, torch.full_like(white, 0.75))


def test_reduce_image_by_hand() -> None:
    image = torch.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    # (1 + 2 + 4 + 5) / 4, (3 + 6) / 2, (7 + 8) / 2, 9
    assert reduce_image(image, 2)[0, 0].tolist() == [[3.0, 4.5], [7.5, 9.0]]
    assert reduce_image(image, 4)[0, 0].tolist() == [[6.0]]
    assert reduce_image(image, 1) is image


def test_double_precision(tiny_vgg: VGGWeights) -> None:
    """Everything follows the style image's dtype; float32 agrees to its own precision."""
    style, photograph, output = picture(48, 48), picture(40, 40, seed=1), picture(40, 40, seed=2)
    narrow = PerceptualLoss(tiny_vgg, style)
    wide = PerceptualLoss(tiny_vgg, style.double())
    target = wide.content_target(photograph.double())
    terms = wide(output.double(), target)
    expected = narrow(output, narrow.content_target(photograph))
    for name in ("content", "style", "total_variation"):
        assert getattr(terms, name).dtype == torch.float64
        torch.testing.assert_close(
            getattr(terms, name).float(), getattr(expected, name), rtol=1e-4, atol=1e-6
        )


def test_bfloat16_autocast_stays_near_and_returns_float32(tiny_vgg: VGGWeights) -> None:
    """bfloat16 keeps 8 bits; a sum of squares of errors of that size is right to a few percent."""
    criterion = PerceptualLoss(tiny_vgg, picture(48, 48))
    photograph, output = picture(40, 40, seed=1), picture(40, 40, seed=2)
    exact = criterion(output, criterion.content_target(photograph))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = criterion(output, criterion.content_target(photograph))
    assert terms.total.dtype == torch.float32
    torch.testing.assert_close(terms.content, exact.content, rtol=0.05, atol=0)
    torch.testing.assert_close(terms.style, exact.style, rtol=0.05, atol=0)


def test_describe_names_what_runs(tiny_vgg: VGGWeights) -> None:
    line = PerceptualLoss(tiny_vgg, picture(48, 48), tv_weight=0.1).describe()
    assert "preset pyramid (content relu3_3/2; style relu1_1, " in line
    assert "balanced weights, content 1, style 4.5, total variation 0.1" in line
    assert line.endswith("VGG-19 a tiny VGG-19")
