"""The settings, as dataclasses that refuse what is misspelt or out of range.

Hydra composes the YAML files of `configs/`; `parse` turns the result into one of these, or raises UserError.
"""

import enum
import math
import re
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lpips_repro.datasets.mirrors import local_folder, public
from lpips_repro.errors import UserError


class Device(enum.Enum):
    """Where networks run; `auto` is CUDA when it works."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Resize(enum.Enum):
    """How images stored larger than 64 pixels become patches: see `lpips_repro.datasets.images`."""

    pil_bilinear = "pil_bilinear"
    exact = "exact"


class Observers(enum.Enum):
    """Who judged."""

    human = "human"
    simulated = "simulated"


class Init(enum.Enum):
    """Where the parameters of a backbone come from."""

    imagenet = "imagenet"
    gaussian = "gaussian"


@dataclass
class FolderConfig:
    """A dataset in the BAPPS layout on this computer, under any name."""

    name: str
    root: str
    resize: Resize
    observers: Observers
    packed: str
    workers: int | None

    def __post_init__(self):
        _check_workers(self.workers)


@dataclass
class BappsConfig(FolderConfig):
    """BAPPS: where its archives come from and go, and the published digests of its judgments."""

    mirrors: list[str]
    archives: str
    unpack: bool
    manifest: str

    def __post_init__(self):
        super().__post_init__()
        if self.observers is not Observers.human:
            raise UserError(
                f"data.observers={self.observers.value}: BAPPS was judged by people: other judgments are another"
                " dataset: DATA=folder DATA_ROOT=..."
            )
        if not self.mirrors:
            raise UserError("data.mirrors=[]: expected at least one address or folder")
        for mirror in self.mirrors:
            local_folder(mirror)  # raises where it is none


@dataclass
class MiniConfig:
    """The mini dataset: see `lpips_repro.datasets.mini.build_mini`."""

    name: str
    root: str
    seed: int
    train: int
    val: int
    jnd: int
    autoencoders: int
    autoencoder_steps: int
    workers: int | None

    def __post_init__(self):
        for key in ("train", "val", "jnd", "autoencoder_steps"):
            _check_at_least(f"data.{key}", getattr(self, key), 1)
        _check_at_least("data.autoencoders", self.autoencoders, 2)
        _check_seed(self.seed, "data.seed")
        _check_workers(self.workers)


# By name; any other name is a FolderConfig.
DATA_SCHEMAS = {"bapps": BappsConfig, "mini": MiniConfig}


@dataclass
class MetricConfig:
    """A row of a classic metric: a function of `lpips_repro.metrics`, its settings, and its name in the paper."""

    function: str
    settings: dict[str, Any] = field(default_factory=dict)
    paper: str | None = None


@dataclass
class NetConfig:
    """A row of a network: its backbone, where its parameters come from, and its name in the paper."""

    backbone: str
    init: Init
    supervision: str
    official_lin: bool
    paper: str | None = None


@dataclass
class VariantConfig:
    """A variant of the networks, in the versions named."""

    versions: list[str]


@dataclass(kw_only=True)
class EvaluateConfig:
    """`configs/evaluate.yaml`; `data` as in `DATA_SCHEMAS`; a group chosen empty is absent."""

    data: Any
    metric: dict[str, MetricConfig] = field(default_factory=dict)
    net: dict[str, NetConfig] = field(default_factory=dict)
    variant: dict[str, VariantConfig] = field(default_factory=dict)
    name: str
    experiments: str
    reference: str
    seed: int
    device: Device
    batch_size: int
    bootstrap: int
    download: bool
    trained_on: str | None

    def __post_init__(self):
        _check_seed(self.seed)
        _check_name("name", self.name)
        _check_at_least("batch_size", self.batch_size, 1)
        _check_at_least("bootstrap", self.bootstrap, 1)


class Schedule(enum.Enum):
    """How the learning rate decays: see `lpips_repro.training.schedule`."""

    released = "released"
    paper = "paper"


class Activation(enum.Enum):
    """The ranking network's activation: see `lpips_repro.training.ranking`."""

    leaky_relu = "leaky_relu"
    relu = "relu"


class ScratchInit(enum.Enum):
    """How a network trained from scratch begins."""

    torchvision = "torchvision"
    gaussian = "gaussian"


class FeaturesDtype(enum.Enum):
    """How lin features are stored."""

    float32 = "float32"
    float16 = "float16"


@dataclass
class TrainerConfig:
    """The learning itself: see `configs/train.yaml`."""

    epochs: int
    decay_epochs: int
    schedule: Schedule
    learning_rate: float
    batch_size: int
    dropout: bool
    activation: Activation
    scratch_init: ScratchInit
    released_clamp: bool
    lin_features: bool
    lin_features_dtype: FeaturesDtype
    log_every: int
    checkpoint_minutes: float

    def __post_init__(self):
        for key in ("epochs", "batch_size", "log_every"):
            _check_at_least(f"trainer.{key}", getattr(self, key), 1)
        _check_at_least("trainer.decay_epochs", self.decay_epochs, 0)
        for key in ("learning_rate", "checkpoint_minutes"):
            value = getattr(self, key)
            if not 0 < value < math.inf:
                raise UserError(f"trainer.{key}={value}: expected a positive number")


@dataclass
class TrainConfig:
    """`configs/train.yaml`; `data` as in `DATA_SCHEMAS`; one network, one variant."""

    data: Any
    net: dict[str, NetConfig]
    variant: dict[str, VariantConfig]
    version: str
    seed: int
    device: Device
    experiments: str
    features: str
    download: bool
    bootstrap: int
    trainer: TrainerConfig

    def __post_init__(self):
        _check_seed(self.seed)
        _check_at_least("bootstrap", self.bootstrap, 1)
        for key in ("net", "variant"):
            if len(getattr(self, key)) != 1:
                raise UserError(f"{key}=[{','.join(getattr(self, key))}]: expected one: training is of one at a time")


class Splits(enum.Enum):
    """Which phases of a dataset."""

    all = "all"
    train = "train"
    val = "val"


@dataclass
class DatasetConfig:
    """`configs/dataset.yaml`: what `make data`, `data-verify` and `data-stats` share."""

    data: Any
    splits: Splits
    experiments: str


@dataclass
class WeightsConfig:
    """`configs/weights.yaml`."""

    net: dict[str, NetConfig] = field(default_factory=dict)


@dataclass(kw_only=True)
class SparsityConfig:
    """`configs/sparsity.yaml`."""

    net: dict[str, NetConfig] = field(default_factory=dict)
    versions: list[str]
    trained: bool
    weights: list[str]
    name: str
    experiments: str
    download: bool

    def __post_init__(self):
        _check_name("name", self.name)


Config = TypeVar("Config")


def parse(cfg: DictConfig, schema: type[Config]) -> Config:
    """The composed settings as an object of `schema`.

    Raises:
        UserError: naming the setting that is unknown, missing, of the wrong type or out of range, and what is allowed.
    """
    found = OmegaConf.to_container(cfg, resolve=False)
    if "data" in found:
        name = str(found["data"].get("name"))
        _check_name("data.name", name)
        data_schema = DATA_SCHEMAS.get(name, FolderConfig)
        _check_keys(found["data"], data_schema, "data.")
    _check_keys(found, schema, "")
    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema), cfg)
        if "data" in found:
            # Nested, so that errors carry the full name of the setting.
            nested = OmegaConf.merge({"data": OmegaConf.structured(data_schema)}, {"data": cfg.data})
            merged.data = nested.data
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


def _check_at_least(key: str, value: int, least: int) -> None:
    if value < least:
        raise UserError(f"{key}={value}: expected an integer of at least {least}")


def _check_seed(seed: int, key: str = "seed") -> None:
    if not 0 <= seed < 2**32:
        raise UserError(f"{key}={seed}: expected an integer of at least 0 and below 2^32")


def _check_name(key: str, name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise UserError(f"{key}={name}: expected letters, digits, '-' and '_': it names folders")


def _check_workers(workers: int | None) -> None:
    if workers is not None:
        _check_at_least("data.workers", workers, 1)
