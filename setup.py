"""What pyproject.toml cannot say: a wheel carries the settings of `configs/` inside the package."""

from setuptools import find_namespace_packages, find_packages, setup

CONFIGS = ["lpips_repro.configs", *(f"lpips_repro.configs.{name}" for name in find_namespace_packages("configs"))]

setup(
    packages=[*find_packages(include=["lpips_repro*"]), *CONFIGS],
    package_dir={"lpips_repro.configs": "configs"},
    package_data={
        "lpips_repro": ["py.typed"],
        "lpips_repro.collect": [f"page/*.{kind}" for kind in ("css", "html", "js", "json", "txt")],
        "lpips_repro.report.figures": ["*.mplstyle"],
        "lpips_repro.report.page": ["static/*", "templates/*"],
        **{name: ["*.yaml"] for name in CONFIGS},
    },
)
