"""A browser for the scripts here: as much of the WebDriver protocol as they need, with Python's own library."""
import json
import time
import urllib.error
import urllib.request

PATIENCE = 30  # seconds, for whatever is waited for: no machine is so busy that a page takes that long
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the protocol's name for "this is an element"


def ask(method, url, body=None, headers=()):
    """Status, headers and text of an answer, whatever its status; no proxy is asked."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, dict(headers), method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=PATIENCE) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


class Browser:
    """One window of a headless Chromium with a new, empty profile; `with` ends it."""

    def __init__(self, driver, binary, profile, more=()):
        # Nothing of the browser's own may leave the machine.
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                     "--disable-background-networking", "--disable-component-update", "--disable-sync",
                     "--disable-dev-shm-usage", "--user-data-dir=" + profile, *more]
        options = {"binary": binary, "args": arguments}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self.base = driver + "/session"
        session = self.command("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        self.base += "/" + session["sessionId"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.command("DELETE", "")

    def command(self, method, path, body=None):
        _, _, text = ask(method, self.base + path, body, {"Content-Type": "application/json"})
        value = json.loads(text)["value"]
        if isinstance(value, dict) and "error" in value:
            raise RuntimeError(value["error"] + ": " + value["message"])
        return value

    def open(self, url):
        self.command("POST", "/url", {"url": url})

    def run(self, script, *arguments):
        """What the page's `return` gives; `arguments` are its `arguments`."""
        return self.command("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def find(self, css):
        return self.command("POST", "/element", {"using": "css selector", "value": css})[ELEMENT]

    def click(self, css):
        """As a user does: fails where the element cannot be seen or is covered."""
        self.command("POST", f"/element/{self.find(css)}/click", {})

    def type(self, css, text):
        self.command("POST", f"/element/{self.find(css)}/value", {"text": text})

    def key(self, key):
        """A key to whatever has the focus."""
        keys = {"type": "key", "id": "keyboard",
                "actions": [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]}
        self.command("POST", "/actions", {"actions": [keys]})

    def console(self):
        """What the page, or the browser about it, has complained of since the last call."""
        return [entry["message"] for entry in self.command("POST", "/se/log", {"type": "browser"})]

    def until(self, what, script, *arguments):
        """Waits until the script returns something true, and gives it."""
        end = time.monotonic() + PATIENCE
        while True:
            value = self.run(script, *arguments)
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError(f"never came true: {what}\n{self.run('return document.body.innerText')}")
