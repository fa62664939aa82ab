"""LPIPS as a loss: change an image until it looks like a reference.

    python examples/loss.py REFERENCE IMAGE OUTPUT.png

Both images must have the same size. Autocast makes each step faster on a GPU, and on a CPU with bfloat16 instructions.
"""

import sys

import torch
from torch import Tensor
from torchvision.utils import save_image

from lpips_repro import LPIPS, load_image


def approach(image: Tensor, reference: Tensor, steps: int = 30, rate: float = 0.02) -> tuple[Tensor, list[float]]:
    """Minimize the distance of an image from a reference.

    Args:
        image, reference: (N, 3, H, W) in [-1, 1], on one device.
        steps: number of Adam steps; rate: learning rate.

    Returns:
        The image after the last step, and the loss before each step.
    """
    # The parameters of the metric are frozen, so only the image gets a gradient. `clamp_` below keeps the image in
    # range, so no check is needed; a check would wait for the GPU in every step.
    metric = LPIPS("alex", validate=False).to(image.device)
    image = image.clone().requires_grad_()  # stays float32 under autocast: bfloat16 would lose small steps
    optimizer = torch.optim.Adam([image], lr=rate)
    losses = []
    for _ in range(steps):
        with torch.autocast(image.device.type, torch.bfloat16):  # the network; the distances are float32
            loss = metric(image, reference).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            image.clamp_(-1, 1)  # after the step, since a clamp before the metric has no gradient outside the range
        losses.append(loss.item())
    return image.detach(), losses


if __name__ == "__main__":
    reference_file, image_file, output = sys.argv[1:]
    made, losses = approach(load_image(image_file), load_image(reference_file))
    save_image((made + 1) / 2, output)
    print(f"LPIPS {losses[0]:.3f} before, {losses[-1]:.3f} at the last step: {output}")
