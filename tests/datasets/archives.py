"""The stand-ins of BAPPS's archives that the benchmarks pack too."""

from lpips_repro.benchmark.bapps_stand_ins import (
    IMAGES,
    VOTES,
    members,
    npy,
    png,
    write_archive,
    write_archives,
    write_tar,
)

__all__ = ["IMAGES", "VOTES", "members", "npy", "png", "write_archive", "write_archives", "write_tar"]
