import numpy as np
import pytest

from lpips_repro.evaluation.protocols.rank_correlation import ReferenceBootstrap, rank_correlation

MOS = np.array([1.0, 2.0, 3.0, 4.0])


def test_correlations_worked_by_hand():
    # Scores 1 2 3 4, distances in the order 3 4 2 1: one of six pairs is in the wrong order.
    found = rank_correlation(np.array([0.3, 0.4, 0.2, 0.1]), MOS)
    assert found["spearman"] == pytest.approx(1 - 6 * (1 + 1) / (4 * 15))
    assert found["kendall"] == pytest.approx((5 - 1) / 6)


def test_ties_are_worked_by_hand():
    # Distances 2 2 1 0: the ranks of their negatives are 1.5 1.5 3 4, and one of six pairs is tied.
    found = rank_correlation(np.array([2.0, 2.0, 1.0, 0.0]), MOS)
    assert found["spearman"] == pytest.approx(4.5 / np.sqrt(5 * 4.5))
    assert found["kendall"] == pytest.approx(5 / np.sqrt(6 * 5))


def test_a_small_distance_goes_with_a_high_score():
    assert rank_correlation(-MOS, MOS) == pytest.approx({"spearman": 1, "kendall": 1})
    assert rank_correlation(MOS, MOS) == pytest.approx({"spearman": -1, "kendall": -1})


def test_distances_that_are_all_the_same_have_none():
    assert np.isnan(list(rank_correlation(np.ones(4), MOS).values())).all()


def test_replicates_are_the_correlations_of_the_images_drawn():
    rng = np.random.default_rng(0)
    groups = [3, 8, 5, 1, 6]
    first = np.cumsum([0, *groups])
    mos = np.round(rng.uniform(0, 9, 23), 1)
    distance = np.round(rng.normal(-mos, 3)).astype(np.float32)  # with ties
    bootstrap = ReferenceBootstrap(mos, groups, 100, 7)
    found = bootstrap.replicates(distance)
    for replicate, counts in enumerate(bootstrap.counts.astype(int)):
        assert counts.sum() == len(groups)
        drawn = [np.arange(first[k], first[k + 1]) for k in range(len(groups)) for _ in range(counts[k])]
        index = np.concatenate(drawn)
        expected = rank_correlation(distance[index], mos[index])
        for measure, value in expected.items():
            np.testing.assert_allclose(found[measure][replicate], value, atol=1e-12)


def test_what_depends_on_the_scores_alone_is_computed_once(monkeypatch):
    bootstrap = ReferenceBootstrap(MOS, [2, 2], 10, 0)
    summed = []
    for name in ("_sums", "_pairs"):
        whole = getattr(ReferenceBootstrap, name)
        monkeypatch.setattr(
            ReferenceBootstrap, name, lambda self, matrix, whole=whole: summed.append(matrix) or whole(self, matrix)
        )
    first = bootstrap.replicates(MOS)
    assert len(summed) == 3  # of the distances, and of both
    np.testing.assert_array_equal(bootstrap.replicates(MOS)["kendall"], first["kendall"])


def test_intervals_of_references_that_differ_are_wider_than_those_of_images():
    rng = np.random.default_rng(0)
    references, of_each = 10, 40
    mos = rng.uniform(0, 9, references * of_each)
    distance = rng.normal(-mos, 1) + np.repeat(
        rng.normal(0, 6, references), of_each
    )  # each reference has its own level
    spread = [ReferenceBootstrap(mos, groups, 300, 0).replicates(distance)["spearman"].std()
              for groups in ([of_each] * references, [1] * len(mos))]  # fmt: skip
    assert spread[0] > 1.5 * spread[1]
