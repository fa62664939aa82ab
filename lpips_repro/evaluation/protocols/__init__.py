"""Protocols: questions to observers, and scores of distances from the answers. There is one file per protocol.

All files in this folder are imported, so that a new protocol needs one file.
"""

import importlib
import pkgutil

from lpips_repro.evaluation.protocols.protocol import Distances, Protocol, Resamples
from lpips_repro.evaluation.protocols.registry import PROTOCOLS, protocol_of, register_protocol

__all__ = ["PROTOCOLS", "Distances", "Protocol", "Resamples", "import_protocols", "protocol_of", "register_protocol"]

_FIRST = ("twoafc", "jnd")  # in the paper's order


def import_protocols() -> None:
    """Import all files in this folder, and in other folders of `__path__`."""
    others = {module.name for module in pkgutil.iter_modules(__path__)} - {*_FIRST}
    for name in (*_FIRST, *sorted(others)):
        importlib.import_module(f"{__name__}.{name}")


import_protocols()
