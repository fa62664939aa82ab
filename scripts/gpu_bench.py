"""Measure or resume measuring the rates of a network on a GPU.  python scripts/gpu_bench.py 'net=[alex]' device=cuda"""

import sys

try:
    import hydra
    from omegaconf import DictConfig

    from lpips_repro.benchmark.gpu import gpu_bench
    from lpips_repro.entry_point import run
except ModuleNotFoundError as error:  # not all packages may be installed on the machine with the GPU
    sys.exit(f"error: not run: {error.name} is not installed")


@hydra.main(version_base="1.3", config_path="../configs", config_name="bench")
def main(cfg: DictConfig) -> None:
    """Benchmark."""
    gpu_bench(cfg)


if __name__ == "__main__":
    run(main)
