"""Settings: frozen dataclasses that are the one source of flags, checks and files. Torch-free.

A setting is a field with a default, one line of help with its unit and its bounds::

    @dataclass(frozen=True, kw_only=True)
    class TrainConfig(Settings):
        size: int = setting(256, "Side of the training crops, px.", low=64)

``with_settings(TrainConfig)`` turns the fields into the options of a command, ``to_toml`` and
``from_toml`` into a file and back, and a value out of bounds raises an error that names the flag.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import math
import tomllib
import types
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from nst.errors import UsageError, in_one_line

SettingsT = TypeVar("SettingsT", bound="Settings")

Precision = Literal["auto", "float32", "bfloat16"]
"""Dtype of the convolutions."""
Weighting = Literal["balanced", "gatys"]
"""Relative errors, or the plain sums of Gatys et al."""
LossNetwork = Literal["vgg19", "compact"]
"""What measures content and style: VGG-19, or the small embedded network that was distilled from
it."""
Provider = Literal["auto", "cpu", "cuda", "tensorrt", "coreml", "dml"]
"""Where ONNX Runtime runs. ``auto``: the best that it lists, TensorRT left out."""

ColorTransfer = Literal["luminance", "statistics"]
"""How a painting keeps the colours of the photograph: its colour at every place, and the light and
dark of the painting; or the mean and covariance of its colours."""

MOST_TEXTURE = 3.0
"""How far the noise of a network may be raised above what it was trained with."""

LEAST_BRUSH, MOST_BRUSH = 0.25, 4.0
"""How fine and how broad strokes can be made after training."""

_KIND_NAMES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
}


def setting(
    default: Any,  # noqa: ANN401
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    flags: tuple[str, ...] = (),
    only_with: tuple[str, str | bool] | None = None,
) -> Any:  # noqa: ANN401
    """Declare one field of a ``Settings`` class.

    Args:
        default: The value when nothing is asked for.
        help: One line for the help page, with the unit.
        low: The least value allowed.
        high: The greatest value allowed.
        flags: Names on the command line where they differ from the field's, as in ``("-n",)``.
        only_with: A field and the value that it must have for this one to count, as in
            ``("weights", "gatys")``. Given on the command line without it, a flag is refused.
    """
    metadata = {"help": help, "low": low, "high": high, "flags": flags, "only_with": only_with}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of all settings: checks bounds and choices when it is made."""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in dataclasses.fields(self):
            _check(flag_of(field), getattr(self, field.name), hints[field.name], field.metadata)

    def replace(self: SettingsT, **changes: Any) -> SettingsT:  # noqa: ANN401
        """Return a copy with some values changed, checked again."""
        return dataclasses.replace(self, **changes)


def flag_of(field: dataclasses.Field[Any]) -> str:
    """Return the long flag of a field, as in ``--style-size``."""
    for flag in field.metadata.get("flags", ()):
        if flag.startswith("--"):
            return str(flag).split("/")[0]
    return "--" + field.name.replace("_", "-")


def with_settings(cls: type[SettingsT]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command with a parameter ``settings`` one option for each field of ``cls``."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        own = [p for p in _parameters(command) if p.name != "settings"]
        options = [_option(field, hint) for field, hint in _fields(cls)]
        names = [option.name for option in options]
        context = _context(own)
        parameters = [*own, *options, *([] if context in own else [context])]

        @functools.wraps(command)
        def call(**values: Any) -> Any:  # noqa: ANN401
            settings = cls(**{name: values.pop(name) for name in names})
            _refuse_idle_flags(settings, values[context.name])
            if context not in own:
                del values[context.name]
            return command(**values, settings=settings)

        call.__dict__["__signature__"] = inspect.Signature(parameters)
        call.__annotations__ = {p.name: p.annotation for p in parameters}
        del call.__dict__["__wrapped__"]
        return call

    return decorate


def is_given(context: Any, name: str) -> bool:  # noqa: ANN401
    """Whether a parameter was typed, also with the value of its default.

    Args:
        context: Typer's, of the command.
        name: Of the parameter, as in ``style_size``.
    """
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def given_flags(
    cls: type[Settings],
    context: Any,  # noqa: ANN401
    others: Iterable[str] = (),
) -> list[str]:
    """Return the flags of settings, and of other parameters, that were typed.

    Args:
        cls: Whose fields are looked for.
        context: Typer's, of the command.
        others: Names of further parameters, as in ``runs``.
    """
    flags = {field.name: flag_of(field) for field in dataclasses.fields(cls)}
    flags |= {name: f"--{name}" for name in others}
    return [flag for name, flag in flags.items() if is_given(context, name)]


def to_toml(settings: Settings) -> str:
    """Return the settings as TOML, each under its line of help; unset values are left out."""
    lines = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if value is not None:
            lines.append(f"# {field.metadata['help']}\n{field.name} = {_toml_value(value)}")
    return "\n".join(lines) + "\n"


def from_toml(cls: type[SettingsT], text: str, *, source: str) -> SettingsT:
    """Read what ``to_toml`` wrote.

    Raises:
        UsageError: The text is no TOML, or names a setting that does not exist.
    """
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # no TOML, too many digits, nested without end
        raise UsageError(f"{source}: not valid TOML, {in_one_line(error)}") from None
    return from_dict(cls, values, source=source)


def from_dict(cls: type[SettingsT], values: dict[str, Any], *, source: str) -> SettingsT:
    """Make settings from plain values, as a file or a checkpoint header holds them.

    Raises:
        UsageError: A name is unknown or a value is out of bounds.
    """
    known = {field.name for field in dataclasses.fields(cls)}
    if unknown := sorted(set(values) - known):
        raise UsageError(f"{source}: unknown setting {in_one_line(', '.join(unknown))}")
    as_tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return cls(**as_tuples)


def _check(flag: str, value: object, hint: Any, bounds: Any) -> None:  # noqa: ANN401
    kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if value is None and type(None) in kinds:
        return
    choices = [c for kind in kinds if get_origin(kind) is Literal for c in get_args(kind)]
    if choices and value not in choices:
        names = [str(choice) for choice in choices]
        raise UsageError(f"{flag} must be one of {', '.join(names)}, got {in_one_line(value)}")
    if not choices and not any(_is_a(value, kind) for kind in kinds):
        names = [_KIND_NAMES.get(kind, str(kind)) for kind in kinds if kind is not type(None)]
        raise UsageError(f"{flag} must be {' or '.join(names)}, got {in_one_line(repr(value))}")
    if not isinstance(value, int | float) or isinstance(value, bool):
        return
    low, high = bounds.get("low"), bounds.get("high")
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{flag} must be a finite number, got {value}")
    if low is not None and value < low:
        raise UsageError(f"{flag} must be at least {low:g}, got {_shown(value)}")
    if high is not None and value > high:
        raise UsageError(f"{flag} must be at most {high:g}, got {_shown(value)}")


def _shown(number: float) -> str:
    try:
        return f"{number:g}"
    except OverflowError:  # a whole number that no float holds
        return in_one_line(number)


def _is_a(value: object, kind: Any) -> bool:  # noqa: ANN401
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else get_origin(kind) or kind)


def _fields(cls: type[Settings]) -> list[tuple[dataclasses.Field[Any], Any]]:
    hints = get_type_hints(cls)
    return [(field, hints[field.name]) for field in dataclasses.fields(cls)]


def _parameters(command: Callable[..., Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(command, include_extras=True)
    return [
        p.replace(annotation=hints[p.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for p in inspect.signature(command).parameters.values()
    ]


def _context(own: list[inspect.Parameter]) -> inspect.Parameter:
    """Return the command's own parameter for typer's context, or one for it to have."""
    import typer  # here, because settings are read in programs that have no command line

    for parameter in own:
        if parameter.annotation is typer.Context:
            return parameter
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter("context", kind, annotation=typer.Context)


def _refuse_idle_flags(settings: Settings, context: Any) -> None:  # noqa: ANN401
    """Refuse flags that were given and would change nothing; values alone do not tell.

    Raises:
        UsageError: Names them, and what they need.
    """
    fields = {field.name: field for field in dataclasses.fields(settings)}
    idle: dict[str, list[str]] = {}
    for field in fields.values():
        name, value = field.metadata["only_with"] or ("", None)
        is_idle = name and getattr(settings, name) != value
        if is_idle and is_given(context, field.name):
            needed = flag_of(fields[name]) + ("" if value is True else f" {value}")
            idle.setdefault(needed, []).append(flag_of(field))
    for needed, flags in idle.items():
        raise UsageError(
            f"no use for {' and '.join(flags)} without {needed}; add it or leave that out"
        )


def _option(field: dataclasses.Field[Any], hint: Any) -> inspect.Parameter:  # noqa: ANN401
    import typer

    flags = field.metadata["flags"]
    if not any(flag.startswith("--") for flag in flags):
        flags = (flag_of(field), *flags)
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=field.default,
        annotation=Annotated[hint, typer.Option(*flags, help=field.metadata["help"])],
    )


def _toml_value(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml_value(v) for v in value) + "]"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    # A basic string of TOML is one of JSON, but for surrogate pairs and the control character DEL.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
