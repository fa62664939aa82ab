import math

import pytest
import torch

from lpips_repro.pretraining.tasks.puzzle import FLAT, TILE_SCALE, Puzzle
from tests.pretraining.learning import draws, learn, patches

SIDE, TILE, PERMUTATIONS = 78, 23, 5


def puzzle(**settings):
    torch.manual_seed(0)
    sizes = {"side": SIDE, "tile": TILE, "permutations": PERMUTATIONS, "features": 32, "hidden": 64}
    return Puzzle(seed=0, **(sizes | settings))


def cells_of_their_own():
    """A crop of which every cell is striped in a way of its own: 2 to 10 pixels a stripe, columns in blue alone."""
    crop = torch.zeros(SIDE, SIDE, 3, dtype=torch.uint8)
    along = torch.arange(26)
    for cell in range(9):
        top, left = 26 * (cell // 3), 26 * (cell % 3)
        crop[top : top + 26, left : left + 26, 2] = (along // (cell + 2) % 2 * 255).to(torch.uint8)
    return crop[None]


def test_each_tile_shows_the_cell_that_the_permutation_says():
    task, mirrored = puzzle(permutations=20), set()
    for seed in range(20):
        tiles, wanted = task.draw(cells_of_their_own(), draws(seed))
        # How often a stripe ends along a row, in the channel that the network takes for blue.
        edges = [int((tile[0, 0].diff().abs() > 1e-3).sum()) for tile in tiles[0]]
        order = task.orders[wanted[0]].tolist()
        in_mirror = [3 * (cell // 3) + 2 - cell % 3 for cell in order]
        (fits,) = [
            cells is in_mirror
            for cells in (order, in_mirror)
            if edges == pytest.approx([TILE / (cell + 2) for cell in cells], abs=1.5)
        ]
        mirrored.add(fits)
    assert mirrored == {False, True}


def test_tiles_tell_nothing_by_their_brightness_or_contrast():
    tiles, _ = puzzle().draw(patches(16, 90), draws())
    torch.testing.assert_close(tiles.mean(dim=(-2, -1)), torch.zeros(16, 9, 3), atol=1e-3, rtol=0)
    spread = tiles.square().mean(dim=(2, 3, 4)).sqrt()
    assert spread.max() <= TILE_SCALE
    assert spread.median() > 0.85 * TILE_SCALE


def test_some_puzzles_are_gray_and_channels_are_shifted_against_each_other():
    # Gray as it is, a crop gives gray tiles but for the shifts: along columns that are numbered, by -1, 0 and 1 pixel.
    task = puzzle()
    crop = torch.zeros(1, SIDE, SIDE, 3, dtype=torch.uint8)
    crop[:, :, ::5] = 255
    shifts = set()
    for seed in range(20):
        blue, green, _ = task.draw(crop, draws(seed))[0][0, 0]
        stripes = [(channel[0] > 0).nonzero().flatten()[0].item() for channel in (blue, green)]
        shifts.add((stripes[0] - stripes[1] + 2) % 5 - 2)
    assert shifts == {-1, 0, 1}

    crops = torch.zeros(200, SIDE, SIDE, 3, dtype=torch.uint8)
    crops[:, ::7, :, 0] = 255  # red stripes, which only gray puzzles have in blue
    tiles, _ = task.draw(crops, draws())
    gray = (tiles[:, :, 0].abs().amax(dim=(1, 2, 3)) > 1).float().mean().item()
    assert gray == pytest.approx(0.3, abs=0.1)  # the share, of 200 puzzles within three deviations


def test_an_empty_sky_stays_empty():
    sky = torch.full((1, 90, 90, 3), 200, dtype=torch.uint8)
    sky[:, ::2] += 1  # less than a gray level of noise
    tiles, _ = puzzle().draw(sky, draws())
    assert tiles.abs().max() < TILE_SCALE * (1 / 255) / FLAT


def test_tiles_are_where_jitter_and_mirror_put_them():
    # Columns are numbered in the picture; a tile of them says where it lies by a jump at a known column.
    task = puzzle()
    crop = torch.zeros(1, SIDE, SIDE, 3, dtype=torch.uint8)
    crop[:, :, 13:26] = 255  # an edge in the middle of the cells in the first column
    crop[:, :, 39:] = 255
    places = set()
    for seed in range(60):
        tiles, _ = task.draw(crop, draws(seed))
        for tile in tiles[0]:
            jump = (tile[0, 0].diff().abs() > 1).nonzero().flatten().tolist()
            places.update(jump)
    # In cells of 26, tiles of 23 begin 0 to 3 pixels in: so the edge is after 10, 11, 12 or 13 of their pixels.
    assert places == {9, 10, 11, 12}


@pytest.fixture(scope="module")
def learned():
    """A network that has gone over and over the same 32 puzzles, with them and its losses."""
    task = puzzle()
    examples = task.draw(patches(32, 90), draws())
    return task, examples, learn(task, lambda step: examples, 60)


def test_thirty_two_puzzles_are_learned_by_heart(learned):
    _, (_, wanted), losses = learned
    assert losses[0] == pytest.approx(math.log(PERMUTATIONS), abs=0.6)
    assert losses[-1] < 0.05
    assert len(wanted.unique()) == PERMUTATIONS


def test_what_was_learned_is_worth_nothing_for_shuffled_answers(learned):
    task, (tiles, wanted), _ = learned
    assert task.score(tiles, wanted)["accuracy"].value > 0.9
    values = [task.score(tiles, wanted[torch.randperm(32, generator=draws(n))])["accuracy"] for n in range(40)]
    # 40 times 32 answers, of which the shuffling makes one in PERMUTATIONS right.
    assert sum(value for value, _ in values) / 40 == pytest.approx(1 / PERMUTATIONS, abs=0.06)
    assert values[0].chance == 1 / PERMUTATIONS


def test_nothing_is_learned_from_shuffled_answers():
    task, generator = puzzle(), draws()

    def shuffled(step):
        tiles, wanted = task.draw(patches(32, 90), generator)
        return tiles, wanted[torch.randperm(32, generator=generator)]

    losses = learn(task, shuffled, 40)
    assert min(losses[-10:]) > math.log(PERMUTATIONS) - 0.25
    tiles, wanted = task.draw(patches(400, 90, "val"), generator)
    # Of 400, with standard deviation 0.02.
    assert task.score(tiles, wanted)["accuracy"].value == pytest.approx(1 / PERMUTATIONS, abs=0.06)
