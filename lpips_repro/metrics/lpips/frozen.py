"""A module that does not change with the module that contains it."""

import sys
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class FrozenModule(nn.Module):
    """A module in eval mode whose parameters are not trained.

    - It and its submodules stay in eval mode if a parent's `train()` is called: batch normalization keeps its
      statistics, and dropout stays off.
    - A state dict is checked before any of it is loaded: see `accepted_state`.
    - It warns once if one of its parameters requires a gradient.

    Args:
        persistent: whether it is part of a parent's `state_dict`. If not, the parent's `load_state_dict` does not
            expect it. Its own `state_dict` is complete in both cases.
    """

    def __init__(self, persistent: bool = True):
        super().__init__()
        self.persistent = persistent
        self._warned: set[str] = set()

    def train(self, mode: bool = True) -> "FrozenModule":
        """Stay in eval mode, for either value of `mode`."""
        return super().train(False)

    def accepted_state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The state dict under the module's own keys; raises UserError for values that it does not accept."""
        return dict(state)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """As in torch.nn.Module; as part of a parent's state it is empty unless the module is persistent."""
        destination = args[0] if args else kwargs.get("destination")
        if destination is not None and not self.persistent:
            return destination
        return super().state_dict(*args, **kwargs)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        given = {key: state_dict.pop(key) for key in list(state_dict) if key.startswith(prefix)}
        state = self.accepted_state({key.removeprefix(prefix): value for key, value in given.items()})
        if not self.persistent:
            state = {**self.state_dict(keep_vars=True), **state}
        state_dict.update({prefix + key: value for key, value in state.items()})
        super()._load_from_state_dict(state_dict, prefix, *args)

    def keep_frozen(self) -> None:
        """Set submodules back to eval mode, and warn if parameters require a gradient."""
        if torch.compiler.is_compiling():
            return
        if any(module.training for module in self.modules()):
            self.eval()
        if any(parameter.requires_grad for parameter in self.parameters()):
            self.warn_once(
                "parameters of a frozen metric require a gradient, so an optimizer may change the metric: call"
                " metric.requires_grad_(False), and give the optimizer only the other parameters"
            )

    def warn_once(self, message: str) -> None:
        """Warn, unless this module has given the same warning before."""
        if message not in self._warned:
            self._warned.add(message)
            frame = sys._getframe()
            while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(
                ("lpips_repro.", "torch.")
            ):
                frame = frame.f_back
            # At the user's line, and with a new registry: Python would otherwise not repeat the warning for another
            # metric.
            where = frame.f_code.co_filename, frame.f_lineno
            warnings.warn_explicit(message, UserWarning, *where, registry={})
