"""Parsing of composed settings into dataclasses."""

import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lpips_repro.config.addresses import public
from lpips_repro.config.choices import GROUPS, settings_class
from lpips_repro.config.evaluate import MetricConfig, NetConfig
from lpips_repro.config.paths import empty_paths, expand_home
from lpips_repro.errors import UserError, expected

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar("Config", bound="DataclassInstance")

# Groups whose choices have only some settings of a schema.
ROWS = {"net": NetConfig, "metric": MetricConfig}
MAKE = {  # variables of make
    **{"data.root": "DATA_ROOT=FOLDER", "dataset": "DATASET=FOLDER"},
    **{"images": "IMAGES=FOLDER", "out": "OUT=FOLDER"},
}


def parse(cfg: DictConfig, schema: type[Config]) -> Config:
    """The composed settings as an instance of `schema`. `~` in paths is expanded, also in `cfg`.

    Raises:
        UserError: if a setting is unknown, missing, of a wrong type or out of range. The message names it and the
            allowed values.
    """
    expand_home(cfg)
    found: Any = OmegaConf.to_container(cfg, resolve=False)
    for key in empty_paths(found):
        raise UserError(f"{key}=: expected a path: leave it out for the default, or set {key}=. for this folder")
    names = {item.name for item in fields(schema)}
    chosen = {group: settings_class(group, found.get(group)) for group in GROUPS if group in names}
    for group, group_schema in chosen.items():
        _check_keys(found[group], group_schema, f"{group}.")
    _check_keys(found, schema, "")
    try:
        merged: Any = OmegaConf.merge(OmegaConf.structured(schema), cfg)
        for group, group_schema in chosen.items():
            # Nested, so that errors have the full name of the setting.
            nested: Any = OmegaConf.merge({group: OmegaConf.structured(group_schema)}, {group: cfg[group]})
            merged[group] = nested[group]
        missing = sorted(OmegaConf.missing_keys(merged))
        if missing:
            remedy = MAKE.get(missing[0], f"{missing[0]}=VALUE")
            raise UserError(f"{missing[0]}: no value: set {remedy}")
        return cast(Config, OmegaConf.to_object(merged))
    except OmegaConfBaseException as error:
        raise UserError(explain(error)) from error


def explain(error: OmegaConfBaseException) -> str:
    """The error for a setting that OmegaConf refused, in one line, with the allowed keys if the key is unknown."""
    message = str(error).splitlines()[0]
    if "is not a ListConfig" in message:
        value = public(str(error.value))
        return f"{error.full_key}={value}: expected a list: {error.full_key}=[{value or 'VALUE'}]"
    if "NoneType is not" in message or "is not Optional" in message or "Incompatible value 'None'" in message:
        return f"{error.full_key}=null: expected a value"
    text = f"{error.full_key}: {message}" if error.full_key else message
    if error.parent_node is not None and isinstance(error.parent_node, DictConfig) and "not in" in message:
        names = [str(name) for name in error.parent_node if name != "hydra"]
        text = f"{error.full_key}: unknown setting: {expected(str(error.key), names)}"
        schema = ROWS.get(str(error.full_key).partition(".")[0])
        if schema and error.key in {item.name for item in fields(schema)}:
            text += f", or +{error.full_key}=VALUE to add it"
    if choice := re.search(r"Invalid value '(.*)', expected one of \[(.*)\]", message):
        return f"{error.full_key}={public(choice[1])}: {expected(choice[1], choice[2].split(', '))}"
    if "(ListConfig)" in message or "(DictConfig)" in message:
        return f"{error.full_key}: expected one value: {error.full_key}=VALUE"
    if kind := re.search(r"Value '(.*?)'.* could not be converted to (\w+)", message):
        return f"{error.full_key}={public(kind[1])}: expected a value of type {kind[2].lower()}"
    if boolean := re.search(r"Value '(.*?)' is not a valid bool", message):
        return f"{error.full_key}={public(boolean[1])}: expected true or false"
    if "Cannot merge DictConfig with ListConfig" in message:
        return f"{error.full_key}: expected a list: {error.full_key}=[VALUE]"
    return text


def _check_keys(found: dict, schema: type, prefix: str) -> None:
    allowed = [item.name for item in fields(schema)]
    for key in found:
        if key not in allowed:
            known = (prefix + name for name in allowed)
            raise UserError(f"{prefix}{key}: unknown setting: {expected(prefix + str(key), known)}")
