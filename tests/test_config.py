import json
from dataclasses import dataclass, field
from typing import Protocol

import pytest

from bigbird import config as configs
from bigbird.errors import ConfigError
from bigbird.recipes import RECIPES, recipe


@dataclass(frozen=True, kw_only=True)
class Inner:
    steps: int = 3
    rate: float = 0.1
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ConfigError(f"steps must be at least 1, got {self.steps}")


class AnyKind(Protocol):
    def open(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    inner: Inner = field(default_factory=Inner)
    choice: Inner | str = field(default_factory=Inner)


@dataclass(frozen=True, kw_only=True)
class Made:
    by: str = field(metadata=configs.fixed("Make another."))
    kind: AnyKind


DEFAULT = Outer(name="x")
MADE = Made(by="us", kind=Inner())


def test_a_config_survives_json():
    config = Outer(name="y", inner=Inner(steps=7, names=("a", "b")), choice="z")
    assert configs.from_json(Outer, json.loads(json.dumps(configs.to_json(config))), source="f") == config


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("inner.steps=9", Outer(name="x", inner=Inner(steps=9))),
        ("inner.rate=3e-4", Outer(name="x", inner=Inner(rate=3e-4))),
        ('inner.names=["a"]', Outer(name="x", inner=Inner(names=("a",)))),
        ("inner.names=a", Outer(name="x", inner=Inner(names=("a",)))),
        ("name=plain text", Outer(name="plain text")),
        ("choice=other", Outer(name="x", choice="other")),
        ("choice.steps=2", Outer(name="x", choice=Inner(steps=2))),
        ('inner={"steps": 2, "rate": 1}', Outer(name="x", inner=Inner(steps=2, rate=1.0))),
        ("name=" + "[" * 100_000, Outer(name="[" * 100_000)),
        ("name=" + "9" * 5_000, Outer(name="9" * 5_000)),
    ],
)
def test_a_setting_changes_one_value(setting, expected):
    assert configs.overridden(DEFAULT, [setting]) == expected


def test_a_part_declared_as_a_protocol_keeps_its_kind():
    assert configs.overridden(MADE, ["kind.steps=2"]) == Made(by="us", kind=Inner(steps=2))
    with pytest.raises(ConfigError, match=r"--set: kind must hold named values, got 5"):
        configs.overridden(MADE, ["kind=5"])
    with pytest.raises(ConfigError, match=r"run.json: kind can only change what a recipe has chosen"):
        configs.from_json(Made, {"by": "us", "kind": {"steps": 2}}, source="run.json")


def test_a_fixed_value_may_be_repeated_but_not_changed():
    assert configs.overridden(MADE, ["by=us"]) == MADE
    with pytest.raises(ConfigError, match=r"--set: by is 'us' and cannot be made 'them'\. Make another\."):
        configs.overridden(MADE, ["by=them"])


def test_settings_that_only_fit_together_may_come_in_any_order():
    @dataclass(frozen=True, kw_only=True)
    class Pair:
        low: int = 0
        high: int = 1

        def __post_init__(self) -> None:
            if self.low >= self.high:
                raise ConfigError("low must be below high")

    for settings in (["low=5", "high=9"], ["high=9", "low=5"], ["low=3", "high=9", "low=5"]):
        assert configs.overridden(Pair(), settings) == Pair(low=5, high=9)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("inner.stepz=9", r"--set: inner has no setting 'stepz'\. Did you mean 'steps'\? Settings: steps, rate, names"),
        ("iner.steps=9", r"--set: there is no setting 'iner'\. Did you mean 'inner'\?"),
        ("inner.steps=many", r"--set: inner.steps got 'many': Input should be a valid integer"),
        ("inner.steps=1.5", r"--set: inner.steps got 1.5: Input should be a valid integer"),
        ("inner.steps=0", r"--set: steps must be at least 1, got 0"),
        ("inner.names=5", r"--set: inner.names got 5: Input should be a valid tuple"),
        ("inner=5", r"--set: inner must hold named values, got 5"),
        ("inner.steps", r"--set needs name=value, for example training.num_steps=500, got 'inner.steps'"),
        ("=5", r"--set needs name=value"),
        ("name.part=5", r"--set: name got \{'part': 5\}"),
    ],
    ids=lambda value: value[:30],
)
def test_a_setting_that_makes_no_sense_is_refused_with_the_nearest_name(setting, message):
    with pytest.raises(ConfigError, match=message):
        configs.overridden(DEFAULT, [setting])


@pytest.mark.parametrize(
    "settings",
    [
        ["choice=other", "choice.steps=2"],
        ["choice.steps=2", "choice=other"],
        ['inner={"steps": 2}', "inner.rate=1"],
        ["inner.steps.part=1", "inner=5"],
    ],
)
def test_a_setting_given_as_a_whole_and_in_part_is_refused_so_that_neither_is_lost(settings):
    whole = min(settings, key=lambda setting: setting.count(".")).partition("=")[0]
    with pytest.raises(
        ConfigError, match=rf"--set: {whole} is set as a whole and also in part, by {whole}\..*only one"
    ):
        configs.overridden(DEFAULT, settings)


def test_missing_and_unknown_names_in_a_file_are_refused():
    with pytest.raises(ConfigError, match=r"run.json: name is missing"):
        configs.from_json(Outer, {}, source="run.json")
    with pytest.raises(ConfigError, match=r"run.json: there is no setting 'nam'"):
        configs.from_json(Outer, {"nam": "x"}, source="run.json")


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_survives_json(name):
    run = recipe(name)
    assert run.recipe == name
    assert configs.changed(run, json.loads(json.dumps(configs.to_json(run))), source="f") == run


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("recipe=foo", r"recipe is '\w+\.\w+' and cannot be made 'foo'\. Give `bigbird train` the other recipe"),
        ("data=5", r"--set: data must hold named values, got 5"),
        ("start.encoder.num_token_types=-3", r"num_token_types must be at least 0, got -3"),
        ("training.betas=[1.5, 2]", r"training.betas must be two numbers, each in \[0, 1\), got \[1.5, 2"),
        ("training.learning_rate=NaN", r"training.learning_rate must be a finite number above 0, got nan"),
        ("training.seed=99999999999999999999999", r"training.seed must be from 0 to 2\*\*63 - 1, got 9999"),
        ("start.vocab_size=0", r"start.vocab_size must be from 1 to 16777216, got 0"),
    ],
)
def test_a_run_with_a_value_that_makes_no_sense_is_refused(name, setting, message):
    with pytest.raises(ConfigError, match=message):
        configs.overridden(recipe(name), [setting])


def test_an_unknown_recipe_is_refused_with_the_nearest():
    with pytest.raises(
        ConfigError, match=r"no recipe 'genomics.promotor'\. Did you mean genomics.promoter\? Recipes: "
    ):
        recipe("genomics.promotor")
