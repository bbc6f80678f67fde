"""What dashboard.sh looks at in the browser: see there. Prints each claim that held; the first that did not ends it."""
import json
import os
import signal
import sys
import time

from webdriver import Browser, ask

DRIVER, CHROMIUM, PROFILE, GATEWAY, KEY, OPEN, PID = sys.argv[1:]
MARKUP = '<img src=x onerror="document.title=1">&amp;<b>bold'
API = GATEWAY + "/api/v1/load_balancer"
HEADERS = {"X-API-Key": KEY.encode().decode("latin-1")}  # a header holds bytes

LOST = "return document.getElementById('link').textContent.startsWith('connection lost')"

# What the page shows of one backend, as it stands there.
SHOWN = """
const row = [...document.querySelectorAll('#backends tr')].find((row) => row.dataset.name === arguments[0]);
if (!row) return null;
const text = (css) => row.querySelector(css).textContent;
return {name: text('.name'), state: text('.state .badge'), requests: text('.requests'), flight: text('.in-flight span'),
        share: text('.share span'), failed: text('.errors small'), url: text('th small'),
        weight: row.querySelector('input').value};
"""


def api(path):
    status, _, text = ask("GET", API + path, headers=HEADERS)
    assert status == 200, text
    return json.loads(text)["data"]


def chat():
    """The name of the backend that answered, percent-encoded."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
    status, headers, text = ask("POST", GATEWAY + "/v1/chat/completions", body, {"Content-Type": "application/json"})
    assert status == 200, text
    return headers["X-Fairlead-Backend"]


def held(claim):
    print("held:", claim, flush=True)


def shows_what_the_api_says(browser, requests):
    browser.until(f"{requests} requests", "return document.getElementById('requests').textContent === arguments[0]",
                  str(requests))
    backends = api("/backends")["backends"]
    assert set(backends) == {"plain", MARKUP}
    for name, backend in backends.items():
        shown = browser.run(SHOWN, name)
        config, metrics = backend["config"], backend["metrics"]
        assert shown["name"] == name, shown
        assert shown["state"] == metrics["state"], (shown, metrics)
        assert shown["requests"] == str(metrics["total_requests"]), (shown, metrics)
        assert shown["flight"] == str(metrics["active_connections"]), (shown, metrics)
        assert shown["failed"] == f"{metrics['failed_requests']} in all", (shown, metrics)
        assert shown["url"] == config["url"], (shown, config)
        assert shown["weight"] == str(config["weight"]), (shown, config)
    status = api("/status")
    assert browser.run("return document.getElementById('mode').textContent") == status["mode"]
    assert browser.run("return document.getElementById('current').textContent") == status["strategy"]
    service = f"{status['healthy_backends']} of {status['total_backends']}"
    assert browser.run("return document.getElementById('healthy').textContent") == service


def button(action, name):
    return f"""tr[data-name={json.dumps(name)}] button[data-action={action}]"""


def wait_for_state(browser, name, state):
    browser.until(f"{name} is {state}", """
        const row = [...document.querySelectorAll('#backends tr')].find((row) => row.dataset.name === arguments[0]);
        return row.dataset.state === arguments[1];""", name, state)
    assert api("/backends")["backends"][name]["metrics"]["state"] == state


def with_a_key(browser):
    browser.open(GATEWAY + "/dashboard")
    browser.until("it asks for the key", "return !document.getElementById('ask').hidden")
    assert browser.run("return document.getElementById('board').hidden")
    browser.type("#key", "wrong")
    browser.click("#ask button")
    browser.until("it says that the key is wrong", "return document.getElementById('why').textContent.startsWith('Refused')")
    assert browser.run("return document.getElementById('backends').children.length") == 0
    assert browser.run("return sessionStorage.length") == 0
    held("a wrong key is refused, and nothing is shown")

    browser.console()
    browser.type("#key", KEY)
    browser.click("#ask button")
    browser.until("two backends", "return document.querySelectorAll('#backends tr').length === 2")
    assert browser.run("return localStorage.length") == 0 and not browser.run("return document.cookie")
    for _ in range(6):
        chat()
    shows_what_the_api_says(browser, 6)
    assert browser.run(SHOWN, "plain")["share"] == "50.0 %"
    held("the values are the API's")

    assert browser.run("return document.querySelectorAll('#board img, #board b').length") == 0
    assert browser.run("return document.title") == "fairlead"
    held("a name with markup in it is text")

    browser.click(button("disable", MARKUP))
    wait_for_state(browser, MARKUP, "disabled")
    assert {chat() for _ in range(6)} == {"plain"}
    shows_what_the_api_says(browser, 12)
    browser.click(button("enable", MARKUP))
    wait_for_state(browser, MARKUP, "healthy")
    held("a click disables a backend, traffic moves, another brings it back")

    browser.run("document.querySelector(arguments[0]).focus()", button("drain", "plain"))
    browser.key("\ue007")  # Enter
    wait_for_state(browser, "plain", "draining")
    assert browser.run("return document.activeElement.dataset.action") == "drain"
    browser.run("document.querySelector(arguments[0]).focus()", button("enable", "plain"))
    browser.key(" ")
    wait_for_state(browser, "plain", "healthy")
    held("the keyboard is enough")

    weight = 'tr[data-name="plain"] .weight input'
    browser.run("const input = document.querySelector(arguments[0]); input.focus(); input.select()", weight)
    browser.type(weight, "7\ue007")
    browser.until("the notice", "return document.getElementById('notice').textContent.includes('plain')")
    assert api("/backends")["backends"]["plain"]["config"]["weight"] == 7
    browser.run("""const select = document.getElementById('strategy'); select.value = 'least_connections';
                   select.dispatchEvent(new Event('change'))""")
    browser.click("#choose button")
    browser.until("the strategy", "return document.getElementById('current').textContent === 'least_connections'")
    assert api("/strategy")["strategy"] == "least_connections"
    held("weight and strategy can be set")

    origin = "return performance.getEntriesByType('resource').every((entry) => entry.name.startsWith(location.origin))"
    assert browser.run(origin)
    complaints = browser.console()
    assert complaints == [], complaints
    held("no request went elsewhere, and the policy of the page forbade nothing that it does")

    for width, height in ((390, 844), (1100, 700)):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.command("POST", "/goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics})
        assert browser.run("return document.documentElement.scrollWidth") <= width
    held("nothing is wider than a phone")


def without_a_key(browser):
    browser.open(OPEN + "/dashboard")
    browser.until("two backends", "return document.querySelectorAll('#backends tr').length === 2")
    browser.click(button("disable", "plain"))
    browser.until("disabled", "return document.querySelector('tr[data-name=plain]').dataset.state === 'disabled'")
    held("without a key this machine is not asked for one")


def in_chinese(browser):
    browser.open(OPEN + "/dashboard?lang=zh")
    browser.until("two backends", "return document.querySelectorAll('#backends tr').length === 2")
    browser.until("it is live", "return document.getElementById('link').textContent === '实时'")
    assert browser.run("return document.querySelector('#backends [data-action=drain]').textContent") == "排空"
    rest = browser.run("""const texts = document.createTreeWalker(document.getElementById('totals'), NodeFilter.SHOW_TEXT);
        const english = [];
        while (texts.nextNode()) {
          const text = texts.currentNode.data.trim();
          if (/^[A-Z][a-z]/.test(text) && texts.currentNode.parentNode.tagName !== 'OPTION') english.push(text);
        }
        return english;""")
    assert rest == [], rest
    held("it speaks Chinese where that is asked for")


with Browser(DRIVER, CHROMIUM, PROFILE) as chromium:
    without_a_key(chromium)
    in_chinese(chromium)
    with_a_key(chromium)
    os.kill(int(PID), signal.SIGSTOP)
    chromium.until("the silence", LOST)
    os.kill(int(PID), signal.SIGCONT)
    chromium.until("it is live again", "return document.getElementById('link').textContent === 'live'")
    assert chromium.run("return !document.getElementById('board').hidden")
    held("it says so when the gateway falls silent, and connects again by itself")
    began = time.monotonic()
    os.kill(int(PID), signal.SIGTERM)
    chromium.until("the lost connection", LOST)
    # The grace is 25 s; a stream that was waited for would have taken them.
    assert time.monotonic() - began < 20
    held("it says so when the connection is lost, and does not hold up the gateway's stop")
