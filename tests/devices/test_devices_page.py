from benchmarks import devices_page


def test_the_page_of_devices_is_that_of_the_packs() -> None:
    page = devices_page.PAGE.read_text(encoding="utf-8")
    assert page == devices_page.updated(page), "run python benchmarks/devices_page.py"
