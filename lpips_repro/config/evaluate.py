"""Settings of tables, their rows and figures: `configs/evaluate.yaml`, `sparsity.yaml`, `correlation.yaml`,
`weights.yaml`.
"""

import enum
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lpips_repro.config.checks import check_at_least, check_bootstrap, check_seed, check_threads
from lpips_repro.config.outputs import check_output_name
from lpips_repro.errors import UserError, check_choice
from lpips_repro.modules import import_file


class Device(enum.Enum):
    """Where networks run. `auto` is CUDA if it works, else the CPU."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Dtype(enum.Enum):
    """The dtype in which backbones are evaluated."""

    float32 = "float32"
    bfloat16 = "bfloat16"


class Paper(enum.Enum):
    """Published figures shown next to ours on BAPPS: the paper's, or also those of later papers."""

    original = "original"
    later = "later"


class Show(enum.Enum):
    """The printed rows of a table: rows with scores, or all."""

    made = "made"
    all = "all"


# What a network learned from. The tables are grouped by it.
SUPERVISIONS = ("random", "unsupervised", "self-supervised", "supervised")


class Init(enum.Enum):
    """Where the parameters of a backbone come from."""

    imagenet = "imagenet"
    gaussian = "gaussian"
    file = "file"


@dataclass
class MetricConfig:
    """A row of a metric without a backbone, and its name in the paper.

    Attributes:
        function, settings: a function of `lpips_repro.metrics`, or one that the Python file `module` registers, and its
            arguments.
        distances, remedy: instead of a function, a folder of distances that another program computed, or "" if there
            are none, and how to get them.
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
    """A row of a network: its backbone, the source of its parameters, and its name in the paper.

    Attributes:
        module: a Python file that registers the backbone, or null for backbones of this package.
        supervision: what it learned from, one of `SUPERVISIONS`.
        official_lin: whether the authors published lin weights for it.
        weights, remedy: the file of init=file, or null if there is none, and how to get it.
        seeds: seeds of init=gaussian; the row is the mean over their networks; null: the common `seed`.
        versions: versions of the metric; null: those of the variant.
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
            raise UserError(f"weights={self.weights} with init={self.init.value}: only init=file has weights")
        if self.seeds is not None and (not self.seeds or self.init is not Init.gaussian):
            raise UserError(f"seeds={self.seeds} with init={self.init.value}: expected some, and init=gaussian")
        for seed in self.seeds or ():
            check_seed(seed, "seeds")


@dataclass
class VariantConfig:
    """A variant of the networks, and its versions of the metric."""

    versions: list[str]


@dataclass(kw_only=True)
class EvaluateConfig:
    """The settings of `configs/evaluate.yaml`; `data` as in `config.choices`. A group without choices is absent."""

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
        check_output_name(self.name)
        if self.batch_size is not None:
            check_at_least("batch_size", self.batch_size, 1)
        check_threads(self.threads)
        check_bootstrap(self.bootstrap)


@dataclass(kw_only=True)
class DisagreementsConfig(EvaluateConfig):
    """The settings of `configs/disagreements.yaml`; methods, splits: names separated by commas."""

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
        check_output_name(self.name)
        check_at_least("shown", self.shown, 1)


@dataclass(kw_only=True)
class DataOfRunConfig:
    """The dataset in the `config.yaml` of a run; `data` as in `config.choices`."""

    data: Any


@dataclass(kw_only=True)
class SparsityConfig:
    """The settings of `configs/sparsity.yaml`."""

    net: dict[str, NetConfig] = field(default_factory=dict)
    versions: list[str]
    trained: bool
    weights: list[str]
    name: str
    experiments: str
    download: bool

    def __post_init__(self):
        check_output_name(self.name)


@dataclass(kw_only=True)
class CorrelationConfig:
    """The settings of `configs/correlation.yaml`."""

    name: str
    experiments: str
    reference: str
    version: str
    bootstrap: int
    seed: int

    def __post_init__(self):
        check_output_name(self.name)
        check_bootstrap(self.bootstrap)
        check_seed(self.seed)


@dataclass
class WeightsConfig:
    """The settings of `configs/weights.yaml`."""

    net: dict[str, NetConfig] = field(default_factory=dict)
    experiments: str = "experiments"
