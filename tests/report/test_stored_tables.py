"""The data that tables name, in files that may be damaged."""

import pytest

from lpips_repro.errors import UserError
from lpips_repro.evaluation.tables.kept_tables import FILE
from lpips_repro.report.page.summary import _protocols
from lpips_repro.report.stored_tables import splits_of_tables


@pytest.mark.parametrize("text", ["", "5", "[]", '{"data": 5, "tables": 5}', '{"data": [1], "tables": [[1]]}', "\xff"])
def test_tables_whose_data_cannot_be_read_are_an_error_with_the_command(tmp_path, text):
    (tmp_path / FILE).write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=r"data.json: does not name the data of the tables: run `make eval-tables`$"):
        splits_of_tables(tmp_path, [], "2afc")
    assert list(_protocols(tmp_path)) == []
