"""The embedded loss network. Truths: by hand, by invariant."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nst.errors import UsageError, WeightsError
from nst.loss_network import find_loss_network
from nst.losses import PerceptualLoss
from nst.presets import PRESETS
from nst.weights import VGGWeights


def test_the_embedded_network_measures() -> None:
    """By invariant: a picture is itself in content and style, and another one is not."""
    weights = find_loss_network("compact")
    assert weights.name == "compact"
    style, photo = (
        torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)
    )
    criterion = PerceptualLoss(weights, style)
    assert "compact embedded, distilled from VGG-19" in criterion.describe()
    with torch.no_grad():
        itself = criterion(style, criterion.content_target(style))
        other = criterion(photo[..., :32], criterion.content_target(photo[..., :32]))
    assert itself.style.item() < 1e-6
    assert itself.content.item() == 0
    assert other.style.item() > 1e-4
    with pytest.raises(WeightsError, match=r"ends at relu3_3, before relu5_1"):
        PerceptualLoss(weights, style, preset=PRESETS["gatys"])


def test_neither_takes_the_place_of_the_other(
    vgg_file: Path, tiny_vgg: VGGWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: weights are refused beside compact; $NST_VGG19 is for VGG-19 alone."""
    with pytest.raises(UsageError, match=r"leave out --vgg"):
        find_loss_network("compact", vgg_file)
    monkeypatch.setenv("NST_VGG19", str(vgg_file))
    assert find_loss_network("vgg19").source == str(vgg_file)
    assert find_loss_network("compact").name == "compact"
    assert tiny_vgg.maps == {}
