# SPDX-License-Identifier: GPL-2.0-or-later
"""
A process forks, and both go on: redis-server saving in the background while it is written to;
python, whose child looks at what it has inherited. At a standstill of both the pages that were copied
are counted three ways, which are equal: by the frames in both pagemaps, by the private memory in both
smaps, and by the events.
"""
import array
import bisect
import collections
import os
import re
import signal
import socket
import struct
import subprocess
import time

import harness
from harness import Tool, wait_until
from server import Redis

PAGE = 4096
KEYS, VALUE = 6000, 5000  # the values that are written to while they are saved
# /proc/PID/pagemap and /proc/kpageflags
PRESENT, SWAPPED, OF_FILE, EXCLUSIVE, PFN = 1 << 63, 1 << 62, 1 << 61, 1 << 56, (1 << 55) - 1
IS_ZERO_PAGE = 1 << 24


class Vma:
    """One mapping of smaps; sizes in bytes."""

    def __init__(self, line):
        span, self.perms, _, _, inode, *name = line.split(None, 5)
        self.start, self.end = (int(word, 16) for word in span.split("-"))
        self.name = name[0].strip() if name else ""
        self.sizes = {}
        self.private = self.perms[3] == "p" and self.perms[2] != "x" and \
            self.name not in ("[vvar]", "[vvar_vclock]", "[vdso]", "[vsyscall]")
        self.anonymous = self.private and inode == "0"

    def sum(self, *names):
        return sum(self.sizes[name] for name in names)


def smaps(pid):
    vmas = []
    with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as file:
        for line in file:
            name, *words = line.split()
            if not name.endswith(":"):
                vmas.append(Vma(line))
            elif words[-1:] == ["kB"]:
                vmas[-1].sizes[name[:-1]] = int(words[0]) * 1024
    return vmas


class Space:
    """
    What the kernel says of a process that stands still: {address: (PFN, mapped here only)} of the
    anonymous pages of its private mappings without code (probes put pages into code).
    """

    def __init__(self, pid):
        self.pid, self.vmas = pid, smaps(pid)
        self.pages, self.elsewhere = {}, []
        self.originals = set()  # the zero page, and pages of files: writing copies them
        with open(f"/proc/{pid}/pagemap", "rb", 0) as pagemap, \
                open("/proc/kpageflags", "rb", 0) as self.flags:
            for vma in self.vmas:
                if vma.private:
                    self.read(pagemap, vma)

    def read(self, pagemap, vma):
        entries = array.array("Q", os.pread(pagemap.fileno(), (vma.end - vma.start) // PAGE * 8,
                                            vma.start // PAGE * 8))
        for i, entry in enumerate(entries):
            addr, pfn = vma.start + i * PAGE, entry & PFN
            if entry & SWAPPED or entry & PRESENT and not pfn:
                self.elsewhere.append(addr)
            elif entry & PRESENT and (entry & OF_FILE or self.is_zero(pfn)):
                self.originals.add(addr)
            elif entry & PRESENT:
                self.pages[addr] = (pfn, bool(entry & EXCLUSIVE))

    def is_zero(self, pfn):
        return struct.unpack("Q", os.pread(self.flags.fileno(), 8, pfn * 8))[0] & IS_ZERO_PAGE

    def pfn(self, addr):
        return self.pages[addr][0]

    def anonymous(self, addr):
        return any(vma.anonymous and vma.start <= addr < vma.end for vma in self.vmas)

    def sum(self, *names):
        return sum(vma.sum(*names) for vma in self.vmas if vma.anonymous)


def stop(pid):
    """Until every thread of it is."""
    os.kill(pid, signal.SIGSTOP)

    def all_stopped():
        for tid in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{tid}/stat", encoding="utf-8", errors="replace") as file:
                if file.read().rsplit(")", 1)[1].split()[0] not in "Tt":
                    return False
        return True
    wait_until(f"{pid} stands still", all_stopped)


def go_on(pid):
    os.kill(pid, signal.SIGCONT)


def children(pid):
    found = []
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/children", encoding="ascii") as file:
            found += [int(word) for word in file.read().split()]
    return found


class Traced:
    """mallocpath -f -p PID, asked for reports"""

    def __init__(self, pid, where):
        self.out = os.path.join(where, "report.json")
        self.tool = Tool(["-f", "--view", "json", "--pages", "--blocks", "-o", self.out, "-p",
                          str(pid)], where).wait_tracing()

    def now(self):
        return self.tool.report_now(self.out)

    def end(self, tap, name):
        status = self.tool.finish(signal.SIGINT)
        tap.check(status == 0, f"{name}: mallocpath ends with 0", self.tool.stderr())


class Told:
    """One process of a report: its rows of the pages that Space has"""

    def __init__(self, report, space, before=None, since_ns=0):
        """@before: the parent's Space at @since_ns, before the fork"""
        self.process = next(p for p in report["processes"] if p["pid"] == space.pid)
        spans = [(vma.start, vma.end) for vma in space.vmas if vma.private]
        self.rows = {}
        for row in self.process["pages"]:
            addr = int(row["addr"], 0)
            if row["state"] in ("present", "shared_cow") and \
                    any(start <= addr < end for start, end in spans):
                self.rows[addr] = row
        since = {addr for addr, row in self.rows.items() if row["t_ns"] > since_ns}
        # what was not there yet is no copy of it: a zero page came first
        there = before.pages.keys() | before.originals if before else set()
        self.copied = {addr for addr in since & there if self.rows[addr]["kind"] == "cow"}
        self.new = since - self.copied

    def new_beside(self, other):
        """A page from before the fork came at the same instant in both."""
        return {addr for addr in self.new if addr not in other.rows or
                other.rows[addr]["t_ns"] != self.rows[addr]["t_ns"]}


def differ(ours, true):
    """A few of the addresses in which two sets or dicts differ"""
    ours, true = (thing.items() if isinstance(thing, dict) else thing for thing in (ours, true))
    return [f"{what}, {len(items)}: {sorted(items)[:5]}" for what, items in
            (("told only", set(ours) - set(true)), ("true only", set(true) - set(ours))) if items]


class Copies:
    """The pages that parent and child no longer share, at a standstill of both."""

    def __init__(self, before, parent, child, report, since_ns):
        """@before: the parent's Space when it last stood still before the fork"""
        self.before, self.parent, self.child = before, parent, child
        self.told = {space: Told(report, space, before, since_ns) for space in (parent, child)}

    def by_frames(self, space):
        was = self.before
        return {addr for addr, (pfn, _) in space.pages.items() if addr in was.originals or
                addr in was.pages and pfn != was.pfn(addr)}

    def child_has(self, addr):
        """Still the page from before the fork"""
        return self.child.pages.get(addr, (None,))[0] == self.before.pfn(addr)

    def unclear(self):
        """Came after @before, and differ: whether they were ever shared do the frames not tell."""
        return [addr for addr in self.parent.pages.keys() & self.child.pages.keys()
                if addr not in self.before.pages and
                self.parent.pfn(addr) != self.child.pfn(addr)]

    def private(self, space):
        """Bytes that by the events only that process maps, in anonymous mappings"""
        rows = self.told[space].rows
        return sum(PAGE for addr, row in rows.items()
                   if row["state"] == "present" and space.anonymous(addr))

    def check(self, tap, name):
        for who, space in (("parent", self.parent), ("child", self.child)):
            told = self.told[space]
            tap.check(not space.elsewhere, f"{name}: {who}: all is in memory", space.elsewhere[:5])
            wrong = differ({addr: row["pfn"] for addr, row in told.rows.items()},
                           {addr: pfn for addr, (pfn, _) in space.pages.items()})
            tap.check(not wrong, f"{name}: {who}: {len(space.pages)} pages and their frames are "
                      "those of pagemap", wrong)
            wrong = differ({addr for addr, row in told.rows.items() if row["state"] == "present"},
                           {addr for addr, (_, alone) in space.pages.items() if alone})
            tap.check(not wrong, f"{name}: {who}: shared are those that pagemap calls shared",
                      wrong)
            true = self.by_frames(space)
            wrong = differ(told.copied, true)
            tap.check(not wrong, f"{name}: {who}: copied are the {len(true)} pages that have got "
                      "another frame", wrong)
            smaps_private = space.sum("Private_Dirty", "Private_Clean")
            tap.check(self.private(space) == smaps_private, f"{name}: {who}: smaps has "
                      f"{smaps_private} private bytes, and so have the events", self.private(space))
        unclear, copied = self.unclear(), sum(len(told.copied) for told in self.told.values())
        tap.check(len(unclear) < 0.01 * copied, f"{name}: of {copied} copies it is clear whose "
                  f"they are, of {len(unclear)} pages not", unclear)
        self.check_sum(tap, name)

    def check_sum(self, tap, name):
        """By smaps alone: what one of them has copied is private to both."""
        mine, its = self.told[self.parent], self.told[self.child]
        new = mine.new_beside(its) | its.new_beside(mine)
        for who, space, told, other in (("parent", self.parent, mine, its),
                                        ("child", self.child, its, mine)):
            here = {addr for addr in told.rows if space.anonymous(addr)}
            alone = here - other.rows.keys() | here & new
            copied = (mine.copied | its.copied) & here - alone
            by_smaps = space.sum("Private_Dirty", "Private_Clean") - PAGE * len(alone)
            tap.check(by_smaps == PAGE * len(copied) > 0,
                      f"{name}: {who}: by smaps {by_smaps} bytes of it are copies; {len(alone)} "
                      "pages the other never had, or not any more",
                      f"the events have {PAGE * len(copied)}")


class Link:
    """One connection for all commands, so that redis-server keeps nothing new for another."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), harness.PATIENCE)
        self.answers = self.socket.makefile("rb")

    def ask(self, *commands):
        self.socket.sendall(b"".join(command + b"\r\n" for command in commands))
        return [self.answer() for _ in commands]

    def answer(self):
        line = self.answers.readline().rstrip()
        if not line or line[:1] == b"-":
            raise harness.Hang(f"redis-server says {line}")
        if line[:1] == b"$":
            return self.answers.read(int(line[1:]) + 2)
        return line


def strings_at(pid, link, keys):
    """Where the values lie: DEBUG OBJECT tells where the object is, whose second word tells it."""
    found = []
    told = link.ask(*(b"DEBUG OBJECT value:%d" % key for key in keys))
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in told:
            addr = int(re.search(rb" at:0x([0-9a-f]+) ", line).group(1), 16)
            found.append(struct.unpack("Q", os.pread(memory.fileno(), 8, addr + 8))[0])
    return found


def check_sites(tap, copies, report, touched):
    """
    Every page that was written to was copied by the parent, under a block of the call that made the
    values; but the child gives up what it has saved, and what it has copied is not copied again.
    """
    told = copies.told[copies.parent]
    touched = [addr for addr in touched if copies.child_has(addr // PAGE * PAGE)]
    sites = {site["id"]: site for site in report["sites"]}
    blocks = sorted((int(row["addr"], 0), row) for row in told.process["blocks"])
    starts = [addr for addr, _ in blocks]
    bad, by_site = [], collections.Counter()
    for addr in touched:
        if addr // PAGE * PAGE not in told.copied:
            bad.append(f"{addr:#x}: its page was not copied")
            continue
        start, block = blocks[bisect.bisect_right(starts, addr) - 1]
        names = [frame["function"] for frame in sites[block["site"]]["frames"]] \
            if block["site"] else []
        if addr >= start + block["requested"] or "setrangeCommand" not in names:
            bad.append(f"{addr:#x}: in {block} by {names}")
    tap.check(not bad and len(touched) > 500,
              f"bgsave: the pages of {len(touched)} bytes that were written to are copied, and belong "
              "to the call that made the values", bad[:8])
    for addr in told.copied:
        by_site[told.rows[addr]["site"]] += 1
    for ident, nr in by_site.most_common(6):
        frames = [frame["function"] for frame in sites[ident]["frames"]] if ident else ["nobody's"]
        tap.note(f"bgsave: {nr:5} pages copied of {' < '.join(map(str, frames[:6]))}")
    # the rest: .data, and what was there before the tracer
    rows = [told.rows[addr] for addr in told.copied]
    known = sum(row["site"] is not None for row in rows)
    tap.check(known >= 0.9 * len(rows) and
              not any(row["block"] and row["site"] is None for row in rows),
              f"bgsave: of {len(rows)} pages that the parent copied {known} have a site, and all "
              "that are under a block")


def fork_of_server(server, link, where):
    """BGSAVE: the child, which stands still before it is far"""
    pid = server.server.pid
    link.ask(b"BGSAVE")
    child = wait_until("redis-server's child", lambda: children(pid))[0]
    wait_until("its file", lambda: os.path.exists(os.path.join(where, f"temp-{child}.rdb")))
    stop(child)
    return child


def saved(tap, link, digest):
    """The child's file has what was there when it was forked."""
    wait_until("the child is done", lambda: b"rdb_bgsave_in_progress:0" in
               link.ask(b"INFO persistence")[0])
    tap.check(b"rdb_last_bgsave_status:ok" in link.ask(b"INFO persistence")[0],
              "bgsave: the save ends well")
    link.ask(b"DEBUG RELOAD NOSAVE")
    now = link.ask(b"DEBUG DIGEST")
    tap.check(now == digest and len(digest[0]) == 41, "bgsave: what was saved is what was there",
              f"{now} {digest}")


def check_alone(tap, name, pid, traced):
    """The child is gone: what was not copied is the parent's alone again."""
    stop(pid)
    report, space = traced.now(), Space(pid)
    shared = [addr for addr, row in Told(report, space).rows.items()
              if row["state"] == "shared_cow"]
    true = [addr for addr, (_, alone) in space.pages.items() if not alone]
    tap.check(not shared and not true, f"{name}: after the child nothing is shared any more",
              f"{len(shared)} {len(true)}")
    go_on(pid)


def bgsave(tap):
    where = harness.scratch("bgsave")
    # What jemalloc gives back after some seconds could come back in another frame without a copy.
    os.environ["MALLOC_CONF"] = "dirty_decay_ms:-1,muzzy_decay_ms:-1"
    server = Redis(where)
    del os.environ["MALLOC_CONF"]
    pid = server.server.pid
    try:
        traced = Traced(pid, where)
        server.load(0, 20000)
        link = Link(server.port)
        link.ask(*(b"SETRANGE value:%d 0 " % key + b"v" * VALUE for key in range(KEYS)))
        link.ask(b"BGSAVE")  # what the first save asks for is there at the second
        wait_until("the first save", lambda: b"rdb_bgsave_in_progress:0" in
                   link.ask(b"INFO persistence")[0])
        link.ask(b"CONFIG SET rdb-key-save-delay 200")  # us, so that it does not end too early
        digest = link.ask(b"DEBUG DIGEST")
        written = range(0, KEYS, 5)
        touched = [addr + key % VALUE for addr, key in zip(strings_at(pid, link, written), written)]
        stop(pid)
        since_ns, before = time.monotonic_ns(), Space(pid)
        go_on(pid)
        child = fork_of_server(server, link, where)
        link.ask(*(b"SETRANGE value:%d %d x" % (key, key % VALUE) for key in written))
        server.load(20000, 25000)
        stop(pid)
        report = traced.now()
        copies = Copies(before, Space(pid), Space(child), report, since_ns)
        copies.check(tap, "bgsave")
        check_sites(tap, copies, report, touched)
        go_on(pid)
        go_on(child)
        saved(tap, link, digest)
        check_alone(tap, "bgsave", pid, traced)
        traced.end(tap, "bgsave")
    finally:
        go_on(pid)
        tap.check(server.stop() == 0, "bgsave: the server ends well")


PYTHON = """
import ctypes, os, signal, sys
assert ctypes.CDLL(None).prctl(41, 1, 0, 0, 0) == 0  # PR_SET_THP_DISABLE
print("running", flush=True)
sys.stdin.readline()
rows = [[i, bytearray(3000 + i % 3000), str(i)] for i in range(8000)]
print("built", flush=True)
sys.stdin.readline()
child = os.fork()
if not child:
    total = sum(row[0] + row[1][7] + len(row[2]) for row in rows[::3])  # counts references
    os.write(1, b"looked\\n")
    signal.pause()
sys.stdin.readline()
for row in rows[1000:6000]:
    row[1][row[0] % 3000] = 1
print("written", flush=True)
sys.stdin.readline()
os.kill(child, signal.SIGKILL)
print(os.waitpid(child, 0)[1], sum(sum(row[1]) for row in rows), flush=True)
"""


def python_step(process, word, told):
    """Says a line to it and hears the one that must follow."""
    process.stdin.write(word)
    process.stdin.flush()
    line = process.stdout.readline()
    if line != told:
        raise harness.Hang(f"'{told}' was to come, not '{line}'")


def forked(tap):
    where = harness.scratch("forked")
    process = subprocess.Popen(["/usr/bin/python3", "-c", PYTHON], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    try:
        python_step(process, "", "running\n")
        traced = Traced(process.pid, where)
        python_step(process, "go\n", "built\n")
        stop(process.pid)
        since_ns, before = time.monotonic_ns(), Space(process.pid)
        go_on(process.pid)
        python_step(process, "fork\n", "looked\n")
        child = children(process.pid)[0]
        stop(child)
        python_step(process, "write\n", "written\n")
        stop(process.pid)
        report = traced.now()
        Copies(before, Space(process.pid), Space(child), report, since_ns).check(tap, "forked")
        go_on(process.pid)
        go_on(child)
        python_step(process, "end\n", "9 5000\n")
        check_alone(tap, "forked", process.pid, traced)
        traced.end(tap, "forked")
    finally:
        process.kill()
        process.wait()
