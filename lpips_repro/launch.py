"""The step between make and a script: it passes the values of make's variables to Hydra, unchanged.

    export NET=alex DATA_ROOT='/my $data'
    python -m lpips_repro.launch scripts/train.py net={NET} data.root={DATA_ROOT} -- seed=1

This runs `scripts/train.py net=alex 'data.root="/my $data"' seed=1`. The values come through the environment, since
make and the shell would interpret some characters. A setting whose variable is empty is left out. Words after `--` are
passed unchanged.
"""

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lpips_repro.config.addresses import public
from lpips_repro.errors import UserError
from lpips_repro.quoting import quoted

VARIABLE = re.compile(r"\{([A-Z_]+)\}")


def command_of(words: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """The words of the command that runs a script.

    Args:
        words: the script, settings with variables, `--`, and words that are passed unchanged.
        values: the values of variables.
    """
    end = words.index("--")
    settings = [_filled(word, values) for word in words[:end]]
    return [*filter(None, settings), *words[end + 1 :]]


def _filled(word: str, values: Mapping[str, str]) -> str | None:
    """A setting with the value of its variable, or None if the variable is empty."""
    match = VARIABLE.search(word)
    if match is None:
        return word
    value = values.get(match[1], "")
    key, equals, rest = word.partition("=")
    if not value:
        return None
    if rest == match[0] or rest == f"[{match[0]}]":
        return key + equals + rest.replace(match[0], quoted(value))
    return key + equals + quoted(rest.replace(match[0], value))


def check_root(words: Sequence[str], values: Mapping[str, str]) -> None:
    """Raise UserError if a DATA_ROOT has no split of BAPPS: BAPPS would be downloaded instead."""
    root = values.get("DATA_ROOT", "")
    others = any(word.startswith("data=") or word.lower() == "data.unpack=true" for word in words[words.index("--") :])
    used = "data.root={DATA_ROOT}" in words and values.get("DATA") == "bapps" and not others
    if not root or not used:
        return
    from lpips_repro.datasets.packed import IMAGE_FIELDS
    from lpips_repro.datasets.packing.layout import PAPER_SPLITS

    folder = Path(root).expanduser()
    if not any(path.name in PAPER_SPLITS for kind in IMAGE_FIELDS for path in folder.glob(f"{kind}/*/*")):
        raise UserError(
            f"DATA_ROOT={root}: holds no split of BAPPS, such as {root}/2afc/val/cnn: for your own dataset set"
            f" DATA=folder DATA_ROOT={root}; without DATA_ROOT, BAPPS is downloaded"
        )


def check_count(values: Mapping[str, str]) -> None:
    """Raise UserError if COUNT is not a number of autoencoders, in a clearer message than Hydra's."""
    count = values.get("COUNT", "")
    if count and not (count.isdecimal() and int(count) > 0):
        raise UserError(f"COUNT={count}: expected an integer of at least 1")


def main() -> None:
    """Replace this process by the script."""
    try:
        check_root(sys.argv[1:], os.environ)
        check_count(os.environ)
    except UserError as error:
        sys.exit(f"error: {error}")
    command = command_of(sys.argv[1:], os.environ)
    print(public(shlex.join([os.path.relpath(sys.executable), *command])), file=sys.stderr)
    os.execv(sys.executable, [sys.executable, *command])


if __name__ == "__main__":
    main()
