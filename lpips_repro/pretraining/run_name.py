"""The name of a pretraining run."""

from omegaconf import DictConfig

from lpips_repro.runs.run_name import default_settings, run_settings, with_hash

# Settings that change no result, or are in the name.
LEFT_OUT = {
    *("seed", "device", "experiments", "store", "workers"),
    *("validate_every", "log_every", "checkpoint_minutes"),
}


def run_name(composed: DictConfig) -> str:
    """`pretrain-<task>-seed<seed>`, and a short hash of settings that differ from the defaults."""
    task = composed.task.name
    name = f"pretrain-{task}-seed{composed.seed}"
    return with_hash(name, run_settings(composed, LEFT_OUT), default_settings("pretrain", task=task))
