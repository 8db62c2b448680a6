# SPDX-License-Identifier: GPL-2.0-or-later
"""What the root tests share: TAP, starting the tool, walking a workload through its barriers."""
import atexit
import fcntl
import functools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOOL = os.environ.get("MALLOCPATH", os.path.join(TOP, "build/mallocpath"))
ROW = os.environ.get("MALLOCPATH_ROW")  # the fault source to force, for tests of each row
WORKLOADS = os.environ.get("WORKLOADS", os.path.join(TOP, "build/tests/workload"))
PATIENCE = 120  # seconds until something is taken to hang; nothing is judged by its speed


class Hang(Exception):
    """Something that had to happen did not."""


class Tap:
    """Counts, prints, and ends the program with the right status."""

    def __init__(self):
        self.number = self.failed = 0
        self.prefix = ""  # of every name from here on

    def check(self, good, name, notes=()):
        name = self.prefix + name
        self.number += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.number} - {name}", flush=True)
        for note in ([] if good else notes if isinstance(notes, (list, tuple)) else [notes]):
            for line in str(note).rstrip("\n").split("\n"):
                print(f"#   {line}", flush=True)
        return good

    def skip(self, name, reason):
        self.number += 1
        print(f"ok {self.number} - {self.prefix}{name} # SKIP {reason}", flush=True)

    def note(self, text):
        print(f"# {text}", flush=True)

    def end(self):
        print(f"1..{self.number}")
        print(f"# {self.number - self.failed} of {self.number} passed")
        sys.exit(1 if self.failed or not self.number else 0)


def scratch(prefix):
    """A private directory, removed at the end unless KEEP is set."""
    path = tempfile.mkdtemp(prefix=f"mallocpath-{prefix}-")
    if not os.environ.get("KEEP"):
        atexit.register(shutil.rmtree, path, True)
    return path


def need_root_and_tool(tap):
    if os.geteuid() != 0:
        tap.check(False, "these tests trace other processes: run them as root")
        tap.end()
    if not os.access(TOOL, os.X_OK):
        tap.check(False, f"{TOOL} is there (run make first)")
        tap.end()


@functools.lru_cache(None)
def mounted(kind, where):
    """@where, with a file system of @kind on it: a machine without systemd may not have mounted it."""
    if not os.path.ismount(where):
        subprocess.run(["mount", "-t", kind, kind, where], check=True)
    return where


def tracefs():
    return mounted("tracefs", "/sys/kernel/tracing")


def debugfs():
    return mounted("debugfs", "/sys/kernel/debug")


def wait_until(what, happened, patience=PATIENCE):
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        result = happened()
        if result:
            return result
        time.sleep(0.02)
    raise Hang(what)


def rss_bytes(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
        for line in rollup:
            if line.startswith("Rss:"):
                return int(line.split()[1]) * 1024
    raise Hang(f"no Rss of {pid}")


def load_json(path):
    """The report at @path once it is whole, else None."""
    try:
        with open(path, "rb") as file:  # spares the parsing of what is still being written
            file.seek(-min(64, os.path.getsize(path)), os.SEEK_END)
            if not file.read().rstrip().endswith(b"}"):
                return None
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def with_row(args):
    """@args with the forced fault source, where the command takes one."""
    if not ROW or args[0] in ("report", "diff"):
        return args
    split = 1 if args[0] in ("record", "doctor") else 0
    return args[:split] + ["--fault-source", ROW] + args[split:]


class Tool:
    """One run of mallocpath; its stderr is kept in a file."""

    running = []

    def __init__(self, args, where, env=None, stdout=None, stdin=subprocess.DEVNULL, new_group=True):
        self.args, self.err_path = args, os.path.join(where, f"stderr.{len(Tool.running)}")
        with open(self.err_path, "wb") as err:
            self.child = subprocess.Popen([TOOL] + with_row(args), stdin=stdin, stdout=stdout or err,
                                          stderr=err, env=env, start_new_session=new_group)
        Tool.running.append(self)

    def stderr(self):
        with open(self.err_path, encoding="utf-8", errors="replace") as err:
            return err.read()

    def wait_tracing(self):
        """Until the probes are in."""
        def tracing():
            if self.child.poll() is not None:
                raise Hang(f"mallocpath ended with {self.child.returncode}: {self.stderr()}")
            return "tracing" in self.stderr()
        wait_until(f"'tracing' on stderr of mallocpath {' '.join(self.args)}", tracing)
        return self

    def report_now(self, path):
        """Asks a running tool for the report of this instant."""
        if os.path.exists(path):
            os.unlink(path)
        self.child.send_signal(signal.SIGUSR1)

        def written():
            if self.child.poll() is not None:
                raise Hang(f"mallocpath ended with {self.child.returncode}: {self.stderr()}")
            return load_json(path)
        return wait_until(f"a report after SIGUSR1; stderr: {self.stderr()}", written)

    def finish(self, sig=None):
        """Sends @sig if given, waits, and gives the exit status."""
        if sig:
            self.child.send_signal(sig)
        try:
            return self.child.wait(PATIENCE)
        except subprocess.TimeoutExpired as late:
            self.child.kill()
            raise Hang(f"mallocpath {' '.join(self.args)} does not end: {self.stderr()}") from late


def end_tools():
    for tool in Tool.running:
        if tool.child.poll() is None:
            tool.child.kill()
            tool.child.wait()


atexit.register(end_tools)


class Barriers:
    """The driver's end of the FIFOs of a workload (tests/workload/truth.h)."""

    def __init__(self, where):
        self.where = where
        for name in ("ready", "go"):
            os.mkfifo(os.path.join(where, name))
        self.ready = os.open(os.path.join(where, "ready"), os.O_RDWR | os.O_CLOEXEC)
        self.go = os.open(os.path.join(where, "go"), os.O_RDWR | os.O_CLOEXEC)

    def wait(self, process):
        """The number of the barrier the workload stands at; None once @process has ended."""
        def arrived():
            if select.select([self.ready], [], [], 0.05)[0]:
                return True
            return process.poll() is not None
        wait_until("the next barrier of the workload", arrived)
        if not select.select([self.ready], [], [], 0)[0]:
            return None
        return int(os.read(self.ready, 64))

    def release(self, word="g"):
        os.write(self.go, word.encode())

    def close(self):
        os.close(self.ready)
        os.close(self.go)


class Settings:
    """
    Sets files of /sys for a while; one test run at a time, the others wait. What was there before is
    kept in a file, so that the next run restores what a killed one could not.
    """

    KEPT = "/run/mallocpath-tests.settings"

    def __init__(self, wanted):
        self.wanted, self.before = wanted, {}

    @staticmethod
    def read(path):
        with open(path, encoding="ascii") as file:
            words = file.read().split()
        return next((word.strip("[]") for word in words if word.startswith("[")), words[0])

    @staticmethod
    def write(values):
        for path, value in values.items():
            with open(path, "w", encoding="ascii") as file:
                file.write(value)

    def __enter__(self):
        self.kept = open(self.KEPT, "a+", encoding="ascii")
        fcntl.flock(self.kept, fcntl.LOCK_EX)
        self.kept.seek(0)
        text = self.kept.read()
        if text:
            self.write(json.loads(text))
        self.before = {path: self.read(path) for path in self.wanted}
        self.keep(json.dumps(self.before))
        atexit.register(self.restore)
        self.write(self.wanted)

    def keep(self, text):
        self.kept.truncate(0)
        self.kept.write(text)
        self.kept.flush()

    def restore(self):
        self.write(self.before)
        self.keep("")
        self.kept.close()

    def __exit__(self, *_):
        atexit.unregister(self.restore)
        self.restore()


def die_cleanly_on_signals():
    """So that atexit's restoring happens too when the run is interrupted."""
    for sig in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, lambda number, _: sys.exit(128 + number))
