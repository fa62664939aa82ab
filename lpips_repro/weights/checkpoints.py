"""The encoder's state dict in checkpoints of self-supervised learning.

Such checkpoints are nested, and also hold other networks and the state of the training:

| | in | their keys begin with |
| --- | --- | --- |
| MoCo v3 | `state_dict` | `module.base_encoder.` |
| MoCo v1 and v2 | `state_dict` | `module.encoder_q.` |
| DINO | the file itself, or `teacher`, or `student` alone | nothing, or `backbone.` |
| MAE | `model` | nothing |

Heads among these parameters are listed in each network's `left_out`. All other keys must be the network's.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

NESTED = ("state_dict", "model", "teacher", "student")
WRAPPERS = ("module.", "_orig_mod.")
PREFIXES = ("module.", "base_encoder.", "encoder_q.", "backbone.")


def encoder_state(content: Any) -> Any:
    """The encoder's state dict if `content` is one of these checkpoints, else `content`."""
    while isinstance(content, dict) and (key := next((k for k in NESTED if isinstance(content.get(k), dict)), None)):
        content = content[key]
    if not isinstance(content, dict):
        return content
    for prefix in PREFIXES:
        inner = {key.removeprefix(prefix): value for key, value in content.items() if str(key).startswith(prefix)}
        content = inner or content
    return content


def without_wrappers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict without the key prefixes of DataParallel, DistributedDataParallel and torch.compile."""
    state = dict(state)
    while prefix := next((p for p in WRAPPERS if state and all(key.startswith(p) for key in state)), None):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state
