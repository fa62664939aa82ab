"""Print the lower bounds of pyproject.toml as exact versions, one requirement per line: tools are left out."""

import re
import tomllib
from pathlib import Path

# They check or show the project; nothing of it imports them.
TOOLS = ("codespell", "mkdocs", "mypy", "playwright", "ruff", "types-")

# Extras that are not tested in their oldest versions: a study runs with those of its lock.
APART = ("collect", "collect-test")


def lowest(requirement: str) -> str:
    """`numpy>=1.26` as `numpy==1.26`."""
    return requirement.replace(">=", "==")


def main() -> None:
    """Print them."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    extras = {name: group for name, group in project["optional-dependencies"].items() if name not in APART}
    groups = [project["dependencies"], *extras.values()]
    own = re.compile(rf"{project['name']}\b")
    found = {lowest(line) for group in groups for line in group if not own.match(line) and not line.startswith(TOOLS)}
    print(*sorted(found), sep="\n")


if __name__ == "__main__":
    main()
