"""Preview strips: what stands where, and that looking changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from nst.image import load_image
from nst.transformer import TransformerNet
from train.preview import GAP_PX, preview_strip, save_preview


class Negative(TransformerNet):
    """Paints the negative."""

    def forward(
        self,
        image: Tensor,
        texture: Tensor | None = None,
        origin: Tensor | None = None,
        mix: Tensor | None = None,
    ) -> Tensor:
        return 1 - image


def test_the_layout_by_hand() -> None:
    """Two rows of photograph, style and result, 16x24 px each, white gaps between them."""
    random = np.random.default_rng(0)
    photos = [random.integers(0, 256, (16, 24, 3), dtype=np.uint8) for _ in range(2)]
    style = np.full((50, 40, 3), (10, 200, 90), np.uint8)
    strip = preview_strip(Negative(8), photos, {0: style})
    assert strip.shape == (2 * 16 + GAP_PX, 3 * 24 + 2 * GAP_PX, 3)
    assert strip.dtype == np.uint8
    for row, photo in enumerate(photos):
        line = strip[row * (16 + GAP_PX) :][:16]
        np.testing.assert_array_equal(line[:, :24], photo)
        np.testing.assert_array_equal(line[:, 24 + GAP_PX :][:, :24], style[:16, :24])
        np.testing.assert_array_equal(line[:, 2 * (24 + GAP_PX) :], 255 - photo)
        assert (line[:, 24 : 24 + GAP_PX] == 255).all()
        assert (line[:, 48 + GAP_PX :][:, :GAP_PX] == 255).all()
    assert (strip[16 : 16 + GAP_PX] == 255).all()


@pytest.mark.parametrize("shape", [(8, 200), (200, 8), (16, 24), (1000, 1000)])
def test_the_style_fills_its_place(shape: tuple[int, int]) -> None:
    """By hand: the middle of the style image is shown, whatever its shape."""
    photo = np.zeros((16, 24, 3), np.uint8)
    style = np.zeros((*shape, 3), np.uint8)
    top, left = shape[0] // 4, shape[1] // 4
    style[top:-top, left:-left] = 200
    swatch = preview_strip(Negative(8), [photo], {0: style})[:, 24 + GAP_PX :][:, :24]
    assert swatch.shape == (16, 24, 3)
    assert swatch[8, 12].min() > 180  # not 200 everywhere: the filter rings at edges


@pytest.mark.parametrize("is_training", [True, False])
def test_the_mode_of_the_network_is_left_as_it_was(is_training: bool) -> None:
    network = TransformerNet(8).train(is_training)
    photo = np.zeros((16, 16, 3), np.uint8)
    preview_strip(network, [photo], {0: photo})
    assert network.training is is_training
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_mode_is_put_back_after_an_error() -> None:
    class Broken(TransformerNet):
        def paint(self, x: Tensor, mix: Tensor | None) -> Tensor:
            raise RuntimeError("out of memory")

    network = Broken(8).train()
    photo = np.zeros((16, 16, 3), np.uint8)
    with pytest.raises(RuntimeError):
        preview_strip(network, [photo], {0: photo})
    assert network.training


def test_a_strip_is_written_as_jpeg_over_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "preview-000001.jpg"
    for grey in (0, 128):
        save_preview(path, np.full((20, 30, 3), grey, np.uint8))
    assert path.read_bytes()[:2] == b"\xff\xd8"
    np.testing.assert_allclose(load_image(path).rgb, 128, atol=1)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
