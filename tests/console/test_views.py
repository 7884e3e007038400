"""What the console shows and does."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pymysql
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.console.conftest import House, Visit, visiting

Row = dict[str, object]
VIEWS = ("overview", "sessions", "digests", "rules", "shards", "config", "playground", "log")


def rows(page: Page, text: str) -> int:
    """How many rows of tables have the text."""
    return page.locator("tbody tr", has_text=text).count()


def test_the_overview_is_alive(visit: Visit) -> None:
    page = visit.page()
    group = page.get_by_role("region", name="Group main")
    for server, role in (("primary", "primary"), ("replica1", "replica"), ("replica2", "replica")):
        line = group.locator("tbody tr").filter(has=page.get_by_text(server, exact=True)).first
        expect(line).to_contain_text("up")
        expect(line).to_contain_text(role)
    expect(page.get_by_text("Nothing needs attention.")).to_be_visible()
    for chart in ("Commands per second", "Latency", "Errors per second", "Connections"):
        card = page.get_by_role("region", name=chart)
        expect(card.locator(".legend b").first).to_have_text(re.compile(r"[1-9]"))
        expect(card.locator("path.line").first).to_have_attribute("d", re.compile("L"))
    expect(page.locator("#pulse")).to_have_text(re.compile(r"\d.* commands/s · p95 \d.* · up \d"))


def test_who_is_connected_and_the_end_of_one(visit: Visit, house: House) -> None:
    with house.router.connect(program_name="victim") as victim, victim.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT 1")
        page = visit.page("sessions")
        line = page.locator("tbody tr", has_text="victim")
        expect(line).to_contain_text("transaction")
        expect(page.locator("tbody tr", has_text="busy")).to_have_count(1)
        page.get_by_label("Filter sessions").fill("victim app")
        expect(page.locator("tbody tr", has_text="busy")).to_have_count(0)
        line.get_by_role("button", name=re.compile("Kill")).click()
        asked = page.get_by_role("dialog")
        expect(asked).to_contain_text("Its transaction is rolled back")
        asked.get_by_role("button", name="Cancel").click()
        expect(asked).to_have_count(0)
        cursor.execute("SELECT 2")
        line.get_by_role("button", name=re.compile("Kill")).click()
        asked.get_by_role("button", name="Kill").click()
        expect(page.get_by_role("status").get_by_text("was killed")).to_be_visible()
        expect(line).to_have_count(0)
        with pytest.raises(pymysql.MySQLError):
            cursor.execute("SELECT 3")


def test_literals_only_when_asked_for(visit: Visit, house: House) -> None:
    page = visit.page("sessions")
    page.get_by_label("busy only").check()
    with house.router.connect(program_name="slow") as slow:
        slow._execute_command(3, b"SELECT SLEEP(20), 'secret-literal'")
        line = page.locator("tbody tr", has_text="slow")
        expect(line).to_contain_text("SELECT SLEEP")
        expect(line).not_to_contain_text("secret-literal")
        page.get_by_label("with literals").check()
        expect(line).to_contain_text("secret-literal")
        line.get_by_role("button", name=re.compile("Stop")).click()
        page.get_by_role("dialog").get_by_role("button", name="Stop").click()
        expect(page.get_by_role("status").get_by_text("was stopped")).to_be_visible()
        expect(line).to_have_count(0)
        page.get_by_label("busy only").uncheck()
        expect(line).to_contain_text("idle")


def test_digests_in_order_and_in_detail(visit: Visit) -> None:
    page = visit.page("digests")
    expect(page.locator("tbody tr", has_text="SELECT COUNT")).to_have_count(1)
    page.get_by_label("Top by").select_option("errors")
    expect(page.locator("tbody tr").first).to_contain_text("SELECT nothing")
    head = page.get_by_role("columnheader", name="Count")
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    page.get_by_role("button", name=re.compile("^Details of UPDATE t SET n")).click()
    details = page.get_by_role("dialog")
    expect(details).to_contain_text("UPDATE t SET n = n + ? WHERE id = ?")
    expect(details).to_contain_text("main:primary")
    page.keyboard.press("Escape")
    expect(details).to_have_count(0)


def test_rules_and_shards(visit: Visit) -> None:
    page = visit.page("rules")
    line = page.locator("tbody tr", has_text="counts")
    expect(line).to_contain_text("regex COUNT")
    expect(line.locator("td").nth(5)).to_have_text(re.compile(r"^[1-9]"))
    page.goto(f"{visit.url}#shards")
    expect(page.locator("tbody tr", has_text="console_1")).to_contain_text("3 of 3")
    page.get_by_label("Filter shards").fill("console_0")
    expect(page.locator("tbody tr")).to_have_count(1)


def test_a_reload_shows_first_what_is_different(visit: Visit, house: House) -> None:
    page = visit.page("config")
    expect(page.get_by_text("The file is what is in force.")).to_be_visible()
    page.get_by_label("Filter keys and values").fill("limits.digests")
    value = page.locator("tbody tr", has_text="limits.digests").locator("td").nth(1)
    expect(value).to_have_text("1000")
    house.write({"limits": {"digests": 777}})
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("limits.digests: 1000 → 777")).to_be_visible()
    page.get_by_role("button", name="Reload").click()
    asked = page.get_by_role("dialog")
    expect(asked).to_contain_text("limits.digests: 1000 → 777")
    asked.get_by_role("button", name="Cancel").click()
    assert house.router.gateway.config.limits.digests == 1000
    page.get_by_role("button", name="Reload").click()
    asked.get_by_role("button", name="Reload").click()
    expect(value).to_have_text("777")
    expect(page.get_by_text("The file is what is in force.")).to_be_visible()


def test_a_wrong_file_is_told(visit: Visit, house: House) -> None:
    visit.allowed = ("status of 422",)
    page = visit.page("config")
    house.write({"limits": {"digests": "many"}})
    page.get_by_role("button", name="Reload").click()
    expect(page.get_by_text("the new configuration is wrong")).to_be_visible()
    expect(page.locator(".changes li")).to_contain_text("limits.digests")
    expect(page.get_by_role("dialog")).to_have_count(0)
    house.write({})


def test_the_playground(visit: Visit) -> None:
    visit.allowed = ("status of 400",)
    page = visit.page("playground")
    expect(page.get_by_label("User")).to_have_value("app")
    page.get_by_label("Statement").fill("SELECT COUNT(*) FROM orders")
    page.get_by_label("Default schema").fill("sharded")
    page.get_by_role("button", name="Explain").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.locator("tbody tr").nth(1)).to_contain_text("s1")
    page.get_by_label("Statement").fill("SELECT price FROM orders WHERE id = 2")
    page.keyboard.press("Control+Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody tr")).to_contain_text("s0")
    page.get_by_text("The plan as JSON").click()
    expect(page.locator("details pre")).to_contain_text('"plan"')
    page.get_by_label("Client").fill("nowhere")
    page.get_by_role("button", name="Explain").click()
    expect(page.get_by_role("alert")).to_have_text("client must be an IP address")


def test_a_drain_asks_first(visit: Visit, house: House) -> None:
    page = visit.page()
    page.get_by_role("button", name="Drain main/replica1").click()
    asked = page.get_by_role("dialog")
    expect(asked.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(asked).to_have_count(0)
    assert not any(server.draining for server in house.router.gateway.topology.servers())
    page.get_by_role("button", name="Drain main/replica1").click()
    asked.get_by_role("button", name="Drain").click()
    expect(page.get_by_text("main/replica1 is draining: it takes nothing new.")).to_be_visible()
    expect(page.locator("#attention")).to_have_text("1")
    page.get_by_role("button", name="Undrain main/replica1").click()
    expect(page.get_by_text("Nothing needs attention.")).to_be_visible()


def test_a_pause_and_its_end(visit: Visit, house: House) -> None:
    page = visit.page()
    page.get_by_role("button", name="Pause group main").click()
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Group main is paused: statements wait.")).to_be_visible()
    page.get_by_role("button", name="Resume group main").click()
    expect(page.get_by_text("Nothing needs attention.")).to_be_visible()
    assert not house.router.gateway.topology.groups["main"].gate.shut


def test_maintenance(visit: Visit, house: House) -> None:
    page = visit.page()
    page.get_by_role("button", name="Maintenance").click()
    page.get_by_role("dialog").get_by_role("button", name="Begin").click()
    expect(page.get_by_text("Maintenance: new logins are refused")).to_be_visible()
    assert house.router.gateway.maintenance.on
    page.get_by_role("button", name="End maintenance").click()
    page.get_by_role("dialog").get_by_role("button", name="End").click()
    expect(page.get_by_text("Nothing needs attention.")).to_be_visible()


def test_the_log(visit: Visit, house: House) -> None:
    page = visit.page("log")
    lines = page.locator(".log li")
    expect(lines.filter(has_text="ready").first).to_be_visible()
    with pytest.raises(pymysql.MySQLError):
        house.router.connect(user="nobody-knows-me")
    expect(lines.filter(has_text="login refused").first).to_be_visible()
    page.get_by_label("Filter lines").fill("login refused")
    expect(lines.filter(has_text="ready").first).to_be_hidden()
    page.get_by_label("Filter lines").fill("")
    page.get_by_label("At least").select_option("error")
    expect(lines.filter(has_text="ready")).to_have_count(0)


def test_a_router_that_does_not_answer(visit: Visit) -> None:
    visit.allowed = ("ERR_FAILED",)
    page = visit.page()
    expect(page.locator("#pulse")).to_have_text(re.compile("commands/s"))
    page.route("**/api/**", lambda route: route.abort())
    expect(page.locator("#pulse")).to_have_text("The router does not answer; what is shown is old.")
    page.unroute("**/api/**")
    expect(page.locator("#pulse")).to_have_text(re.compile("commands/s"))


# --- how it looks, and the keyboard -----------------------------------------------------------------------------------


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_light_and_dark(chromium: Browser, house: House) -> None:
    with visiting(chromium, house.url, color_scheme="dark") as visit:
        page = visit.page()
        dark = background(page)
        page.keyboard.press("t")
        light = background(page)
        assert dark != light
        page.reload()
        assert background(page) == light, "it is remembered"
        page.get_by_role("button", name="Colours").click()
        assert background(page) == dark
        page.emulate_media(color_scheme="light")
        assert background(page) == dark
        page.keyboard.press("t")
        assert background(page) == light


@pytest.mark.parametrize("width", [320, 768, 1920])
def test_no_view_is_wider_than_the_window(chromium: Browser, house: House, width: int) -> None:
    with visiting(chromium, house.url, viewport={"width": width, "height": 800}) as visit:
        page = visit.page()
        for view in VIEWS:
            page.goto(f"{visit.url}#{view}")
            expect(page.locator(f'nav.views a[href="#{view}"]')).to_have_attribute("aria-current", "page")
            expect(page.locator("main h2").first).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
            current = page.locator("nav.views a[aria-current]").bounding_box()
            assert current is not None
            assert current["x"] >= 0
            assert current["x"] + current["width"] <= width + 1


def test_only_the_keyboard(visit: Visit, house: House) -> None:
    page = visit.page()
    for number, view in enumerate(VIEWS, start=1):
        page.keyboard.press(str(number))
        expect(page.locator(f'nav.views a[href="#{view}"]')).to_have_attribute("aria-current", "page")
    page.keyboard.press("2")
    expect(page).to_have_title("Sessions · Router console")
    page.keyboard.press("/")
    expect(page.get_by_label("Filter sessions")).to_be_focused()
    page.keyboard.type("busy 123")
    expect(page).to_have_url(f"{visit.url}#sessions")
    page.keyboard.press("Escape")
    expect(page.get_by_label("Filter sessions")).not_to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("To the filter")
    page.keyboard.press("1")
    expect(page).to_have_url(f"{visit.url}#sessions")
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    expect(page.get_by_role("button", name="Drain main/replica2")).to_be_visible()
    page.evaluate("document.activeElement.blur()")
    for _ in range(80):
        page.keyboard.press("Tab")
        style = (
            "(({outlineStyle, outlineWidth}) => outlineStyle + outlineWidth)(getComputedStyle(document.activeElement))"
        )
        if page.evaluate("document.activeElement !== document.body"):
            assert page.evaluate(style) not in ("none0px", "none3px"), page.evaluate("document.activeElement.outerHTML")
        if page.evaluate("document.activeElement.ariaLabel") == "Drain main/replica2":
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("Drain main/replica2?")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Drain main/replica2")).to_be_focused()


def test_the_focus_stays_while_values_change(visit: Visit) -> None:
    page = visit.page()
    button = page.get_by_role("button", name="Drain main/replica2")
    button.focus()
    before = page.locator("#pulse").inner_text()
    expect(page.locator("#pulse")).not_to_have_text(before)
    expect(button).to_be_focused()


def test_every_control_has_a_name(visit: Visit) -> None:
    page = visit.page()
    names = """() => [...document.querySelectorAll("button, input, select, textarea, a, [role=img]")].filter((each) =>
        !(each.ariaLabel ?? each.textContent ?? "").trim() && !(each.labels?.length)).map((each) => each.outerHTML)"""
    for view in VIEWS:
        page.goto(f"{visit.url}#{view}")
        expect(page.locator("main h2").first).to_be_visible()
        assert page.evaluate(names) == []
        assert page.evaluate("[...document.querySelectorAll('th')].every((each) => each.textContent.trim())")


def test_a_page_that_nobody_sees_asks_nothing(visit: Visit) -> None:
    page = visit.page("sessions")
    expect(page.locator("tbody tr", has_text="busy")).to_have_count(1)
    page.evaluate("Object.defineProperty(document, 'hidden', {get: () => true})")
    time.sleep(0.2)
    before = len(visit.asked)
    time.sleep(2.2)
    assert len(visit.asked) == before


# --- what it calculates -----------------------------------------------------------------------------------------------

CALCULATED = """async ([module, name, given]) => {
    const revive = (value) => (value && value.map ? new Map(value.map) : value);
    const found = (await import(`/console/${module}.js`))[name](...given.map(revive));
    return found === Infinity ? "endless" : found;
}"""
BEFORE = {"map": [["0.001", 5], ["0.01", 10], ["+Inf", 10]]}


@pytest.mark.parametrize(
    ("module", "name", "given", "found"),
    [
        ("rates", "grown", [5, 8], 3),
        ("rates", "grown", [8, 5], 5),
        ("rates", "quantile", [BEFORE, BEFORE, 0.5], None),
        ("rates", "quantile", [BEFORE, {"map": [["0.001", 105], ["0.01", 110], ["+Inf", 110]]}, 0.5], 0.0005),
        ("rates", "quantile", [BEFORE, {"map": [["+Inf", 110], ["0.01", 110], ["0.001", 5]]}, 0.5], 0.0055),
        ("rates", "quantile", [BEFORE, {"map": [["0.001", 5], ["0.01", 10], ["+Inf", 110]]}, 0.99], 0.01),
        ("rates", "quantile", [{"map": []}, {"map": [["0.001", 2], ["+Inf", 2]]}, 1], 0.001),
        ("format", "duration", [None], "–"),
        ("format", "duration", ["inf"], "∞"),
        ("format", "duration", [0], "0"),
        ("format", "duration", [0.00005], "50.0 µs"),
        ("format", "duration", [0.0123], "12.3 ms"),
        ("format", "duration", [59.9], "59.9 s"),
        ("format", "duration", [61], "1 min 1 s"),
        ("format", "duration", [7260], "2 h 1 min"),
        ("format", "duration", [90000], "1 d 1 h"),
        ("format", "count", [12345], "12,345"),
        ("format", "count", [12345678], "12.3 M"),
        ("format", "count", [123456789012], "123.5 G"),
        ("format", "rate", [0.25], "0.3"),
        ("format", "rate", [0], "0"),
        ("format", "text", [""], "–"),
    ],
)
def test_numbers(numbers: Page, module: str, name: str, given: list[object], found: object) -> None:
    assert numbers.evaluate(CALCULATED, [module, name, given]) == (
        pytest.approx(found) if isinstance(found, float) else found
    )


SERVER = {"group_name": "g", "server": "a", "role": "primary", "up": 1, "fenced": 0, "draining": 0, "waiting": 0}
GROUP = {"group_name": "g", "servers_up": 1, "primary_server": "a", "paused": 0}


@pytest.mark.parametrize(
    ("group", "server", "more", "found"),
    [
        ({}, {}, {}, []),
        ({"primary_server": None}, {"role": "unknown"}, {}, ["Group g has no primary: writes wait, then fail."]),
        ({"primary_server": None}, {"role": "replica"}, {}, []),
        (
            {"servers_up": 0, "primary_server": None},
            {"up": 0},
            {},
            ["No server of group g answers.", "g/a does not answer."],
        ),
        ({"paused": 1}, {}, {}, ["Group g is paused: statements wait."]),
        ({}, {"fenced": 1}, {}, ["g/a is fenced: it could be written but is not the primary."]),
        ({}, {"lag_seconds": "inf"}, {}, ["g/a applies nothing of its primary."]),
        ({}, {"waiting": 3}, {}, ["3 statements wait for a connection to g/a."]),
        (
            {},
            {},
            {"reloadRefused": True},
            ["The last reload was refused; the old configuration goes on. The log says why."],
        ),
        ({}, {}, {"version": [{"maintenance": 1}]}, ["Maintenance: new logins are refused, /readyz fails."]),
    ],
)
def test_what_needs_attention(numbers: Page, group: Row, server: Row, more: Row, found: list[str]) -> None:
    given = {"groups": [GROUP | group], "servers": [SERVER | server], "version": [{"maintenance": 0}], **more}
    assert [text for _, text in numbers.evaluate(CALCULATED, ["views/overview", "warnings", [given]])] == found


@pytest.fixture(scope="module")
def numbers(chromium: Browser, house: House) -> Iterator[Page]:
    """One page for all of them."""
    with visiting(chromium, house.url) as visit:
        yield visit.page("shards")
