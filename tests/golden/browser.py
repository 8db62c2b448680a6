# SPDX-License-Identifier: GPL-2.0-or-later
"""Chromium without a screen, driven over a pipe by its DevTools protocol."""
import base64
import json
import os
import select
import shutil
import subprocess

PATIENCE = 60  # seconds until an answer is taken to be missing; nothing is judged by its speed


def program():
    return shutil.which("chromium") or shutil.which("google-chrome")


class Browser:
    """One page. @problems: what its scripts threw and its console said; @requests: what it asked for."""

    def __init__(self, work, width=1000, height=600):
        commands, self.to = os.pipe()
        self.at, answers = os.pipe()

        def wire():  # the protocol's descriptors
            a, b = os.dup(commands), os.dup(answers)
            os.dup2(a, 3)
            os.dup2(b, 4)
        self.child = subprocess.Popen(
            [program(), "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
             "--no-first-run", "--disable-background-networking", f"--window-size={width},{height}",
             "--user-data-dir=" + os.path.join(work, "profile"), "about:blank"],
            preexec_fn=wire, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(commands)
        os.close(answers)
        self.buffer, self.number, self.session = b"", 0, None
        self.problems, self.requests, self.events = [], [], []
        pages = self.ask("Target.getTargets")["targetInfos"]
        page = next(p for p in pages if p["type"] == "page")
        self.session = self.ask("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(domain + ".enable")

    def message(self):
        while b"\0" not in self.buffer:
            ready = select.select([self.at], [], [], PATIENCE)[0]
            piece = os.read(self.at, 1 << 16) if ready else b""
            if not piece:
                raise AssertionError("the browser is gone, or says nothing")
            self.buffer += piece
        line, self.buffer = self.buffer.split(b"\0", 1)
        message = json.loads(line)
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.problems.append(params["exceptionDetails"])
        elif method in ("Runtime.consoleAPICalled", "Log.entryAdded"):
            self.problems.append(params)
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        if method:
            self.events.append(method)
        return message

    def ask(self, method, **params):
        self.number += 1
        command = {"id": self.number, "method": method, "params": params}
        if self.session:
            command["sessionId"] = self.session
        os.write(self.to, json.dumps(command).encode() + b"\0")
        while True:
            message = self.message()
            if message.get("id") == self.number:
                if "error" in message:
                    raise AssertionError(f"{method}: {message['error']}")
                return message["result"]

    def open(self, path):
        self.events.clear()
        self.ask("Page.navigate", url="file://" + path)
        while not {"Page.loadEventFired", "Page.navigatedWithinDocument"} & set(self.events):
            self.message()

    def value(self, expression):
        result = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            raise AssertionError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def mouse(self, kind, x, y, **more):
        self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x, y):
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, button="left", clickCount=1)
        self.mouse("mouseReleased", x, y, button="left", clickCount=1)

    def key(self, key, text=""):
        more = {"text": text} if text else {}
        self.ask("Input.dispatchKeyEvent", type="keyDown", key=key, **more)
        self.ask("Input.dispatchKeyEvent", type="keyUp", key=key)

    def picture(self, path):
        with open(path, "wb") as f:
            f.write(base64.b64decode(self.ask("Page.captureScreenshot")["data"]))

    def close(self):
        try:
            self.session = None
            self.ask("Browser.close")
        except AssertionError:
            pass
        self.child.kill()
        self.child.wait()
        os.close(self.to)
        os.close(self.at)
