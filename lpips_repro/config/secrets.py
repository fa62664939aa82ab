"""Users, passwords and tokens of mirrors, which must not appear in anything that Hydra and a run write or print.

The settings have only the public address of a mirror. The whole address is in an environment variable, which the
processes of a sweep inherit and the download reads.
"""

import json
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict

from lpips_repro.config.addresses import SCHEME, public, public_mirror
from lpips_repro.quoting import one_line

OWN = __name__.partition(".")[0]
VARIABLE = "LPIPS_REPRO_MIRRORS"  # JSON: whole addresses by public address

# An address in an override: in quotes, or to the end of the list element. A comma does not end it if an @ follows.
ELEMENT = re.compile(
    rf"""(?P<quote>["'])(?P<quoted>{SCHEME}(?:\\.|(?!(?P=quote))[^\\])*)(?P=quote)"""
    rf"""|(?P<bare>{SCHEME}(?:\\.|[^,\]}}\\]|[,\]}}](?=[^,/]*@))*)""",
    re.IGNORECASE | re.DOTALL,
)


class HideSecrets(Callback):
    """Hydra's callback for mirrors in files of `configs/`."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Hide secrets before a single run writes anything."""
        hide_settings(config)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Hide secrets before a sweep writes anything."""
        hide_settings(config)

    def on_job_start(self, config: DictConfig, **_: Any) -> None:
        """Hide secrets in a run of a sweep, for which Hydra has read the files again and written the settings."""
        logging.setLogRecordFactory(PublicRecord)  # a run may be another process than the sweep's
        if hide_settings(config) and config.hydra.output_subdir is not None:
            own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
            OmegaConf.save(own, Path(config.hydra.runtime.output_dir, config.hydra.output_subdir, "config.yaml"))


class PublicRecord(logging.LogRecord):
    """A log record with the public form of all addresses: at DEBUG, Hydra logs all settings.

    Arguments of this package's messages, such as names of files, are shown on one line.
    """

    def getMessage(self) -> str:
        """The message that handlers write."""
        if str(self.name).startswith(OWN) and isinstance(self.args, tuple):
            self.args = tuple(one_line(str(one)) if isinstance(one, str | Path) else one for one in self.args)
        return public(super().getMessage())


def hide_arguments(arguments: Sequence[str]) -> list[str]:
    """The words of a command with public addresses of mirrors. The whole addresses are remembered."""
    return [ELEMENT.sub(_hide_element, word) if "mirrors" in word else word for word in arguments]


def hide_settings(config: DictConfig) -> bool:
    """Replace a dataset's mirrors by public addresses and remember the whole ones; return whether any had secrets."""
    mirrors = OmegaConf.select(config, "data.mirrors")
    if not OmegaConf.is_list(mirrors):
        return False
    whole = cast(list[Any], OmegaConf.to_container(mirrors, resolve=True))
    hidden = [_hide(mirror) if isinstance(mirror, str) else mirror for mirror in whole]
    if hidden == whole:
        return False
    with open_dict(config):
        config.data.mirrors = hidden
    return True


def whole_mirrors(mirrors: Sequence[str]) -> list[str]:
    """The whole addresses of mirrors, in their order."""
    known = _known()
    return [*dict.fromkeys(whole for mirror in mirrors for whole in known.get(mirror, [mirror]))]


def _hide_element(found: re.Match) -> str:
    written = found["quoted"] or found["bare"]
    hidden = _hide(re.sub(r"\\(.)", r"\1", written))
    return found[0].replace(written, hidden)


def _hide(mirror: str) -> str:
    """The public address of a mirror. The whole address is remembered."""
    known = _known()
    if mirror in known:  # already hidden, before Hydra
        return mirror
    hidden = public_mirror(mirror)
    if hidden != mirror:
        known[hidden] = [*dict.fromkeys([*known.get(hidden, []), mirror])]
        os.environ[VARIABLE] = json.dumps(known)
    return hidden


def _known() -> dict[str, list[str]]:
    return json.loads(os.environ.get(VARIABLE, "{}"))
