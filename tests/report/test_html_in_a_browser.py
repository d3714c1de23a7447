"""The report's page in a real browser: it is read, clicked through, printed, in both colours and on a narrow screen."""

import shutil

import pytest
from playwright.sync_api import sync_playwright

from support.reports import NASTY, report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="needs Chromium")]


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(report().to_html(sources={"lr_suggester": "my.toml"}, command="autotune tune train.py"))
    return path


@pytest.fixture
def opened(browser, file):
    """The page, opened with these looks; whatever it asks for or complains of is an error."""
    pages, asked, errors = [], [], []

    def show(**looks):
        page = browser.new_page(**looks)
        pages.append(page)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: errors.append(message.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", lambda dialog: errors.append(dialog.message))
        page.goto(file.as_uri())
        return page

    yield show
    for page in pages:
        page.close()
    assert set(asked) == {file.as_uri()}
    assert errors == []


def test_every_link_leads_to_its_part(opened):
    """Each of the links at the top scrolls to what it names; words of users are shown, and not run."""
    page = opened(viewport={"width": 1000, "height": 500})
    links = page.locator("nav a")
    assert links.count() >= 5
    for link in links.all():
        link.click()
        target = page.locator(f"[id='{link.get_attribute('href')[1:]}']")
        assert link.text_content() in target.text_content()
        assert page.evaluate("element => element.getBoundingClientRect().top", target.element_handle()) < 500
    assert page.get_by_text(NASTY).first.is_visible()


def test_without_scripts_it_is_the_same(opened):
    """No script is needed to read it."""
    page = opened(java_script_enabled=False)
    assert page.get_by_role("heading", name="Learning rate").first.is_visible()
    assert page.locator("script").count() == 0
    assert page.locator("details").count() == 0


@pytest.mark.parametrize("width", [380, 500, 1600])
def test_it_fits_any_width(opened, width):
    """Nothing sticks out of the window; wide tables scroll within themselves."""
    page = opened(viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_it_is_light_and_dark(opened):
    """Page and plots follow the system's colours, text and background differ enough to be read (WCAG AA: 4.5)."""
    backgrounds = []
    for scheme in ("light", "dark"):
        page = opened(color_scheme=scheme)
        text, background = (_luminance(page, name) for name in ("color", "backgroundColor"))
        assert (max(text, background) + 0.05) / (min(text, background) + 0.05) > 4.5
        backgrounds.append(background)
        assert page.locator("svg").first.is_visible()
    light, dark = backgrounds
    assert light > 0.8 > 0.2 > dark


def test_it_prints(opened):
    """On paper the links at the top are gone."""
    page = opened()
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert page.pdf().startswith(b"%PDF")


def _luminance(page, name):
    """Relative luminance of a colour of the page's body, by the formula of WCAG 2.1."""
    colour = page.evaluate(f"getComputedStyle(document.body).{name}")
    parts = [int(part) / 255 for part in colour.split("(")[1].rstrip(")").split(",")[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
