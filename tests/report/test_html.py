"""What a report looks like in a notebook and as a page: all of it is there, and it needs nothing from elsewhere."""

import re
from html.parser import HTMLParser

import pytest

from lit_autotune._shared.figures import PALETTES
from lit_autotune.report.results import (
    Comparison,
)
from support.reports import CURVE, NASTY, report

VOID = {"meta", "br", "img"}


class Reader(HTMLParser):
    """Reads a page strictly: all that is opened is closed, in order."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.words, self.ids, self.links, self.rows = [], [], [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append("")
        self.ids += [value for key, value in attributes if key == "id"]
        self.links += [value for key, value in attributes if key in ("href", "xlink:href", "src")]

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "svg"):
            self.words.append(data)
            if "tr" in self.open:
                self.rows[-1] += f" {data}"

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def page():
    return report().to_html(sources={"lr_suggester": "my.toml"}, command="autotune tune train.py")


def test_page_says_everything(page):
    """All trials, suggestions with their reasons, races, what was compared, warnings, lines to keep, settings."""
    read = Reader(page)
    for row in (
        "1 1,024 fits 1.0 GiB 2,048 1.25 chosen",
        f"2 2,048 out of memory – – 2.50 {NASTY}",
        "3 1,536 over budget 2.0 GiB – 3.75",
        "consensus 1.00e-03 doubtful a first reason a second one",
        f"valley – doubtful {NASTY}",
        "2.00e-03 2 loss 0.25",
        "present 16 1.00e-02 50 – 20.00 2.5",
        "new 1,024 1.00e-03 5 – – 0.75 better, applied",
        "precision bf16-mixed",
        "lr_suggester 'consensus' my.toml",
        "use_batch_size_tuning True set by the caller",
        "lr_num_training 100 default",
        "mine trainer.accumulate_grad_batches 1 4",
        f"2 {NASTY}",
        "4 –",
    ):
        assert row in [" ".join(one.split()) for one in read.rows]
    for words in (
        "a first warning", NASTY, "9.8.7", "2.5 with the values before", "datamodule.bs = 1024 module.lr = 0.001",
        "autotune tune train.py", "TunerConfig( use_batch_size_tuning=True,", "forty-two", "25% of the training",
    ):  # fmt: skip
        assert words in read.text


def test_page_needs_nothing_from_elsewhere(page):
    """No script, no network: every link leads to a place on the page itself, and ids are unique."""
    read = Reader(page)
    tags = [tag for tag, _ in read.tags]
    assert not {"script", "link", "iframe", "object"} & set(tags)
    links = [link for link in read.links if not link.startswith("data:image/svg+xml;base64,")]
    assert len(read.links) == len(links) + 1
    assert tags.count("svg") == 2
    assert {link.removeprefix("#") for link in links} <= set(read.ids)
    assert len(read.ids) == len(set(read.ids))
    assert {address.lstrip("#") for address in re.findall(r"url\(([^)]*)\)", page)} <= set(read.ids)
    assert "@import" not in page
    assert not [one for one in re.findall(r"https?://[^\s\"<]+", page) if "www.w3.org" not in one]


@pytest.mark.parametrize("name", ["batch_size", "learning_rate", "comparison", None])
def test_notebook_shows_reports_and_their_parts(name):
    """Each is HTML for a notebook, with the essential in it and no plot twice."""
    whole = report()
    read = Reader((getattr(whole, name) if name else whole)._repr_html_())
    expected = {"batch_size": "1,024", "learning_rate": "1.00e-03", "comparison": "0.75", None: "a first warning"}[name]
    assert expected in read.text
    assert [tag for tag, _ in read.tags].count("svg") == {None: 2, "comparison": 0}.get(name, 1)


def test_plots_take_the_colours_of_the_page(page):
    """No colour of the light palette is left in a plot, so that it can be read on a dark page as well."""
    for svg in re.findall("<svg.*?</svg>", page, re.DOTALL):
        left = {name for name in PALETTES["light"].__slots__ if getattr(PALETTES["light"], name) in svg}
        assert left == set()
        assert "var(--la-data)" in svg
    for palette in PALETTES.values():
        assert f"--la-data:{palette.data}" in page


def test_curve_draws_itself_once():
    """A curve as the last line of a cell is one picture."""
    assert [tag for tag, _ in Reader(CURVE._repr_html_()).tags].count("svg") == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"batch_size": None, "learning_rate": None, "comparison": None, "keep": (), "warnings": (), "steps": {}},
        {"learning_rate": None, "comparison": Comparison(verdict="nothing to compare with")},
        {"batch_size": None, "comparison": None},
    ],
)
def test_reports_of_less(fields):
    """What did not run is left out."""
    less = report(**fields)
    Reader(less.to_html())
    Reader(less._repr_html_())


def test_prompt_of_an_interpreter_shows_a_few_lines():
    """Where there is no HTML, IPython asks for text, and gets no page of numbers."""

    class Printer(list):
        text = list.append

    printer = Printer()
    report()._repr_pretty_(printer, cycle=False)
    [words] = printer
    assert "batch size 1024 (16 before), 3 trials" in words
    assert len(words) < 600


def test_page_is_written_where_it_is_asked_for(tmp_path):
    """The file has what is returned."""
    assert report().to_html(tmp_path / "page.html").splitlines() == (tmp_path / "page.html").read_text().splitlines()
