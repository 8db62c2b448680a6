# SPDX-License-Identifier: GPL-2.0-or-later
"""Traces that the HTML view is tried with, besides those of tests/golden/make.py."""
import os
import random
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden"))
import make  # noqa: E402

PAGE = make.PAGE
HEAP, BIG, TEXT = make.HEAP, make.BIG, make.TEXT
HACK = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>"
HOSTILE = [HACK, "<!--<script>", "a\"b'c`${window.hacked=1}`;d\te\nf\\g", "\u202eright to left\u2028",
           "&lt;b&gt;&#x41;", "]]>", "../../etc; 7"]
ENDS = ("</script>", "<!--<script>", "</SCRIPT\t>")  # each by itself would end the data, or not let it end
OBJECT = "/tmp/" + "".join(HOSTILE).replace("/", "|")


def hostile(comm="<b>\"'&</b>\n", alone=False):
    """Everything that has a name has a hostile one; @alone: only the process. One block of 1000 bytes."""
    t = make.Trace()
    t.host()
    t.proc(comm, *([] if alone else HOSTILE))
    rows = [(TEXT, TEXT + 2 * PAGE, 5, 4, "/bin/good" if alone else OBJECT, 2 * PAGE, 0),
            (HEAP, HEAP + 33 * PAGE, 3, 2, "[heap]" if alone else "[heap]<i>", PAGE, PAGE),
            (BIG, BIG + 5 * PAGE, 3, 1, "" if alone else "[anon:" + HACK + "]", 0, 0)]
    t.maps(2 * PAGE, rows[:1])
    t.allocator()
    t.range(make.BRK, HEAP + 33 * PAGE, 0, HEAP + 33 * PAGE, TEXT + 0x1234, make.MALLOC, old=HEAP)
    t.fault(HEAP + 0x298, 0x100, TEXT + 0x1400)
    t.alloc(HEAP + 0x2A0, 1000, TEXT + 0x1234, chunk=1009)
    t.maps(3 * PAGE, rows)
    t.loss()
    t.cost(7)
    t.instant()
    return t.bytes


def many(f, pages=1000000, seed=7):
    """Writes a trace with that many pages, three in five of them heap full of blocks of 16 to 20,000 bytes,
    frames and times at random as a loaded machine would have them. Every tenth page is not there."""
    fault, alloc = struct.Struct("=HHIQIIQQQQIIIIIHBBhBBIB7x"), struct.Struct("=HHIQIIQQQQIHBB")
    chance = random.Random(seed)
    heap = pages * 3 // 5 * 10 // 9
    big = pages * 10 // 9 - heap
    t = make.Trace()
    t.host()
    t.proc("many", "/usr/local/bin/many")
    rows = [(TEXT, TEXT + 64 * PAGE, 5, 4, "/usr/local/bin/many", 64 * PAGE, 0),
            (HEAP, HEAP + (heap + 1) * PAGE, 3, 2, "[heap]", 0, 0), (BIG, BIG + (big + 1) * PAGE, 3, 1, "", 0, 0)]
    t.maps(64 * PAGE, rows[:1])
    t.allocator()
    t.range(make.BRK, HEAP + (heap + 1) * PAGE, 0, HEAP + (heap + 1) * PAGE, TEXT + 0x1234, make.MALLOC, old=HEAP)
    t.range(make.MMAP, 0, (big + 1) * PAGE, BIG, TEXT + 0x1300, make.MALLOC, old=make.UNREAD)
    f.write(t.bytes)
    now, at, blocks = t.now, HEAP + 16, []
    flags = (make.WRITE | make.WALKED | make.IS_PRESENT | make.IS_ANON | make.KIND_KNOWN | make.TIMED |
             make.FROM_ALLOC)
    while at < HEAP + heap * PAGE:
        size = chance.choice((16, 500, 4000, 9000, 20000)) + chance.randrange(16)
        blocks.append((at, size))
        at += (size + 31) & ~15
    for start in range(0, len(blocks), 10000):
        piece = []
        for addr, size in blocks[start:start + 10000]:
            now += chance.randrange(200, 3000)
            piece.append(alloc.pack(make.ALLOC, 64, 0, now, 4242, 4242 + addr % 3, addr, size, size | 1,
                                    TEXT + 0x2000 + 16 * chance.randrange(300), 0, 0, make.MALLOC, 0))
        f.write(b"".join(piece))
    spots = [HEAP + i * PAGE for i in range(heap) if i % 10] + [BIG + i * PAGE for i in range(big) if i % 10]
    for start in range(0, len(spots), 10000):
        piece = []
        for addr in spots[start:start + 10000]:
            now += chance.randrange(300, 9000)
            toucher, pfn = TEXT + 0x8000 + 16 * chance.randrange(40), chance.randrange(1 << 24)
            piece.append(fault.pack(make.FAULT, 96, 0, now, 4242, 4242, addr, toucher, pfn, 0,
                                    chance.randrange(400, 20000), 100, flags, 0x140dca, 0, 0, 2, 0, -1, 0, 1, 0, 0))
        f.write(b"".join(piece))
    end = make.Trace()
    end.bytes, end.now = b"", now
    end.maps((64 + len(spots)) * PAGE, rows)
    end.loss()
    end.cost(len(blocks) + len(spots))
    end.instant()
    f.write(end.bytes)
    return len(spots), len(blocks)
