"""A photograph in, a painted picture out: the three-line interface of a style model.

paint = Stylizer("starry.onnx")
paint("photo.jpg").save("painted.png")
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from infer.memory import check_memory
from infer.session import Session, open_session
from nst.color import blend, with_original_colors
from nst.contract import ModelInfo
from nst.errors import ImageError, InferenceError, PixelLimitError, UsageError
from nst.image import MAX_PIXELS, Picture, fit_long_side, load_image, resize_image
from nst.settings import MOST_TEXTURE, Provider

Source = str | Path | bytes | Picture | NDArray[np.uint8]
"""What can be painted: a file, its content, a picture already read, or uint8 RGB (H, W, 3)."""


class Stylizer:
    """A style model that paints pictures.

    Args:
        model: The ONNX file of a style, or its content.
        provider: Where it runs; ``auto`` takes the best there is. ``paint.session`` knows what was
            asked for and what was obtained.
        size: Long side that the network sees, px. A larger photograph is reduced to it, a smaller
            one never enlarged; None paints every photograph at its own size.
        restore_size: Whether a picture that was reduced is brought back to its own size.
        original_colors: Whether the photograph keeps its colours and takes the brush strokes only.
        strength: Share of the painting in the result, 0 (the photograph) to 1 (the painting).
        texture: What the noise is multiplied by, of a model that has noise: 0 (none) to 3.
        max_pixels: The largest photograph that is decoded, width times height.

    Raises:
        ModelError: The file is no style model.
        InferenceError: The provider was named and cannot be had.
        UsageError: An argument is out of bounds.
    """

    def __init__(
        self,
        model: str | Path | bytes,
        *,
        provider: Provider = "auto",
        size: int | None = 1024,
        restore_size: bool = False,
        original_colors: bool = False,
        strength: float = 1.0,
        texture: float = 1.0,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if size is not None and size < 1:
            raise UsageError(f"--size must be at least 1 px, got {size}")
        if not 0 <= strength <= 1:
            raise UsageError(f"--strength must be 0 to 1, got {strength:g}")
        if not 0 <= texture <= MOST_TEXTURE:
            raise UsageError(f"--texture must be 0 to {MOST_TEXTURE:g}, got {texture:g}")
        self.size = size
        self.restore_size = restore_size
        self.original_colors = original_colors
        self.strength = strength
        self.max_pixels = max_pixels
        self.texture = texture
        self.session: Session = open_session(model, provider)
        if texture != 1 and not self.session.has_texture:
            raise UsageError(
                f"--texture {texture:g}: {self.session.name} has no noise whose amplitude could be"
                " set; networks of nst train --net swift have"
            )
        self._checked: tuple[int, int] | None = None  # the size that memory was last found for

    @property
    def info(self) -> ModelInfo:
        """The metadata of the model: its styles, how it was trained, how exact the export is."""
        return self.session.info

    def __call__(self, source: Source, *, name: str | None = None) -> Picture:
        """Paint one picture.

        Args:
            source: What to paint.
            name: What to call it in an error; a file goes by its path.

        Returns:
            The painting. Alpha is that of the photograph; a change of size stands in ``notes``.

        Raises:
            ImageError: The picture cannot be read.
            InferenceError: It is too large for the free memory, or the run failed.
        """
        if name is None:
            name = str(source) if isinstance(source, str | Path) else "the picture"
        photograph = self._as_picture(source, name)
        seen, note = self._fitted(photograph)
        if not self.session.has_own_memory and self._checked != (seen.height, seen.width):
            self._check_memory(seen.height, seen.width, name)
        painted = self.run(seen.rgb[None])[0]
        if self.restore_size:
            seen = photograph
            painted = _resized(painted, seen.height, seen.width)
        if self.original_colors:
            painted = with_original_colors(painted, seen.rgb)
        if self.strength < 1:
            painted = blend(seen.rgb, painted, self.strength)
        return Picture(rgb=painted, alpha=seen.alpha, notes=photograph.notes + note)

    def read(self, source: str | Path | bytes | BinaryIO, *, name: str | None = None) -> Picture:
        """Read a photograph as ``nst.image.load_image`` does, of ``max_pixels`` at most.

        Raises:
            ImageError: It cannot be read.
        """
        try:
            return load_image(source, name=name, max_pixels=self.max_pixels)
        except PixelLimitError as error:
            raise PixelLimitError(f"{error}, or raise --max-pixels") from None

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Run the network alone: no resizing, no colours, no strength, no look at the memory.

        Args:
            images: RGB, uint8, (N, H, W, 3).

        Returns:
            RGB, uint8, (N, H, W, 3).

        Raises:
            ImageError: The array is of another kind.
            InferenceError: The run failed, for want of memory as a rule.
        """
        return self.session.run(images, texture=self.texture)

    def is_reduced(self, height: int, width: int) -> bool:
        """Whether the network sees less than all pixels of a picture of that size."""
        return self.size is not None and max(height, width) > self.size

    def _as_picture(self, source: Source, name: str) -> Picture:
        if isinstance(source, Picture):
            return source
        if isinstance(source, str | Path | bytes):
            return self.read(source, name=name)
        is_rgb = source.ndim == 3 and source.shape[-1] == 3 and source.size > 0
        if source.dtype != np.uint8 or not is_rgb:
            raise ImageError(
                f"{name}: an array must be RGB uint8 (height, width, 3),"
                f" got {source.dtype} {tuple(source.shape)}"
            )
        return Picture(rgb=source, alpha=None, notes=())

    def _check_memory(self, height: int, width: int, name: str) -> None:
        """Look at the free memory before the first picture of a size.

        The next ones of that size in a row are painted in what this one took: a film on a small
        machine must not end because its own second frame finds the memory taken.
        """
        try:
            check_memory(self.info, height, width, name=name)
        except InferenceError:
            self._checked = None
            self.session.give_memory_back()  # taken by pictures of another size
            check_memory(self.info, height, width, name=name)
        self._checked = height, width

    def _fitted(self, photograph: Picture) -> tuple[Picture, tuple[str, ...]]:
        """Return the picture that the network sees, and a note where it is not the photograph."""
        height, width = photograph.height, photograph.width
        if self.size is None or not self.is_reduced(height, width):
            return photograph, ()
        new_height, new_width = fit_long_side(height, width, self.size)
        rgb = resize_image(photograph.rgb, new_height, new_width)
        alpha = photograph.alpha
        if alpha is not None:
            alpha = resize_image(alpha, new_height, new_width)
        note = f"{width}x{height} painted at {new_width}x{new_height}"
        if self.restore_size:
            note += " and enlarged again"
        return Picture(rgb=rgb, alpha=alpha, notes=()), (note,)


def _resized(rgb: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    return rgb if rgb.shape[:2] == (height, width) else resize_image(rgb, height, width)
