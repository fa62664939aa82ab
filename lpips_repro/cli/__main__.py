"""`python -m lpips_repro.cli` is `lpips-repro`."""

from lpips_repro.cli.main import main

main()
