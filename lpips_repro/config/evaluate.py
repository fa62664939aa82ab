"""Settings of tables, their rows and figures: `configs/evaluate.yaml`, `sparsity.yaml`, `correlation.yaml`,
`weights.yaml`.
"""

import enum
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lpips_repro.config.checks import check_at_least, check_name, check_seed, check_threads
from lpips_repro.errors import UserError, check_choice
from lpips_repro.modules import import_file


class Device(enum.Enum):
    """Where networks run; `auto` is CUDA when it works."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Dtype(enum.Enum):
    """What backbones are evaluated in."""

    float32 = "float32"
    bfloat16 = "bfloat16"


class Paper(enum.Enum):
    """Which published figures are shown next to ours on BAPPS: the paper's own, or those of later papers as well."""

    original = "original"
    later = "later"


class Show(enum.Enum):
    """Which rows of a table are printed: those that have scores, or all."""

    made = "made"
    all = "all"


# What a network learned from; the groups of the tables.
SUPERVISIONS = ("random", "unsupervised", "self-supervised", "supervised")


class Init(enum.Enum):
    """Where the parameters of a backbone come from."""

    imagenet = "imagenet"
    gaussian = "gaussian"
    file = "file"


@dataclass
class MetricConfig:
    """A row of a metric that is no network's, and its name in the paper.

    Attributes:
        function: one of `lpips_repro.metrics`, or registered by the Python file `module`, with its settings; or
        distances: a folder of distances that another program computed, or "" where there are none; remedy: how to get
            them.
    """

    function: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    paper: str | None = None
    distances: str | None = None
    remedy: str = ""
    module: str | None = None

    def __post_init__(self):
        if self.module is not None:
            import_file(Path(self.module), "metric")
        if (self.function is None) == (self.distances is None):
            raise UserError("metric: expected either function or distances")


@dataclass
class NetConfig:
    """A row of a network: its backbone, where its parameters come from, and its name in the paper.

    Attributes:
        module: a Python file that registers the backbone, or null for those that the package has.
        supervision: what its parameters were learned from, one of `SUPERVISIONS`.
        official_lin: whether the authors published lin weights for it.
        weights: the file of init=file, or null where there is none; remedy: how to get it.
        seeds: of init=gaussian, one network each, whose mean is the row; null: the `seed` of all.
        versions: of the metric; null: those of the variant.
    """

    backbone: str
    init: Init
    supervision: str
    official_lin: bool = False
    paper: str | None = None
    weights: str | None = None
    remedy: str = ""
    seeds: list[int] | None = None
    versions: list[str] | None = None
    module: str | None = None

    def __post_init__(self):
        check_choice("supervision", self.supervision, SUPERVISIONS)
        if self.weights is not None and self.init is not Init.file:
            raise UserError(f"weights={self.weights} with init={self.init.value}: they belong to init=file")
        if self.seeds is not None and (not self.seeds or self.init is not Init.gaussian):
            raise UserError(f"seeds={self.seeds} with init={self.init.value}: at least one seed, of init=gaussian")
        for seed in self.seeds or ():
            check_seed(seed, "seeds")


@dataclass
class VariantConfig:
    """A variant of the networks, in the versions named."""

    versions: list[str]


@dataclass(kw_only=True)
class EvaluateConfig:
    """`configs/evaluate.yaml`; `data` as in `config.choices`; a group chosen empty is absent."""

    data: Any
    metric: dict[str, MetricConfig] = field(default_factory=dict)
    net: dict[str, NetConfig] = field(default_factory=dict)
    variant: dict[str, VariantConfig] = field(default_factory=dict)
    name: str
    experiments: str
    features: str
    reference: str
    seed: int
    device: Device
    dtype: Dtype
    compile: bool | None
    batch_size: int | None
    threads: int | None
    show: Show
    bootstrap: int
    baseline: str | None
    paper: Paper
    download: bool
    trained_on: str | None

    def __post_init__(self):
        check_seed(self.seed)
        check_name("name", self.name)
        if self.batch_size is not None:
            check_at_least("batch_size", self.batch_size, 1)
        check_threads(self.threads)
        check_at_least("bootstrap", self.bootstrap, 1)


@dataclass(kw_only=True)
class DisagreementsConfig(EvaluateConfig):
    """`configs/disagreements.yaml`; methods, splits: names with commas between them."""

    methods: str | None
    splits: str
    shown: int

    def __post_init__(self):
        super().__post_init__()
        check_at_least("shown", self.shown, 1)


@dataclass(kw_only=True)
class CompareConfig:
    """`configs/compare.yaml`; runs: names or folders, with spaces between them."""

    runs: str | None
    shown: int
    name: str
    experiments: str

    def __post_init__(self):
        check_name("name", self.name)
        check_at_least("shown", self.shown, 1)


@dataclass(kw_only=True)
class DataOfRunConfig:
    """The dataset in the `config.yaml` of a run; `data` as in `config.choices`."""

    data: Any


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
    experiments: str = "experiments"
