"""What a page of text does with long lines."""

from nnmeter.report.text import Text


def test_a_path_is_never_broken_at_a_hyphen_or_for_its_length():
    path = "/tmp/a-folder-with-hyphens/" + "x" * 90 + "/m.parquet"
    page = Text(60, colour=False)
    page.add_facts([("file", f"written to {path} in a short while")])
    page.add_wrapped(f"see {path} for the rest")
    assert str(page).count(path) == 2
