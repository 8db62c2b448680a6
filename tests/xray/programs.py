# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs to be looked at, on any glibc that scripts/glibcs has, and what the kernel says of them."""
import json
import os
import re
import struct
import subprocess
import xml.etree.ElementTree as ElementTree

import harness

GLIBCS = os.path.join(harness.TOP, "scripts/glibcs")
SOURCES = os.path.join(harness.TOP, "tests/workload")
PAGE = 4096


def glibcs():
    return subprocess.run([GLIBCS, "list"], check=True, stdout=subprocess.PIPE,
                          text=True).stdout.split()


def build(version, where, name="heap"):
    """A workload linked with that glibc itself: what is linked with a later one needs that."""
    directory = subprocess.run([GLIBCS, "dir", version], check=True, stdout=subprocess.PIPE,
                               text=True).stdout.strip()
    lib = os.path.join(directory, "lib")
    program = os.path.join(where, f"{name}-{version}")
    subprocess.run(["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-pthread", "-nodefaultlibs",
                    "-fno-builtin", "-o", program, os.path.join(SOURCES, f"{name}.c"), f"{lib}/libc.so.6",
                    f"{lib}/libpthread.so.0", f"{lib}/ld-linux-x86-64.so.2", "-lgcc"], check=True)
    return [os.path.join(lib, "ld.so"), "--library-path", lib, program]


class Heap:
    """One run of the workload, at its "ready"."""

    def __init__(self, command, where, mode, *args, **how):
        self.truth_path = os.path.join(where, "truth")
        self.info_path = os.path.join(where, "info")
        for path in (self.truth_path, self.info_path):
            if os.path.exists(path):
                os.unlink(path)
        self.child = subprocess.Popen(command + [self.truth_path, self.info_path, mode] +
                                      [str(arg) for arg in args], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True, **how)
        self.pid = self.child.pid
        self.expect("ready")

    def expect(self, word):
        line = self.child.stdout.readline().strip()
        if line != word:
            raise harness.Hang(f"the workload said '{line}', not '{word}'")

    def trim(self):
        self.child.stdin.write("trim\n")
        self.child.stdin.flush()
        self.expect("trimmed")

    def truth(self):
        with open(self.truth_path, encoding="ascii") as file:
            words = (line.split() for line in file)
            return {int(addr, 16): int(usable) for addr, usable in words}

    def info(self):
        return ElementTree.parse(self.info_path).getroot()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()
        self.child.stdin.close()
        self.child.stdout.close()


def xray(pid, *args, tool=harness.TOOL, **how):
    """The report of @pid and the exit status; no report if there is none."""
    done = subprocess.run([tool, "xray", "-p", str(pid), "--view", "json", *args], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=harness.PATIENCE, **how)
    report = json.loads(done.stdout)["processes"][0] if done.returncode == 0 else None
    return report, done


def vma_rss(pid, key="Rss"):
    """(start, end) -> Rss of each mapping, or another number of its own."""
    result, now = {}, None
    with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as smaps:
        for line in smaps:
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line)
            if found:
                now = int(found[1], 16), int(found[2], 16)
            elif line.startswith(f"{key}:"):
                result[now] = int(line.split()[1]) * 1024
    return result


def present_pages(pid, vmas):
    """How many page table entries each has: the zero page is one too, though it is not in Rss."""
    with open(f"/proc/{pid}/pagemap", "rb", 0) as pagemap:
        return {vma: sum(entry >> 63 for entry in struct.unpack(
            f"<{(vma[1] - vma[0]) // PAGE}Q",
            os.pread(pagemap.fileno(), (vma[1] - vma[0]) // PAGE * 8, vma[0] // PAGE * 8)))
                for vma in vmas}
