import pytest
import torch


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """An empty torch hub cache and no LPIPS_REPRO_WEIGHTS."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.delenv("LPIPS_REPRO_WEIGHTS", raising=False)
