"""Arguments of the released package `lpips` that have another name here, or none."""

from collections.abc import Iterable

from lpips_repro.errors import UserError

FROM_FILE = "LPIPS.from_official(net, version, torch.load(FILE, weights_only=True))"

ONLY_METRIC = ("per_layer", "mask", "retPerLayer")
# What stands for them here, by function.
RELEASED = {
    "LPIPS": {
        "lpips": 'variant="lin" is lpips=True, variant="off_the_shelf" is lpips=False',
        "model_path": f"lin_weights=FILE reads lin weights, {FROM_FILE} a whole metric",
        "eval_mode": "the metric is always in eval mode: leave it out",
        "pretrained": "lin_weights=FILE gives other lin weights than the official ones: leave it out otherwise",
        "pnet_rand": "weights=lpips_repro.backbones.torchvision_state(net, seed) gives a random backbone",
        "pnet_tune": 'variant="tune" takes the weights of a trained backbone, which `make train` makes',
        "use_dropout": "only training has dropout (`make train`): leave it out",
        "verbose": "nothing is printed: leave it out",
    },
    "forward": {"retPerLayer": "per_layer=True returns what each layer adds, (layers, N)"},
    "evaluator": {},
}


class UnknownArgumentError(UserError, TypeError):
    """A keyword argument that does not exist."""


def refuse_arguments(function: str, unknown: Iterable[str]) -> None:
    """Raise UnknownArgumentError for keyword arguments that do not exist. The message names the present ones.

    Args:
        function: a key of `RELEASED`.
        unknown: names of the arguments that were left over.
    """
    for name in unknown:
        if function == "evaluator" and name in ONLY_METRIC:
            raise UnknownArgumentError(f"{name}= is for LPIPS itself: an optimized evaluator gives distances alone")
        if function == "forward" and name == "validate":
            raise UnknownArgumentError("validate= is for LPIPS when it is made: LPIPS(validate=False)")
        if name not in RELEASED[function]:
            raise UnknownArgumentError(f"{function}() got an unexpected keyword argument {name!r}")
        raise UnknownArgumentError(f"{name}= is an argument of the package lpips: here {RELEASED[function][name]}")
