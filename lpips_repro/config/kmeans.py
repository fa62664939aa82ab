"""Settings of stacked k-means: `configs/init_kmeans.yaml`."""

from dataclasses import dataclass

from lpips_repro.config.checks import check_at_least, check_seed
from lpips_repro.config.evaluate import Init, NetConfig
from lpips_repro.errors import UserError


@dataclass
class KmeansConfig:
    """The settings of `configs/init_kmeans.yaml`, with one network, whose `weights` is the file to write."""

    net: dict[str, NetConfig]
    images: str | None
    crops: int
    patches: int
    seed: int
    experiments: str

    def __post_init__(self):
        check_seed(self.seed)
        check_at_least("crops", self.crops, 2)
        check_at_least("patches", self.patches, 1)
        if len(self.net) != 1:
            raise UserError(f"net=[{','.join(self.net)}]: expected one network")
        ((name, net),) = self.net.items()
        if net.init is not Init.file or not net.weights:
            raise UserError(f"net={name}: no file to write: expected init=file and weights=FILE, as in alex_kmeans")
