# SPDX-License-Identifier: GPL-2.0-or-later
"""
mallocpath diff: of a file with itself; of two runs of a program whose blocks are known, at other addresses
and with other ids; of two builds of it; and of every trace there is with the next, against their reports.

usage: diff.py DIRECTORY    with the traces of make.py
"""
import json
import os
import re
import subprocess
import sys

sys.path[:0] = [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
import harness  # noqa: E402
from hostile import code_of, hostile  # noqa: E402
from make import BRK, MALLOC, MMAP, PAGE, UNREAD, Trace  # noqa: E402
from views import FIELDS, METRICS, attempt, run, total  # noqa: E402

TOOL = os.environ["MALLOCPATH"]
NUMBERS = {**FIELDS, "faults": "faults"}
HEAD = "#include <stdlib.h>\n"
ROUTINE = "__attribute__((noinline)) void *%s(int n) { void *p = malloc(n + %d); *(char *)p = 1; return p; }\n"


def build(path, names):
    """An object with these functions, in this order."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    source = path[:-3] + ".c"
    with open(source, "w", encoding="ascii") as f:
        f.write(HEAD + "".join(ROUTINE % (name, i) for i, name in enumerate(names)))
    subprocess.run(["gcc", "-shared", "-fPIC", "-g", "-O1", "-o", path, source], check=True)
    symbols = subprocess.run(["nm", path], check=True, capture_output=True).stdout.decode().splitlines()
    return {line.split()[2]: int(line.split()[0], 16) for line in symbols if len(line.split()) == 3}


def layout(path, where, shift, blocks, mapped=0):
    """
    @blocks: (function that calls malloc, size of the block) in their order; each begins on a page of its own, all of
    which are touched. @mapped: pages that @shift's code maps itself and touches.
    """
    heap, base, libc = 0x1000000 + shift, 0x7E1200000000 + shift, 0x7F1000001000 + shift
    maps, row = code_of(path)
    code = (base, base + row[1] - row[0]) + row[2:]
    t = Trace(4242 + shift // PAGE)
    t.host()
    t.proc("layout", path)
    maps(t, 2 * PAGE, [code])
    t.range(BRK, heap + 256 * PAGE, 0, heap + 256 * PAGE, base + where["main"] + 5, MALLOC, old=heap)
    stacks, at, pages = {}, heap, 0
    for function, size in blocks:
        if function not in stacks:
            stacks[function] = len(stacks) + 1
            t.stack(stacks[function], base + where["main"] + 5, base + where[function] + 5)
        t.alloc(at + 16, size, base + where[function] + 5, chunk=size + 9 & ~15 | 1, stack=stacks[function])
        end = at + 16 + size
        while at < end:
            t.fault(at + 16, 0x1000 + pages, libc, ns=100)
            at, pages = at + PAGE, pages + 1
    big = 0x7F0020000000 + shift
    rows = [code, (heap, heap + 256 * PAGE, 3, 2, "[heap]", pages * PAGE, pages * PAGE)]
    if mapped:
        t.range(MMAP, 0, mapped * PAGE, big, base + where["main"] + 5, old=UNREAD)
        for i in range(mapped):
            t.fault(big + i * PAGE, 0x9000 + i, libc, ns=100)
        rows.append((big, big + mapped * PAGE, 3, 1, "", mapped * PAGE, mapped * PAGE))
    maps(t, (2 + pages + mapped) * PAGE, rows)
    t.loss()
    t.instant()
    return t.bytes


def write(work, name, content):
    path = os.path.join(work, name + ".mpt")
    with open(path, "wb") as f:
        f.write(content)
    return path


def diff(*args):
    return json.loads(run("diff", *args, "--view", "json"))


def rows_of(document):
    """(innermost function, kind, match): its changes"""
    return {(site["frames"][0]["function"] if site["frames"] else None, site["kind"], site["match"]): site["change"]
            for site in document["sites"]}


def test_itself(tap, name, trace):
    document = diff(trace, trace)
    tap.check(document["sites"] == [] and not any(document["totals"]["change"].values()) and
              not any(book["change"] for book in document["books"].values()), f"{name}: no difference to itself", document)
    text = run("diff", trace, trace, "--fail-over", "0").decode()
    tap.check("\nno site differs in resident bytes\n" in text and "+" not in text and
              not re.search(r"(?<![0-9a-z])-[0-9]", text), f"{name}: nor in the table", text)


def test_pair(tap, work, name, other):
    """What the rows change in all is what the totals do, and those are of the two reports."""
    files = [os.path.join(work, n + ".mpt") for n in (name, other)]
    reports = [json.loads(run("report", f, "--view", "json")) for f in files]
    there, back = diff(*files), diff(*reversed(files))
    wrong = []
    for metric in METRICS:
        key = NUMBERS[metric]
        if [there["totals"][side][key] for side in "ab"] != [total(r, metric) for r in reports]:
            wrong.append((metric, "totals"))
        if sum(site["change"][key] for site in there["sites"]) != there["totals"]["change"][key]:
            wrong.append((metric, "rows"))
        for document in (there, back):
            if any(r["change"][key] != r["b"][key] - r["a"][key] for r in document["sites"] + [document["totals"]]):
                wrong.append((metric, "change"))
    for key, book in there["books"].items():
        for side, report in zip("ab", reports):
            known = [p["books"][key] for p in report["processes"] if p["books"][key] is not None]
            if book[side] != (sum(known) if known else None):
                wrong.append((key, side))
    tap.check(not wrong, f"{name}, {other}: rows, totals and books agree with the reports", wrong)
    there = sorted((r["match"], sorted(r["change"].items())) for r in there["sites"])
    back = sorted((r["match"], sorted((k, -v) for k, v in r["change"].items())) for r in back["sites"])
    tap.check(there == back, f"{name}, {other}: backwards it is the opposite", [there, back])


def numbers(blocks, size, pages):
    """What @blocks blocks more of @size bytes, on so many pages of their own, change."""
    return {"resident_bytes": blocks * size, "charged_bytes": pages * PAGE, "live_bytes": blocks * size,
            "untouched_bytes": 0, "faults": pages, "fault_ns": 100 * pages, "calls": blocks}


def test_known(tap, work):
    where = build(os.path.join(work, "v1", "lay.so"), ["main", "same", "grows", "goes", "comes"])
    path = os.path.join(work, "v1", "lay.so")
    a = write(work, "known-a", layout(path, where, 0, [("same", 1000), ("grows", 4000), ("goes", 500)], mapped=1))
    b = write(work, "known-b", layout(path, where, 77 * PAGE, [("comes", 2000), ("grows", 4000), ("grows", 4000),
                                                               ("grows", 4000), ("same", 1000)], mapped=3))
    expected = {("grows", "malloc", "places"): numbers(2, 4000, 2), ("comes", "malloc", "one_sided"): numbers(1, 2000, 1),
                ("goes", "malloc", "one_sided"): {k: -v for k, v in numbers(1, 500, 1).items()},
                ("main", "mmap", "places"): {**numbers(2, PAGE, 2), "calls": 0, "charged_bytes": 0}}
    document = diff(a, b)
    tap.check(rows_of(document) == expected, "known layouts: the numbers by site", rows_of(document))
    order = [abs(site["change"]["resident_bytes"]) for site in document["sites"]]
    tap.check(order == sorted(order, reverse=True), "known layouts: largest change first", order)
    books = {k: v["change"] for k, v in document["books"].items() if v["change"]}
    tap.check(books == {"rss_bytes": 4 * PAGE, "block_bytes": 9500, "retained_bytes": 2 * PAGE - 9500,
                        "other_anon_bytes": 2 * PAGE}, "known layouts: the books", books)
    text = [line.split() for line in run("diff", a, b, "--bytes").decode().splitlines()]
    sites = [line[:line.index("lay.c:%d" % n)] for n, line in zip((2, 4, 6, 5), text[-4:])]
    tap.check(sites == [["4096", "12288", "+8192", "(mmap)", "main+0x5"], ["4000", "12000", "+8000", "grows+0x5"],
                        ["0", "2000", "+2000", "(only", "B)", "comes+0x5"],
                        ["500", "0", "-500", "(only", "A)", "goes+0x5"]], "known layouts: the table's lines", text)
    tap.check(["Rss", "24576", "40960", "+16384"] in text and ["resident", "9596", "27288", "+17692"] in text,
              "known layouts: the table's totals", text)


def test_rebuilt(tap, work):
    """The functions are the same, at other places of a file in another directory."""
    old, new = (os.path.join(work, version, "lay.so") for version in ("v2", "v3"))
    before = build(old, ["main", "same", "grows"])
    after = build(new, ["first", "grows", "another", "main", "same"])
    a = write(work, "rebuilt-a", layout(old, before, 0, [("same", 1000), ("grows", 4000)]))
    b = write(work, "rebuilt-b", layout(new, after, 9 * PAGE, [("same", 1000), ("grows", 4000), ("grows", 4000)]))
    tap.check(rows_of(diff(a, b)) == {("grows", "malloc", "functions"): numbers(1, 4000, 1)},
              "another build: matched by functions", rows_of(diff(a, b)))


def status_of(*args):
    done = subprocess.run([TOOL, "diff", *args], capture_output=True, check=False)
    return done.returncode, done.stderr.decode(), done.stdout.decode()


def test_fail_over(tap, work):
    """known-b has 17692 resident bytes more than known-a, which has 9596; and five calls more... of six."""
    a, b = (os.path.join(work, f"known-{side}.mpt") for side in "ab")
    for args, failed in ((["17692"], False), (["17691"], True), (["18K"], False), (["17K"], True), (["1M"], False),
                         (["185%"], False), (["184%"], True), (["0"], True), (["0.001G"], False),
                         (["2", "--metric", "calls"], False), (["1", "--metric", "calls"], True)):
        code, said, text = status_of(a, b, "--fail-over", *args)
        tap.check(code == int(failed) and text and (said.startswith("mallocpath: failed: ") and said.endswith(
            f"allowed is {args[0]}\n") and said.count("\n") == 1 if failed else not said),
                  f"--fail-over {' '.join(args)}: {'fails' if failed else 'holds'}", [code, said])
    code, said, _ = status_of(a, b, "--fail-over", "0")
    tap.check("resident bytes grew by 17.3 KiB, from 9.4 KiB to 26.6 KiB, 8.0 KiB of it at (mmap) main+0x5" in said,
              "--fail-over: the message tells how much, and where", said)
    tap.check(status_of(b, a, "--fail-over", "0")[0] == 0, "--fail-over: what shrinks does not fail")
    for wrong in ("x", "", "-1", "1KB", "1X", "nan", "1%%"):
        code, said, text = status_of(a, b, "--fail-over", wrong)
        tap.check(code == 2 and not text and "--fail-over" in said, f"--fail-over '{wrong}': wrong usage", [code, said])


def test_usage(tap, work):
    a, b = (os.path.join(work, f"known-{side}.mpt") for side in "ab")
    for args in ([], [a], [a, b, b], [a, b, "--view", "fold"], [a, b, "--sort", "pinned"], [a, b, "--fail-if", "rss_bytes<1"]):
        code, _, text = status_of(*args)
        tap.check(code == 2 and not text, f"{len(args)} words, {' '.join(args[2:])}: wrong usage", code)
    report = subprocess.run([TOOL, "report", a, "--fail-over", "1"], capture_output=True, check=False)
    tap.check(report.returncode == 2, "report --fail-over: wrong usage")
    for files in (("none.mpt", b), (a, "none.mpt")):
        code, said, text = status_of(*files)
        tap.check(code == 1 and not text and "none.mpt" in said and said.count("\n") == 1, "a file that is not there", said)


def test_schema(tap, work, names):
    for name, other in zip(names, names[1:]):
        with open(os.path.join(work, f"{name}.diff"), "wb") as f:
            f.write(run("diff", *(os.path.join(work, n + ".mpt") for n in (name, other)), "--view", "json"))
    checker = ["tests/golden/schema.py"] + [os.path.join(work, n + ".diff") for n in names[:-1]]
    done = subprocess.run(checker, capture_output=True, check=False)
    tap.check(done.returncode == 0, "every difference is as docs/diff.schema.json has it", done.stdout + done.stderr)
    with open(checker[1], encoding="utf-8") as f:
        document = json.load(f)
    del document["books"]["rss_bytes"]["change"]
    document["totals"]["more"] = 1
    with open(checker[1], "w", encoding="utf-8") as f:
        json.dump(document, f)
    done = subprocess.run(checker[:2], capture_output=True, check=False)
    tap.check(len(done.stdout.splitlines()) == 2, "and one that is not is found out", done.stdout)


def main():
    tap = harness.Tap()
    work = sys.argv[1]
    write(work, "hostile", hostile(work))
    attempt(tap, test_known, work)
    attempt(tap, test_rebuilt, work)
    names = sorted(n[:-4] for n in os.listdir(work) if n.endswith(".mpt"))
    for name in names:
        attempt(tap, test_itself, name, os.path.join(work, name + ".mpt"))
    for name, other in zip(names, names[1:] + names[:1]):
        attempt(tap, test_pair, work, name, other)
    attempt(tap, test_fail_over, work)
    attempt(tap, test_usage, work)
    attempt(tap, test_schema, work, names)
    tap.end()


if __name__ == "__main__":
    main()
