import numpy as np
import pytest
import torch
from skimage.color import rgb2lab
from torch import nn

from lpips_repro import LPIPS
from lpips_repro.backbones import BACKBONES, Backbone, gaussian_state
from lpips_repro.backbones.caffenet import to_bgr, to_lab
from lpips_repro.errors import UserError

NETS = ("caffenet", "caffenet-bn", "caffenet-split")


def test_maps_have_caffes_sizes():
    # 227 x 227 gives 55, 27 and 13 in Caffe's own model; 64 x 64 needs the partial windows of its poolings.
    maps = Backbone("caffenet", gaussian_state("caffenet", 0))(torch.zeros(1, 3, 227, 227))
    assert [tuple(m.shape[1:]) for m in maps] == [(96, 55, 55), (256, 27, 27), *((c, 13, 13) for c in (384, 384, 256))]
    maps = Backbone("caffenet", gaussian_state("caffenet", 0))(torch.zeros(1, 3, 64, 64))
    assert [m.shape[2] for m in maps] == [14, 7, 3, 3, 3]


def test_it_has_as_many_parameters_as_caffes():
    # By hand: 96*3*121 + 256*48*25 + 384*256*9 + 384*192*9 + 256*192*9 and a bias each.
    count = sum(value.numel() for value in Backbone("caffenet").parameters())
    assert count == 34848 + 307200 + 884736 + 663552 + 442368 + 96 + 256 + 384 + 384 + 256


@pytest.mark.parametrize("net", NETS)
def test_every_map_is_after_a_relu_and_the_smallest_size_is_the_smallest(net):
    backbone, size = Backbone(net, gaussian_state(net, 0)).eval(), BACKBONES[net].min_size
    for found, channels in zip(backbone(torch.randn(2, 3, size, size)), BACKBONES[net].channels, strict=True):
        assert found.shape[1] == channels
        assert min(found.shape[2:]) >= 1
        assert found.min() >= 0
    with pytest.raises(RuntimeError):
        backbone(torch.randn(2, 3, size - 1, size - 1))


def test_bgr_is_caffes():
    image = torch.tensor([[1.0, 0.0, -1.0]]).view(1, 3, 1, 1)  # red 255, green 127.5, blue 0
    assert to_bgr(image).flatten().tolist() == pytest.approx([-104.007, 127.5 - 116.669, 255 - 122.679], abs=1e-4)


def test_lab_is_scikit_images_with_gray_around_zero():
    image = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    wanted = rgb2lab(image.permute(0, 2, 3, 1).double().numpy()) - np.array([50, 0, 0])
    found = to_lab(2 * image - 1).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(found, wanted, atol=2e-3)


def test_the_halves_of_the_split_network_see_gray_and_chroma_alone():
    backbone = Backbone("caffenet-split", gaussian_state("caffenet-split", 0)).eval()
    x = torch.randn(1, 3, 64, 64)
    other = torch.cat((x[:, :1], torch.randn(1, 2, 64, 64)), dim=1)
    for a, b in zip(backbone(x), backbone(other), strict=True):
        half = a.shape[1] // 2
        torch.testing.assert_close(a[:, :half], b[:, :half])
        assert not torch.allclose(a[:, half:], b[:, half:])


def test_normalization_is_where_caffe_has_it():
    names = [type(layer) for layer in Backbone("caffenet").features]
    assert names[:4] == [nn.Conv2d, nn.ReLU, nn.MaxPool2d, nn.LocalResponseNorm]
    assert names.count(nn.LocalResponseNorm) == 2
    names = [type(layer) for layer in Backbone("caffenet-bn").features]
    assert names[:3] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    assert names.count(nn.BatchNorm2d) == 5


@pytest.mark.parametrize("net", NETS)
def test_the_metric_takes_them_with_their_own_preprocessing(net):
    state = gaussian_state(net, 0)
    metric = LPIPS(net, "off_the_shelf", weights=state)
    x, y = torch.rand(2, 2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert (metric(x, y) > 0).all()
    assert metric(x, x).tolist() == [0, 0]
    preprocessed = BACKBONES[net].preprocess(x)
    torch.testing.assert_close(metric.preprocess((x,)), preprocessed)
    loaded = LPIPS.from_official(net, "0.1", metric.official_state_dict())
    torch.testing.assert_close(loaded(x, y), metric(x, y))


def test_there_is_no_version_without_it():
    with pytest.raises(UserError, match=r"'0\.0': expected one of 0\.1"):
        LPIPS("caffenet", "off_the_shelf", "0.0", weights=gaussian_state("caffenet", 0))
