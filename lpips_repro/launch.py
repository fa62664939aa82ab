"""The step between make and a script: the values of make's variables become Hydra overrides, unchanged.

    export NET=alex DATA_ROOT='/my $data'
    python -m lpips_repro.launch scripts/train.py net={NET} data.root={DATA_ROOT} -- seed=1

runs `scripts/train.py net=alex 'data.root="/my $data"' seed=1`. The values come through the environment: make and the
shell would read some of their characters as their own. A setting whose variable is empty is left out. Words after `--`
are handed over as they are.
"""

import os
import re
import sys
from collections.abc import Mapping, Sequence

from lpips_repro.quoting import quoted

VARIABLE = re.compile(r"\{([A-Z_]+)\}")


def command_of(words: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """The words of the command that runs a script.

    Args:
        words: the script, settings with variables in them, `--`, and words that are handed over.
        values: of the variables.
    """
    end = words.index("--")
    settings = [_filled(word, values) for word in words[:end]]
    return [*filter(None, settings), *words[end + 1 :]]


def _filled(word: str, values: Mapping[str, str]) -> str | None:
    """A setting with the value of its variable, or None without a value."""
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


if __name__ == "__main__":
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *command_of(sys.argv[1:], os.environ)])
