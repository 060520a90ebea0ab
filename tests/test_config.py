import json
from dataclasses import dataclass, field

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


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    inner: Inner = field(default_factory=Inner)
    choice: Inner | str = field(default_factory=Inner)


DEFAULT = Outer(name="x")


def test_a_config_survives_json():
    config = Outer(name="y", inner=Inner(steps=7, names=("a", "b")), choice="z")
    assert configs.from_json(Outer, json.loads(json.dumps(configs.to_json(config))), source="f") == config


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("inner.steps=9", Outer(name="x", inner=Inner(steps=9))),
        ("inner.rate=3e-4", Outer(name="x", inner=Inner(rate=3e-4))),
        ('inner.names=["a"]', Outer(name="x", inner=Inner(names=("a",)))),
        ("name=plain text", Outer(name="plain text")),
        ("choice=other", Outer(name="x", choice="other")),
        ("choice.steps=2", Outer(name="x", choice=Inner(steps=2))),
        ('inner={"steps": 2, "rate": 1}', Outer(name="x", inner=Inner(steps=2, rate=1.0))),
    ],
)
def test_a_setting_changes_one_value(setting, expected):
    assert configs.overridden(DEFAULT, [setting]) == expected


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
        ("inner=5", r"--set: inner must hold named values, got 5"),
        ("inner.steps", r"--set needs name=value, for example training.num_steps=500, got 'inner.steps'"),
        ("=5", r"--set needs name=value"),
        ("name.part=5", r"--set: name got \{'part': 5\}"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_with_the_nearest_name(setting, message):
    with pytest.raises(ConfigError, match=message):
        configs.overridden(DEFAULT, [setting])


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


def test_an_unknown_recipe_is_refused_with_the_nearest():
    with pytest.raises(
        ConfigError, match=r"no recipe 'genomics.promotor'\. Did you mean genomics.promoter\? Recipes: "
    ):
        recipe("genomics.promotor")
