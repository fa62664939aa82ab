"""The networks of torchvision that are younger than the paper."""

import functools

import pytest
import timm.models.vision_transformer
import torch
import torchvision
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor

from lpips_repro import LPIPS
from lpips_repro.backbones import BACKBONES
from lpips_repro.backbones.vit import ViTMaps
from tests.slow import slow_but

STAGES = ("1", "3", "5", "7")
# Nodes of torchvision's own extractor that are the feature maps, and the image it is given.
NODES = {
    "resnet18": (("relu", "layer1", "layer2", "layer3", "layer4"), 64),
    "resnet50": (("relu", "layer1", "layer2", "layer3", "layer4"), 64),
    "efficientnet_b0": ([f"features.{n}" for n in (1, 2, 3, 5, 7)], 64),
    "convnext_tiny": ([f"features.{n}" for n in STAGES], 64),
    "vit_b_16": ([f"encoder.layers.encoder_layer_{n}.add_1" for n in (2, 5, 8, 11)], 224),
    "swin_t": ([f"features.{n}" for n in STAGES], 64),
}
# Residual blocks, blocks with squeeze and excitation, and channels last: the larger ones are of such layers too.
QUICK = ("resnet18", "efficientnet_b0", "swin_t")
# Of images of 64 x 64, by hand from the strides.
SIDES = {"resnet18": (32, 16, 8, 4, 2), "resnet50": (32, 16, 8, 4, 2), "efficientnet_b0": (32, 16, 8, 4, 2)}
SIDES |= {"convnext_tiny": (16, 8, 4, 2), "vit_b_16": (4, 4, 4, 4), "swin_t": (16, 8, 4, 2)}


@functools.cache
def published(net):
    """torchvision's own network with random weights, also where it begins with zeros or next to nothing."""
    torch.manual_seed(0)
    model = torchvision.models.get_model(net, weights=None).eval()
    for key, parameter in model.named_parameters():
        if key.endswith(("layer_scale", "class_token")):
            nn.init.normal_(parameter)
    return model


@functools.cache
def metric(net):
    return LPIPS(net, "off_the_shelf", weights=published(net).state_dict())


def images(count=2, size=64):
    return torch.rand(3, count, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("net", NODES)
def test_maps_are_those_of_torchvisions_network(net):
    nodes, size = NODES[net]
    x = images(1, size)[0]
    with torch.no_grad():
        wanted = create_feature_extractor(published(net), return_nodes={node: node for node in nodes})(x)
        found = metric(net).backbone(x)
    assert len(found) == len(nodes)
    for feature_map, node in zip(found, nodes, strict=True):
        expected = wanted[node]
        if net == "swin_t":
            expected = expected.permute(0, 3, 1, 2)
        if net == "vit_b_16":  # the class token is first, the others are row by row
            expected = expected[:, 1:].reshape(1, 14, 14, 768).permute(0, 3, 1, 2)
        torch.testing.assert_close(feature_map, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


@pytest.mark.parametrize("net", slow_but(QUICK, NODES))
def test_maps_have_the_documented_shapes(net):
    with torch.no_grad():
        shapes = [tuple(m.shape[1:]) for m in metric(net).backbone(images(1)[0])]
    assert shapes == [(c, side, side) for c, side in zip(BACKBONES[net].channels, SIDES[net], strict=True)]


@pytest.mark.parametrize("net", slow_but(QUICK, NODES))
def test_the_smallest_size_is_the_smallest(net):
    size = BACKBONES[net].min_size
    with torch.no_grad():
        assert min(min(m.shape[2:]) for m in metric(net).backbone(images(1, size)[0])) == 1
        with pytest.raises((RuntimeError, ValueError)):
            metric(net).backbone(images(1, size - 1)[0])


@pytest.mark.parametrize("net", slow_but(QUICK, NODES))
def test_every_parameter_is_of_some_map_and_gradients_reach_the_image(net):
    backbone, x = metric(net).backbone, images(1)[0].requires_grad_()
    try:
        backbone.requires_grad_(True)
        sum(m.square().mean() for m in backbone(x)).backward()
        assert [key for key, p in backbone.named_parameters() if p.grad is None] == []
    finally:
        backbone.zero_grad(set_to_none=True)
        backbone.requires_grad_(False)
    assert x.grad.abs().max() > 0


@pytest.mark.parametrize("net", slow_but(QUICK, NODES))
def test_a_distance_grows_with_the_difference_and_has_a_gradient(net):
    ref, noise, _ = images()
    near, far = ref.lerp(noise, 0.05).requires_grad_(), ref.lerp(noise, 0.5)
    d0, d1 = metric(net).triplet(ref, near, far)
    assert (d0 > 0).all()
    assert (d0 < d1).all()
    assert metric(net)(ref, ref).abs().max() <= 1e-9
    d0.sum().backward()
    assert near.grad.isfinite().all()
    assert near.grad.abs().max() > 0


@pytest.mark.parametrize("net", slow_but(QUICK, NODES))
def test_the_evaluator_gives_the_same_distances(net):
    ref, p0, p1 = images()
    wanted = torch.stack(metric(net).triplet(ref, p0, p1))
    found = torch.stack(metric(net).optimized(compiled=False).triplet(ref, p0, p1))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
    lower = torch.stack(metric(net).optimized(torch.bfloat16, compiled=False).triplet(ref, p0, p1))
    torch.testing.assert_close(lower, wanted, rtol=0.05, atol=0)


@pytest.mark.parametrize("net", slow_but(QUICK, NODES))
def test_the_released_form_of_a_metric_gives_it_back(net):
    channels = BACKBONES[net].channels
    lin = {f"lin{k}.model.1.weight": torch.rand(1, c, 1, 1) for k, c in enumerate(channels)}
    calibrated = LPIPS(net, "lin", weights=published(net).state_dict(), lin_weights=lin)
    again = LPIPS.from_official(net, "0.1", calibrated.official_state_dict())
    assert again.variant == "lin"
    x, y, _ = images()
    torch.testing.assert_close(again(x, y), calibrated(x, y), rtol=0, atol=0)


def test_position_embeddings_are_interpolated_as_timm_does():
    torch.manual_seed(0)
    size = {"num_layers": 12, "num_heads": 3, "hidden_dim": 48, "mlp_dim": 192}
    ours = ViTMaps(torchvision.models.VisionTransformer(image_size=224, patch_size=16, **size)).eval()
    theirs = timm.models.vision_transformer.VisionTransformer(
        embed_dim=48, depth=12, num_heads=3, num_classes=0, dynamic_img_size=True
    ).eval()
    names = {
        "encoder.layers.encoder_layer_": "blocks.",
        "ln_1": "norm1",
        "ln_2": "norm2",
        "conv_proj": "patch_embed.proj",
    }
    names |= {
        "self_attention.out_proj": "attn.proj",
        "self_attention.in_proj_": "attn.qkv.",
        "class_token": "cls_token",
    }
    names |= {"encoder.pos_embedding": "pos_embed", "mlp.0": "mlp.fc1", "mlp.3": "mlp.fc2"}
    state = {}
    for key, value in ours.state_dict().items():
        for one, other in names.items():
            key = key.replace(one, other)
        state[key] = torch.randn_like(value) * 0.1
    report = theirs.load_state_dict(state, strict=False)
    assert report.missing_keys == ["norm.weight", "norm.bias"]
    assert not report.unexpected_keys
    ours.load_state_dict(dict(zip(ours.state_dict(), state.values(), strict=True)))
    x = torch.randn(2, 3, 64, 96)  # 4 x 6 patches
    wanted = theirs.forward_intermediates(x, indices=[2, 5, 8, 11], intermediates_only=True)
    for found, expected in zip(ours(x), wanted, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_cpus_blocks_allow_for_layers_that_are_not_tapped():
    # Second stage of EfficientNet-B0: 96 channels at half the resolution; the maps have 24 there at most.
    assert metric("efficientnet_b0").backbone.map_density == 96 / 4
    assert metric("resnet18").backbone.map_density == 64 / 4
    assert metric("efficientnet_b0").at_once(torch.empty(48, 3, 64, 64), 3) == 10
