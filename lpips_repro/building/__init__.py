"""Build datasets: triplets and JND pairs from photographs, the recipe of each example, and simulated judgments.

from lpips_repro.building import read_recipes, rebuild

recipes = read_recipes(Path("mine/2afc/train/traditional/recipes.parquet"))
rebuild(recipes[0], Path("photographs"))  # makes the images of the example again, equal to the bit
"""

from lpips_repro.building.examples import rebuild
from lpips_repro.building.recipes import Recipe, read_recipes

__all__ = ["Recipe", "read_recipes", "rebuild"]
