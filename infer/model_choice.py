"""Which model is meant: a file, a name of the registry, or the styles that one of them has."""

from __future__ import annotations

import difflib
import glob
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from infer.model_file import exported_in
from nst.errors import UsageError
from nst.model_entry import Entry
from nst.recipe import ORIGINAL, plain, shares_named
from nst.registry import chosen, entries, listed, named

Announce = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Wish:
    """Styles that were asked for, and the flag that did."""

    flag: str
    text: str

    @property
    def is_auto(self) -> bool:
        """Whether the style is to be chosen by the photograph."""
        return self.text == "auto"

    @property
    def names(self) -> list[str]:
        """What the styles were called."""
        called = (plain(part.partition(":")[0].strip()) for part in self.text.split(","))
        return [name for name in called if name != ORIGINAL]

    def is_of(self, entry: Entry) -> bool:
        """Whether a model has these styles, by their whole names."""
        return set(self.names) <= {plain(style) for style in entry.styles}

    def met_by(self, entry: Entry) -> tuple[str, ...]:
        """Return the styles of a model that are meant, by parts of their names too; or none."""
        try:
            shares = shares_named(self.text, entry.styles, flag=self.flag, model=entry.name)
        except UsageError:
            return ()
        return tuple(s for s, share in zip(entry.styles, shares[1:], strict=True) if share > 0)


def wishes_of(
    style: str | None, gradient: str | None, regions: Sequence[tuple[str, str]] = ()
) -> list[Wish]:
    """Return what was asked of a model, flag by flag."""
    flags = {"--style": style, "--gradient": gradient}
    found = [Wish(flag, text) for flag, text in flags.items() if text is not None]
    return found + [Wish("--region", text) for _, text in regions]


def model_and_inputs(
    arguments: Sequence[str], wishes: Sequence[Wish], net: str | None, announce: Announce
) -> tuple[str | Path, list[str]]:
    """Tell the model from the pictures in what was typed.

    The first argument is the model, unless styles are asked for and it is none: no name of the
    registry, no ``.onnx``, no folder with one, no pipe and no file that begins as such files do.
    Then a model of the registry that has these styles is taken, and all arguments are pictures.

    Args:
        arguments: At least one.
        wishes: Styles that were asked for.
        net: Of which architecture that model shall be, or any.
        announce: Told which model is taken, and what else could have been meant.

    Raises:
        UsageError: A model or a picture is missing, or no model has the styles.
    """
    first, *rest = arguments
    if wishes and not _is_model(first):
        path = Path(first)
        is_known = first == "-" or path.exists() or glob.has_magic(first)
        if not is_known and not (rest and path.suffix):  # else it is one lost picture of several
            raise UsageError(f"{first}: no such file, and no model of the registry{_hint(first)}")
        return model_with(wishes, net, announce), [*arguments]
    if not rest and not _is_model(first):
        raise UsageError(
            f"what shall {first} be painted with? Name a MODEL before it, or a --style of the"
            " registry, see `nst models list`"
        )
    if not rest:
        raise UsageError(f"what shall {first} paint? Name an INPUT behind it")
    return given(first, net, announce), rest


def model_of(
    typed: str | None, wishes: Sequence[Wish], net: str | None, announce: Announce
) -> str | Path:
    """Return the model that was typed, or where none was the one that has the styles.

    Raises:
        UsageError: Neither was, or there is no such model.
    """
    if typed is not None:
        return given(typed, net, announce)
    if not wishes:
        raise UsageError(
            "this needs a MODEL, an ONNX file or a name of `nst models list`, or a --style that"
            " one of those has"
        )
    return model_with(wishes, net, announce)


def given(text: str, net: str | None, announce: Announce) -> str | Path:
    """Return the model that was typed, a name or a file.

    Raises:
        UsageError: ``--net`` was given too; or there is no such thing, but one called alike.
    """
    if net is not None:
        raise UsageError(f"no use for --net beside the MODEL {text}, which has its network")
    model = chosen(text, announce)
    if isinstance(model, Path) and not model.exists() and (hint := _hint(text)):
        raise UsageError(f"{text}: no such file, and no model of the registry{hint}")
    return model


def model_with(wishes: Sequence[Wish], net: str | None, announce: Announce) -> str:
    """Return the name of the first model of the registry that has the styles; say which it is.

    Models that have them by their whole names go before those that have them by a part.

    Raises:
        UsageError: None has them, or it is not clear which are meant.
    """
    flags = " and ".join(dict.fromkeys(wish.flag for wish in wishes))
    known = [entry for entry in entries(announce) if net in (None, entry.net)]
    where = f"the {net} models of the registry" if net else "the registry"
    if not known:
        raise UsageError(f"{flags} without a MODEL is looked for in {where}; {listed([])}")
    wishes = [wish for wish in wishes if wish.names]
    if not wishes:
        raise UsageError(f"{flags}: the photograph itself is no style to look for; name a MODEL")
    plain = [wish for wish in wishes if not wish.is_auto]
    found = [entry for entry in known if all(wish.is_of(entry) for wish in plain)]
    if not found:
        found = _by_parts(plain, known, where)
    if len(plain) < len(wishes) and len({frozenset(entry.styles) for entry in found}) > 1:
        names = ", ".join(entry.name for entry in found)
        raise UsageError(f"--style auto chooses among the styles of one MODEL; name it: {names}")
    first, *others = found
    too = f"; {', '.join(entry.name for entry in others)} could do it too" if others else ""
    announce(f"model: {first.name}, {first.net} {first.width}{too}")
    return first.name


def models_in(
    places: Sequence[str | Path], announce: Announce = lambda line: None
) -> list[str | Path]:
    """Return models: names of the registry, files, those in folders; without any the registry's.

    Args:
        places: What was typed, as strings; a path is never a name.
        announce: Told where a file is called as a model is, and of a record that is damaged.

    Returns:
        Names as strings, files as paths.

    Raises:
        UsageError: There is none.
    """
    if not places:
        known = [entry.name for entry in entries(announce)]
        if not known:
            raise UsageError(f"no MODEL is given, and of the registry {listed([])}")
        return [*known]
    found: list[str | Path] = []
    for place in places:
        model = chosen(place, announce) if isinstance(place, str) else place
        is_folder = isinstance(model, Path) and model.is_dir()
        found += exported_in(Path(model)) if is_folder else [model]
    if not found:
        raise UsageError(f"{', '.join(map(str, places))}: no model in it, *.onnx")
    return found


def _by_parts(wishes: Sequence[Wish], known: Sequence[Entry], where: str) -> list[Entry]:
    """Return the models that have styles with such words in their names.

    Raises:
        UsageError: There is none, or they have different ones.
    """
    met = {entry.name: [wish.met_by(entry) for wish in wishes] for entry in known}
    found = [entry for entry in known if all(met[entry.name])]
    if not found:
        styles = list(dict.fromkeys(style for entry in known for style in entry.styles))
        for wish in wishes:
            shares_named(wish.text, styles, flag=wish.flag, model=where)
        asked = " and ".join(f"{wish.flag} {wish.text}" for wish in wishes)
        raise UsageError(f"{asked}: in {where} no single model has all of it")
    first, *others = found
    for other in others:
        if met[other.name] != met[first.name]:
            one, two = (
                f"{', '.join(style for styles in met[entry.name] for style in styles)} of"
                f" {entry.name}"
                for entry in (first, other)
            )
            raise UsageError(f"{wishes[0].flag} {wishes[0].text} could be {one} or {two}")
    return found


def _is_model(text: str) -> bool:
    if text.lower().endswith(".onnx") or named(text) is not None:
        return True
    path = Path(text)
    if path.is_dir():
        return bool(exported_in(path))
    if not path.is_file():  # of a pipe nothing may be read to find out; `-` is that for pictures
        return path.exists()
    try:
        with path.open("rb") as file:
            begin = file.read(2)
    except OSError:
        return False
    # The version of the format, 3 to 31: the first field of every ONNX file, and of no picture.
    return len(begin) == 2 and begin[0] == 8 and 3 <= begin[1] < 32


def _hint(text: str) -> str:
    """Return what may have been meant by a word, for the end of a message."""
    known = entries(lambda line: None)
    if any(text.lower() == style.lower() for entry in known for style in entry.styles):
        return f"; for a style write --style {text}"
    close = difflib.get_close_matches(text, [entry.name for entry in known], n=1, cutoff=0.7)
    return f"; did you mean {close[0]}?" if close else ""
