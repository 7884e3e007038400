"""What a browser must not be talked into, and texts that are no markup."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest
import structlog
from playwright.sync_api import Browser, Error, Page, Route, expect

from router.sandbox import ReplicaSet
from tests.console.conftest import FOREIGN, REBOUND, House, Visit, visiting

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'`--"
NAME = "<img src=x onerror=alert(3)>"


@pytest.fixture
def hostile(house: House, mariadb_set: ReplicaSet) -> Iterator[None]:
    """A client whose every name and text is markup: its program, its database, its statements, who it says it is."""
    primary = mariadb_set.primary
    quoted = f"`{NAME}`"
    primary.execute(f"CREATE DATABASE {quoted}")
    primary.execute(f"CREATE TABLE {quoted}.{quoted} (id INT)")
    mariadb_set.wait_for_replicas()
    structlog.get_logger("router.tests").warning(HOSTILE, text=NAME)
    with house.router.connect(program_name=HOSTILE, database=NAME) as client, client.cursor() as cursor:
        cursor.execute(f"SELECT id AS {quoted} FROM {quoted}")
        client._execute_command(3, f"SELECT SLEEP(15), '{NAME}' FROM {quoted} UNION SELECT SLEEP(15), 1".encode())
        yield
        client._force_close()
    primary.execute(f"DROP DATABASE {quoted}")


def unharmed(page: Page) -> None:
    """Nothing became markup."""
    assert page.locator("main img, main script, main iframe").count() == 0


def test_texts_are_no_markup(visit: Visit, hostile: None) -> None:
    page = visit.page("sessions")
    page.get_by_label("with literals").check()
    line = page.locator("tbody tr", has_text=HOSTILE)
    expect(line).to_contain_text(f"SELECT SLEEP(15), '{NAME}' FROM `{NAME}`")
    unharmed(page)
    page.get_by_role("button", name="Kill").last.click()
    unharmed(page)
    page.keyboard.press("Escape")
    page.keyboard.press("3")
    page.get_by_label("Filter digests").fill("onerror")
    page.locator("button.link").first.click()
    expect(page.get_by_role("dialog")).to_contain_text(NAME)
    unharmed(page)
    page.keyboard.press("Escape")
    page.goto(f"{visit.url}#log")
    expect(page.locator(".log li", has_text=HOSTILE).first).to_be_visible()
    unharmed(page)
    page.goto(f"{visit.url}#playground")
    page.get_by_label("Statement").fill(f"SELECT '{HOSTILE}' FROM `{NAME}`")
    page.get_by_label("Default schema").fill(NAME)
    page.get_by_role("button", name="Explain").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    unharmed(page)


def test_texts_of_the_configuration_are_no_markup(visit: Visit, house: House) -> None:
    house.write({"rules": [{"name": "markup", "when": {"regex": NAME}, "reject": HOSTILE}]})
    page = visit.page("config")
    expect(page.locator(".changes")).to_contain_text(NAME)
    page.get_by_role("button", name="Reload").click()
    page.get_by_role("dialog").get_by_role("button", name="Reload").click()
    expect(page.locator("tbody tr", has_text=HOSTILE)).to_be_visible()
    page.keyboard.press("4")
    expect(page.locator("tbody tr", has_text=HOSTILE)).to_contain_text(NAME)
    unharmed(page)
    house.write({})
    page.keyboard.press("6")
    page.get_by_role("button", name="Reload").click()
    page.get_by_role("dialog").get_by_role("button", name="Reload").click()
    expect(page.get_by_text("The file is what is in force.")).to_be_visible()


def test_the_browser_would_not_run_it_either(visit: Visit) -> None:
    """Were there a mistake in the page, its content security policy would be the next wall."""
    visit.allowed = ("Content Security Policy", "TrustedHTML", "Trusted")
    page = visit.page()
    tried = """() => { try { document.body.innerHTML = "<img src=x onerror=alert(1)>"; return "made" }
        catch (error) { return error.name } }"""
    assert page.evaluate(tried) == "TypeError"
    insert = "document.body.append(Object.assign(document.createElement('script'), {async: true}))"
    page.evaluate(insert)
    refused = """() => new Promise((answer) => {
        addEventListener("securitypolicyviolation", (event) => answer(event.effectiveDirective));
        fetch("https://elsewhere.example/").catch(() => {}) })"""
    assert page.evaluate(refused) == "connect-src"
    visit.asked = [each for each in visit.asked if "elsewhere" not in each]


# --- other pages ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def foreign_page(browser: Browser, html: str = "<p>hello") -> Iterator[Page]:
    """A page of somebody else, in the browser of somebody who may use the router."""
    context = browser.new_context()
    page = context.new_page()

    def answer(route: Route) -> None:
        route.fulfill(content_type="text/html", body=html)

    page.route(f"{FOREIGN}**", answer)
    page.goto(FOREIGN)
    yield page
    context.close()


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "no-cors", "headers": {"Content-Type": "text/plain"}, "body": "{}"},
        {"mode": "no-cors", "headers": {"Content-Type": "application/x-www-form-urlencoded"}, "body": "a=b"},
        {"mode": "no-cors"},
        {"mode": "cors", "headers": {"Content-Type": "application/json"}, "body": "{}"},
        {"mode": "cors", "headers": {"Content-Type": "text/plain"}, "body": "{}", "credentials": "include"},
    ],
    ids=["text", "form", "bare", "json", "with the password"],
)
def test_another_page_changes_nothing(chromium: Browser, house: House, options: dict[str, object]) -> None:
    gateway = house.router.gateway
    with foreign_page(chromium) as page:
        for path, body in (("groups/main/pause?wait=0", "{}"), ("maintenance", '{"on": true}'), ("reload", "{}")):
            given = {"method": "POST", **options} | ({"body": body} if "body" in options else {})
            told = page.evaluate(
                "([url, options]) => fetch(url, options).then((answer) => answer.type, () => 'failed')",
                [f"{house.url}api/v1/{path}", given],
            )
            assert told in ("opaque", "failed")
    assert not gateway.topology.groups["main"].gate.shut
    assert not gateway.maintenance.on


def test_another_page_sees_nothing(chromium: Browser, house: House) -> None:
    with foreign_page(chromium) as page:
        for path in ("", "api/v1/tables/sessions", "api/v1/log", "console/app.js"):
            told = page.evaluate(
                "(url) => fetch(url).then((answer) => answer.text(), () => 'failed')", f"{house.url}{path}"
            )
            assert told == "failed"


def test_another_page_cannot_send_a_form(chromium: Browser, house: House) -> None:
    form = (
        f'<form method="post" action="{house.url}api/v1/groups/main/pause"><input name="a"><button>go</button></form>'
    )
    with foreign_page(chromium, form) as page:
        with page.expect_navigation() as found:
            page.click("button")
        assert found.value is not None
        assert found.value.status == 403
    assert not house.router.gateway.topology.groups["main"].gate.shut


def test_another_page_cannot_frame_it(chromium: Browser, house: House) -> None:
    with foreign_page(chromium, f'<iframe src="{house.url}"></iframe>') as page:
        page.wait_for_timeout(500)
        assert len(page.frames) == 2
        assert "Router" not in page.frames[1].content()


def test_another_page_may_lead_to_it(chromium: Browser, house: House) -> None:
    with foreign_page(chromium, f'<a href="{house.url}">the console</a>') as page:
        page.click("a")
        expect(page.locator("nav.views a[aria-current]")).to_contain_text("Overview")


def test_a_name_that_was_made_to_lead_here(chromium: Browser, house: House) -> None:
    """DNS rebinding: to the browser it is one origin with the attacker's page."""
    url = house.url.replace("127.0.0.1", REBOUND)
    context = chromium.new_context()
    page = context.new_page()
    for path in ("", "console/app.js", "api/v1/tables/sessions"):
        answer = page.goto(f"{url}{path}")
        assert answer is not None
        assert answer.status == 403
    told = page.evaluate(
        """(url) => fetch(url, {method: "POST", headers: {"Content-Type": "application/json"}, body: "{}"})
            .then((answer) => answer.status)""",
        f"{url}api/v1/groups/main/pause",
    )
    assert told == 403
    assert not house.router.gateway.topology.groups["main"].gate.shut
    context.close()


# --- passwords --------------------------------------------------------------------------------------------------------


def test_with_users_nothing_is_shown_without_a_password(chromium: Browser, house: House) -> None:
    # Users of the configuration are taken up by a reload.
    house.write({"admin": house.settings["admin"] | {"users": {"ops": {"password": "open, sesame"}}}})
    house.router.wait_for(lambda gateway: gateway.reload())
    try:
        context = chromium.new_context()
        with pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS"):
            context.new_page().goto(house.url)
        context.close()
        login = {"username": "ops", "password": "open, sesame"}
        with visiting(chromium, house.url, http_credentials=login) as visit:
            page = visit.page("sessions")
            expect(page.locator("tbody tr", has_text="busy")).to_have_count(1)
            page.keyboard.press("6")
            page.get_by_label("Filter keys and values").fill("password")
            expect(page.locator("tbody tr").first).to_contain_text("**********")
            assert "open, sesame" not in json.dumps(page.content())
    finally:
        house.write({})
        house.router.wait_for(lambda gateway: gateway.reload())
