"""Errors for unknown keyword arguments, with the equivalents of those of the released package `lpips`."""

from collections.abc import Iterable

from lpips_repro.errors import UserError

FROM_FILE = "LPIPS.from_official(net, version, torch.load(FILE, weights_only=True))"
DISTANCES_ALONE = "an optimized evaluator returns distances only: call LPIPS itself"

# Answers by function and argument.
ANSWERS = {
    "LPIPS": {
        "lpips": 'lpips=True is variant="lin" here, lpips=False is variant="off_the_shelf"',
        "model_path": f"lin_weights=FILE reads lin weights, {FROM_FILE} reads a whole metric",
        "eval_mode": "the metric is always in eval mode: leave it out",
        "pretrained": "lin_weights=FILE replaces the official lin weights: leave it out otherwise",
        "pnet_rand": "weights=lpips_repro.backbones.torchvision_state(net, seed) gives a random backbone",
        "pnet_tune": 'variant="tune" takes the weights of a trained backbone, from `make train`',
        "use_dropout": "only training has dropout (`make train`): leave it out",
        "verbose": "nothing is printed: leave it out",
    },
    "forward": {
        "retPerLayer": "per_layer=True returns the contribution of each layer, (layers, N)",
        "validate": "it is an argument of the constructor: LPIPS(validate=False)",
    },
    "evaluator": dict.fromkeys(("per_layer", "retPerLayer", "mask"), DISTANCES_ALONE),
}


class UnknownArgumentError(UserError, TypeError):
    """A keyword argument that does not exist."""


def refuse_arguments(function: str, unknown: Iterable[str]) -> None:
    """Raise UnknownArgumentError for keyword arguments that do not exist. The message says what to do instead.

    Args:
        function: a key of `ANSWERS`.
        unknown: names of the unexpected arguments.
    """
    for name in unknown:
        answer = ANSWERS[function].get(name, "expected a documented argument")
        raise UnknownArgumentError(f"{function}: unexpected keyword argument {name!r}: {answer}")
