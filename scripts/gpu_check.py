"""Run all checks on a GPU.  python scripts/gpu_check.py [GROUP ...]"""

import sys

from lpips_repro.errors import UserError
from lpips_repro.gpu.run import gpu_check

if __name__ == "__main__":
    # Without Hydra, which may not be installed on the machine with the GPU.
    try:
        sys.exit(gpu_check(sys.argv[1:]))
    except UserError as error:
        sys.exit(f"error: {error}")
