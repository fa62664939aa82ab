"""The tables of mean opinion scores."""

from lpips_repro.evaluation.protocols.mos import MOS


def test_there_is_a_table_per_correlation_with_a_column_per_size_and_their_mean():
    assert MOS.blocks(MOS.columns(("64", "512"))) == {
        "Spearman": {"64": "spearman_64", "512": "spearman_512", "mean": "spearman"},
        "Kendall": {"64": "kendall_64", "512": "kendall_512", "mean": "kendall"},
    }
