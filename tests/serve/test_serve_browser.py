"""The page in Chromium: two files chosen or a scene taken, fused, boxes drawn, errors told, nothing asked elsewhere."""

import numpy as np
import pytest

from fuse2task.data.images import write_image

NAMES = "return ['infrared', 'visible'].map((id) => document.getElementById(id).files[0].name)"
DROP = """const file = new File([new Uint8Array(arguments[1])], arguments[2]);
const data = new DataTransfer(); data.items.add(file);
arguments[0].dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));"""


def until(browser, condition):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 20).until(condition)


def texts(browser, selector) -> list[str]:
    return browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map((item) => item.textContent)", selector
    )


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_in_a_browser(page, browser, asked, sideways, width, tmp_path):
    from selenium.webdriver.common.keys import Keys

    browser.implicitly_wait(10)  # the page shows much of itself only when the server has answered
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    browser.get("about:blank")
    asked()  # by the browser's own start page
    browser.get(page.address)
    until(browser, lambda _: texts(browser, "#method option"))
    assert texts(browser, "#method option") == ["average", "laplacian", "maximum", "visible"]
    button, status, error = (browser.find_element("id", name) for name in ("fuse", "status", "error"))
    assert not button.is_enabled()

    # Files chosen: the button wakes up with the second, and the answer is shown.
    noise = np.random.default_rng(0).integers(0, 256, (40, 60), dtype=np.uint8)
    for modality in ("infrared", "visible"):
        write_image(tmp_path / f"{modality}<b>.png", noise)
        assert not button.is_enabled()
        browser.find_element("id", modality).send_keys(str(tmp_path / f"{modality}<b>.png"))
    until(browser, lambda _: texts(browser, ".hint") == ["60x40", "60x40"])
    button.click()
    until(browser, lambda _: status.text == "done")
    assert "average, 60x40" in browser.find_element("id", "title").text
    assert texts(browser, "#boxes text") == ["person 0.90", f"car {noise.mean() / 255:.2f}"]
    assert texts(browser, "#scores tbody tr:nth-child(5) td")[0] == "not defined"
    drawn = browser.execute_script(
        "const [a, b] = ['fused', 'boxes'].map((id) => document.getElementById(id).getBoundingClientRect());"
        "return [a.x - b.x, a.y - b.y, a.width - b.width, a.height - b.height].map(Math.abs)"
    )
    assert max(drawn) < 1  # the boxes lie on the picture, not beside it
    browser.find_element("id", "confidence").send_keys(Keys.END)
    assert texts(browser, "#boxes text") == []
    assert texts(browser, "#detections tbody tr") == []

    # A scene and another method, by keyboard alone; the picture changes.
    before = browser.find_element("id", "fused").get_attribute("src")
    browser.find_element("id", "example").send_keys(Keys.ENTER)
    until(browser, lambda _: texts(browser, ".hint") == ["640x480", "640x480"])
    assert browser.execute_script(NAMES) == ["synthetic-infrared.png", "synthetic-visible.png"]

    # Infrared wiped over the visible image, both of one place and size; the arrow keys move the edge.
    until(browser, lambda _: browser.find_element("id", "compare").is_displayed())
    over = "const [a, b] = ['above', 'below'].map((id) => document.getElementById(id));" \
        "const [p, q] = [a, b].map((one) => one.getBoundingClientRect());" \
        "return [[p.x - q.x, p.y - q.y, p.width - q.width, p.height - q.height].map(Math.abs)," \
        "a.style.clipPath, a.style.opacity, getComputedStyle(a).animationName]"  # fmt: skip
    apart, wiped, *_ = browser.execute_script(over)
    assert max(apart) < 1
    assert wiped == "inset(0px 50% 0px 0px)"
    share, look = (browser.find_element("id", name) for name in ("share", "look"))
    share.send_keys(Keys.ARROW_RIGHT)
    assert browser.execute_script(over)[1] == "inset(0px 49% 0px 0px)"
    look.send_keys("blend")
    share.send_keys(Keys.HOME)
    assert browser.execute_script(over)[1:3] == ["none", "0"]
    look.send_keys("blink")
    assert browser.execute_script(over)[3] == "blink"
    assert not share.is_enabled()
    browser.find_element("id", "method").send_keys("maximum")
    button.send_keys(Keys.ENTER)
    until(browser, lambda _: "maximum, 640x480" in browser.find_element("id", "title").text)
    assert browser.find_element("id", "fused").get_attribute("src") != before
    assert browser.execute_script("return document.getElementById('fused').naturalWidth") == 640
    assert sideways() <= 0

    # A dropped file of another size: the server's sentence, and no stale picture beside it.
    place = browser.find_element("id", "drop-infrared")
    browser.execute_script(DROP, place, list((tmp_path / "visible<b>.png").read_bytes()), "dropped.png")
    assert browser.execute_script(NAMES) == ["dropped.png", "synthetic-visible.png"]
    button.click()
    until(browser, lambda _: "infrared image is 60x40, the visible image 640x480" in error.text)
    assert not browser.find_element("id", "result").is_displayed()

    messages = [entry["message"] for entry in browser.get_log("browser")]
    assert len(messages) == 1, messages  # Chromium's own line about status 400
    assert "400" in messages[0]
    addresses = asked()
    assert f"{page.address}fuse" in addresses
    assert all(address.startswith((page.address, "data:", f"blob:{page.address}")) for address in addresses)
