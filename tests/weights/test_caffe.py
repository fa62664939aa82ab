import pickle
import re
import struct

import numpy as np
import pytest
import torch

from lpips_repro import LPIPS
from lpips_repro.backbones import Backbone, gaussian_state
from lpips_repro.backbones.caffenet import caffenet_layers
from lpips_repro.config import EvaluateConfig, parse
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.compute import Engine
from lpips_repro.evaluation.methods.published import list_methods
from lpips_repro.weights.imagenet import imagenet_state
from lpips_repro.weights.state_dicts import read_weights
from tests.compose import settings
from tests.weights.caffe_files import layer, message, number, real, v1_layer

# Where caffenet's and caffenet-bn's convolutions stand among their layers.
PLACES = {"caffenet": (0, 4, 8, 10, 12), "caffenet-bn": (0, 4, 8, 11, 14), "caffenet-split": (0, 4, 8, 11, 14)}


@pytest.fixture(scope="module")
def state():
    """Parameters of caffenet, biases too."""
    values = gaussian_state("caffenet", 5)
    return {key: value + 0.1 * torch.randn(value.shape) for key, value in values.items()}


def arrays(state, net="caffenet"):
    """[weights, bias] by layer name."""
    return {
        f"conv{k}": [state[f"features.{place}.{key}"].numpy() for key in ("weight", "bias")]
        for k, place in enumerate(PLACES[net], 1)
        if f"features.{place}.weight" in state
    }


def caffemodel(layers, form="shape"):
    """A network as Caffe writes it, with layers that have no parameters and some that are of no feature map."""
    body = message(1, "CaffeNet") + layer("data", "Data")
    for name, blobs in layers.items():
        body += layer(name, "Convolution", blobs, form=form, more=message(106, number(1, 96)))
        body += layer(f"relu-{name}", "ReLU")
    return body + layer("fc6", "InnerProduct", [np.ones((7, 9), np.float32)])


def write(path, content):
    path.write_bytes(content)
    return path


def assert_equal_to_the_bit(found, wanted):
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)


@pytest.mark.parametrize("form", ["shape", "legacy", "double", "single"])
def test_a_caffemodel_is_restored_exactly(state, tmp_path, form):
    path = write(tmp_path / "net.caffemodel", caffemodel(arrays(state), form))
    assert_equal_to_the_bit(read_weights(path, "caffenet"), state)
    assert_equal_to_the_bit(imagenet_state("caffenet", path), state)
    LPIPS("caffenet", "off_the_shelf", weights=path)


def test_the_older_form_is_restored_exactly(state, tmp_path):
    body = b"".join(v1_layer(name, 4, blobs) + v1_layer(f"relu-{name}", 18) for name, blobs in arrays(state).items())
    path = write(tmp_path / "net.caffemodel", body + v1_layer("fc6", 14, [np.ones((2, 3), np.float32)]))
    assert_equal_to_the_bit(read_weights(path, "caffenet"), state)


@pytest.mark.parametrize("entry", [lambda w, b: {"weights": w, "biases": b}, lambda w, b: [w, b], lambda w, b: (w, b)])
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("tensorflow", [False, True])
def test_a_dictionary_is_restored_exactly(state, tmp_path, entry, protocol, tensorflow):
    layers = {k: entry(w.transpose(2, 3, 1, 0) if tensorflow else w, b) for k, (w, b) in arrays(state).items()}
    layers["fc6"] = entry(np.ones((3, 2)), np.ones(2))
    path = save_npy(tmp_path / "net.npy", layers, protocol)
    assert_equal_to_the_bit(read_weights(path, "caffenet"), state)


def save_npy(path, content, protocol=4):
    """What `np.save` writes, in any protocol: NumPy for Python 2 wrote the older one."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        pickle.dump(np.array(content, dtype=object), file, protocol=protocol)
    return path


def test_numpys_own_file_is_read(state, tmp_path):
    np.save(tmp_path / "net.npy", arrays(state), allow_pickle=True)
    assert_equal_to_the_bit(read_weights(tmp_path / "net.npy", "caffenet"), state)


def test_a_dictionary_of_python_2_is_read(tmp_path, state):
    # Its strings are bytes, and an array's content is such a string: written here opcode by opcode.
    def text(value):
        return b"T" + struct.pack("<i", len(value)) + value

    def array(values):
        made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + text(b"b") + b"tR"
        shape = b"(" + b"".join(b"J" + struct.pack("<i", side) for side in values.shape) + b"t"
        dtype = b"cnumpy\ndtype\n(" + text(b"f4") + b"K\x00K\x01tR(K\x03" + text(b"<") + b"NNNJ" + b"\xff" * 4
        dtype += b"J" + b"\xff" * 4 + b"K\x00tb"
        return made + b"(K\x01" + shape + dtype + b"\x89" + text(values.astype("<f4").tobytes()) + b"tb"

    entries = b"".join(text(k.encode()) + b"](" + array(w) + array(b) + b"e" for k, (w, b) in arrays(state).items())
    objects = b"cnumpy\ndtype\n(" + text(b"O8") + b"K\x00K\x01tR(K\x03" + text(b"|") + b"NNNJ" + b"\xff" * 4
    objects += b"J" + b"\xff" * 4 + b"K?tb"
    whole = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + text(b"b") + b"tR"
    whole += b"(K\x01(t" + objects + b"\x89](}(" + entries + b"uetb"
    with (tmp_path / "net.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        file.write(b"\x80\x02" + whole + b".")
    assert_equal_to_the_bit(read_weights(tmp_path / "net.npy", "caffenet"), state)


def test_code_in_a_dictionary_is_not_run(tmp_path, capsys):
    class Evil:
        def __reduce__(self):
            return (print, ("code in the file was run",))

    np.save(tmp_path / "evil.npy", {"conv1": Evil()}, allow_pickle=True)
    with pytest.raises(UserError, match=r"evil.npy: not a readable dictionary.*builtins.print is neither an array nor"):
        read_weights(tmp_path / "evil.npy", "caffenet")
    assert "run" not in capsys.readouterr().out


@pytest.mark.parametrize("suffix", ["s1", "1"])
def test_the_first_of_several_columns_is_taken(state, tmp_path, suffix):
    layers = {f"{name}_{suffix}": blobs for name, blobs in arrays(state).items()}
    other = suffix.replace("1", "2")
    layers |= {f"{name}_{other}": [-w, -b] for name, (w, b) in arrays(state).items()}
    path = write(tmp_path / "net.caffemodel", caffemodel(layers))
    assert_equal_to_the_bit(read_weights(path, "caffenet"), state)


def normalised(state, net, *, scale=True, epsilon=None):
    """A network with batch normalization as Caffe writes it: its sums, and what to divide them by."""
    body = b""
    for k, (weight, _) in enumerate(arrays(state, net).values(), 1):
        norm = {key: state[f"features.{PLACES[net][k - 1] + 1}.{key}"].numpy() for key in NORM}
        divisor = np.array([4.0], np.float32)
        sums = [norm["running_mean"] * divisor, norm["running_var"] * divisor, divisor]
        more = b"" if epsilon is None else message(139, real(3, epsilon))
        body += layer(f"conv{k}", "Convolution", [weight]) + layer(f"bn{k}", "BatchNorm", sums, more=more)
        if scale:
            body += layer(f"scale{k}", "Scale", [norm["weight"], norm["bias"]])
        body += layer(f"relu{k}", "ReLU")
    return body


NORM = ("weight", "bias", "running_mean", "running_var")


@pytest.fixture(scope="module")
def normalised_state():
    """Parameters of caffenet-bn, with statistics; its convolutions have no biases."""
    values = gaussian_state("caffenet-bn", 5)
    return {key: torch.rand(v.shape) + 0.5 if key.endswith(NORM[2:]) else v for key, v in values.items()}


def test_batch_normalization_is_restored_exactly(normalised_state, tmp_path):
    path = write(tmp_path / "net.caffemodel", normalised(normalised_state, "caffenet-bn"))
    assert_equal_to_the_bit(read_weights(path, "caffenet-bn"), normalised_state)  # dividing by 4 rounds nothing


def test_batch_normalization_computes_what_caffe_computes(normalised_state, tmp_path):
    # Without Scale, and with another epsilon: (x - mean) / sqrt(variance + epsilon).
    path = write(tmp_path / "net.caffemodel", normalised(normalised_state, "caffenet-bn", scale=False, epsilon=0.5))
    found = read_weights(path, "caffenet-bn")
    backbone = Backbone("caffenet-bn", found).eval()
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    mean, variance = (normalised_state[f"features.1.{key}"].view(1, -1, 1, 1) for key in NORM[2:])
    convolved = torch.nn.functional.conv2d(x, normalised_state["features.0.weight"], stride=4)
    wanted = ((convolved - mean) / (variance + 0.5).sqrt()).relu()
    torch.testing.assert_close(backbone(x)[0], wanted)


def split_layers(state):
    """caffenet-split's convolutions, the first one in two."""
    halves = {k: [state[f"features.0.{k}.weight"].numpy(), state[f"features.0.{k}.bias"].numpy()] for k in HALVES}
    return halves, arrays(state, "caffenet-split")


HALVES = ("grey", "chroma")


@pytest.mark.parametrize("form", ["two", "one"])
def test_a_split_network_is_restored_exactly(tmp_path, form):
    state = gaussian_state("caffenet-split", 5)
    (grey, chroma), others = split_layers(state)[0].values(), split_layers(state)[1]
    if form == "two":
        body = layer("conv1_L", "Convolution", grey) + layer("conv1_ab", "Convolution", chroma)
    else:
        weights = np.zeros((96, 3, 11, 11), np.float32)
        weights[:48, :1], weights[48:, 1:] = grey[0], chroma[0]
        body = layer("conv1", "Convolution", [weights, np.concatenate([grey[1], chroma[1]])])
    divisor = np.ones(1, np.float32)
    for k, channels in enumerate((96, 256, 384, 384, 256), 1):
        if k > 1:
            body += layer(f"conv{k}", "Convolution", others[f"conv{k}"])
        sums = [np.zeros(channels, np.float32), np.ones(channels, np.float32), divisor]
        body += layer(f"bn{k}", "BatchNorm", sums) + layer(f"relu{k}", "ReLU")
    found = read_weights(write(tmp_path / "net.caffemodel", body), "caffenet-split")
    assert_equal_to_the_bit(found, state)


def changed(layers, name, blobs):
    return {**layers, name: blobs}


@pytest.mark.parametrize(
    ("change", "net", "message"),
    [
        (
            lambda x: {k: v for k, v in x.items() if k != "conv3"},
            "caffenet",
            "no layer conv3: .*found conv1, conv2, conv4",
        ),
        (
            lambda x: changed(x, "conv2", [np.ones((256, 96, 5, 5)), x["conv2"][1]]),
            "caffenet",
            "layer conv2: weights: shape (256, 96, 5, 5): expected (256, 48, 5, 5)",
        ),
        (
            lambda x: changed(x, "conv4", [x["conv4"][0], np.ones(3)]),
            "caffenet",
            "conv4: bias: shape (3,): expected (384,)",
        ),
        (lambda x: changed(x, "conv5", []), "caffenet", "layer conv5: weights: shape (0,): expected (256, 192, 3, 3)"),
        (lambda x: x, "caffenet-bn", "layer conv1: no BatchNorm between it and its ReLU"),
        (lambda x: x, "caffenet-split", "layer conv1: its halves use all of Lab"),
        (lambda x: x, "alex", "which alex is not: expected one of caffenet, caffenet-bn, caffenet-split"),
    ],
)
def test_what_does_not_fit_is_refused_and_the_layer_named(state, tmp_path, change, net, message):
    content = caffemodel({k: [v.astype(np.float32) for v in blobs] for k, blobs in change(arrays(state)).items()})
    path = write(tmp_path / "net.caffemodel", content)
    pattern = ".*".join(map(re.escape, message.split(".*")))
    with pytest.raises(UserError, match=f"^{re.escape(str(path))}: .*{pattern}"):
        read_weights(path, net)


@pytest.mark.parametrize(
    ("after_conv1", "message"),
    [
        (layer("relu1", "ReLU", more=message(123, real(1, 0.2))), "conv1: a ReLU of slope 0.2 follows it"),
        (layer("bn1", "BatchNorm"), "conv1: a BatchNorm or Scale follows it: expected neither for caffenet"),
        (layer("relu1", "ReLU") + layer("bn1", "BatchNorm"), "layer bn1: a BatchNorm after a ReLU"),
    ],
)
def test_what_another_network_computes_is_refused(state, tmp_path, after_conv1, message):
    first, *others = (layer(name, "Convolution", blobs) for name, blobs in arrays(state).items())
    path = write(tmp_path / "net.caffemodel", b"".join([first, after_conv1, *others]))
    with pytest.raises(UserError, match=message):
        read_weights(path, "caffenet")


def test_an_older_file_tells_the_slope_of_its_relus(state, tmp_path):
    body = b"".join(v1_layer(name, 4, blobs) for name, blobs in arrays(state).items())
    path = write(tmp_path / "net.caffemodel", body + v1_layer("relu5", 18, more=message(30, real(1, 0.25))))
    with pytest.raises(UserError, match=r"conv5: a ReLU of slope 0\.25"):
        read_weights(path, "caffenet")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("net.caffemodel", b"garbage", "not a readable Caffe model"),
        ("net.caffemodel", b"", "no layers found"),
        ("net.caffemodel", layer("conv1", "Convolution")[:-3], "not a readable Caffe model"),
        (
            "net.caffemodel",
            message(100, message(1, "c") + message(2, "Convolution") + message(7, message(7, message(1, b"\x05")))),
            "layer c: cannot reshape",
        ),
        ("net.npy", b"garbage", "not a readable dictionary of weights"),
        ("net.npy", b"", "not a readable dictionary of weights"),
    ],
)
def test_an_unreadable_file_is_named(tmp_path, name, content, message):
    path = write(tmp_path / name, content)
    with pytest.raises(UserError, match=f"^{re.escape(str(path))}: .*{message}"):
        read_weights(path, "caffenet")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.ones(3), r"holds an array \(3,\) of float64"),
        ([np.ones(3)], r"holds a list"),
        ({"conv1": {"weights": np.ones((1, 1, 1, 1)), "mean": np.ones(1)}}, "entry 'conv1' is not a layer"),
        ({"conv1": {"biases": np.ones(1)}}, "weights"),
        ({"conv1": "weights"}, "entry 'conv1' is not a layer"),
        ({"conv1": []}, "entry 'conv1' is not a layer"),
        ({1: [np.ones(1)]}, "entry 1 is not a layer"),
        ({"conv1": [np.array(["a"])]}, "array of type U1"),
    ],
)
def test_another_content_than_layers_is_refused(tmp_path, content, message):
    value = content if isinstance(content, np.ndarray) else np.array([content, 0], dtype=object)[:1].reshape(())
    np.save(tmp_path / "net.npy", value, allow_pickle=True)
    with pytest.raises(UserError, match=rf"net.npy: not a readable dictionary.*{message}.*expected a dictionary"):
        read_weights(tmp_path / "net.npy", "caffenet")


@pytest.mark.parametrize("name", ["none.caffemodel", "none.npy", "none.pth"])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(UserError, match=f"{name}: no such weights file"):
        read_weights(tmp_path / name, "caffenet")


def test_a_row_from_a_caffemodel_has_its_weights(state, tmp_path):
    path = write(tmp_path / "net.caffemodel", caffemodel(arrays(state)))
    overrides = ("net=[alex_watching]", f"net.alex-watching.weights={path}", "variant=[off_the_shelf]", "metric=[]")
    (row,) = list_methods(parse(settings("evaluate", *overrides), EvaluateConfig))
    distance = row.build(Engine(torch.device("cpu")))
    ref, p0, p1 = torch.rand(3, 2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    wanted = LPIPS("caffenet", "off_the_shelf", weights=state)(ref, p0, normalize=True)
    torch.testing.assert_close(distance.finish(distance.measure(ref, p0, p1))[0], wanted)


def test_the_places_above_are_those_of_the_convolutions():
    for net, norm, split in (
        ("caffenet", "lrn", False),
        ("caffenet-bn", "batch", False),
        ("caffenet-split", "batch", True),
    ):
        layers = caffenet_layers(norm, split=split)
        assert [k for k, m in enumerate(layers) if not list(m.children()) and isinstance(m, torch.nn.Conv2d)] == list(
            PLACES[net][split:]
        )
