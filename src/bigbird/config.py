"""Frozen dataclasses to and from JSON, and `name.name=value` overrides; an unknown name is an error."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from bigbird.errors import ConfigError

Config = TypeVar("Config")

_CURE = "cure"  # metadata of a field that cannot be changed


def to_json(config: object) -> dict[str, Any]:
    """A dataclass as plain JSON values, nested ones as objects."""
    assert dataclasses.is_dataclass(config) and not isinstance(config, type)
    values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return values


def from_json(kind: type[Config], values: Mapping[str, Any], *, source: str) -> Config:
    """Build a dataclass from JSON values; every name is checked, `source` is named in errors."""
    return _build(kind, None, values, source, ())


def changed(config: Config, values: Mapping[str, Any], *, source: str) -> Config:
    """A copy of a dataclass with some values, also nested ones, taken from `values`."""
    return _build(type(config), config, values, source, ())


def overridden(config: Config, settings: Iterable[str], *, source: str = "--set") -> Config:
    """A copy with settings such as "training.num_steps=500" applied; values are JSON, or else plain text.

    One text will do where a list of texts may stand: data.sources=texts. All are applied at once, so that settings
    which only fit together may come in any order.
    """
    given: dict[tuple[str, ...], Any] = {}
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals or not path:
            raise ConfigError(f"{source} needs name=value, for example training.num_steps=500, got {setting!r}")
        given[tuple(path.split("."))] = _value(text)
    return changed(config, _nested(given, source), source=source)


def fixed(cure: str) -> dict[str, str]:
    """Metadata for a dataclass field that keeps the value it was made with; `cure` tells what to do instead."""
    return {_CURE: cure}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _nested(given: Mapping[tuple[str, ...], Any], source: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for path, value in given.items():
        for whole in (path[:length] for length in range(1, len(path))):
            if whole in given:
                raise ConfigError(
                    f"{source}: {'.'.join(whole)} is set as a whole and also in part, by {'.'.join(path)}; one of them "
                    f"would be lost. Give only one."
                )
        inner = values
        for parent in path[:-1]:
            inner = inner.setdefault(parent, {})
        inner[path[-1]] = value
    return values


def _build(kind: type[Config], default: Config | None, values: object, source: str, path: tuple[str, ...]) -> Config:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{source}: {'.'.join(path) or 'the file'} must hold named values, got {values!r}")
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    arguments = {name: getattr(default, name) for name in fields} if default is not None else {}
    for name, value in values.items():
        here = (*path, str(name))
        if name not in fields:
            raise _unknown(str(name), list(fields), source, path)
        arguments[name] = _field(hints[name], arguments.get(name), value, source, here)
        cure = fields[name].metadata.get(_CURE)
        if cure and default is not None and arguments[name] != getattr(default, name):
            raise ConfigError(
                f"{source}: {'.'.join(here)} is {getattr(default, name)!r} and cannot be made {value!r}. {cure}"
            )
    missing = [name for name, field in fields.items() if name not in arguments and _is_required(field)]
    if missing:
        raise ConfigError(f"{source}: {'.'.join((*path, missing[0]))} is missing")
    try:
        return kind(**arguments)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None


def _field(hint: Any, default: object, value: object, source: str, path: tuple[str, ...]) -> object:
    if dataclasses.is_dataclass(default) and isinstance(value, Mapping):
        return _build(type(default), default, value, source, path)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _build(hint, None, value, source, path)
    if hint == tuple[str, ...] and isinstance(value, str):
        return (value,)
    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        problem = error.errors()[0]
        raise ConfigError(f"{source}: {'.'.join(path)} got {value!r}: {problem['msg']}") from None
    except PydanticUserError:  # a Protocol: nothing but the value it replaces tells which kind is wanted
        if default is None:
            raise ConfigError(f"{source}: {'.'.join(path)} can only change what a recipe has chosen") from None
        return _build(type(default), default, value, source, path)


def _unknown(name: str, fields: list[str], source: str, path: tuple[str, ...]) -> ConfigError:
    where = f"{'.'.join(path)} has" if path else "there is"
    near = difflib.get_close_matches(name, fields, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return ConfigError(f"{source}: {where} no setting {name!r}.{hint} Settings: {', '.join(fields)}")


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
