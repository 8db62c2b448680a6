# SPDX-License-Identifier: GPL-2.0-or-later
"""Traces that are hard to show: every name meant to break what shows it; more than can be drawn."""
import os
import subprocess

from make import BRK, HEAP, IN_LIBC, MALLOC, MAP, MAPS, PAGE, Trace, text, vmas

import struct

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


def hostile(work):
    """Each function asks for a page less 16 bytes and touches it."""
    path, where = build(work)
    stat = os.stat(path)
    t = Trace()
    t.host()
    t.proc("a;<b>&\"\n", path, "\x1b[31m", "</svg>")
    file_rows = [(BASE, BASE + 16 * PAGE, 5, 4, path, 2 * PAGE, 0)]
    rows = file_rows + vmas(len(NAMES), 0)[1][1:]

    def maps(rss, some):
        t.event(MAPS, struct.pack("=IIQQQ", len(some), 1, rss, 0, t.now), 0)
        for start, end, perms, kind, name, vma_rss, anon in some:
            ino = stat.st_ino if kind == 4 else 0
            dev = stat.st_dev if ino else 0
            t.event(MAP, struct.pack("=QQQQIIQQQBBHI", start, end, 0, ino, os.major(dev), os.minor(dev), vma_rss,
                                     anon, 0, perms, kind, len(name.encode()), 0) + text(name), 0)

    maps(2 * PAGE, file_rows)
    t.allocator()
    t.range(BRK, HEAP + 33 * PAGE, 0, HEAP + 33 * PAGE, BASE + where[0] + 4, MALLOC, old=HEAP)
    for i, at in enumerate(where):
        t.stack(i + 1, IN_LIBC, BASE + where[0] + 4, BASE + at + 4)
        addr = HEAP + i * PAGE + 16
        t.alloc(addr, PAGE - 16, BASE + at + 4, chunk=PAGE + 1, stack=i + 1)
        t.fault(addr, 0x100 + i, BASE + at + 4)
    maps((2 + len(NAMES)) * PAGE, rows)
    t.loss()
    t.cost(20)
    t.instant()
    return t.bytes
