# SPDX-License-Identifier: GPL-2.0-or-later
"""
The views that other programs read: each is read by a parser that is not ours, or by one written here from
the format's grammar, and what it holds is compared with the JSON view of the same file.

usage: views.py DIRECTORY    with the traces of make.py
"""
import csv
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

sys.path[:0] = [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
import harness  # noqa: E402
import browser  # noqa: E402
import pprof  # noqa: E402
from hostile import BASE, NAMES, hostile, inlined, many  # noqa: E402

TOOL = os.environ["MALLOCPATH"]
METRICS = "resident charged live untouched faults fault-ns calls".split()
FIELDS = {"resident": "resident_bytes", "charged": "charged_bytes", "live": "live_bytes",
          "untouched": "untouched_bytes", "fault-ns": "fault_ns", "calls": "calls"}


def run(*args):
    """stdout, of a run that must end with 0 and say nothing on stderr"""
    done = subprocess.run([TOOL, *args], capture_output=True, check=False)
    if done.returncode or done.stderr:
        raise AssertionError(f"{args}: status {done.returncode}, {done.stderr.decode()}")
    return done.stdout


def of_site(site, metric):
    if metric == "faults":
        return sum(site["faults"].values())
    return site[FIELDS[metric]] or 0


def unknown_resident(report):
    """What the books' blocks have beyond the sites'."""
    books = sum(p["books"]["block_bytes"] for p in report["processes"])
    return books - sum(s["resident_bytes"] for s in report["sites"] if s["kind"] != "mmap")


def total(report, metric):
    more = unknown_resident(report) if metric == "resident" else 0
    return sum(of_site(s, metric) for s in report["sites"]) + more


# ---- fold ----------------------------------------------------------------------------------------


def parse_folded(text):
    """Stack: number. The grammar: frames with semicolons between, one space, a number, a line feed."""
    stacks = {}
    if text and not text.endswith("\n"):
        raise AssertionError("the last line does not end")
    for line in text.split("\n")[:-1]:
        match = re.fullmatch(r"([^;\s]+(?:;[^;\s]+)*) ([1-9][0-9]*)", line)
        if not match or re.search(r"[\x00-\x1f\x7f]", line):
            raise AssertionError(f"not a folded stack: {line!r}")
        if match[1] in stacks:
            raise AssertionError(f"told twice: {line!r}")
        stacks[match[1]] = int(match[2])
    return stacks


def frame_name(frame):
    if frame["function"]:
        return frame["function"]
    if frame["object"]:
        return "%s+%#x" % (os.path.basename(frame["object"]), frame["offset"])
    return frame["addr"]


def folded_by_json(report, metric):
    """The same from the JSON view."""
    stacks = {}
    for site in report["sites"]:
        names = [frame_name(f) for f in reversed(site["frames"])]
        if site["stack_end"] != "whole":
            names.insert(0, "(ends:_%s)" % (site["stack_end"] or "caller_only"))
        if site["kind"] == "mmap":
            names.append("(mmap)")
        number = of_site(site, metric)
        if number:
            stacks[";".join(names)] = stacks.get(";".join(names), 0) + number
    if metric == "resident" and unknown_resident(report):
        stacks["(unknown)"] = unknown_resident(report)
    return stacks


def test_fold(tap, name, trace, report):
    for metric in METRICS:
        stacks = parse_folded(run("report", trace, "--view", "fold", "--metric", metric).decode())
        expected = folded_by_json(report, metric)
        tap.check(sum(stacks.values()) == total(report, metric), f"{name}: fold {metric}: total as in json",
                  [sum(stacks.values()), total(report, metric)])
        if name != "hostile":
            tap.check(stacks == expected, f"{name}: fold {metric}: the stacks of json", [stacks, expected])


# ---- csv -----------------------------------------------------------------------------------------


def test_csv(tap, name, trace, report):
    content = run("report", trace, "--view", "csv").decode()
    tap.check(content.count("\n") == content.count("\r\n") == content.count("\r"), f"{name}: csv: lines end with CRLF")
    rows = list(csv.DictReader(content.splitlines(True), strict=True))
    tap.check(all(None not in r and None not in r.values() for r in rows), f"{name}: csv: no row is short or long")
    sites = {str(s["id"]): s for s in report["sites"]}
    columns = [c for c in rows[0] if c.endswith("_bytes") or c in ("calls", "frees", "failed", "live_blocks",
                                                                    "fault_ns", "timed_faults")] if rows else []
    wrong = []
    for row in rows:
        site = sites.pop(row["id"], None)
        for column in columns if site else ():
            wrong += [] if row[column] == ("" if site[column] is None else str(site[column])) else [(row, column)]
        for kind, n in site["faults"].items() if site else ():
            wrong += [] if row["faults_" + kind] == str(n) else [(row, kind)]
        if site:
            wrong += [] if row["faults"] == str(of_site(site, "faults")) else [(row, "faults")]
    tap.check(not wrong, f"{name}: csv: each site's numbers are those of json", wrong)
    left_out = [s for s in sites.values() if s["calls"] or any(of_site(s, m) for m in METRICS)]
    tap.check(not left_out, f"{name}: csv: no site that has anything is left out", left_out)
    tap.check(sum(int(r["resident_bytes"]) for r in rows) == total(report, "resident"),
              f"{name}: csv: resident bytes in all as in json")
    order = [int(r["resident_bytes"]) for r in rows if r["id"] != "0"]
    tap.check(order == sorted(order, reverse=True), f"{name}: csv: largest first")


# ---- flame ---------------------------------------------------------------------------------------

SVG = "{http://www.w3.org/2000/svg}"
ROW = 18


class Frame:
    """One of the picture's, as its attributes have it."""

    def __init__(self, element):
        self.at, self.n, self.own = (int(element.get("data-" + k)) for k in ("at", "n", "own"))
        self.up = int(element.get("data-up", -1))
        self.x, self.width = (float(element.get(k).rstrip("%")) for k in ("x", "width"))
        self.y = int(element.get("y"))
        self.name = element.find(SVG + "text").text
        self.title = element.find(SVG + "title").text
        self.inside = []


def frames_of(picture):
    frames = [Frame(e) for e in picture.iter(SVG + "svg") if e.get("class") == "f"]
    for frame in frames[1:]:
        frames[frame.up].inside.append(frame)
    return frames


def misplaced(frames):
    """Frames whose place or width is not what the sums say."""
    wrong = []
    for frame in frames:
        at = frame.at
        for child in frame.inside:
            if child.at != at or child.y != frame.y + ROW or child.n > frame.n:
                wrong.append((child.name, child.at, at, child.y))
            at += child.n
        if frame.n != frame.own + sum(c.n for c in frame.inside):
            wrong.append((frame.name, "sum"))
        if abs(frame.x - 100 * frame.at / frames[0].n) > 1e-4 or abs(frame.width - 100 * frame.n / frames[0].n) > 1e-4:
            wrong.append((frame.name, frame.x, frame.width))
    return wrong


def folded_by_picture(frames):
    stacks = {}
    for frame in frames:
        names, up = [], frame
        while up is not frames[0]:
            names.insert(0, up.name.replace(";", ":").replace(" ", "_"))
            up = frames[up.up]
        if frame.own:
            stacks[";".join(names)] = frame.own
    return stacks


def test_flame(tap, name, trace, report):
    for metric in METRICS:
        content = run("report", trace, "--view", "flame", "--metric", metric).decode()
        picture = ET.fromstring(content)
        frames = frames_of(picture)
        told = (picture.get("data-metric"), int(picture.get("data-total")))
        tap.check(told == (metric, total(report, metric)) and metric.split("-")[0].rstrip("s") in
                  picture.find(SVG + "text").text.replace("calls", "call"),
                  f"{name}: flame {metric}: the metric is named, the total is json's", told)
        if not frames:
            tap.check(not total(report, metric), f"{name}: flame {metric}: empty where there is nothing")
            continue
        wrong = misplaced(frames)
        tap.check(not wrong and frames[0].n == total(report, metric) and (frames[0].x, frames[0].width) == (0, 100),
                  f"{name}: flame {metric}: widths are sums", wrong)
        folded = run("report", trace, "--view", "fold", "--metric", metric).decode()
        folded = parse_folded(folded.replace("\ufffe", "\ufffd"))  # XML has no such character
        tap.check(folded_by_picture(frames) == folded, f"{name}: flame {metric}: the stacks of fold")
        tap.check(all(f.title.startswith(f.name) and metric in f.title for f in frames),
                  f"{name}: flame {metric}: each frame has a title with its name and metric")
        foreign = [e.tag for e in picture.iter() if any(k.split("}")[-1] in ("href", "src") for k in e.attrib)]
        tap.check(not foreign and "url(" not in content and content.count("<script") == 1 and not
                  re.search(r"(?<!\.w3\.org/2000/)(?<!xmlns=\")https?://(?!www\.w3\.org/|x\b)", content),
                  f"{name}: flame {metric}: refers to nothing outside, and has one script", foreign)


def test_large_flame(tap, work):
    """One frame more than are drawn, and one of each size: the smallest ones are left out."""
    more = 700
    trace = os.path.join(work, "many.mpt")
    with open(trace, "wb") as f:
        f.write(many(20000 + more))
    picture = ET.fromstring(run("report", trace, "--view", "flame", "--metric", "live").decode())
    frames = frames_of(picture)
    # beside the sites: all of it, and why their stacks end
    tap.check(len(frames) == 20000 and sorted(f.own for f in frames[2:]) == list(range(more + 3, 20001 + more)),
              "many frames: the largest are drawn", len(frames))
    notes = [e.text for e in picture.iter(SVG + "text") if "not drawn" in (e.text or "")]
    tap.check(len(notes) == 1 and notes[0].startswith(f"{more + 2} frames with less than {more + 3} B are not drawn"),
              "many frames: those left out are counted", notes)
    tap.check(frames[0].n == sum(range(1, 20001 + more)), "many frames: they are part of the sums", frames[0].n)


def shown(page):
    """What the browser makes of the frames: name: (left, right) in pixels, of those that are drawn."""
    return page.value("""Object.fromEntries([...document.querySelectorAll(".f")].filter(e =>
        e.style.display !== "none").map(e => { const r = e.querySelector("rect").getBoundingClientRect();
        return [e.querySelector("title").textContent.split("\\n")[0], [r.left, r.right]]; }))""")


def middle(page, name):
    left, right = shown(page)[name]
    y = page.value("""[...document.querySelectorAll(".f")].find(e => e.querySelector("title").textContent
        .startsWith(%s)).getBoundingClientRect().top + 8""" % json.dumps(name))
    return (left + right) / 2, y


def drive(tap, page, path):
    page.open(path)
    tap.check(set(shown(page)) == {"all", "(ends: no_rule)", "lazy+0x1300", "0x7f1000001000", "lazy+0x1500",
                                   "lazy+0x1600", "lazy+0x1700", "lazy+0x1234"}, "browser: all frames are drawn")
    page.mouse("mouseMoved", *middle(page, "lazy+0x1600"))
    about = page.value('document.querySelector("#about").textContent')
    tap.check(about == "lazy+0x1600: 1000 B, 13.3 % of all", "browser: the mouse over a frame tells its numbers", about)
    width = shown(page)["all"][1]
    page.click(*middle(page, "lazy+0x1500"))
    places = shown(page)
    tap.check("lazy+0x1300" not in places and places["lazy+0x1500"] == [0, width] == places["all"],
              "browser: a click makes a frame as wide as the picture", places)
    tap.check(abs(places["lazy+0x1600"][1] - width * 2 / 3) < 1, "browser: and those inside in proportion", places)
    page.key("ArrowDown")
    page.key("ArrowRight")
    about = page.value('document.querySelector("#about").textContent')
    tap.check(about.startswith("lazy+0x1700: 500 B, 6.7 % of all, 33.3 % of what is shown"),
              "browser: arrows walk", about)
    page.key("Escape")
    tap.check("lazy+0x1300" in shown(page), "browser: Escape shows all again")
    page.key("/", "/")
    for letter in "LAZY":
        page.key(letter, letter)
    found = page.value('document.querySelector("#found").textContent')
    tap.check(found == "6 frames, 7.3 KiB, 100.0 % of all" and page.value('document.querySelectorAll(".hit").length') == 6,
              "browser: what is searched for is marked, and counted once a stack", found)
    page.key("Escape")
    tap.check(page.value('document.querySelectorAll(".hit, .miss").length') == 0, "browser: Escape ends the search")


def test_browser(tap, work):
    names = ("what is clicked and typed", "hostile names run nothing")
    if not browser.program():
        for name in names:
            tap.skip("browser: " + name, "chromium is not installed")
        return
    page = browser.Browser(work)
    try:
        for name in ("stacked", "hostile"):
            path = os.path.join(work, name + ".svg")
            run("report", os.path.join(work, name + ".mpt"), "--view", "flame", "-o", path)
            if name == "stacked":
                drive(tap, page, path)
        page.open(path + "#zoom=3&find=" + "%3Cscript%3E%")
        page.open(path + "#zoom=2&find=%3Cscript%3E")
        tap.check(page.value('document.querySelectorAll("script").length') == 1 and
                  page.value('document.querySelectorAll(".hit").length') == 1, "browser: hostile names are only text")
        tap.check(not page.problems, "browser: no error, nothing on the console", page.problems)
        wanted = [r for r in page.requests if not r.startswith("file://" + work)]
        tap.check(page.requests and not wanted, "browser: nothing else is asked for", wanted)
        if os.environ.get("KEEP_PICTURES"):
            page.picture(os.path.join(os.environ["KEEP_PICTURES"], "hostile.png"))
    finally:
        page.close()


# ---- pprof ---------------------------------------------------------------------------------------


def totals_by_json(report):
    blocks = sum(p["live_blocks"] for p in report["processes"])
    requested = sum(s["requested_bytes"] for s in report["sites"])
    return [total(report, "calls"), requested, blocks, total(report, "live"), total(report, "resident"),
            total(report, "untouched"), total(report, "charged"), total(report, "faults"), total(report, "fault-ns")]


def test_pprof(tap, name, trace, report):
    path = trace[:-4] + ".pb.gz"
    content = run("report", trace, "--view", "pprof", "--metric", "live")
    with open(path, "wb") as f:
        f.write(content)
    tap.check(content == run("report", trace, "--view", "pprof", "--metric", "live"), f"{name}: pprof: always the same")
    sums = totals_by_json(report)
    if pprof.no_protoc():
        tap.skip(f"{name}: pprof: as protoc decodes it", pprof.no_protoc())
    else:
        profile = pprof.decode(path)
        tap.check(", ".join(profile.types) == pprof.TYPES and profile.default == "inuse_space",
                  f"{name}: pprof: the types of its values", profile.types)
        tap.check(profile.sums() == sums, f"{name}: pprof: totals as in json", [profile.sums(), sums])
        for kind, metric in (("resident_space", "resident"), ("fault_time", "fault-ns")):
            folded = parse_folded(run("report", trace, "--view", "fold", "--metric", metric).decode())
            tap.check(profile.folded(kind) == folded, f"{name}: pprof: {kind}: the stacks of fold",
                      str([profile.folded(kind), folded])[:1000])
    if pprof.no_go():
        tap.skip(f"{name}: pprof: go tool pprof reads it", pprof.no_go())
    else:
        found, first = pprof.sums_of_go(path, os.path.dirname(trace))
        tap.check(found == dict(zip(pprof.TYPES.split(", "), sums)) and first == ["inuse_space"],
                  f"{name}: pprof: go tool pprof reads the same", [found, first])


def test_pprof_object(tap, work):
    """What a profile tells of the object that the hostile names are in."""
    if pprof.no_protoc():
        tap.skip("hostile: pprof: its object", pprof.no_protoc())
        return
    profile = pprof.decode(os.path.join(work, "hostile.pb.gz"))
    path = next(os.path.join(work, n) for n in os.listdir(work) if n.endswith("1.so"))
    notes = subprocess.run(["readelf", "-n", path], capture_output=True, check=True).stdout.decode()
    ident = re.search("Build ID: ([0-9a-f]+)", notes)[1]
    mapping = next(iter(profile.mappings.values()))
    told = [profile.string(mapping, "filename"), profile.string(mapping, "build_id"), mapping["memory_start"],
            mapping["memory_limit"], mapping.get("file_offset", [0])]
    tap.check(len(profile.mappings) == 1 and told == [path, ident, [BASE], [BASE + 16 * 4096], [0]],
              "hostile: pprof: the mapping with its file, build id and place", told)
    lines = [(profile.string(profile.functions[f["function_id"][0]], "filename"), f["line"][0])
             for location in profile.locations.values() for f in location.get("line", []) if "line" in f]
    tap.check({line for _, line in lines} == set(range(1, len(NAMES) + 1)) and
              all(os.path.basename(f).startswith("s<o>&\"u;r=c.c\\x0a") for f, _ in lines),
              "hostile: pprof: lines and the name of the source", lines)


def test_inlined(tap, trace):
    lines = run("report", trace, "--view", "fold").decode().splitlines()
    tap.check(lines == ["(ends:_caller_only);outer;middle;inner 1000",
                        "(ends:_caller_only);outer;middle;inner;(mmap) 4096"],
              "inlined: fold: functions from the outermost on, and (mmap)", lines)
    lines = run("report", trace, "--view", "fold", "-v").decode().splitlines()
    tap.check("_inlined.c:4;middle_inlined.c:3;inner_inlined.c:2 1000" in re.sub(r"\+0x[0-9a-f]+", "", lines[1]),
              "inlined: fold -v: with their lines", lines)


def test_hostile_text(tap, trace):
    lines = run("report", trace, "--view", "fold").decode().splitlines()
    tap.check(len(lines) == len(NAMES) and all(line.endswith(" 4080") for line in lines),
              "hostile: fold: a line for each name, with its number", lines)
    tap.check(any(line.split(";")[-1].startswith("a:b_c_12 ") for line in lines),
              "hostile: fold: semicolon and space are made safe", lines)
    rows = list(csv.DictReader(run("report", trace, "--view", "csv").decode().splitlines(True), strict=True))
    functions = [r["function"] for r in rows]
    tap.check(len(rows) == len(NAMES) and 'comma, "quotes", ""more""' in functions,
              "hostile: csv: quotes and commas come back", functions)
    tap.check("'=HYPERLINK(\"http://x\",\"y\")" in functions and not any(f[:1] in "=+-@" for f in functions),
              "hostile: csv: no name is a formula", functions)


def attempt(tap, test, *args):
    """What a parser refuses fails the test, and the others go on."""
    try:
        test(tap, *args)
    except Exception as problem:  # pylint: disable=broad-except
        tap.check(False, f"{test.__name__} {args[0]}", f"{type(problem).__name__}: {problem}"[:500])


def main():
    tap = harness.Tap()
    work = sys.argv[1]
    for make in (hostile, inlined):
        with open(os.path.join(work, make.__name__ + ".mpt"), "wb") as f:
            f.write(make(work))
    for name in sorted(n[:-4] for n in os.listdir(work) if n.endswith(".mpt")):
        trace = os.path.join(work, name + ".mpt")
        report = json.loads(run("report", trace, "--view", "json"))
        for test in (test_fold, test_csv, test_flame, test_pprof):
            attempt(tap, test, name, trace, report)
    attempt(tap, test_inlined, os.path.join(work, "inlined.mpt"))
    attempt(tap, test_hostile_text, os.path.join(work, "hostile.mpt"))
    attempt(tap, test_pprof_object, work)
    attempt(tap, test_large_flame, work)
    attempt(tap, test_browser, work)
    tap.end()


if __name__ == "__main__":
    main()
