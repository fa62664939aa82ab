"""Settings of a report: `configs/report.yaml`."""

import enum
from dataclasses import dataclass, field
from typing import Any

from lpips_repro.config.checks import check_at_least, check_name
from lpips_repro.config.evaluate import NetConfig
from lpips_repro.config.outputs import check_output_name


class Images(enum.Enum):
    """Which examples have images on the page."""

    all = "all"
    selected = "selected"
    none = "none"


@dataclass(kw_only=True)
class PageConfig:
    """The page of a report, `report` in `configs/report.yaml`.

    Attributes:
        images: None is all of a few examples, and selected ones of many.
        selected: how many are selected; maps: how many have maps, over all splits.
        examples: that have images and maps in any case, as in "cnn/17".
    """

    images: Images | None
    selected: int
    maps: int
    examples: list[str]

    def __post_init__(self):
        check_at_least("report.selected", self.selected, 1)
        check_at_least("report.maps", self.maps, 0)


@dataclass(kw_only=True)
class ReportConfig:
    """`configs/report.yaml`; `data` as in `config.choices`."""

    data: Any
    net: dict[str, NetConfig] = field(default_factory=dict)
    tables: str
    name: str
    experiments: str
    reference: str
    version: str
    versions: list[str]
    download: bool
    report: PageConfig

    def __post_init__(self):
        check_name("tables", self.tables)
        check_output_name(self.name)
