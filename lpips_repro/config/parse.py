"""From composed settings to the dataclasses."""

from dataclasses import fields
from typing import TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lpips_repro.config.checks import check_name
from lpips_repro.config.data import DATA_SCHEMAS, FolderConfig
from lpips_repro.config.pretrain import TASK_SCHEMAS
from lpips_repro.datasets.mirrors import public
from lpips_repro.errors import UserError, check_choice

Config = TypeVar("Config")


def parse(cfg: DictConfig, schema: type[Config]) -> Config:
    """The composed settings as an object of `schema`.

    Raises:
        UserError: naming the setting that is unknown, missing, of the wrong type or out of range, and what is allowed.
    """
    found = OmegaConf.to_container(cfg, resolve=False)
    chosen = {}
    if "data" in found:
        name = str(found["data"].get("name"))
        check_name("data.name", name)
        chosen["data"] = DATA_SCHEMAS.get(name, FolderConfig)
    if isinstance(found.get("task"), dict):
        name = str(found["task"].get("name"))
        check_choice("task.name", name, TASK_SCHEMAS)
        chosen["task"] = TASK_SCHEMAS[name]
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
    if "NoneType is not" in message or "is not Optional" in message:
        return f"{error.full_key}=null: expected a value"
    text = f"{error.full_key}: {message}" if error.full_key else message
    if error.parent_node is not None and isinstance(error.parent_node, DictConfig) and "not in" in message:
        text += f": expected one of {', '.join(map(str, error.parent_node))}"
    return text


def _check_keys(found: dict, schema: type, prefix: str) -> None:
    allowed = [item.name for item in fields(schema)]
    for key in found:
        if key not in allowed:
            raise UserError(f"{prefix}{key}: unknown setting: expected one of {', '.join(prefix + a for a in allowed)}")
