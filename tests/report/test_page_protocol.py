"""The page says of the classes measured on only what is so."""

import dataclasses

import pytest

from fastslow.protocol.result import write_result
from fastslow.report.page import write_report
from result_sample import fewshot_result, measured


@pytest.mark.parametrize(
    ("changes", "new"),
    [
        ({"part": "test"}, True),
        ({"part": "test", "trained_on_classes": 3}, False),
        ({"part": "all", "trained_on_classes": 0}, True),
        ({"part": "all"}, False),
        ({"part": "train+validation"}, False),
    ],
    ids=str,
)
def test_the_page_promises_new_classes_only_where_training_has_not_seen_them(tmp_path, changes, new):
    result = fewshot_result(measured())
    protocol = {**result.provenance.protocol, **changes}
    provenance = dataclasses.replace(result.provenance, protocol=protocol)
    write_result(tmp_path / "a.json", dataclasses.replace(result, provenance=provenance))
    write_report([tmp_path / "a.json"], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert ("that training never saw" in page) == new
    assert ("also such as training has seen" in page) != new
