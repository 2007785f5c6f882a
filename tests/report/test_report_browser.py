"""The page in Chromium: quiet, offline, sortable, with a moving slider and two themes, on desk and phone."""

import time

import pytest

from fuse2task.report import write_report


def first_column(table) -> list[str]:
    return [row.text for row in table.find_elements("css selector", "tbody th")]


def picture(browser) -> bytes:
    return browser.find_element("id", "stage").screenshot_as_png


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_in_a_browser(bench, browser, asked, sideways, width):
    from selenium.webdriver.common.keys import Keys

    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "light"}]}
    )
    page = write_report(bench)
    browser.get("about:blank")
    asked()  # by the browser's own start page
    browser.get(page.as_uri())
    assert browser.execute_script("return window.innerWidth") == width
    assert sideways() <= 0

    # Sorting, by click and by keyboard, with the state told to screen readers.
    table = browser.find_element("css selector", "#study-1 table.summary")
    heading = table.find_elements("css selector", "thead th")[1]
    assert first_column(table) == ["sum_100%", "average", "infrared", "visible", "<img src=x onerror=alert(1)>"]
    heading.find_element("css selector", "button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    heading.find_element("css selector", "button").send_keys(Keys.ENTER)
    assert heading.get_attribute("aria-sort") == "ascending"
    assert first_column(table) == ["<img src=x onerror=alert(1)>", "visible", "infrared", "average", "sum_100%"]
    by_name = table.find_elements("css selector", "thead th")[0]
    by_name.find_element("css selector", "button").send_keys(Keys.SPACE)
    assert by_name.get_attribute("aria-sort") == "ascending"
    assert heading.get_attribute("aria-sort") == "none"
    # The baseline has no difference: last, whichever way.
    difference = table.find_elements("css selector", "thead th button")[4]
    for _ in range(2):
        difference.send_keys(Keys.ENTER)
        assert first_column(table)[-1] == "average"

    # The slider wipes from one picture to the other; thumbnails and lists change what is shown.
    slider = browser.find_element("id", "wipe")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", slider)
    half = picture(browser)
    slider.send_keys(Keys.HOME)
    right_alone = picture(browser)
    slider.send_keys(Keys.END)
    left_alone = picture(browser)
    assert len({half, right_alone, left_alone}) == 3
    assert slider.get_attribute("aria-valuetext") == "100 % visible, rest average"
    thumbs = browser.find_elements("css selector", "#thumbs button")
    thumbs[1].send_keys(Keys.ENTER)
    assert [thumb.get_attribute("aria-pressed") for thumb in thumbs] == ["false", "true"]
    assert "average loses to visible by 0.25 AP50" in browser.find_element("id", "notes").text
    assert picture(browser) != left_alone
    labels = browser.find_elements("css selector", "#left-layer text")
    assert [label.text for label in labels] == ["<script>alert(1)</script> .88"]
    browser.find_element("id", "confidence").send_keys(Keys.END)
    assert browser.find_elements("css selector", "#left-layer text") == []
    browser.find_element("css selector", "#overlay option[value=none]").click()
    assert browser.find_elements("css selector", "#left-layer rect") == []
    browser.find_element("css selector", "#left option:first-child").click()
    assert browser.find_element("css selector", "#left-layer .tag").text == "infrared"

    # The theme follows the system, then the button.
    ground = "return getComputedStyle(document.body).backgroundColor"
    theme = browser.find_element("id", "theme")
    light = browser.execute_script(ground)
    assert theme.get_attribute("aria-pressed") == "false"
    browser.execute_script("window.scrollTo(0, 0)")
    theme.click()
    assert theme.get_attribute("aria-pressed") == "true"
    assert browser.execute_script(ground) != light
    assert sideways() <= 0

    # What holds keyboard focus shows it.
    theme.send_keys(Keys.TAB)
    outline = "const s = getComputedStyle(document.activeElement); return [s.outlineStyle, parseFloat(s.outlineWidth)]"
    style, thickness = browser.execute_script(outline)
    assert style == "solid"
    assert thickness >= 2

    time.sleep(0.2)  # a late request or message would come now
    assert browser.get_log("browser") == []
    addresses = asked()
    assert addresses[0] == page.as_uri()
    assert all(address.startswith(("file:", "data:")) for address in addresses)
    assert [address for address in addresses if address.startswith("file:")] == [page.as_uri()]
