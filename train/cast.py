"""The styles of a network: which it gets, and which of them are trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nst.critic import Critic
from nst.errors import UsageError
from nst.files import sha256_of
from train.config import TrainConfig
from train.run import style_name_of
from train.warm_start import Trained, trained_at


@dataclass(frozen=True, slots=True)
class Cast:
    """The styles of a network."""

    names: list[str]
    files: list[Path]
    """Images of those that are trained."""
    added: int = 0
    trained: Trained | None = None
    """The network that the last ones are added to."""

    @property
    def images(self) -> dict[int, Path]:
        """Images of all styles that there are images of, by number."""
        known = self.trained.style_files if self.trained else ()
        files = self.files if len(self.files) == len(self.names) else [*known, *self.files]
        first = len(self.names) - len(files)
        return {first + number: file for number, file in enumerate(files)}


def cast_of(
    styles: Sequence[Path], config: TrainConfig, announce: Callable[[str], None], *, adds: bool
) -> Cast:
    """Find out which styles the network gets, and which of them are trained.

    Raises:
        UsageError: Two have one name; or styles are added to nothing; or the images of those that
            are there already are missing.
    """
    names = [style_name_of(style) for style in styles]
    cast = Cast(names, list(styles))
    if adds:
        if config.init in (None, "auto", "none"):
            raise UsageError("--add needs --init MODEL, the model that a style is added to")
        trained = trained_at(str(config.init), announce)
        if config.thaw:
            _check_images(trained)
        files = [*(trained.style_files if config.thaw else ()), *styles]
        cast = Cast([*trained.styles, *names], files, len(styles), trained)
    elif config.thaw:
        raise UsageError("--thaw belongs to --add")
    taken = sorted({"original", "auto"} & set(cast.names))
    if taken:
        raise UsageError(f"no style can be called {taken[0]}; give the image file another name")
    twice = sorted({name for name in cast.names if cast.names.count(name) > 1})
    if twice:
        raise UsageError(f"two styles are called {twice[0]}; give one image file another name")
    return cast


def known_by(cast: Cast, styles: Sequence[Path], style_size: int) -> tuple[list[str], list[str]]:
    """Return SHA-256 and sketch of every style; those of a trained network are its own."""
    critic = Critic()
    hashes = [sha256_of(style) for style in styles]
    sketches = [critic.sketch_of(style, style_size).to_text() for style in styles]
    if cast.trained is None:
        return hashes, sketches
    known = cast.trained.sketches or [""] * len(cast.trained.styles)
    return [*cast.trained.style_sha256, *hashes], [*known, *sketches]


def _check_images(trained: Trained) -> None:
    """Ask for the images of all styles of a network."""
    if not trained.style_files:
        raise UsageError(
            "--thaw trains all styles, and their images are needed: give --init the run folder"
            " that has them"
        )
    for file, sha256 in zip(trained.style_files, trained.style_sha256, strict=True):
        if sha256_of(file) != sha256:
            raise UsageError(f"{file} is not the image that its style was trained with")
