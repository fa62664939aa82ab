"""From composed settings to the dataclasses."""

import re
from dataclasses import fields
from typing import TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lpips_repro.config.addresses import public
from lpips_repro.config.choices import GROUPS, settings_class
from lpips_repro.config.evaluate import MetricConfig, NetConfig
from lpips_repro.config.paths import expand_home
from lpips_repro.errors import UserError, expected, likely_names

Config = TypeVar("Config")

# Groups whose choices have some of the settings of a schema.
ROWS = {"net": NetConfig, "metric": MetricConfig}


def parse(cfg: DictConfig, schema: type[Config]) -> Config:
    """The composed settings as an object of `schema`; `~` of paths is expanded, in the composed settings as well.

    Raises:
        UserError: naming the setting that is unknown, missing, of the wrong type or out of range, and what is allowed.
    """
    expand_home(cfg)
    found = OmegaConf.to_container(cfg, resolve=False)
    names = {item.name for item in fields(schema)}
    chosen = {group: settings_class(group, found.get(group)) for group in GROUPS if group in names}
    for group, group_schema in chosen.items():
        _check_keys(found[group], group_schema, f"{group}.")
    _check_keys(found, schema, "")
    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema), cfg)
        for group, group_schema in chosen.items():
            # Nested, so that errors carry the full name of the setting.
            nested = OmegaConf.merge({group: OmegaConf.structured(group_schema)}, {group: cfg[group]})
            merged[group] = nested[group]
        missing = sorted(OmegaConf.missing_keys(merged))
        if missing:
            raise UserError(f"{missing[0]}: no value: give it one, such as {missing[0]}=VALUE")
        return OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise UserError(explain(error)) from error


def explain(error: OmegaConfBaseException) -> str:
    """One line on a setting that OmegaConf refused, with the allowed keys where it is the key that is unknown."""
    message = str(error).splitlines()[0]
    if "is not a ListConfig" in message:
        value = public(str(error.value))
        return f"{error.full_key}={value}: expected a list: {error.full_key}=[{value or 'VALUE'}]"
    if "NoneType is not" in message or "is not Optional" in message or "Incompatible value 'None'" in message:
        return f"{error.full_key}=null: expected a value"
    text = f"{error.full_key}: {message}" if error.full_key else message
    if error.parent_node is not None and isinstance(error.parent_node, DictConfig) and "not in" in message:
        text += f": {expected(str(error.key), map(str, error.parent_node))}"
        schema = ROWS.get(str(error.full_key).partition(".")[0])
        if schema and error.key in {item.name for item in fields(schema)}:
            text += f", or +{error.full_key}=VALUE to add it"
    if choice := re.search(r"Invalid value '(.*)', expected one of \[(.*)\]", message):
        likely = likely_names(choice[1], choice[2].split(", "))
        text += f": did you mean {' or '.join(likely)}?" if likely else ""
    return text


def _check_keys(found: dict, schema: type, prefix: str) -> None:
    allowed = [item.name for item in fields(schema)]
    for key in found:
        if key not in allowed:
            known = (prefix + name for name in allowed)
            raise UserError(f"{prefix}{key}: unknown setting: {expected(prefix + str(key), known)}")
