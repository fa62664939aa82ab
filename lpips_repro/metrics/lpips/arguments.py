"""Keyword arguments that do not exist here, and what to do instead of those of the released package `lpips`."""

from collections.abc import Iterable

from lpips_repro.errors import UserError

FROM_FILE = "LPIPS.from_official(net, version, torch.load(FILE, weights_only=True))"
DISTANCES_ALONE = "an optimized evaluator gives distances alone: call LPIPS itself"

# By function.
ANSWERS = {
    "LPIPS": {
        "lpips": 'lpips=True is variant="lin" here, lpips=False is variant="off_the_shelf"',
        "model_path": f"lin_weights=FILE reads lin weights, {FROM_FILE} a whole metric",
        "eval_mode": "the metric is always in eval mode: leave it out",
        "pretrained": "lin_weights=FILE gives other lin weights than the official ones: leave it out otherwise",
        "pnet_rand": "weights=lpips_repro.backbones.torchvision_state(net, seed) gives a random backbone",
        "pnet_tune": 'variant="tune" takes the weights of a trained backbone, which `make train` makes',
        "use_dropout": "only training has dropout (`make train`): leave it out",
        "verbose": "nothing is printed: leave it out",
    },
    "forward": {
        "retPerLayer": "per_layer=True returns what each layer adds, (layers, N)",
        "validate": "it is decided when the metric is made: LPIPS(validate=False)",
    },
    "evaluator": dict.fromkeys(("per_layer", "retPerLayer", "mask"), DISTANCES_ALONE),
}


class UnknownArgumentError(UserError, TypeError):
    """A keyword argument that does not exist."""


def refuse_arguments(function: str, unknown: Iterable[str]) -> None:
    """Raise UnknownArgumentError for keyword arguments that do not exist. The message says what to do instead.

    Args:
        function: a key of `ANSWERS`.
        unknown: names of the arguments that were left over.
    """
    for name in unknown:
        answer = ANSWERS[function].get(name, "expected one of those that are documented")
        raise UnknownArgumentError(f"{function}: unexpected keyword argument {name!r}: {answer}")
