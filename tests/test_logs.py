import errno
import logging

from lpips_repro.logs import logged_in


def test_a_log_on_a_full_disk_is_said_once_without_a_traceback(tmp_path, monkeypatch, capsys):
    def full(self):
        raise OSError(errno.ENOSPC, "No space left on device")

    log = logging.getLogger("lpips_repro.x")
    with logged_in(tmp_path / "run.log"):
        monkeypatch.setattr(logging.FileHandler, "flush", full)
        log.warning("one")
        log.warning("two")
    said = f"{tmp_path / 'run.log'}: log lines are missing: No space left on device\n"
    assert capsys.readouterr().err.count(said) == 1


def test_lines_are_appended(tmp_path):
    (tmp_path / "run.log").write_text("before\n")
    with logged_in(tmp_path / "run.log"):
        logging.getLogger("lpips_repro.x").warning("two")
    before, line = (tmp_path / "run.log").read_text().splitlines()
    assert before == "before" and line.endswith("WARNING two")
