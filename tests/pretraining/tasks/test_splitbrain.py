import math

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from lpips_repro.pretraining.tasks.splitbrain import SplitBrain, chroma_squares
from tests.pretraining.learning import draws, learn, patches

SIDE = 51  # of which conv5 has 2x2 places


def split_brain(side=SIDE):
    torch.manual_seed(0)
    return SplitBrain(seed=0, side=side, hidden=64, recoloured=0)


def test_the_squares_of_chroma_are_those_that_hold_a_color():
    squares = {tuple(square) for square in chroma_squares().tolist()}
    levels = np.arange(0, 256, 5) / 255
    lab = rgb2lab(np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 1, 3))[:, 0, 1:]
    found = {tuple(square) for square in (np.round(lab / 10) * 10 + 0.0).tolist()}
    assert found <= squares
    # Of all 256^3 colors there are 261; those of every fifth level miss one or two.
    assert len(squares) == 261
    assert len(squares - found) <= 2


def test_an_answer_is_the_mean_color_around_the_position():
    # Four colors, each around one of the 2x2 places, whose squares begin at 9 and meet at 25.
    colors = np.array([[(200, 30, 40), (20, 90, 200)], [(128, 128, 128), (250, 240, 90)]], dtype=np.uint8)
    crop = np.repeat(np.repeat(colors, 26, axis=0), 26, axis=1)[1:, 1:]
    lab = rgb2lab(colors / 255)
    task, compared = split_brain(), 0
    for seed in range(8):
        given, wanted = task.draw(torch.from_numpy(crop)[None], draws(seed))
        if given[0, 0, 0, 0] == pytest.approx(lab[0, 0, 0] - 50, abs=0.1):  # else it is mirrored, and meets at 26
            np.testing.assert_array_equal(wanted[0, 1], np.floor(lab[..., 0]))
            np.testing.assert_array_equal(task.chroma[wanted[0, 0]], np.round(lab[..., 1:] / 10) * 10)
            compared += 1
    assert 0 < compared < 8


def test_pictures_to_learn_from_are_recolored_with_their_answers_and_others_are_not():
    task = SplitBrain(seed=0, side=SIDE, hidden=8, recoloured=1)
    plain = task.eval().draw(patches(8, 60), draws())
    learned = task.train().draw(patches(8, 60), draws())
    assert not torch.allclose(plain[0], learned[0], atol=1)
    for given, wanted in (plain, learned):
        mean = torch.nn.functional.avg_pool2d(given[:, 1:, 9:41, 9:41], 16)
        assert (task.chroma[wanted[:, 0]].permute(0, 3, 1, 2) - mean).abs().max() < 10  # the nearest square


def test_places_lie_where_the_network_looks():
    # A place of conv5's map sees most of its middle: so the gradient is symmetric about it, and within the picture.
    task = split_brain(side=67).eval()
    (conv5,) = task.backbone(torch.zeros(1, 3, 67, 67))[-1:]
    assert conv5.shape[2:] == task.draw(patches(1, 67), draws())[1].shape[2:] == (3, 3)
    for convolution in task.modules():
        if isinstance(convolution, torch.nn.Conv2d):
            torch.nn.init.ones_(convolution.weight)
            torch.nn.init.ones_(convolution.bias)
    lab = torch.zeros(1, 3, 67, 67, requires_grad=True)
    # Of the first layer alone, whose places are 4 pixels apart; poolings of 3 with stride 2 keep the middle ones.
    task.backbone.features[:3](lab)[0, 0, 3 + 4, 3].backward()
    rows = lab.grad[0, 0].sum(1).nonzero().flatten()
    assert (rows.min() + rows.max()) / 2 == 17 + 16


@pytest.mark.parametrize(("half", "hidden_channels"), [(0, [1, 2]), (1, [0])])
def test_neither_half_sees_what_it_is_to_tell(half, hidden_channels):
    task = split_brain().eval()
    given, _ = task.draw(patches(4, 60), draws())
    changed = given.clone()
    changed[:, hidden_channels] = torch.randn(changed[:, hidden_channels].shape) * 30
    before, after = task.logits(given), task.logits(changed)
    assert torch.equal(before[half], after[half])
    assert not torch.equal(before[1 - half], after[1 - half])


def test_the_loss_of_knowing_nothing_is_that_of_261_and_100_answers():
    task = split_brain()
    for answer in (task.to_chroma, task.to_lightness):
        torch.nn.init.zeros_(answer[-1].weight)
        torch.nn.init.zeros_(answer[-1].bias)
    loss, shown = task.loss(*task.draw(patches(8, 60), draws()))
    assert loss.item() == pytest.approx(math.log(261) + math.log(100), rel=1e-5)
    assert shown["chroma"].item() == pytest.approx(math.log(261), rel=1e-5)


@pytest.fixture(scope="module")
def learned():
    """A network that has gone over and over the same 32 pictures of one place each, with them and its losses."""
    task = split_brain(side=35)
    examples = task.draw(patches(32, 40), draws())
    return task, examples, learn(task, lambda step: examples, 80, 3e-3)


def test_thirty_two_pictures_are_learned_by_heart(learned):
    task, examples, losses = learned
    assert losses[0] == pytest.approx(math.log(261) + math.log(100), abs=0.6)
    assert losses[-1] < 0.1  # of a least loss of zero
    assert min(task.score(*examples)[name].value for name in task.scores) > 0.9


def test_what_was_learned_is_worth_nothing_for_shuffled_answers(learned):
    task, (given, wanted), _ = learned
    scores = [task.score(given, wanted[torch.randperm(32, generator=draws(n))]) for n in range(40)]
    for name in ("chroma_matched", "lightness_matched"):
        assert sum(score[name].value for score in scores) / 40 == pytest.approx(0.5, abs=0.06)
    for name in ("chroma_right", "lightness_right"):
        assert sum(score[name].value - score[name].chance for score in scores) < 0


def test_nothing_is_learned_from_shuffled_answers():
    task, generator = split_brain(side=35), draws()

    def shuffled(step):
        given, wanted = task.draw(patches(32, 40), generator)
        return given, wanted[torch.randperm(32, generator=generator)]

    learn(task, shuffled, 40)
    scores = task.score(*task.draw(patches(600, 40, "val"), generator))
    for name in ("chroma_matched", "lightness_matched"):
        # Of three photographs, on which whatever is answered agrees or disagrees with itself.
        assert scores[name].value == pytest.approx(scores[name].chance, abs=0.15)
    for name in ("chroma_right", "lightness_right"):
        assert scores[name].value <= scores[name].chance + 0.02


def test_scores_by_hand():
    task = split_brain(side=35)
    # Two pictures, one place, answers 0 and 1 of two each; chroma is told with 3 to 1 each, lightness the wrong way.
    wanted = torch.tensor([[0, 0], [1, 1]])[:, :, None, None]
    odds = torch.tensor([[3.0, 1.0], [1.0, 3.0]]).log()
    task.logits = lambda given: (odds[:, :, None, None], odds.flip(1)[:, :, None, None])
    scores = task.score(None, wanted)
    assert scores["chroma_right"] == (1, 0.5)
    assert scores["chroma_matched"] == (1, 0.5)
    assert scores["lightness_right"] == (0, 0.5)
    assert scores["lightness_matched"] == (0, 0.5)
