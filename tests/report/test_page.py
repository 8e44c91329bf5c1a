"""The page: what is on it, that names of strangers do nothing, and, where there is a browser, that it works in one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import onnx
import pytest

import nnmeter
from nnmeter.comparison.comparison import compare_predictions
from nnmeter.graph.notes import Note
from nnmeter.prediction.predict import load_predictor
from nnmeter.report.page.content import Page, Subject
from nnmeter.report.registry import CORE
from tests.conftest import ZOO, make_small_model
from tests.report.browser import Browser, find_browser

HOSTILE = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202e\x1b[2J&amp;"
VOID = {"meta", "input"}


class Elements(HTMLParser):
    """Counts elements, and sees that each that is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def subject_of(model: object, pack: Path | str, baseline: object = None) -> Subject:
    predictor = load_predictor(pack)
    prediction = predictor.predict(model)
    comparison = None if baseline is None else compare_predictions(predictor.predict(baseline), prediction)
    memory = nnmeter.predict_memory(model, predictor)
    return Subject(prediction, predictor.pack.predictor.roofline, memory, comparison)


@pytest.fixture(scope="module")
def swin() -> str:
    model = ZOO / "swin_tiny_patch4_window7_224-224.onnx"
    return CORE.render("page", Page([subject_of(model, "epyc-genoa-onnxruntime1.32-1t")]), "html")


def hostile_model() -> onnx.ModelProto:
    model = make_small_model()
    for node in model.graph.node:
        node.name = f"/{HOSTILE}/{node.name}"
    return model


@pytest.fixture(scope="module")
def hostile(small_pack: Path) -> str:
    subject = subject_of(hostile_model(), small_pack, make_small_model())
    prediction = replace(subject.prediction, model=HOSTILE, warnings=(Note(HOSTILE, "unused"),), dims={HOSTILE: 1})
    return CORE.render("page", Page([replace(subject, prediction=prediction)] * 2), "html")


def test_a_page_of_six_hundred_kernels_is_small_and_whole(swin: str) -> None:
    assert len(swin.encode()) < 500_000
    found = Elements(swin)
    assert found.open == []
    assert found.counts["section"] == 1
    assert found.counts["svg"] == 3
    assert found.counts["script"] == 1
    kernels = re.search(r"(\d+) kernels; ", swin)
    assert kernels is not None
    assert len(re.findall(r'<tr><td class="n">\d+</td>', swin)) == int(kernels[1]) > 200


def test_nothing_is_loaded(swin: str) -> None:
    names = {name for name, _ in Elements(swin).attributes}
    assert not names & {"src", "href", "srcset", "action", "style", "onclick", "onload"}
    assert "default-src 'none'" in swin
    assert "http:" not in swin
    assert "https:" not in swin


def test_names_of_strangers_are_text(hostile: str) -> None:
    found = Elements(hostile)
    assert found.open == []
    assert found.counts["script"] == 1
    assert "img" not in found.counts
    assert not any(name.startswith("on") for name, _ in found.attributes)
    assert "\x1b" not in hostile
    assert "\u202e" not in hostile
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in hostile


def test_the_same_input_gives_the_same_bytes(small_pack: Path) -> None:
    pages = [CORE.render("page", Page([subject_of(make_small_model(), small_pack)]), "html") for _ in range(2)]
    assert pages[0] == pages[1]


def test_the_verb(cli: Callable, small_model: Path, small_pack: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert cli("report", small_model, "--device", small_pack, "--html", page).code == 0
    assert Elements(page.read_text(encoding="utf-8")).counts["section"] == 1
    saved = tmp_path / "saved.json"
    cli("predict", small_model, "--device", small_pack, "--format", "json", "--output", saved)
    outcome = cli("report", small_model, small_model, "--device", small_pack, "--baseline", saved, "--html", page)
    assert outcome.code == 0, outcome.err
    text = page.read_text(encoding="utf-8")
    assert Elements(text).counts["section"] == 2
    assert "both execute the same kernels" in text


def test_an_untrusted_model_is_read_in_a_child(
    cli: Callable, small_model: Path, small_pack: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    outcome = cli("report", small_model, "--device", small_pack, "--html", page, "--timeout", "60")
    assert outcome.code == 0, outcome.err
    assert Elements(page.read_text(encoding="utf-8")).counts["section"] == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("MODEL",), "--html"),
        (("MODEL", "--html", "no/such/folder/page.html"), "there is no directory"),
        (("nothing.onnx", "--html", "page.html"), "nothing.onnx"),
        (("MODEL", "--baseline", "nothing.json", "--html", "page.html"), "nothing.json"),
    ],
)
def test_bad_input_is_one_line(
    cli: Callable, small_model: Path, small_pack: Path, arguments: tuple[str, ...], says: str
) -> None:
    given = [small_model if argument == "MODEL" else argument for argument in arguments]
    outcome = cli("report", *given, "--device", small_pack)
    assert outcome.code == 2
    assert says in outcome.error_line
    assert not Path("page.html").exists()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        pytest.skip("there is no Chromium on this machine")
    found = Browser(program, tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


ROWS = "Array.from(document.querySelectorAll('table.kernels tbody tr')).filter((r) => !r.hidden)"
MS = f"{ROWS}.map((r) => Number(r.cells[4].dataset.v ?? r.cells[4].textContent))"


def press_heading(name: str) -> str:
    buttons = "Array.from(document.querySelectorAll('table.kernels th button'))"
    return f"{buttons}.find((b) => b.textContent === '{name}').click()"


def test_it_sorts_and_filters_in_a_browser(browser: Browser, swin: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(swin, encoding="utf-8")
    browser.errors.clear()
    browser.requests.clear()
    browser.open(page)
    count = browser.evaluate(f"{ROWS}.length")
    browser.evaluate(press_heading("ms"))
    descending = browser.evaluate(MS)
    assert descending == sorted(descending, reverse=True)
    assert browser.evaluate("document.querySelector('th[aria-sort=descending]').textContent") == "ms"
    browser.evaluate(press_heading("ms"))
    assert browser.evaluate(MS) == descending[::-1]
    browser.evaluate(press_heading("kernel"))
    assert browser.evaluate("document.querySelector('th[aria-sort=ascending]').textContent") == "kernel"
    browser.evaluate(
        "(() => { const f = document.querySelector('input[type=search]'); f.value = 'softmax';"
        " f.dispatchEvent(new Event('input')); })()"
    )
    shown = browser.evaluate(f"{ROWS}.length")
    assert 0 < shown < count
    assert browser.evaluate(f"{ROWS}.every((r) => r.textContent.toLowerCase().includes('softmax'))")
    assert browser.evaluate("document.querySelector('output').textContent").startswith(f"{shown} of {count} kernels")
    assert browser.errors == []
    assert browser.requests == [page.as_uri()]


def test_a_module_is_chosen_by_keyboard(browser: Browser, swin: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(swin, encoding="utf-8")
    browser.open(page)
    browser.evaluate("Array.from(document.querySelectorAll('.pick[tabindex]'))[3].focus()")
    name = browser.evaluate("document.activeElement.dataset.f")
    browser.press("Enter")
    assert browser.evaluate("document.querySelector('input[type=search]').value") == name != ""
    assert browser.evaluate(f"{ROWS}.length") < browser.evaluate(
        "document.querySelectorAll('table.kernels tbody tr').length"
    )


def test_names_of_strangers_do_nothing_in_a_browser(browser: Browser, hostile: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(hostile, encoding="utf-8")
    browser.errors.clear()
    browser.requests.clear()
    browser.open(page)
    assert browser.evaluate("document.scripts.length") == 1
    assert browser.evaluate("document.images.length") == 0
    assert browser.evaluate("document.querySelectorAll('section:not([hidden])').length") == 1
    browser.evaluate(
        "(() => { const c = document.querySelector('#choice'); c.value = 'p1';"
        " c.dispatchEvent(new Event('change')); })()"
    )
    assert browser.evaluate("document.querySelector('section:not([hidden])').id") == "p1"
    assert browser.errors == []
    assert browser.requests == [page.as_uri()]


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1280, True)])
def test_it_fits_the_screen(browser: Browser, swin: str, tmp_path: Path, width: int, dark: bool) -> None:
    page = tmp_path / "page.html"
    page.write_text(swin, encoding="utf-8")
    browser.size(width, 844, mobile=width < 500, dark=dark)
    browser.open(page)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    ink, paper = browser.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor].map("
        "(c) => c.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0))"
    )
    assert (ink > paper) is dark
