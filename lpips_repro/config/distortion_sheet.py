"""Settings of the picture of all distortions: `configs/distortion_sheet.yaml`."""

from dataclasses import dataclass

from lpips_repro.config.checks import check_seed


@dataclass
class DistortionSheetConfig:
    """The settings of `configs/distortion_sheet.yaml`."""

    image: str | None
    seed: int
    experiments: str

    def __post_init__(self):
        check_seed(self.seed)
