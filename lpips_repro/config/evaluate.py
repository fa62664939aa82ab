"""Settings of tables and their rows: `configs/evaluate.yaml`, `sparsity.yaml`, `correlation.yaml`, `weights.yaml`."""

import enum
from dataclasses import dataclass, field
from typing import Any

from lpips_repro.config.checks import check_at_least, check_name, check_seed


class Device(enum.Enum):
    """Where networks run; `auto` is CUDA when it works."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Dtype(enum.Enum):
    """What backbones are evaluated in."""

    float32 = "float32"
    bfloat16 = "bfloat16"


class Init(enum.Enum):
    """Where the parameters of a backbone come from."""

    imagenet = "imagenet"
    gaussian = "gaussian"


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
    dtype: Dtype
    compile: bool | None
    batch_size: int | None
    threads: int | None
    bootstrap: int
    download: bool
    trained_on: str | None

    def __post_init__(self):
        check_seed(self.seed)
        check_name("name", self.name)
        for key in ("batch_size", "threads"):
            if getattr(self, key) is not None:
                check_at_least(key, getattr(self, key), 1)
        check_at_least("bootstrap", self.bootstrap, 1)


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
        check_name("name", self.name)


@dataclass(kw_only=True)
class CorrelationConfig:
    """`configs/correlation.yaml`."""

    name: str
    experiments: str
    reference: str
    version: str
    bootstrap: int
    seed: int

    def __post_init__(self):
        check_name("name", self.name)
        check_at_least("bootstrap", self.bootstrap, 1)
        check_seed(self.seed)


@dataclass
class WeightsConfig:
    """`configs/weights.yaml`."""

    net: dict[str, NetConfig] = field(default_factory=dict)
