import pytest

from lpips_repro.config.yaml_files import read_settings


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"trainer: [", "while parsing"),
        (b"- 1\n", "holds a list"),
        (b"a: \xff\n", "codec can't decode"),
        (b"a: \x00\n", "unacceptable character"),
        (b"[" * 10_000, "nested too deeply"),
        (b"a: ${b\n", ".+"),
    ],
)
def test_damaged_settings_are_an_error_with_the_reason(tmp_path, content, reason):
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        read_settings(tmp_path / "config.yaml")


def test_settings_come_back_and_a_missing_file_is_another_error(tmp_path):
    (tmp_path / "config.yaml").write_text("data: {name: mini}\n")
    assert read_settings(tmp_path / "config.yaml").data.name == "mini"
    with pytest.raises(FileNotFoundError):
        read_settings(tmp_path / "other.yaml")
