import pytest

from nnmeter.report.numbers import format_count, format_ms, format_share
from nnmeter.report.text import shorten


@pytest.mark.parametrize(
    ("latency_ms", "text"),
    [
        (0.0, "0"),
        (0.0001234, "0.000123"),
        (0.0123, "0.0123"),
        (0.9996, "1.00"),
        (1.234, "1.23"),
        (9.999, "10.0"),
        (12.34, "12.3"),
        (123.4, "123"),
        (99999.0, "99999"),
    ],
)
def test_milliseconds_have_three_significant_digits(latency_ms: float, text: str) -> None:
    assert format_ms(latency_ms) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0.0 %"), (0.0001, "< 0.1 %"), (0.123, "12.3 %"), (0.99999, "> 99.9 %"), (1.0, "100.0 %")],
)
def test_a_share_never_reads_as_none_or_all_when_it_is_not(share: float, text: str) -> None:
    assert format_share(share) == text


@pytest.mark.parametrize(("count", "text"), [(512, "512"), (4_089_184_256, "4.09 G"), (25_600_000, "25.6 M")])
def test_counts_have_units(count: int, text: str) -> None:
    assert format_count(count) == text


def test_a_long_name_keeps_its_end() -> None:
    assert shorten("/encoder/layer.0/MatMul", 10) == "….0/MatMul"
    assert shorten("short", 10) == "short"
