# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads what the module says, and what /proc says about the same."""
import os
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import wait_until  # noqa: E402  pylint: disable=C0413

ROOT = "/sys/kernel/debug/mallocpath"
PARAM = "/sys/module/mallocpath/parameters"
HERE = os.path.dirname(os.path.abspath(__file__))
PAGE = 4096
KINDS = ("anon", "thp", "mthp", "zero", "cow", "swapin", "file", "shmem")
RESIDENCY = ("present", "anon", "thp", "mthp", "swap", "zero", "huge_zero", "hugetlb")


def read(path):
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def rows(path):
    """Dictionaries by the header's names; the last column takes the rest of its line."""
    header, *lines = read(path).splitlines()
    names = header.split()
    table = []
    for line in lines:
        words = line.split(None, len(names) - 1)
        if len(words) != len(names):
            raise ValueError(f"{path}: {len(words)} columns, not {len(names)}: {line}")
        table.append(dict(zip(names, words)))
    return table


def write(path, text):
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text if isinstance(text, bytes) else text.encode())
    finally:
        os.close(fd)


def put(path, text):
    """A setting of the kernel's"""
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def module_path():
    words = dict(word.split("=", 1) for word in read("/proc/cmdline").split() if "=" in word)
    return os.environ.get("MALLOCPATH_KO") or f"{words['mallocpath_vm']}/module/mallocpath.ko"


def unload():
    """The status of rmmod: 0 if it is gone"""
    return subprocess.run(["rmmod", "mallocpath"], capture_output=True, check=False).returncode


def load(*options):
    subprocess.run(["insmod", module_path(), *options], check=True)


def refused(path, text):
    """The errno of a write, 0 if it was taken."""
    try:
        write(path, text)
    except OSError as error:
        return error.errno
    return 0


def track(pid):
    write(f"{ROOT}/track", str(pid))


def untrack(pid):
    write(f"{ROOT}/track", f"-{pid}")


def status():
    return {row["name"]: row["value"] for row in rows(f"{ROOT}/status")}


def tracked():
    return [int(row["pid"]) for row in rows(f"{ROOT}/track")]


class Vmas:
    """One reading of PID/vmas."""

    def __init__(self, pid):
        self.rows = rows(f"{ROOT}/{pid}/vmas")
        self.gone = next(row for row in self.rows if row["kind"] == "gone")
        self.unplaced = next(row for row in self.rows if row["kind"] == "unplaced")
        self.vmas = [row for row in self.rows if row["start"] != "-"]
        for row in self.vmas:
            row["start"], row["end"] = int(row["start"], 16), int(row["end"], 16)

    def sum(self, field, kinds=("gone", "unplaced", "")):
        """Over all rows"""
        return sum(int(row[field]) for row in self.rows
                   if (row["kind"] if row["kind"] in ("gone", "unplaced") else "") in kinds)

    def rusage(self):
        """What getrusage of the process itself would have grown by"""
        return self.sum("minor") + self.sum("major") - self.sum("foreign")

    def within(self, start, pages, field):
        """Of the rows that lie in the range"""
        return sum(int(row[field]) for row in self.vmas
                   if row["start"] >= start and row["end"] <= start + pages * PAGE)

    def covering(self, addr):
        return next((row for row in self.vmas if row["start"] <= addr < row["end"]), None)


def smaps(pid):
    """(start, end) -> fields in kB"""
    table, fields = {}, None
    for line in read(f"/proc/{pid}/smaps").splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            start, end = (int(word, 16) for word in words[0].split("-"))
            fields = table[start, end] = {"perms": words[1],
                                          "name": words[5] if len(words) > 5 else ""}
        elif words[-1] == "kB":
            fields[words[0][:-1]] = int(words[1])
    return table


def differ_from_smaps(pid):
    """What differs, line by line, as text; and how many lines were compared."""
    true, bad = smaps(pid), []
    ours = {(row["start"], row["end"]): row for row in Vmas(pid).vmas}
    for (start, end), fields in true.items():
        if fields["name"] == "[vsyscall]":  # no VMA of the process
            continue
        row = ours.pop((start, end), None)
        if row is None:
            bad.append(f"{start:#x}-{end:#x} {fields['name']}: no such row")
            continue
        for field, column in (("Rss", "present"), ("Anonymous", "anon"), ("AnonHugePages", "thp"),
                              ("Swap", "swap")):
            if fields[field] != int(row[column]) * 4:
                bad.append(f"{start:#x}-{end:#x} {fields['name']}: {field} {fields[field]} kB, "
                           f"{column} {row[column]} pages")
        nodes = sum(int(row[column]) for column in row if column.startswith("node"))
        if nodes != int(row["present"]):
            bad.append(f"{start:#x}: {nodes} pages on nodes, {row['present']} present")
        if fields["perms"] != row["perms"]:
            bad.append(f"{start:#x}: {row['perms']}, not {fields['perms']}")
    bad += [f"{start:#x}-{end:#x}: a row too many" for start, end in ours]
    return bad, len(true)


def differ_from_pagemap(pid):
    """Page by page: present, PFN. And how many pages were compared."""
    true = {}
    special = {row["start"] for row in Vmas(pid).vmas if row["kind"] == "special"}
    with open(f"/proc/{pid}/pagemap", "rb") as pagemap:
        for (start, end), fields in smaps(pid).items():
            if fields["name"] == "[vsyscall]" or start in special:
                continue
            pagemap.seek(start // PAGE * 8)
            entries = pagemap.read((end - start) // PAGE * 8)
            for i, (entry,) in enumerate(struct.iter_unpack("<Q", entries)):
                if entry >> 63:
                    true[start + i * PAGE] = entry & ((1 << 55) - 1)
    ours = {int(row["addr"], 16): int(row["pfn"]) for row in rows(f"{ROOT}/{pid}/pages")}
    for start, end in ((row["start"], row["end"]) for row in Vmas(pid).vmas
                       if row["kind"] == "special"):
        for addr in range(start, end, PAGE):
            ours.pop(addr, None)
    bad = [f"{addr:#x}: PFN {ours.get(addr)}, pagemap says {true.get(addr)}"
           for addr in sorted(ours.keys() | true.keys()) if ours.get(addr) != true.get(addr)]
    if true and not any(true.values()):
        bad.append("pagemap hides its PFNs")
    return bad, len(true)


def faults(pid):
    """(minor, major) of the process by /proc/PID/stat, which is what getrusage gives"""
    fields = read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()
    return int(fields[7]), int(fields[9])


def wait_for_words(pid):
    """It has answered and stands in read(2) of its stdin: from here on nothing of it faults."""
    wait_until(f"{pid} waits for words", lambda: read(f"/proc/{pid}/syscall").startswith("0 0x0 "))


class Child:
    """tests/kmod/child, told what to do."""

    def __init__(self, tracked_too=True):
        self.process = subprocess.Popen([sys.executable, f"{HERE}/child"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        self.listener = self.pid  # who obeys words: a fork, while it lives
        self.expect("ready")
        self.before = faults(self.pid)
        if tracked_too:
            track(self.pid)

    def expect(self, line):
        answer = self.process.stdout.readline().strip()
        if answer != line:
            raise ValueError(f"child said '{answer}', not '{line}'")
        wait_for_words(self.listener)

    def tell(self, *words):
        self.process.stdin.write(" ".join(hex(w) if isinstance(w, int) and w > 1 << 20 else str(w)
                                          for w in words) + "\n")
        self.process.stdin.flush()

    def do(self, *words):
        self.tell(*words)
        answer = self.process.stdout.readline().strip()
        if not answer or answer.startswith("error"):
            raise ValueError(f"{words}: {answer or 'it died'}")
        if words[0] == "exit":
            self.listener = self.pid
        wait_for_words(self.listener)
        return None if answer == "-" else int(answer, 16)

    def fork(self, addr, pages):
        """The pid of the fork that obeys from now on, until "exit"; it has written to @pages."""
        self.tell("fork", addr, pages)
        self.listener = int(self.process.stdout.readline(), 16)
        wait_for_words(self.listener)
        return self.listener

    def vmas(self):
        return Vmas(self.pid)

    def faults(self):
        """(minor, major) since it was tracked, by the kernel's own count"""
        now = faults(self.pid)
        return now[0] - self.before[0], now[1] - self.before[1]

    def end(self):
        self.process.kill()
        self.process.wait()
        wait_until(f"the directory of {self.pid} goes",
                   lambda: not os.path.exists(f"{ROOT}/{self.pid}"))
