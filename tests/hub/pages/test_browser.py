"""The pages in a real browser: wide and narrow, light and dark, by keyboard, without a script, and kept fresh.

Screenshots go to the folder named by ``ACCLIMATE_SCREENSHOTS``, or to pytest's own.
"""

import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright

from acclimate_hub.limits import REFRESH_S
from acclimate_hub.rollout import Phase
from tests.hub.pages.scene import ROLLOUT, Scene, rollout_url
from tests.hub.servers import program, wait_until

PLACES = {
    "fleet": "/ui/",
    "devices": "/ui/devices",
    "device": "/ui/devices/gw-0",
    "releases": "/ui/releases",
    "rollouts": "/ui/rollouts",
    "rollout": rollout_url(),
    "audit": "/ui/audit",
}
PHONE, SMALL, DESKTOP = (390, 844), (320, 568), (1280, 800)
WAIT_MS = 15_000  # for the browser, on a machine that does other things
#: What a page must have for people who do not see it; returns what is missing.
MISSING = """() => {
  const found = [];
  const all = (words) => [...document.querySelectorAll(words)];
  const ids = all("[id]").map((node) => node.id);
  ids.filter((id, at) => ids.indexOf(id) !== at).forEach((id) => found.push("id twice: " + id));
  if (!document.documentElement.lang) found.push("language");
  if (all("h1").length !== 1) found.push("one h1");
  for (const words of ["main", "header", "a.skip"]) if (!document.querySelector(words)) found.push(words);
  all("input:not([type=hidden]), select").filter((node) => !node.labels.length).forEach(() => found.push("label"));
  all("svg").filter((node) => !node.getAttribute("aria-label") && !node.hasAttribute("aria-hidden"))
    .forEach(() => found.push("words of a picture"));
  all("[aria-labelledby], [aria-describedby]").forEach((node) => {
    const id = node.getAttribute("aria-labelledby") || node.getAttribute("aria-describedby");
    if (!document.getElementById(id)) found.push("names nothing: " + id);
  });
  all("th").filter((node) => !node.scope).forEach(() => found.push("scope of a heading"));
  all("a, button, summary").filter((node) => !node.textContent.trim()).forEach(() => found.push("empty control"));
  return found;
}"""


class Visit:
    """A page of somebody who is signed in; what the console says is kept."""

    def __init__(self, page: Page, base: str) -> None:
        self.page, self.base = page, base
        self.complaints: list[str] = []
        page.set_default_timeout(WAIT_MS)
        page.on("console", lambda m: self.complaints.append(m.text) if m.type in {"error", "warning"} else None)
        page.on("pageerror", lambda exc: self.complaints.append(str(exc)))

    def go(self, place: str) -> Page:
        self.page.goto(self.base + place)
        return self.page

    def sign_in(self, token: str) -> "Visit":
        self.go("/")
        self.page.get_by_label("API token").fill(token)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url("**/ui/")
        return self

    def narrow_enough(self) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = program("chromium")
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=root)
        yield browser
        browser.close()


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    named = os.environ.get("ACCLIMATE_SCREENSHOTS")
    folder = Path(named) if named else tmp_path / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def serve() -> Iterator[Any]:
    """A function that serves an application of a scene and returns its address."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(scene: Scene) -> str:
        config = uvicorn.Config(scene.app, host="127.0.0.1", port=0, log_level="warning", ws="none", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        running.append((server, thread))
        wait_until(lambda: server.started)
        return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(10.0)


@pytest.fixture
def visit(chromium: Browser, serve: Any) -> Iterator[Any]:
    """A function that opens a browser of its own and signs in."""
    contexts = []

    def start(scene: Scene, scope: str = "operator", size: tuple[int, int] = DESKTOP, **options: Any) -> Visit:
        context = chromium.new_context(viewport={"width": size[0], "height": size[1]}, **options)
        contexts.append(context)
        return Visit(context.new_page(), serve(scene)).sign_in(scene.tokens[f"main:{scope}"])

    yield start
    for context in contexts:
        context.close()


def photograph(visit: Visit, shots: Path, name: str, schemes: Iterable[str] = ("light", "dark")) -> None:
    """Take the page in both widths and in colours; no width may need sideways scrolling."""
    page = visit.page
    for width, height in (SMALL, PHONE, DESKTOP):
        page.set_viewport_size({"width": width, "height": height})
        assert visit.narrow_enough(), (name, width)
        if (width, height) == SMALL:
            continue
        for scheme in schemes:
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.screenshot(path=shots / f"{name}-{width}-{scheme}.png", full_page=True)
    assert page.evaluate(MISSING) == [], name


@pytest.mark.slow
def test_every_page_at_every_size_in_both_colours(lively: Scene, visit: Any, shots: Path) -> None:
    while lively.rollouts.get(ROLLOUT).wave < 1:
        lively.round()
    for _ in range(5):
        lively.round(0.002)
    long = "gw-" + "x" * 60
    lively.enrol(long)
    one = visit(lively, "releaser")
    for name, place in PLACES.items():
        page = one.go(place)
        backgrounds = set()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            backgrounds.add(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
        assert len(backgrounds) == 2
        photograph(one, shots, name)
    for place in (f"/ui/devices/{long}", "/ui/devices/nobody/" + "x" * 300):
        one.go(place)
        one.page.set_viewport_size({"width": 320, "height": 568})
        assert one.narrow_enough()
    assert [said for said in one.complaints if "404" not in said] == []


@pytest.mark.slow
def test_pages_with_nothing_on_them(scene: Scene, visit: Any, shots: Path) -> None:
    one = visit(scene, size=PHONE)
    for name in ("fleet", "devices", "releases", "rollouts"):
        page = one.go(PLACES[name])
        assert page.locator(".empty").first.is_visible()
        photograph(one, shots, f"empty-{name}", ["dark"])
    one.page.get_by_role("button", name="Sign out").click()
    one.page.wait_for_url("**/ui/sign-in")
    photograph(one, shots, "sign-in")
    assert one.complaints == []


@pytest.mark.slow
@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_a_rollout_is_stopped_with_the_keyboard_alone(lively: Scene, visit: Any, shots: Path, size: Any) -> None:
    one = visit(lively, size=size)
    page = one.go(rollout_url())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main"
    steps = 0
    while page.evaluate("document.activeElement.textContent.trim()") != "Stop":
        page.keyboard.press("Tab")
        steps += 1
        assert steps < 12
    outline = page.evaluate(
        "getComputedStyle(document.activeElement).outlineStyle + ' ' + document.activeElement.matches(':focus-visible')"
    )
    assert outline == "solid true"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("the shop is full")
    page.screenshot(path=shots / f"rollout-stop-{size[0]}.png", full_page=True)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == f"Stop {ROLLOUT}"
    page.keyboard.press("Enter")
    expect(page.locator(".notice")).to_have_text("Stopped. Devices return to the previous model.")
    assert lively.rollouts.get(ROLLOUT).phase is Phase.ABORTED
    assert lively.rollouts.get(ROLLOUT).why == "the shop is full"
    expect(page.locator("#head")).to_contain_text("Aborted: the shop is full")
    page.screenshot(path=shots / f"rollout-stopped-{size[0]}.png", full_page=True)
    assert one.complaints == []


@pytest.mark.slow
def test_an_open_page_is_kept_fresh_and_leaves_alone_what_is_used(lively: Scene, visit: Any) -> None:
    one = visit(lively)
    one.page.clock.install()
    page = one.go(rollout_url())
    head, reason = page.locator("#head"), page.get_by_label("Reason, for the record")
    expect(head).to_contain_text("Wave 1 of 4 is in progress")
    page.clock.run_for(1000 * REFRESH_S + 100)
    expect(page.locator("#live")).to_have_text("Live")
    page.locator("summary", has_text="Stop").click()
    reason.last.fill("I am still typing")
    while lively.rollouts.get(ROLLOUT).wave < 1:
        lively.round()
    expect(head).to_contain_text("Wave 1 of 4")
    page.clock.run_for(1000 * REFRESH_S + 100)
    expect(head).to_contain_text("Wave 2 of 4 is in progress")
    expect(reason.last).to_have_value("I am still typing")
    assert page.evaluate("document.activeElement.value") == "I am still typing"
    assert one.complaints == []
    page.route("**/*", lambda route: route.abort())
    page.clock.run_for(1000 * REFRESH_S + 100)
    expect(page.locator("#live")).to_have_text("Not live: the hub does not answer")
    page.unroute("**/*")
    page.clock.run_for(2000 * REFRESH_S + 100)
    expect(page.locator("#live")).to_have_text("Live")
    page.context.clear_cookies()
    page.clock.run_for(1000 * REFRESH_S + 100)
    expect(page.locator("#live")).to_have_text("Signed out. Load the page again.")


@pytest.mark.slow
def test_everything_works_without_a_script(lively: Scene, visit: Any) -> None:
    one = visit(lively, size=PHONE, java_script_enabled=False)
    page = one.go(PLACES["fleet"])
    page.get_by_role("navigation").get_by_role("link", name="Rollouts").click()
    page.get_by_role("link", name=ROLLOUT).click()
    expect(page.locator("#live")).to_be_hidden()
    page.locator("summary", has_text="Pause").click()
    page.get_by_role("button", name=f"Pause {ROLLOUT}").click()
    expect(page.locator(".notice")).to_have_text("Paused.")
    assert lively.rollouts.get(ROLLOUT).phase is Phase.PAUSED
    page.get_by_role("link", name="gw-1").click()
    expect(page.locator("#twin")).to_contain_text("The rollout is paused.")
    assert one.complaints == []


@pytest.mark.slow
def test_the_policy_stops_what_a_page_does_not_bring_itself(lively: Scene, visit: Any) -> None:
    """The control of the tests above: were there an inline script or style, the console would have said so."""
    one = visit(lively, "viewer")
    page = one.go(PLACES["fleet"])
    assert page.locator("summary").count() == 0
    page.evaluate(
        "document.body.insertAdjacentHTML('beforeend',"
        ' \'<p style="color:red">x</p><img src=x onerror="window.ill=1">\')'
    )
    page.evaluate(
        "{const s = document.createElement('script'); s.textContent = 'window.ill = 1'; document.body.append(s);}"
    )
    assert page.evaluate("window.ill") is None
    assert sum("Content Security Policy" in said for said in one.complaints) >= 2
