# SPDX-License-Identifier: GPL-2.0-or-later
"""A headless Chromium, driven by its DevTools protocol over a pipe: JSON, each message ended by NUL."""
import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome")


class BrowserError(Exception):
    pass


def find():
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Browser:
    def __init__(self, path, timeout=60):
        self.timeout = timeout
        self.home = tempfile.mkdtemp(prefix="mp-html-")
        # it reads commands from its descriptor 3 and writes answers to 4
        theirs_in, self.to = os.pipe()
        self.of, theirs_out = os.pipe()
        self.log = open(os.path.join(self.home, "log"), "w+b")
        args = [path, "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu",
                "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars", "--disable-extensions",
                "--disable-component-update", "--disable-background-networking", "--force-color-profile=srgb",
                "--user-data-dir=" + self.home + "/profile", "about:blank"]

        def arrange():
            os.setsid()
            # copies first: one of them may have the number that the other is to get
            a, b = fcntl.fcntl(theirs_in, fcntl.F_DUPFD, 5), fcntl.fcntl(theirs_out, fcntl.F_DUPFD, 5)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self.process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        close_fds=False, preexec_fn=arrange, env=dict(os.environ, HOME=self.home))
        os.close(theirs_in)
        os.close(theirs_out)
        self.buffer = b""
        self.last = 0
        self.session = None
        self.events = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")

    def message(self, until):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.of], [], [], max(until - time.monotonic(), 0))
            data = os.read(self.of, 1 << 20) if ready else b""
            if not data:
                self.log.seek(0)
                said = self.log.read()[-600:].decode(errors="replace")
                raise BrowserError("the browser answered no more; it had said: " + said)
            self.buffer += data
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, **params):
        self.last += 1
        order = {"id": self.last, "method": method, "params": params}
        if self.session:
            order["sessionId"] = self.session
        os.write(self.to, json.dumps(order).encode() + b"\0")
        until = time.monotonic() + self.timeout
        while True:
            answer = self.message(until)
            if answer.get("id") == self.last:
                if "error" in answer:
                    raise BrowserError("%s: %s" % (method, answer["error"]))
                return answer["result"]
            self.events.append(answer)

    def run(self, script):
        """The value of an expression, promises waited for."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise BrowserError("%s\nin: %s" % (json.dumps(answer["exceptionDetails"])[:800], script))
        return answer["result"].get("value")

    def size(self, width, height, dark=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def open(self, path):
        """Opens a file and waits until the page says that it is drawn; the ms that took, by the page's clock."""
        self.events = []
        self.call("Page.navigate", url="file://" + os.path.abspath(path))
        until = time.monotonic() + self.timeout
        drawn = "document.documentElement.dataset.ready || document.querySelector('.broken')?.textContent"
        while time.monotonic() < until:
            # a navigation under way may take the page from under the question
            try:
                ready = self.run(drawn)
            except BrowserError:
                ready = None
            if ready:
                return ready
            time.sleep(0.02)
        raise BrowserError("the page was never ready")

    def key(self, key, text=None):
        code = {"Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40,
                "Tab": 9, "End": 35, "Home": 36}.get(key, 0)
        text = "\r" if key == "Enter" else key if len(key) == 1 else text
        common = dict(key=key, windowsVirtualKeyCode=code)
        self.call("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def move(self, x, y):
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, x, y):
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def center(self, selector):
        return self.run("(() => { const b = document.querySelector(%s).getBoundingClientRect();"
                        " return [b.left + b.width / 2, b.top + b.height / 2]; })()" % json.dumps(selector))

    def picture(self, path):
        with open(path, "wb") as f:
            f.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def complaints(self):
        """What the console and the log hold, and what went over any network."""
        self.run("1")
        said = []
        for event in self.events:
            params = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                said.append(details.get("exception", {}).get("description") or details["text"])
            elif event["method"] == "Log.entryAdded":
                said.append(params["entry"]["text"])
            elif event["method"] == "Runtime.consoleAPICalled":
                said.append(json.dumps(params["args"])[:300])
            elif event["method"] == "Network.requestWillBeSent":
                url = params["request"]["url"]
                if not url.startswith(("file://", "data:", "blob:")) or url.count("file://") > 1:
                    said.append("request of " + url)
        return said

    def close(self):
        try:
            self.call("Browser.close")
        except (BrowserError, OSError):
            pass
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.to)
        os.close(self.of)
        self.log.close()
        shutil.rmtree(self.home, ignore_errors=True)
