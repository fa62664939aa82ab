import json
import os
import re
import signal
from pathlib import Path

import pytest

import lpips_repro
from lpips_repro.errors import UserError
from lpips_repro.files import parse_json, read_json, read_object

PACKAGE = Path(lpips_repro.__file__).parent
# Modules that parse other JSON than files: an environment variable, messages between processes, a copy in memory.
OTHERS = {"config/secrets.py", "benchmark/commit_processes.py", "benchmark/commit_worker.py"}
DEEP = "[" * 100_000 + "]" * 100_000
FAULTS = {
    b'{"a": ': "not JSON: .*line 1 column 7",
    b"": "not JSON",
    b'{"a": "\xff"}': "not UTF-8",
    '{"a": 1}'.encode("utf-16"): "not UTF-8",
    DEEP.encode(): "nested deeper than 100 levels",
    ('{"a":' * 101 + "1" + "}" * 101).encode(): "nested deeper than 100 levels",
    b'{"a": NaN}': "NaN is not a finite number",
    b'{"a": -Infinity}': "-Infinity is not a finite number",
    b'{"a": 1e999}': "1e999 is not a finite number",
    b'{"a": ' + b"9" * 5000 + b"}": "an integer of 5000 digits",
    b'{"a": -123456789012345678901}': "an integer of 22 digits",
}


@pytest.mark.parametrize("content", FAULTS, ids=[str(content[:20]) for content in FAULTS])
def test_what_is_not_json_is_an_error_with_the_reason(tmp_path, content):
    file = tmp_path / "card.json"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{FAULTS[content]}"):
        read_json(file)
    with pytest.raises(
        UserError, match=rf"^{re.escape(str(file))}: cannot be read \({FAULTS[content]}.*\): restore it$"
    ):
        read_object(file, "restore it")


def test_every_json_value_is_read_as_it_was_written(tmp_path):
    content = {"seed": 2**64 - 1, "least": -(2**63), "x": [1.5, -1e-300, None, True], "name": "ä \u2028 \n"}
    for _ in range(95):
        content = {"inside": content}
    (tmp_path / "a.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    assert read_json(tmp_path / "a.json") == content
    assert parse_json('{"margin": -Infinity}', finite=False) == {"margin": float("-inf")}


@pytest.mark.parametrize(("content", "kind"), [("[]", "list"), ("5", "int"), ("null", "NoneType"), ('"a"', "str")])
def test_another_type_than_an_object_is_named(tmp_path, content, kind):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UserError, match=f"a.json: holds a {kind}, expected names and values: restore it$"):
        read_object(tmp_path / "a.json", "restore it")


def test_a_fifo_is_not_waited_for_and_a_missing_file_is_named(tmp_path):
    os.mkfifo(tmp_path / "a.json")
    signal.alarm(30)  # ends a process that waits
    with pytest.raises(UserError, match=r"a.json: cannot be read \(not a regular file\): restore it"):
        read_object(tmp_path / "a.json", "restore it")
    signal.alarm(0)
    with pytest.raises(UserError, match=r"b.json: cannot be read \(No such file or directory\): restore it"):
        read_object(tmp_path / "b.json", "restore it")


def test_all_json_files_are_read_by_the_same_function():
    found = {
        str(file.relative_to(PACKAGE)): re.findall(r"\bjson\.loads?\((?!json\.dumps)", file.read_text())
        for file in PACKAGE.rglob("*.py")
    }
    assert {file for file, calls in found.items() if calls} == {"files/json_files.py", *OTHERS}
