import hashlib

from lpips_repro.datasets import members
from lpips_repro.datasets.members import HashingReader


def test_what_is_read_is_hashed_and_counted_on_a_bar_that_ends(tmp_path, monkeypatch):
    bars = []
    tqdm = members.tqdm
    monkeypatch.setattr(members, "tqdm", lambda **options: bars.append(tqdm(**options | {"disable": False})) or bars[0])
    (tmp_path / "a").write_bytes(b"x" * 5000)
    with (tmp_path / "a").open("rb") as file, HashingReader(file, 5000, "a.tar.gz", "checking") as reader:
        assert len(reader.read(3000)) == 3000
        assert bars[0].n == 3000
        assert len(reader.read()) == 2000
    assert reader.sha256.hexdigest() == hashlib.sha256(b"x" * 5000).hexdigest()
    assert (bars[0].desc, bars[0].total, bars[0].n) == ("checking a.tar.gz", 5000, 5000)
    assert bars[0].disable  # as tqdm marks a bar that is closed
