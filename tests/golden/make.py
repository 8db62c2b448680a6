#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes small traces, byte by byte as docs/FORMAT.md has them: a second writer of the format.

usage: make.py DIRECTORY

The numbers a report of each must show are said beside it, and checked by tests/golden/run.
"""
import os
import struct
import sys

PAGE = 4096
MIB = 1 << 20
PRESENT, ANON, ZERO, HUGE = 1 << 63, 1 << 62, 1 << 61, 1 << 59
UNREAD = (1 << 64) - 1
(GAP, ALLOC, FREE, REALLOC, REALLOC_DONE, FAULT, PAGES, PAGE_FREE, RANGE, FORK, EXEC, EXIT, STACK,
 THRESHOLD, OOM, NEW_HEAP, STALL) = range(1, 18)
(HOST, PROC, MAPS, MAP, ALLOCATOR, PROBE, INSTANT, LOSS, COST) = range(32, 41)
REFUSAL = 20
HEAP_KNOWN, CGROUP, SYSTEM = 43, 44, 47
(XRAY, ARENA, PART, PART_PAGES, CHUNKS) = range(48, 53)
BEGINS, DONE = 1, 2
LIVE, CACHED, FREED, TOP_CHUNK, OWN = 1 << 60, 2 << 60, 4 << 60, 5 << 60, 6 << 60
SNAPSHOT, CERTAIN = 1 << 4, 2 << 4
TCACHE, TOP, MMAPPED, BINS = 1, 6, 9, 12
MALLOC, CALLOC, REALLOC_FN, FREE_FN = 1, 2, 3, 11
WRITE, WALKED, IS_PRESENT, IS_ANON, IS_ZERO = 1, 1 << 5, 1 << 6, 1 << 7, 1 << 8
IN_ALLOC, TIMED, FROM_ALLOC, KIND_KNOWN = 1 << 10, 1 << 11, 1 << 12, 1 << 13
BRK, MMAP, MUNMAP, MREMAP, MADVISE = 1, 2, 3, 4, 5
DONTNEED, MADV_FREE = 4, 8
PROT, SWAPIN = 1 << 1, 1 << 15
SWAP, MOVED = 1 << 60, 8
GOES_ON, WHOLE, NO_RULE = 0, 1, 7
EXACT = 1 << 63
KERNEL = 1 << 3
RECLAIM_TOLD, FULL_CGROUP = 1, 3


def text(s, size=None):
    """NUL terminated, padded to @size or to a multiple of 8"""
    b = s.encode() + b"\0"
    return b.ljust(size if size else (len(b) + 7) // 8 * 8, b"\0")


class Trace:
    def __init__(self, tgid=4242):
        self.bytes = b"MPTRACE\n" + struct.pack("=IIQQ", 1, 0x01020304, 10**18, 0)
        self.now = 1000000
        self.tgid = tgid

    def event(self, kind, body, tid=None, tgid=None):
        self.now += 1000
        tgid = self.tgid if tgid is None else tgid
        head = struct.pack("=HHIQII", kind, 24 + len(body), 0, self.now, tgid, tgid if tid is None else tid)
        assert len(body) % 8 == 0
        self.bytes += head + body

    def host(self, waits=0):
        """@waits: what is seen of them; 0 in files from before STALL"""
        self.event(HOST, struct.pack("=4IHHI", 4096, 3, 1, 1, 0, waits, 2) + text("6.18.0-test", 64) +
                   struct.pack("=Q", 0), 0, 0)

    def proc(self, comm, *argv, launched=1):
        line = b"".join(a.encode() + b"\0" for a in argv)
        padded = line.ljust((len(line) + 7) // 8 * 8, b"\0")
        self.event(PROC, text(comm, 16) + struct.pack("=II", launched, len(line)) + padded, 0)

    def maps(self, rss, rows):
        """rows: (start, end, perms, kind, name, rss, anon)"""
        self.event(MAPS, struct.pack("=IIQQQ", len(rows), 1, rss, 0, self.now), 0)
        for start, end, perms, kind, name, vma_rss, anon in rows:
            ino = 77 if kind == 4 else 0
            self.event(MAP, struct.pack("=QQQQIIQQQBBHI", start, end, 0, ino, 8 if ino else 0, 1 if ino else 0,
                                        vma_rss, anon, 0, perms, kind, len(name.encode()), 0) + text(name), 0)

    def allocator(self):
        self.event(ALLOCATOR, struct.pack("=HHI", 0, 1, 4) + b"\xde\xad\xbe\xef".ljust(32, b"\0") +
                   text("2.36", 32) + text("/lib/libc.so.6"), 0)
        self.event(PROBE, struct.pack("=HBBIQQ", 0, 1, MALLOC, 4, 0x9a0c4, 3) + text("malloc", 64), 0)

    def alloc(self, addr, requested, caller, fn=MALLOC, chunk=0, stack=0, tiered=0):
        self.event(ALLOC, struct.pack("=QQQQIHBB", addr, requested, chunk, caller, stack, 0, fn, tiered))

    def heap_known(self, arena, why="", arenas=0):
        self.event(HEAP_KNOWN, struct.pack("=QQQII", arena, 131072, 131072, 0, arenas) + text(why), 0)

    def new_heap(self, heap, arena, caller, first, tid):
        self.event(NEW_HEAP, struct.pack("=QQQIBBH", heap, arena, caller, 0, first, MALLOC, 0), tid)

    def cgroup(self, *numbers, path="/box"):
        """@numbers: limit, usage, peak; hits, ooms, kills"""
        self.event(CGROUP, struct.pack("=6QII", *numbers, 2, 0) + text(path), 0)

    def threshold(self, addr, caller, before, after):
        self.event(THRESHOLD, struct.pack("=6QII", addr, caller, before, after, 2 * before, 2 * after, 0, 0))

    def stack(self, ident, *pcs, prev=0, end=WHOLE):
        """@pcs: outermost first"""
        body = struct.pack("=IIBB6x", ident, prev, len(pcs), GOES_ON if prev else end)
        self.event(STACK, body + struct.pack("=7Q", *(list(pcs) + [0] * (7 - len(pcs)))))

    def free(self, addr, caller=0x401500):
        self.event(FREE, struct.pack("=QQIHBB", addr, caller, 0, 0, FREE_FN, 0))

    def stall(self, addr, reclaim=(0, 0), memcg=(0, 0), compact=(0, 0), wakes=0, unmet=0):
        """Each of the first three: how often, and ns"""
        self.event(STALL, struct.pack("=QQIIQQQIIIIBB6x", addr, 0, 0, WRITE | TIMED, reclaim[1], memcg[1],
                                      compact[1], reclaim[0], memcg[0], compact[0], wakes, 0, unmet))

    def realloc(self, old, addr, requested, caller):
        self.event(REALLOC, struct.pack("=QQIHBB", old, caller, 0, 0, REALLOC_FN, 0))
        self.event(REALLOC_DONE, struct.pack("=QQQQIHBBQ", addr, requested, 0, caller, 0, 0, REALLOC_FN, 0, old))

    def fault(self, addr, pfn, ip, more=0, ns=1000, caller=0, stack=0, syscall=-1):
        """@caller: the fault happened inside malloc, called from there"""
        flags = WRITE | WALKED | IS_PRESENT | IS_ANON | KIND_KNOWN | TIMED | FROM_ALLOC | more
        if more & IS_ZERO:
            flags &= ~(WRITE | IS_ANON | FROM_ALLOC)
        flags |= IN_ALLOC if caller else 0
        self.event(FAULT, struct.pack("=QQQQIIIIIHBBhBBIB7x", addr, ip, pfn, caller, ns, ns // 4, flags, 0x140dca,
                                      stack, 0, 2, 0, syscall, MALLOC if caller else 0, 1, 0, 0))

    def pages(self, addr, entries, source, nr=None, order=0, caller=0):
        contig = nr is not None
        self.event(PAGES, struct.pack("=QQIBBBBQ", addr, self.now, nr if contig else len(entries), source,
                                      int(contig), order, 0, caller) + struct.pack("=%dQ" % len(entries), *entries))

    def range(self, op, addr, length, ret, caller, in_fn=0, old=0, prot=3, flags=0x22, stack=0,
              old_len=0, entered=None):
        self.event(RANGE, struct.pack("=QQQqQQQIIIBBH", entered or self.now, addr, length, ret, old, old_len, caller,
                                      prot, flags, stack, op, in_fn, 0))

    def refusal(self, op, length, error, caller, in_fn=0, limit_as=UNREAD, limit_data=UNREAD, mappings=10):
        """Of 100 pages, 50 of them data; and the event of the same call after it."""
        last = self.bytes
        self.range(op, 0, length, -error, caller, in_fn)
        told = self.bytes[len(last) + 24:]
        self.bytes = last
        self.event(REFUSAL, told + struct.pack("=11QII", 100, 50, 0, HEAP, HEAP, 0, limit_as, limit_data, UNREAD,
                                               UNREAD, UNREAD, mappings, 0))
        self.range(op, 0, length, -error, caller, in_fn)

    def system(self):
        """No overcommit beyond 4 GiB of RAM and 1 of swap; 1000 mappings"""
        self.event(SYSTEM, struct.pack("=5QII", 2 << 30, 4 << 30, 1 << 30, 8 * MIB, 128 * MIB, 0, 1000), 0, 0)

    def xray(self, phase):
        self.event(XRAY, struct.pack("=6Q4IQ", self.now, self.now + 500, 131072, 131072, 0, 0, phase, 0, 1, 1,
                                     PAGE), 0)

    def heap(self, start, end, *chunks):
        """@chunks: sizes with their states; they tile [start, end), which is in memory from end to end"""
        assert sum(chunk & (1 << 60) - 1 for chunk in chunks) == end - start
        self.event(ARENA, struct.pack("=3Q4I", 0x7F1000100000, end - PAGE, end - start, 0, 1, 1, 0), 0)
        for phase in (BEGINS, DONE):
            self.event(PART, struct.pack("=QQQIBBBB", start, end, 0, 0, phase, 1, 0, 0), 0)
            if phase == BEGINS:
                self.event(PART_PAGES, struct.pack("=QQBB6x", start, (end - start) // PAGE, 1, 0), 0)
                self.event(CHUNKS, struct.pack("=QII%dQ" % len(chunks), start, len(chunks), 0, *chunks), 0)

    def page_free(self, pfn, order=0):
        self.event(PAGE_FREE, struct.pack("=QII", pfn, order, 0))

    def loss(self, **dropped):
        counts = [dropped.get("r%d" % i, 0) for i in range(16)]
        self.event(LOSS, struct.pack("=17Q", *counts, 0), 0)

    def cost(self, events):
        self.event(COST, struct.pack("=8Q", events, 12, 24000, 10**9, 5 * 10**6, 3 * MIB, 6, 0), 0)

    def instant(self, at=1):
        self.event(INSTANT, struct.pack("=II", at, 0), 0)


HEAP, BIG, TEXT = 0x1000000, 0x7F0020000000, 0x400000
SMALL_SITE, BIG_SITE, TOUCHER = TEXT + 0x1234, TEXT + 0x1300, TEXT + 0x1400
IN_LIBC = 0x7F1000001000


def vmas(heap_pages, big_pages):
    rows = [(TEXT, TEXT + 2 * PAGE, 5, 4, "/usr/local/bin/lazy", 2 * PAGE, 0),
            (HEAP, HEAP + 33 * PAGE, 3, 2, "[heap]", heap_pages * PAGE, heap_pages * PAGE),
            (BIG, BIG + 25601 * PAGE, 3, 1, "", big_pages * PAGE, big_pages * PAGE)]
    return (2 + heap_pages + big_pages) * PAGE, rows


def lazy():
    """100 MiB by mmap of which 3 pages are touched, one of them as zero page, and 2 blocks of
    1000 bytes by brk on one touched page, one of them freed.

    Rss 20480 = block (1000 + 8176) + the rest of the 3 pages 3112 + file 8192
    """
    t = Trace()
    t.host()
    t.proc("lazy", "/usr/local/bin/lazy", "100")
    t.maps(2 * PAGE, [vmas(0, 0)[1][0]])
    t.allocator()
    t.range(BRK, HEAP + 33 * PAGE, 0, HEAP + 33 * PAGE, SMALL_SITE, MALLOC, old=HEAP)
    t.fault(HEAP + 0x298, 0x100, IN_LIBC, caller=SMALL_SITE)
    t.alloc(HEAP + 0x2A0, 1000, SMALL_SITE, chunk=1009)
    t.alloc(HEAP + 0x690, 1000, SMALL_SITE, chunk=1009)
    t.free(HEAP + 0x690)
    t.range(MMAP, 0, 25601 * PAGE, BIG, BIG_SITE, MALLOC, old=UNREAD)
    t.fault(BIG + 8, 0x200, IN_LIBC, caller=BIG_SITE)
    t.alloc(BIG + 16, 100 * MIB, BIG_SITE, chunk=25601 * PAGE | 2)
    t.fault(BIG + 5 * PAGE, 0x201, TOUCHER, ns=3000)
    t.fault(BIG + 7 * PAGE, 0x1, TOUCHER, IS_ZERO)
    rss, rows = vmas(1, 2)
    t.maps(rss, rows)
    t.loss()
    t.cost(20)
    t.instant()
    return t.bytes


def attached():
    """Attached while running: one page was there, one came later, blocks move, pages go, one
    event was lost."""
    t = Trace()
    t.host()
    t.proc("lazy", "/usr/local/bin/lazy", launched=0)
    rss, rows = vmas(2, 0)
    t.maps(rss, rows)
    t.pages(HEAP, [PRESENT | ANON | 0x300, 0, PRESENT | ANON | 0x301], 3)
    t.allocator()
    t.free(HEAP + 0x2A0)
    t.alloc(HEAP + PAGE + 0x10, 3 * PAGE, SMALL_SITE, CALLOC)
    t.fault(HEAP + PAGE + 0x10, 0x400, TOUCHER)
    t.realloc(HEAP + PAGE + 0x10, HEAP + 8 * PAGE, 5000, BIG_SITE)
    t.pages(HEAP + 8 * PAGE, [PRESENT | ANON | 0x500], 2, nr=2)
    t.event(GAP, struct.pack("=QII", 1, 0, 0))
    t.page_free(0x400)
    rss, rows = vmas(4, 0)
    t.maps(rss, rows)
    t.loss(r0=1)
    t.cost(12)
    t.instant()
    return t.bytes


def forked():
    """A followed child that touches its own copy and ends, and one exec."""
    t = Trace()
    t.host()
    t.proc("lazy", "/usr/local/bin/lazy")
    t.maps(2 * PAGE, [vmas(0, 0)[1][0]])
    t.range(BRK, HEAP + 33 * PAGE, 0, HEAP + 33 * PAGE, SMALL_SITE, MALLOC, old=HEAP)
    t.alloc(HEAP + 16, 2 * PAGE - 16, SMALL_SITE)
    t.fault(HEAP + 16, 0x100, TOUCHER)
    t.fault(HEAP + PAGE, 0x101, TOUCHER)
    t.event(FORK, struct.pack("=II", 4300, 1))
    child = Trace(4300)
    child.bytes, child.now = b"", t.now
    child.fault(HEAP + 16, 0x102, TOUCHER, 2)
    child.event(EXEC, text("other", 16))
    child.proc("other", "/bin/other")
    child.event(EXIT, struct.pack("=4qIiQ", 10, 20, 0, 0, 1, 0, 1000))
    t.bytes += child.bytes
    t.now = child.now
    rss, rows = vmas(2, 0)
    t.maps(rss, rows)
    t.loss()
    t.instant()
    return t.bytes


def stacked():
    """Two ways to one malloc, 1000 and 500 bytes, on a page touched inside malloc on the first; a
    third whose stack is cut off; a page that read(2) touched; a stack that was never told."""
    t = Trace()
    main, wrapper, other = TEXT + 0x1500, TEXT + 0x1600, TEXT + 0x1700
    t.host()
    t.proc("lazy", "/usr/local/bin/lazy")
    t.maps(2 * PAGE, [vmas(0, 0)[1][0]])
    t.allocator()
    t.stack(1, IN_LIBC, main)
    t.stack(2, wrapper, SMALL_SITE, prev=1)
    t.stack(3, other, SMALL_SITE, prev=1)
    t.stack(4, wrapper, SMALL_SITE, IN_LIBC + 64 | EXACT, prev=1)
    t.stack(5, IN_LIBC + 128 | EXACT, prev=1)
    t.stack(6, BIG_SITE, end=NO_RULE)
    t.range(BRK, HEAP + 33 * PAGE, 0, HEAP + 33 * PAGE, SMALL_SITE, MALLOC, old=HEAP, stack=2)
    t.fault(HEAP + 0x298, 0x100, IN_LIBC + 64, caller=SMALL_SITE, stack=4)
    t.alloc(HEAP + 0x2A0, 1000, SMALL_SITE, chunk=1009, stack=2)
    t.alloc(HEAP + 0x690, 500, SMALL_SITE, chunk=513, stack=3)
    t.alloc(HEAP + 0x890, 3 * PAGE, BIG_SITE, chunk=3 * PAGE + 17, stack=6)
    t.fault(HEAP + PAGE, 0x101, IN_LIBC + 128, KERNEL, stack=5, syscall=0)
    t.alloc(HEAP + 8 * PAGE, 100, other, chunk=113, stack=99)
    rss, rows = vmas(2, 0)
    t.maps(rss, rows)
    t.loss()
    t.cost(20)
    t.instant()
    return t.bytes


def tiered():
    """Three arenas, one of them new and with a second heap; two blocks of a thread's cache, one cut off the top, one from some bin and one of which nothing is
    known; a threshold raised twice; and a process whose glibc is not understood."""
    t = Trace()
    t.host()
    t.proc("lazy", "/usr/local/bin/lazy")
    t.maps(2 * PAGE, [vmas(0, 0)[1][0]])
    t.allocator()
    t.heap_known(0x7F1000100000, arenas=2)
    t.new_heap(0x7E0000000000, 0x7E0000000030, SMALL_SITE, 1, 4243)
    t.new_heap(0x7E0004000000, 0x7E0000000030, BIG_SITE, 0, 4243)
    for i, tier in enumerate((TCACHE | CERTAIN, TCACHE | CERTAIN, TOP | SNAPSHOT, BINS | SNAPSHOT, 0)):
        t.alloc(HEAP + 16 + 128 * i, 100, SMALL_SITE, chunk=113, tiered=tier)
    t.alloc(BIG + 16, 200000, BIG_SITE, chunk=200704 | 2, tiered=MMAPPED | CERTAIN)
    t.free(BIG + 16, BIG_SITE)
    t.threshold(BIG + 16, BIG_SITE, 131072, 200704)
    t.threshold(BIG + 16, TOUCHER, 200704, 11 * MIB)
    other = Trace(4300)
    other.bytes, other.now = b"", t.now
    other.proc("other", "/bin/other", launched=0)
    other.heap_known(0, "process 4300: main_arena's unsorted list is no ring")
    t.bytes += other.bytes
    t.now = other.now
    rss, rows = vmas(0, 0)
    t.maps(rss, rows)
    t.loss()
    t.instant()
    return t.bytes


def killed():
    """Killed at a limit of 1 MiB with two pages, one of a block, for which it had to wait; what comes after changes nothing: they
    go, it ends. Another process lives in that cgroup, and it is the instant after."""
    t = Trace()
    t.host(RECLAIM_TOLD)
    t.proc("lazy", "/usr/local/bin/lazy", "100")
    t.maps(2 * PAGE, [vmas(0, 0)[1][0]])
    t.cgroup(MIB, 512 * 1024, UNREAD, 3, 0, 0)
    t.range(BRK, HEAP + 33 * PAGE, 0, HEAP + 33 * PAGE, SMALL_SITE, MALLOC, old=HEAP)
    t.alloc(HEAP + 16, PAGE - 16, SMALL_SITE)
    t.fault(HEAP + 16, 0x100, TOUCHER)
    t.stall(HEAP + 16, (3, 4000000), (2, 1500000), wakes=2)
    t.fault(HEAP + PAGE, 0x101, TOUCHER)
    t.stall(HEAP + PAGE, memcg=(1, 500000), wakes=1)  # which no block lies on
    t.stall(HEAP + 100, memcg=(4, 9000000), unmet=FULL_CGROUP)
    t.event(OOM, struct.pack("=4qIiQ", 2, 2, 0, 0, 1, 0, 0))
    t.page_free(0x100, 1)
    t.free(HEAP + 16)
    t.stall(HEAP + 100, (100, 100), (100, 100), (100, 100), 100, 2)
    t.cgroup(MIB, 4096, MIB, 12, 1, 1)
    t.event(EXIT, struct.pack("=4qIiQ", 1, 0, 0, 0, 1, 9, 1000))
    other = Trace(4300)
    other.bytes, other.now = b"", t.now
    other.proc("other", "/bin/other", launched=0)
    rss, rows = vmas(0, 0)
    other.maps(rss, rows)
    other.cgroup(MIB, 8192, MIB, 12, 1, 1)
    other.instant(4)
    t.bytes += other.bytes
    return t.bytes


def trimmed():
    """Four pages of heap, three of which are given back; two are wanted
    again, by one block's touch and by a call of malloc."""
    t = Trace()
    t.host()
    t.proc("lazy", "/usr/local/bin/lazy", "100")
    t.maps(2 * PAGE, [vmas(0, 0)[1][0]])
    t.range(BRK, HEAP + 33 * PAGE, 0, HEAP + 33 * PAGE, SMALL_SITE, MALLOC, old=HEAP)
    t.alloc(HEAP + 16, 4 * PAGE - 16, SMALL_SITE)
    for i in range(4):
        t.fault(HEAP + i * PAGE + 16, 0x100 + i, TOUCHER)
    t.range(MADVISE, HEAP, 3 * PAGE, 0, BIG_SITE, prot=4, flags=0)
    t.fault(HEAP + 16, 0x200, TOUCHER, ns=5000)
    t.fault(HEAP + PAGE, 0x201, IN_LIBC, caller=BIG_SITE, ns=6000)
    rss, rows = vmas(3, 0)
    t.maps(rss, rows)
    t.loss()
    t.instant()
    return t.bytes


def departed():
    """Pages of a mapping, each with a past of its own: given back and touched again, copied, swapped out and
    in, moved to another frame, left to the kernel, gone without a word, moved to another address; and a
    block with a mapping of its own, of which free() gave back three pages. Then the process ends."""
    t = Trace()
    drop, move, leave, freed = (TEXT + 0x1500 + i for i in range(0, 64, 16))
    t.host()
    t.proc("lazy", "/usr/local/bin/lazy", "100")
    t.maps(2 * PAGE, [vmas(0, 0)[1][0]])
    t.stack(1, TEXT + 0x1100, freed, IN_LIBC)
    t.range(MMAP, 0, 8 * PAGE, BIG, BIG_SITE)
    for i in range(7):
        t.fault(BIG + i * PAGE, 0x100 + i, TOUCHER)
    t.page_free(0x100)
    t.range(MADVISE, BIG, PAGE, 0, drop, prot=DONTNEED, flags=0)
    t.fault(BIG, 0x200, TOUCHER)
    t.page_free(0x101)  # the one that the fault has copied
    t.fault(BIG + PAGE, 0x201, TOUCHER, PROT)
    t.pages(BIG + 2 * PAGE, [SWAP | 7, PRESENT | ANON | 0x203], MOVED)
    t.fault(BIG + 2 * PAGE, 0x202, TOUCHER, SWAPIN)
    t.range(MADVISE, BIG + 4 * PAGE, PAGE, 0, leave, prot=MADV_FREE, flags=0)
    t.page_free(0x104, 1)  # and the next, which nobody has left to the kernel
    t.range(MREMAP, 0, PAGE, BIG + MIB, move, old=BIG + 6 * PAGE, old_len=PAGE, flags=3)
    t.range(MMAP, 0, 4 * PAGE, BIG + 2 * MIB, SMALL_SITE, MALLOC)
    t.alloc(BIG + 2 * MIB + 16, 4 * PAGE - 16, SMALL_SITE, chunk=4 * PAGE | 2, tiered=MMAPPED | CERTAIN)
    t.fault(BIG + 2 * MIB, 0x300, IN_LIBC, caller=SMALL_SITE)
    t.fault(BIG + 2 * MIB + PAGE, 0x301, TOUCHER)
    t.fault(BIG + 2 * MIB + 2 * PAGE, 0x302, TOUCHER)
    t.free(BIG + 2 * MIB + 16, freed)
    entered = t.now
    t.page_free(0x300)
    t.page_free(0x301, 1)
    t.range(MUNMAP, BIG + 2 * MIB, 4 * PAGE, 0, IN_LIBC, stack=1, entered=entered)
    t.event(EXIT, struct.pack("=4qIiQ", 0, 5, 0, 0, 1, 0, 1000))
    t.loss()
    return t.bytes


def xrayed():
    """A process that was attached to, with one block from before; then twenty blocks of one site, each on
    a page of its own with a free one behind it, and one block that only the second X-ray knows. malloc_trim
    would give back the twenty free pages, one behind the block from before, and 21 of the top; freeing
    the twenty blocks, their pages."""
    t = Trace()
    t.host()
    t.proc("lazy", "/usr/local/bin/lazy", launched=0)
    end = HEAP + 64 * PAGE
    rows = [vmas(0, 0)[1][0], (HEAP, end, 3, 2, "[heap]", 64 * PAGE, 64 * PAGE)]
    t.maps(UNREAD, rows)
    t.pages(HEAP, [0x1000 | PRESENT | ANON], 3, nr=64)
    t.allocator()
    t.xray(BEGINS)
    t.heap(HEAP, end, 8 | OWN, 112 | LIVE, 32 | CACHED, end - HEAP - 152 | TOP_CHUNK)
    t.xray(DONE)
    for i in range(1, 21):
        t.alloc(HEAP + 2 * i * PAGE + 16, 100, SMALL_SITE, chunk=113)
    t.xray(BEGINS)
    kept = [112 | LIVE, 2 * PAGE - 112 | FREED] * 20
    t.heap(HEAP, end, 8 | OWN, 112 | LIVE, 32 | CACHED, 2 * PAGE - 144 | FREED, *kept, 112 | LIVE,
           22 * PAGE - 120 | TOP_CHUNK)
    t.xray(DONE)
    t.maps(64 * PAGE + vmas(0, 0)[1][0][5], rows)
    t.loss()
    t.instant()
    return t.bytes


def refused():
    """mmap fails three times for RLIMIT_AS, two of them inside a malloc that fails for it; once it asks for more
    than there is, once for RLIMIT_DATA, and once the call itself is wrong. munmap finds too many mappings; of one
    mremap it is not known why, and two allocations fail without a system call."""
    t = Trace()
    t.host()
    t.proc("lazy", "/usr/local/bin/lazy", "100")
    t.maps(UNREAD, vmas(0, 0)[1])
    t.allocator()
    t.system()
    t.refusal(MMAP, 8 * MIB, 12, BIG_SITE, limit_as=MIB)
    for _ in range(2):
        t.refusal(MMAP, 16 * MIB, 12, SMALL_SITE, MALLOC, limit_as=MIB)
    t.alloc(0, 16 * MIB, SMALL_SITE)
    t.refusal(MMAP, 6 << 30, 12, BIG_SITE)
    t.refusal(MMAP, 2 * MIB, 12, BIG_SITE, limit_data=MIB)
    t.refusal(MMAP, 0, 22, BIG_SITE)
    t.refusal(MUNMAP, PAGE, 12, BIG_SITE, mappings=1000)
    t.refusal(MREMAP, PAGE, 12, SMALL_SITE)
    t.alloc(0, 1 << 63, SMALL_SITE, CALLOC)
    t.alloc(0, 100, SMALL_SITE, CALLOC)
    t.loss()
    t.instant()
    return t.bytes


def main():
    os.makedirs(sys.argv[1], exist_ok=True)
    for make in (lazy, attached, forked, stacked, tiered, killed, trimmed, departed, xrayed, refused):
        with open(os.path.join(sys.argv[1], make.__name__ + ".mpt"), "wb") as f:
            f.write(make())


if __name__ == "__main__":
    main()
