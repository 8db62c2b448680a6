#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
The kernel module under stress. Runs inside a virtual machine, as root, with the module loaded:
scripts/soak boots one; tests/kmod/run has the short form of each step.
usage: tests/kmod/soak.py [--short] [STEP...]      steps: reload crowd words reads
"""
import errno
import json
import os
import random
import re
import select
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import witness as w  # noqa: E402  pylint: disable=C0413
from harness import Hang, Tap, WORKLOADS, wait_until  # noqa: E402

TRACK = f"{w.ROOT}/track"
KMEMLEAK = "/sys/kernel/debug/kmemleak"
ROWS = ("vmas", "latency", "pages")
# How much: what is asked for in full, and in the short form.
FULL = {"reload": 200, "crowd": 1000, "words": 20000, "reads": 1}
SHORT = {"reload": 20, "crowd": 100, "words": 2000, "reads": 29}


def memory_is_back(tap, name):
    try:
        wait_until("no memory used", lambda: w.status()["memory_bytes"] == "0")
        tap.check(True, f"{name}: the memory is given back")
    except Hang:
        tap.check(False, f"{name}: the memory is given back", str(w.status()))


# --- reload: the module comes and goes while its process faults

def churn():
    process = subprocess.Popen([f"{WORKLOADS}/churn", "8"], stdout=subprocess.PIPE, text=True)
    if process.stdout.readline() != "ready\n":
        raise Hang("churn does not begin")
    return process


def counted():
    return int(w.status()["faults_seen"])


def reload(tap, times):
    """Every second time the process is untracked first."""
    process, bad, seen = churn(), [], 0
    for turn in range(times):
        if w.unload():
            bad.append(f"turn {turn}: it cannot be unloaded")
            break
        w.load("track_children=1")
        w.track(process.pid)
        wait_until("500 faults", lambda: counted() > 500)
        seen += counted()
        if turn % 2:
            w.untrack(process.pid)
        if process.poll() is not None:
            bad.append(f"turn {turn}: the process ended with {process.returncode}")
            break
        if turn % 50 == 49:
            tap.note(f"{turn + 1} times")
    status = w.status()
    process.kill()
    process.wait()
    for name in ("moves_missed", "children_lost"):
        if status[name] != "0":
            bad.append(f"{name} is {status[name]}")
    tap.check(not bad, f"reload: {times} times loaded and unloaded under 8 threads that fault, "
              f"{seen} faults counted", bad)
    w.unload()
    w.load()


# --- crowd: many are tracked and end, while all is read

def read_somehow(path, chance):
    """Some of the file, from somewhere; how many bytes"""
    fd = os.open(path, os.O_RDONLY)
    try:
        if chance.random() < .5:
            return sum(len(part) for part in iter(lambda: os.read(fd, 1 << 16), b""))
        return len(os.pread(fd, chance.randrange(1, 9000), chance.randrange(20000)))
    finally:
        os.close(fd)


def reader(seed):
    """
    A process of its own, until its stdin ends: how much it read, and what it did not expect. It tells
    once it is at it.
    """
    chance, files, size, strange = random.Random(seed), 0, 0, []
    while not select.select([sys.stdin], [], [], 0)[0]:
        for pid in w.tracked():
            path = chance.choice([f"{w.ROOT}/{pid}/{name}" for name in ROWS] +
                                 [TRACK, f"{w.ROOT}/status"])
            try:
                size += read_somehow(path, chance)
                files += 1
                if files == 20:
                    print("at it", flush=True)
            except OSError as error:
                # It ended: before it was opened, or since
                if error.errno not in (errno.ENOENT, errno.EIO, errno.ENODEV):
                    strange.append(f"{path}: {error}")
    print(json.dumps([files, size, strange[:5]]))


def start_readers(nr):
    return [subprocess.Popen([sys.executable, os.path.abspath(__file__), "--reader", str(seed)],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for seed in range(nr)]


class Crowd:
    """tests/workload/crowd.c"""

    def __init__(self):
        self.process = subprocess.Popen([f"{WORKLOADS}/crowd", "16"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def ask(self, word, nr):
        self.process.stdin.write(f"{word} {nr}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().split()

    def more(self, nr):
        pids = [int(pid) for pid in self.ask("more", nr)]
        if len(pids) != nr or min(pids) < 0:
            raise Hang(f"the crowd has no {nr} more: {pids[-3:]}")
        return pids

    def end(self, nr):
        if self.ask("end", nr) != ["ended"]:
            raise Hang("the crowd does not end")

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def crowd(tap, number):
    """All alive at once, one half tracked by a write each, the other because its parent is."""
    people, readers, half = Crowd(), start_readers(4), number // 2
    for pid in people.more(number - half):
        w.track(pid)
    w.put(f"{w.PARAM}/track_children", "1")
    w.track(people.process.pid)
    forked = set(people.more(half))
    most = len(w.tracked())
    tap.check(most == number + 1 and forked < set(w.tracked()),
              f"crowd: {number} processes are tracked", most)
    wait_until("their directories", lambda: all(os.path.exists(f"{w.ROOT}/{pid}/pages")
                                                for pid in forked))
    pages = [len(w.rows(f"{w.ROOT}/{pid}/pages")) for pid in list(forked)[:5]]
    tap.check(min(pages) > 16, "crowd: pages of a few", pages)
    for process in readers:
        if process.stdout.readline() != "at it\n":
            raise Hang("a reader does not read")
    while number:
        some = min(number, 50)
        people.end(some)
        number -= some
    wait_until("all are off the list", lambda: len(w.tracked()) == 1)
    w.put(f"{w.PARAM}/track_children", "0")
    told = [json.loads(process.communicate()[0] or "[0, 0, [\"it died\"]]") for process in readers]
    people.close()
    files, size = sum(row[0] for row in told), sum(row[1] for row in told)
    strange = [line for row in told for line in row[2]]
    tap.check(not strange and min(row[0] for row in told) > 20,
              f"crowd: four readers, {files} files, {size} bytes", strange or told)
    status = w.status()
    tap.check(status["table"] == "ok" and status["children_lost"] == "0",
              "crowd: there was room for all", status)
    memory_is_back(tap, "crowd")


# --- words: anything may be written to `track`

def a_word(chance, pids):
    """A number that means something, a number that does not, something like one, or noise."""
    kind = chance.randrange(6)
    if kind == 0:
        return str(chance.choice(pids)).encode()
    if kind == 1:
        return b"-%d\n" % chance.choice(pids)
    if kind == 2:
        return b"%d" % chance.randrange(-1 << 33, 1 << 33)
    if kind == 3:
        word = bytearray(b"%d" % chance.choice(pids))
        word.insert(chance.randrange(len(word) + 1), chance.choice(b" \n\t\0+-0x,.7\xff"))
        return bytes(word)
    if kind == 4:
        return b"%d" % chance.randrange(-70000, 70000)
    return chance.randbytes(chance.choice((1, 2, 15, 16, 17, 100, 5000)))


def is_number(word):
    """By the manual: a PID or -PID and a newline that may follow; what fits into 15 bytes"""
    if len(word) > 15 or not re.fullmatch(rb"-?[0-9]+\n?", word):
        return False
    return 0 < abs(int(word)) < 1 << 31


def words(tap, times):
    crew = [subprocess.Popen(["sleep", "100000"]) for _ in range(8)]
    pids, chance, bad, answers = [process.pid for process in crew], random.Random(4), [], {}
    for _ in range(times):
        word = a_word(chance, pids)
        number = is_number(word)
        before = None if number else w.read(TRACK)
        got = w.refused(TRACK, word)
        answers[got] = answers.get(got, 0) + 1
        # Others' PIDs, threads of the kernel among them, are tracked or told why not.
        if got not in ((0, errno.ESRCH, errno.EEXIST, errno.ENOSPC) if number else (errno.EINVAL,)):
            bad.append(f"{word[:40]!r}: {errno.errorcode.get(got, got)}")
        if before is not None and w.read(TRACK) != before:
            bad.append(f"{word[:40]!r} has changed what is tracked")
        for pid in w.tracked():
            if pid not in pids:
                w.untrack(pid)
    told = {errno.errorcode.get(number, "taken"): count for number, count in answers.items()}
    tap.check(not bad and {"taken", "EINVAL", "ESRCH", "EEXIST"} <= set(told),
              f"words: {times} written to track: {told}", bad[:8])
    for process in crew:
        process.kill()
        process.wait()
    wait_until("nothing is tracked", lambda: not w.tracked())
    memory_is_back(tap, "words")


# --- reads: of every offset and every size

class Reading:
    """A file of the module's, in parts and as a whole."""

    def __init__(self, path):
        self.path, self.fd = path, os.open(path, os.O_RDONLY)
        self.whole = self.all()

    def all(self):
        with open(self.path, "rb") as file:
            return file.read()

    def differs(self, offset, size):
        """
        None, or what is wrong. The kernel ages pages of a process that stands still (`young`): what
        differs is tried again where the whole has changed too.
        """
        for _ in range(5):
            got = os.pread(self.fd, size, offset)
            if self.whole[offset:offset + len(got)] == got and bool(got) == (offset < len(self.whole)):
                return None
            was, self.whole = self.whole, self.all()
            if self.whole == was:
                break
        return f"{size} bytes at {offset} of {len(self.whole)}: {got[:40]}"


def reads(tap, step):
    """Every @step'th offset with a size by chance, and every @step'th size at an offset by chance."""
    process = subprocess.Popen([f"{WORKLOADS}/crowd"], stdin=subprocess.PIPE)
    w.track(process.pid)
    wait_until("it waits for words",
               lambda: w.read(f"/proc/{process.pid}/syscall").startswith("0 0x0 "))
    chance = random.Random(5)
    for name in ROWS:
        file = Reading(f"{w.ROOT}/{process.pid}/{name}")
        edge = len(file.whole) + 2 * step
        bad = [file.differs(offset, chance.choice((1, 2, 50, 4095, 4096, 4097, 1 << 17)))
               for offset in range(0, edge, step)]
        bad += [file.differs(chance.randrange(edge), size) for size in range(1, edge, step)]
        bad += [file.differs(1 << 40, 4096), file.differs(0, 1 << 22)]
        tried, bad = len(bad), [line for line in bad if line]
        os.close(file.fd)
        tap.check(not bad and len(file.whole) > 200,
                  f"reads: {name}: {tried} reads of {len(file.whole)} bytes", bad[:5])
    process.stdin.close()
    process.wait()
    memory_is_back(tap, "reads")


# --- what is left behind

def leaks(tap):
    """What kmemleak finds of ours, with the module still loaded. It wants objects some seconds old."""
    if not os.path.exists(KMEMLEAK):
        tap.skip("leaks: none", "this kernel has no kmemleak: scripts/soak --kernel sanitized has")
        return
    for _ in range(2):
        time.sleep(6)
        w.put(KMEMLEAK, "scan")
    found = [part for part in re.split(r"(?m)^(?=unreferenced)", w.read(KMEMLEAK)) if part.strip()]
    ours = [part for part in found if "[mallocpath]" in part]
    tap.check(not ours, "leaks: none", ours[:2])
    tap.note(f"kmemleak suspects {len(found) - len(ours)} objects that are not the module's")


STEPS = {"reload": reload, "crowd": crowd, "words": words, "reads": reads}


def run(tap, chosen, sizes):
    for name in chosen:
        began = time.monotonic()
        tap.note(f"soak: {name}")
        try:
            STEPS[name](tap, sizes[name])
        except (Hang, OSError, ValueError, subprocess.SubprocessError) as error:
            tap.check(False, name, f"{type(error).__name__}: {error}")
        tap.note(f"soak: {name} took {time.monotonic() - began:.0f} s")
    leaks(tap)


def main():
    if sys.argv[1:2] == ["--reader"]:
        reader(int(sys.argv[2]))
        return
    tap = Tap()
    short = "--short" in sys.argv
    chosen = [word for word in sys.argv[1:] if word != "--short"] or list(STEPS)
    if os.geteuid() or not os.path.exists(w.ROOT) or not set(chosen) <= set(STEPS):
        sys.exit(__doc__)
    run(tap, chosen, SHORT if short else FULL)
    tap.end()


if __name__ == "__main__":
    main()
