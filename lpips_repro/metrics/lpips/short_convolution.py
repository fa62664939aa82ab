"""3x3 convolutions of 3x3 feature maps with 25 products per pair of channels instead of 49.

AlexNet's conv3 to conv5 have such maps for images of 64 x 64. Along one axis, three values and three weights are two
polynomials of degree 2, and the three results are coefficients 1 to 3 of their product. Modulo t^4 - 1 only coefficient
4 moves. So (t - 1) (t + 1) (t^2 + 1) gives the results with five products instead of seven: one at 1, one at -1, and
Karatsuba's three for the complex product at i (Winograd 1980, "Arithmetic Complexity of Computations"). All other
operations are sums, halves and quarters, so that rounding errors grow two- or threefold; with other points they grow
more.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lpips_repro.metrics.lpips.quick_layers import QuickLayer

# With fewer channels, direct convolution is as fast, and in bfloat16 faster.
MIN_CHANNELS = 128
# So it is with fewer images: the many small products do not keep the processor busy.
MIN_IMAGES = 32


class ShortConv2d(QuickLayer):
    """A 3x3 convolution with stride 1, padding 1 and one group, with the short algorithm for 3x3 maps.

    It is for inference only: its weights are transformed once and must not change after the first call.
    """

    factors: Tensor
    results: Tensor

    def __init__(self, direct: nn.Conv2d):
        super().__init__(direct)
        like = direct.weight.detach()
        # The sums of `_evaluated` and `_interpolated` as matrices.
        factors = _evaluated(torch.eye(9).view(3, 3, 9)).flatten(0, 1).to(like)
        results = _interpolated(_interpolated(torch.eye(25).view(5, 5, 25), 0), 1).flatten(0, 1).to(like)
        self.register_buffer("factors", factors, persistent=False)
        self.register_buffer("results", results, persistent=False)
        self._weights: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H, W)."""
        weight, bias = self.direct.weight, self.direct.bias
        if x.shape[2:] != (3, 3) or x.device.type != "cpu":  # a GPU's library chooses its own algorithm
            return self._direct(x)
        if torch.compiler.is_compiling():  # it fuses the sums of a step, and makes the weights constants
            return convolve_3x3(x, weight, bias)
        if len(x) < MIN_IMAGES:
            return self._direct(x)
        if self._weights is None:
            self._weights = _grouped(_weights_of_products(weight))
        count, channels = x.shape[:2]
        factors = torch.matmul(self.factors, x.permute(0, 2, 3, 1).reshape(count, 9, channels))
        added = weight.new_zeros(1) if bias is None else bias
        # One matrix product computes all sums. Each on its own would take a pass over memory.
        values = torch.baddbmm(added, self.results.expand(count, 9, 25), _products(factors, self._weights))
        return values.view(count, 3, 3, -1).permute(0, 3, 1, 2)

    def _direct(self, x: Tensor) -> Tensor:
        values: Tensor = self.direct(x)
        return values

    @staticmethod
    def fits(layer: nn.Module) -> bool:
        """Whether a layer is such a convolution, with enough channels."""
        if type(layer) is not nn.Conv2d:  # a subclass may do something else
            return False
        settings = layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.groups, layer.padding_mode
        return settings == ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros") and layer.in_channels >= MIN_CHANNELS


def convolve_3x3(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """torch.nn.functional.conv2d with padding 1, for maps (N, C, 3, 3) and weights (C', C, 3, 3)."""
    factors = _evaluated(x.permute(2, 3, 0, 1)).flatten(0, 1).transpose(0, 1)
    products = _products(factors, _grouped(_weights_of_products(weight))).unflatten(1, (5, 5)).permute(1, 2, 0, 3)
    values = _interpolated(_interpolated(products, 0), 1)
    return (values if bias is None else values + bias).permute(2, 3, 0, 1)


def _products(factors: Tensor, weights: Tensor) -> Tensor:
    """The products (N, 25, C') of factors (N, 25, C) and weights from `_grouped`.

    They are a 1x1 convolution of 25 groups whose places are the images. oneDNN, which a dilation chooses, takes 0.6
    times as long for it as torch.bmm.
    """
    count = factors.shape[0]  # len() would make it a constant of an exported program
    places = factors.reshape(1, count, 1, -1).permute(0, 3, 1, 2)
    return F.conv2d(places, weights, groups=25, dilation=2).permute(0, 2, 3, 1).reshape(count, 25, -1)


def _weights_of_products(weight: Tensor) -> Tensor:
    """Weights (C', C, 3, 3) as the second factors of the products, (25, C, C')."""
    # Correlation is a polynomial product with the weights in reverse order.
    return _evaluated(weight.permute(2, 3, 1, 0).flip(0, 1)).flatten(0, 1)


def _grouped(weights: Tensor) -> Tensor:
    """Weights of products (25, C, C') as those of a 1x1 convolution of 25 groups, (25 C', C, 1, 1)."""
    grouped = weights.transpose(1, 2).flatten(0, 1)[:, :, None, None]
    return grouped.contiguous(memory_format=torch.channels_last)


def _evaluated(v: Tensor) -> Tensor:
    """(3, 3, ...), the coefficients along two axes, to (5, 5, ...), the factors of the products."""
    for axis in (0, 1):
        v0, v1, v2 = v.unbind(axis)
        even, real = v0 + v2, v0 - v2
        v = torch.stack((even + v1, even - v1, real, v1, real + v1), axis)
    return v


def _interpolated(products: Tensor, axis: int) -> Tensor:
    """Five products along an axis to coefficients 1 to 3."""
    at_1, at_minus_1, a, b, both = products.unbind(axis)
    odd, imaginary = (at_1 - at_minus_1) / 4, (both - a - b) / 2
    return torch.stack((odd + imaginary, (at_1 + at_minus_1) / 4 - (a - b) / 2, odd - imaginary), axis)
