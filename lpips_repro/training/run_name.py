"""The name of a training run."""

from typing import Any

from omegaconf import DictConfig, OmegaConf

from lpips_repro.runs.run_name import default_settings, run_settings, with_hash

# Settings that change no result (folders, logs, devices), or are in the name.
LEFT_OUT = {
    *("data.packed", "data.workers", "data.mirrors", "data.archives", "data.unpack", "data.manifest"),
    *("data.observers", "data.dataset"),
    *("trainer.log_every", "trainer.checkpoint_minutes"),
    *("seed", "version", "device", "experiments", "features", "download", "bootstrap"),
}


def run_name(composed: DictConfig) -> str:
    """`<data>-<net>-<variant>-v<version>-seed<seed>`, and a short hash of settings that differ from the defaults."""
    settings: Any = OmegaConf.to_container(composed, resolve=True)
    data, (net,), (variant,) = settings["data"]["name"], settings["net"], settings["variant"]
    name = f"{data}-{net}-{variant}-v{settings['version']}-seed{settings['seed']}"
    trainer = f"{data}_{variant}"
    defaults = default_settings("train", data=data, net=net.replace("-", "_"), variant=variant, trainer=trainer)
    # Not resolved, so that a path inside the folder of results does not depend on where the folder is.
    return with_hash(name, run_settings(composed, LEFT_OUT, resolve=False), defaults)
