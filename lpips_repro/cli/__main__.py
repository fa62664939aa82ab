"""`python -m lpips_repro.cli` is `lpips-repro`."""

from lpips_repro.cli.app import main

main()
