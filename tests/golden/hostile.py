# SPDX-License-Identifier: GPL-2.0-or-later
"""Traces that are hard to show: every name meant to break what shows it; more than can be drawn."""
import os
import struct
import subprocess

from make import BIG, BRK, HEAP, IN_LIBC, MALLOC, MAP, MAPS, MMAP, PAGE, UNREAD, Trace, text, vmas

BASE = 0x7E1200000000
NAMES = [
    b"a;b c 12",
    b"<script>alert(1)</script>&amp;\"'",
    b"]]>--><svg onload=alert(1)>",
    b"line\nanother 7\r\n\ttab",
    b"=HYPERLINK(\"http://x\",\"y\")",
    b"\xff\xfe no UTF-8 \xc3",
    b"turned \xe2\x80\xae around, \xef\xbf\xbe none",
    b"x" * 1200,
    b"comma, \"quotes\", \"\"more\"\"",
    b"\\ % {} ${x} `y` \x1b[31m \x7f",
]
FILE = b"s<o>&\"u;r=c.c\n"


def many(sites):
    """So many callers; the first asks for one byte, and each for one more than the one before."""
    t = Trace()
    t.host()
    t.proc("many", "/usr/local/bin/many")
    t.maps(0, [(BASE, BASE + 64 * PAGE, 5, 4, "/usr/local/bin/many", 0, 0)])
    for i in range(sites):
        t.alloc(BASE + (1 << 30) + (i << 16), i + 1, BASE + 8 * i)
    t.maps(0, [])
    t.loss()
    t.instant()
    return t.bytes


def build(work):
    """Functions with the names above: compiled with others of the same length, which are then replaced."""
    stand_ins = [(b"stand_in_%d_" % i).ljust(len(name), b"_") for i, name in enumerate(NAMES)]
    stand_ins = [s + b"_" * max(0, 16 - len(s)) for s in stand_ins]
    source = os.path.join(work, "s_o___u_r_c_c_.c")
    with open(source, "wb") as f:
        for s in stand_ins:
            f.write(b"int %s(int n) { return n * %d + 12345; }\n" % (s, len(s)))
    path = os.path.join(work, "o<b>j&e\"c;t 1.so")
    subprocess.run(["gcc", "-shared", "-fPIC", "-g", "-O1", "-o", path, source], check=True)
    symbols = subprocess.run(["nm", path], check=True, capture_output=True).stdout.split(b"\n")
    where = {line.split()[2]: int(line.split()[0], 16) for line in symbols if len(line.split()) == 3}
    with open(path, "rb") as f:
        content = f.read()
    for s, name in zip(stand_ins, NAMES):
        assert content.count(s)
        content = content.replace(s, name.ljust(len(s), b"\0"))
    short = os.path.basename(source).encode()
    content = content.replace(short, FILE.ljust(len(short), b"_")[:len(short)])
    with open(path, "wb") as f:
        f.write(content)
    return path, [where[s] for s in stand_ins]


def code_of(path):
    """Events that tell where the object is mapped, by (start, end, perms, kind, name, rss, anon)."""
    stat = os.stat(path)

    def maps(t, rss, rows):
        t.event(MAPS, struct.pack("=IIQQQ", len(rows), 1, rss, 0, t.now), 0)
        for start, end, perms, kind, name, vma_rss, anon in rows:
            ino = stat.st_ino if kind == 4 else 0
            dev = stat.st_dev if ino else 0
            t.event(MAP, struct.pack("=QQQQIIQQQBBHI", start, end, 0, ino, os.major(dev), os.minor(dev), vma_rss,
                                     anon, 0, perms, kind, len(name.encode()), 0) + text(name), 0)
    return maps, (BASE, BASE + 16 * PAGE, 5, 4, path, 2 * PAGE, 0)


def hostile(work):
    """Each function asks for a page less 16 bytes and touches it."""
    path, where = build(work)
    maps, code = code_of(path)
    t = Trace()
    t.host()
    t.proc("a;<b>&\"\n", path, "\x1b[31m", "</svg>")
    maps(t, 2 * PAGE, [code])
    t.allocator()
    t.range(BRK, HEAP + 33 * PAGE, 0, HEAP + 33 * PAGE, BASE + where[0] + 4, MALLOC, old=HEAP)
    for i, at in enumerate(where):
        t.stack(i + 1, IN_LIBC, BASE + where[0] + 4, BASE + at + 4)
        addr = HEAP + i * PAGE + 16
        t.alloc(addr, PAGE - 16, BASE + at + 4, chunk=PAGE + 1, stack=i + 1)
        t.fault(addr, 0x100 + i, BASE + at + 4)
    maps(t, (2 + len(NAMES)) * PAGE, [code] + vmas(len(NAMES), 0)[1][1:])
    t.loss()
    t.cost(20)
    t.instant()
    return t.bytes


def inlined(work):
    """1000 bytes asked for in the function inner, inlined into middle, and that into outer; beside it a
    mapping that the same place makes itself."""
    source, path = os.path.join(work, "inlined.c"), os.path.join(work, "inlined.so")
    with open(source, "w", encoding="ascii") as f:
        f.write("#define INTO static inline __attribute__((always_inline)) int\n"
                "INTO inner(volatile int *p) { return p[0] + p[1] + p[2]; }\n"
                "INTO middle(volatile int *p) { return inner(p); }\n"
                "int outer(volatile int *p) { return middle(p); }\n")
    subprocess.run(["gcc", "-shared", "-fPIC", "-g", "-O1", "-fcf-protection=none", "-o", path, source], check=True)
    symbols = subprocess.run(["nm", path], check=True, capture_output=True).stdout.decode()
    # the first instruction is inner's
    at = BASE + 1 + next(int(line.split()[0], 16) for line in symbols.split("\n") if line.endswith(" outer"))
    maps, code = code_of(path)
    t = Trace()
    t.host()
    t.proc("inlined", path)
    maps(t, 2 * PAGE, [code])
    t.range(BRK, HEAP + 33 * PAGE, 0, HEAP + 33 * PAGE, at, MALLOC, old=HEAP)
    t.alloc(HEAP + 16, 1000, at, chunk=1009)
    t.fault(HEAP + 16, 0x100, at)
    t.range(MMAP, 0, 4 * PAGE, BIG, at + 1, old=UNREAD)
    t.fault(BIG, 0x101, at)
    maps(t, 4 * PAGE, [code] + [(HEAP, HEAP + 33 * PAGE, 3, 2, "[heap]", PAGE, PAGE),
                                (BIG, BIG + 4 * PAGE, 3, 1, "", PAGE, PAGE)])
    t.loss()
    t.instant()
    return t.bytes
