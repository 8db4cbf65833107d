"""Settings as flags, checks and files. Truths: by hand, and by round trip."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from nst.config import ObjectiveConfig, OptimizeConfig
from nst.errors import UsageError
from nst.settings import Settings, from_dict, from_toml, setting, to_toml, with_settings
from train.config import TrainConfig

Mood = Literal["calm", "wild"]


@dataclass(frozen=True, kw_only=True)
class PaintConfig(Settings):
    """One field of each kind that the program uses."""

    brush_size: int = setting(12, "Size of the brush, px.", low=1, high=64)
    strength: float = setting(1.0, "How strong.", low=0.01, flags=("-s",))
    minutes: float | None = setting(None, "How long, minutes.", low=0)
    title: str | None = setting(None, "What to call it.")
    mood: Mood = setting("calm", "How it feels.")
    paper: Literal["white", "grey"] | None = setting(None, "Colour of the paper.")
    is_framed: bool = setting(False, "With a frame.", flags=("--framed/--unframed",))


HELP = {field.name: field.metadata["help"] for field in dataclasses.fields(PaintConfig)}


def run(*arguments: str) -> tuple[dict[str, Any] | None, str]:
    """Run a command that has these settings and two parameters of its own."""
    app = typer.Typer(add_completion=False)
    seen: dict[str, Any] = {}

    @app.command()
    @with_settings(PaintConfig)
    def paint(
        settings: PaintConfig,
        photo: Annotated[Path, typer.Argument(help="The photograph.")],
        output: Annotated[Path, typer.Option("-o", help="Where to.")] = Path("out.png"),
    ) -> None:
        """Paint something."""
        seen.update(settings=settings, photo=photo, output=output)

    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200", "TERM": "dumb"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return seen or None, done.output


def test_defaults() -> None:
    seen, _ = run("a.jpg")
    assert seen == {
        "settings": PaintConfig(),
        "photo": Path("a.jpg"),
        "output": Path("out.png"),
    }


def test_every_field_is_an_option() -> None:
    seen, _ = run(
        "a.jpg", "--brush-size", "3", "-s", "0.5", "--minutes", "2.5", "--title", "Dämmerung",
        "--mood", "wild", "--paper", "grey", "--framed", "-o", "b.png",
    )  # fmt: skip
    assert seen is not None
    assert seen["output"] == Path("b.png")
    assert seen["settings"] == PaintConfig(
        brush_size=3,
        strength=0.5,
        minutes=2.5,
        title="Dämmerung",
        mood="wild",
        paper="grey",
        is_framed=True,
    )


def test_a_short_flag_has_the_long_one_beside_it() -> None:
    for flag in ("-s", "--strength"):
        seen, _ = run("a.jpg", flag, "2")
        assert seen is not None
        assert seen["settings"].strength == 2.0
    seen, _ = run("a.jpg", "--framed", "--unframed")
    assert seen is not None
    assert seen["settings"].is_framed is False


def test_help_shows_each_line_of_help() -> None:
    _, text = run("--help")
    assert "Paint something." in text
    assert "The photograph." in text
    for line in HELP.values():
        assert line in text
    assert "--brush-size" in text
    assert "settings" not in text.lower()


@pytest.mark.parametrize("config", [OptimizeConfig, TrainConfig])
@pytest.mark.parametrize("has_context", [False, True])
def test_flags_that_would_change_nothing_are_refused(
    config: type[Settings], has_context: bool
) -> None:
    """By hand: alpha and beta without the plain sums, given with their defaults or not."""
    app = typer.Typer(add_completion=False)
    seen: list[Settings] = []

    def plain(settings: Settings) -> None:
        seen.append(settings)

    def with_context(settings: Settings, ctx: typer.Context) -> None:
        assert ctx.get_parameter_source("strength") is not None
        seen.append(settings)

    app.command()(with_settings(config)(with_context if has_context else plain))

    def call(*arguments: str) -> str:
        done = CliRunner().invoke(app, list(arguments))
        return "" if done.exception is None else str(done.exception)

    weights = ("--content-weight", "1.0", "--style-weight", "3")
    assert call(*weights) == (
        "no use for --content-weight and --style-weight without --weights gatys;"
        " add it or leave that out"
    )
    assert call(*weights[:2], "--weights", "balanced").startswith(
        "no use for --content-weight without"
    )
    assert seen == []
    assert call(*weights, "--weights", "gatys") == ""
    assert call("--weights", "gatys") == ""
    assert call() == ""
    assert len(seen) == 3
    # A setting of a file or of Python is not what was typed: an old run may be read.
    config(style_weight=3.0)  # type: ignore[call-arg]


def test_the_step_of_adam_needs_adam() -> None:
    app = typer.Typer(add_completion=False)

    @app.command()
    @with_settings(OptimizeConfig)
    def optimize(settings: OptimizeConfig) -> None:
        assert settings.learning_rate == 0.1

    arguments = ["--learning-rate", "0.1"]
    with pytest.raises(UsageError, match="no use for --learning-rate without --optimizer adam"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert CliRunner().invoke(app, [*arguments, "--optimizer", "adam"]).exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [("--brush-size", "x"), ("--brush-size", "2.5"), ("--mood", "odd"), ("--colour", "red")],
)
def test_what_typer_refuses(arguments: tuple[str, ...]) -> None:
    seen, text = run("a.jpg", *arguments)
    assert seen is None
    assert arguments[0] in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--brush-size", "0"), "--brush-size must be at least 1, got 0"),
        (("--brush-size", "65"), "--brush-size must be at most 64, got 65"),
        (("-s", "0"), "--strength must be at least 0.01, got 0"),
        (("-s", "nan"), "--strength must be a finite number, got nan"),
        (("--strength", "inf"), "--strength must be a finite number, got inf"),
        (("--minutes", "-1"), "--minutes must be at least 0, got -1"),
    ],
)
def test_bounds_name_the_flag(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        run("a.jpg", *arguments)
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


def test_bounds_belong_to_the_values_allowed() -> None:
    assert PaintConfig(brush_size=1, strength=0.01, minutes=0).brush_size == 1
    assert PaintConfig(brush_size=64).brush_size == 64


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mood": "odd"}, "--mood must be one of calm, wild, got odd"),
        ({"mood": None}, "--mood must be one of calm, wild, got None"),
        ({"paper": "black"}, "--paper must be one of white, grey, got black"),
        ({"brush_size": "12"}, "--brush-size must be a whole number, got '12'"),
        ({"brush_size": 2.5}, "--brush-size must be a whole number, got 2.5"),
        ({"brush_size": True}, "--brush-size must be a whole number, got True"),
        ({"brush_size": None}, "--brush-size must be a whole number, got None"),
        ({"strength": "1"}, "--strength must be a number, got '1'"),
        ({"minutes": "long"}, "--minutes must be a number, got 'long'"),
        ({"title": 3}, "--title must be text, got 3"),
        ({"is_framed": 1}, "--framed must be true or false, got 1"),
        ({"is_framed": "yes"}, "--framed must be true or false, got 'yes'"),
    ],
)
def test_files_are_checked_as_flags_are(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_dict(PaintConfig, values, source="x")
    assert str(caught.value) == message


def test_a_whole_number_serves_as_a_number() -> None:
    assert from_toml(PaintConfig, "strength = 2", source="x") == PaintConfig(strength=2.0)


def test_replace_checks_again() -> None:
    assert PaintConfig().replace(brush_size=5) == PaintConfig(brush_size=5)
    with pytest.raises(UsageError, match="--brush-size must be at most 64"):
        PaintConfig().replace(brush_size=65)


def test_toml_by_hand() -> None:
    text = to_toml(PaintConfig(title='a "b"', strength=0.5, is_framed=True))
    assert text == (
        "# Size of the brush, px.\nbrush_size = 12\n"
        "# How strong.\nstrength = 0.5\n"
        '# What to call it.\ntitle = "a \\"b\\""\n'
        '# How it feels.\nmood = "calm"\n'
        "# With a frame.\nis_framed = true\n"
    )


@hypothesis_settings(deadline=None)
@given(
    brush_size=st.integers(1, 64),
    strength=st.floats(0.01, allow_infinity=False, allow_nan=False),
    minutes=st.none() | st.floats(0, allow_infinity=False, allow_nan=False),
    title=st.none() | st.text(st.characters(exclude_categories=["Cs"])),
    mood=st.sampled_from(["calm", "wild"]),
    paper=st.sampled_from([None, "white", "grey"]),
    is_framed=st.booleans(),
)
def test_toml_round_trip(**values: Any) -> None:
    """Any text there is, control characters and those beyond 16 bits too."""
    settings = PaintConfig(**values)
    assert from_toml(PaintConfig, to_toml(settings), source="x") == settings
    assert tomllib.loads(to_toml(settings)) == {k: v for k, v in values.items() if v is not None}


@pytest.mark.parametrize("settings", [ObjectiveConfig(), OptimizeConfig(), TrainConfig()])
def test_the_programs_own_settings(settings: Settings) -> None:
    """Each default lies within its bounds and survives a file; each field has a line of help."""
    cls = type(settings)
    assert from_toml(cls, to_toml(settings), source="x") == settings
    assert from_dict(cls, dataclasses.asdict(settings), source="x") == settings
    for field in dataclasses.fields(settings):
        help_text = field.metadata["help"]
        assert "\n" not in help_text
        assert len(help_text) > 10


def test_an_unknown_setting_is_refused() -> None:
    text = to_toml(PaintConfig()) + "colour = 3\nalpha = 1\n"
    with pytest.raises(UsageError) as caught:
        from_toml(PaintConfig, text, source="run/config.toml")
    assert str(caught.value) == "run/config.toml: unknown setting alpha, colour"


@pytest.mark.parametrize("text", ["brush_size", "brush_size = ", "= 3", 'title = "a'])
def test_broken_toml_names_the_file(text: str) -> None:
    with pytest.raises(UsageError, match=r"^run/config\.toml: not valid TOML, ") as caught:
        from_toml(PaintConfig, text, source="run/config.toml")
    assert "\n" not in str(caught.value)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        PaintConfig().brush_size = 3  # type: ignore[misc]
