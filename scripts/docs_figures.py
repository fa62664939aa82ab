"""Draw the figures of README and of the manual again.  python scripts/docs_figures.py"""

from pathlib import Path

from lpips_repro.report.docs_figures import write_docs_figures

ROOT = Path(__file__).parents[1]

if __name__ == "__main__":
    write_docs_figures(ROOT / "docs/figures", ROOT / "experiments/reference", ROOT.parent / "shared")
