"""Protocols: questions put to observers, and how distances are scored by the answers. One file per protocol.

Every file in this folder is imported, so that a new protocol takes one file.
"""

import importlib
import pkgutil

from lpips_repro.evaluation.protocols.protocol import Distances, Protocol, Resamples
from lpips_repro.evaluation.protocols.registry import PROTOCOLS, protocol_of, register_protocol

__all__ = ["PROTOCOLS", "Distances", "Protocol", "Resamples", "import_protocols", "protocol_of", "register_protocol"]

_FIRST = ("twoafc", "jnd")  # as the paper orders them


def import_protocols() -> None:
    """Import every file in this folder, or in another one that is part of `__path__`."""
    others = {module.name for module in pkgutil.iter_modules(__path__)} - {*_FIRST}
    for name in (*_FIRST, *sorted(others)):
        importlib.import_module(f"{__name__}.{name}")


import_protocols()
