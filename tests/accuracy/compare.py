# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares a JSON report with what the workload and the kernel say: equal, not close."""
import bisect
import collections
import marshal
import os

import gaps

PAGE = 4096
UPROBES = (0x7fffffffe000, 0x7ffffffff000), "[uprobes]"  # where the kernel steps what it cannot emulate
TRACED = ("fault", "populate", "seeded", "moved")
SHOWN = 8  # mismatches of one kind that are spelled out
# Where the kernel module is loaded (or has to be), every report is audited by it.
MODULE = (os.environ.get("MALLOCPATH_MODULE") == "1" or
          os.path.exists("/sys/kernel/debug/mallocpath/status"))
# True: what the kernel does to pages on its own is found when pagemap is read back, and only then.
READ_BACK = False
# True: it is KSM that shares, and what is shared is known.
KSM = False
# False: no return of handle_mm_fault is seen, a filled range is read when the system call ends.
RETURNS_SEEN = True

Page = collections.namedtuple("Page", "pfn state exclusive order")
Block = collections.namedtuple("Block", "requested resident site before")
Site = collections.namedtuple("Site", "kind calls frees requested")
Expect = collections.namedtuple("Expect", "start end kind by source before order")


class Truth:
    """One truth file of tests/workload/truth.h."""

    def __init__(self, path, stale=False):
        """@stale: written before the report's instant, so that sharing may have ended since."""
        self.stale = stale
        self.pages, self.blocks, self.maps, self.sites = {}, {}, {}, {}
        self.vmas, self.expects, self.nopfn = [], [], []
        self.whole = False
        with open(path, encoding="ascii") as file:
            for line in file:
                word, *rest = line.split()
                getattr(self, "read_" + word)(*rest)
        self.vmas.sort()

    def read_scenario(self, name):
        self.scenario = name

    def read_pid(self, pid):
        self.pid = int(pid)

    def read_vma(self, start, end, kind):
        self.vmas.append((int(start, 0), int(end, 0), kind))

    def read_page(self, addr, pfn, state, exclusive, order):
        self.pages[int(addr, 0)] = Page(int(pfn), state, exclusive == "1", int(order))

    def read_nopfn(self, addr):
        self.nopfn.append(addr)

    def read_tool_pages(self, number):
        self.tool_pages = int(number)

    def read_block(self, addr, requested, resident, site, before):
        self.blocks[int(addr, 0)] = Block(int(requested), int(resident), site, before == "1")

    def read_map(self, addr, requested, resident, site, before):
        self.maps[int(addr, 0)] = Block(int(requested), int(resident), site, before == "1")

    def read_site(self, name, kind, calls, frees, requested):
        self.sites[name] = Site(kind, int(calls), int(frees), int(requested))

    def read_expect(self, start, end, kind, by, source, before, order):
        self.expects.append(Expect(int(start, 0), int(end, 0), kind, by, source, before == "1",
                                   int(order)))

    def read_end(self):
        self.whole = True

    def vma(self, addr):
        """(start, end, kind) of the one that @addr is in, (0, 0, None) if it is in none."""
        i = bisect.bisect_right(self.vmas, (addr, 1 << 64, "")) - 1
        return self.vmas[i] if i >= 0 and addr < self.vmas[i][1] else (0, 0, None)


class Mismatches(list):
    """Spells out the first few of each kind and counts the rest."""

    def __init__(self):
        super().__init__()
        self.counts = collections.Counter()

    def add(self, kind, text):
        self.counts[kind] += 1
        if self.counts[kind] <= SHOWN:
            self.append(f"{kind}: {text}")
        elif self.counts[kind] == SHOWN + 1:
            self.append(f"{kind}: ... more of these")

    def equal(self, kind, what, ours, true):
        if ours != true:
            self.add(kind, f"{what}: mallocpath says {ours}, true is {true}")


def compare_pages(truth, rows, bad):
    seen, start, end, kind = {}, 0, 0, None  # of the VMA that the last row was in
    for row in rows:
        addr = int(row["addr"], 0)
        if row["state"] == "gone":
            continue
        if not start <= addr < end:
            start, end, kind = truth.vma(addr)
        if kind == "exec":
            continue
        if addr in seen:
            bad.add("page twice", row["addr"])
        seen[addr] = row
        if row["source"] not in TRACED and not READ_BACK:
            bad.add("source", f"{row['addr']} is {row['source']}: learned from pagemap, not traced")
        true = truth.pages.get(addr)
        if true is None:
            bad.add("page too many", f"{row['addr']} pfn {row['pfn']} {row['state']} "
                    f"{row['source']}, true is: none (VMA {truth.vma(addr)[2]})")
            continue
        pfn, true_state, exclusive, order = true
        state = row["state"]
        if true_state != "swapped" and (row["pfn"] != pfn or row["order"] != order):
            bad.equal("pfn", row["addr"], row["pfn"], pfn)
            bad.equal("order", row["addr"], row["order"], order)
        # what reads brought is no page, and what writes brought is
        if row["source"] == "fault" and (row["kind"] == "zero") != (true_state == "zero"):
            bad.equal("kind", f"{row['addr']} by a read", row["kind"] == "zero", true_state == "zero")
        if state == "shared_cow" and KSM:
            state = "shared" if exclusive else "present"
        elif state == "shared_cow":  # a child that is not followed does not tell that it went
            state = "present"
        elif state == "present" and not exclusive and not truth.stale and \
                not (READ_BACK and not KSM and row["source"] == "reconciled"):
            state = "present alone"
        bad.equal("state", row["addr"], state, true_state)
    for addr in sorted(truth.pages.keys() - seen.keys()):
        page = truth.pages[addr]
        bad.add("page missing", f"{addr:#x} pfn {page.pfn} {page.state} "
                f"(VMA {truth.vma(addr)[2]})")
    return seen


def compare_expects(truth, seen, row, bad):
    """@row: of the fault stage. Some see the faults that fill a range: none is learned by a walk."""
    gup_seen = RETURNS_SEEN and not gaps.named("gup", row)
    wanted = {}
    for expect in truth.expects:
        for addr in range(expect.start, expect.end, PAGE):
            wanted[addr] = expect
    for addr, expect in wanted.items():
        page = seen.get(addr)
        if page is None or addr not in truth.pages:
            continue
        if READ_BACK and page["source"] == "reconciled":
            continue
        if expect.before:
            bad.equal("how it came", f"{addr:#x} source", page["source"], "seeded")
            continue
        if expect.source == "populate" and page["kind"] == "thp" and page["by"] != "gup" and \
                truth.pages[addr].order == 9:
            continue  # a neighbour's touch, or that of the block's header, has brought it before
        if expect.source == "populate":
            bad.equal("how it came", f"{addr:#x} by", page["by"], "gup")
        for field in ("kind", "by", "source"):
            want = getattr(expect, field)
            if gup_seen and want == "populate":
                want = "fault"
            want, _, major = want.partition("+")
            if major:
                bad.equal("how it came", f"{addr:#x} major", page["major"], major == "major")
            if want != "-" and page[field] not in want.split("|"):
                bad.equal("how it came", f"{addr:#x} {field}", page[field], want)
        if expect.order >= 0:  # the kernel did what the scenario is about
            bad.equal("truth", f"{addr:#x} order", truth.pages[addr].order, expect.order)


def function_of(sites, ident):
    frames = sites[ident]["frames"] if ident in sites else []
    return frames[0]["function"] if frames else None


def compare_seed(addr, block, row, seeded, bad):
    """A block from before the attach: an X-ray tells where it is and what it can hold, no more. That
    goes to the end of its mapping, which is larger by the alignment that was asked for."""
    if row is None:
        if seeded:
            bad.add("block missing", f"{addr:#x} was there before attach, and the heap was read")
    elif not seeded:
        bad.add("block", f"{addr:#x} was there before attach: where is it known from?")
    elif (row["requested"], row["site"], row["t_ns"]) != (None, None, None) or \
            not block.requested <= row["usable"] < block.requested + 4096 + 32 + (addr & -addr):
        bad.add("block", f"{addr:#x} of {block.requested} bytes from before attach: {row}")


def compare_blocks(truth, rows, sites, seeded, bad):
    ours = {int(row["addr"], 0): row for row in rows}
    for addr, block in truth.blocks.items():
        row = ours.pop(addr, None)
        if block.before:
            compare_seed(addr, block, row, seeded, bad)
            continue
        if row is None:
            bad.add("block missing", f"{addr:#x} {block.requested} bytes of {block.site}")
            continue
        bad.equal("block", f"{addr:#x} requested", row["requested"], block.requested)
        bad.equal("block", f"{addr:#x} resident", row["resident_bytes"], block.resident)
        bad.equal("block", f"{addr:#x} site", function_of(sites, row["site"]), block.site)
        if row["usable"] is not None and row["usable"] < block.requested:
            bad.add("block", f"{addr:#x} usable {row['usable']} of {block.requested} requested")
    for addr, row in ours.items():  # the C library's own blocks are not the workload's
        name = function_of(sites, row["site"])
        if row["requested"] is None and seeded:
            continue
        if name is None or name.startswith("site_"):
            bad.add("block too many", f"{addr:#x} {row['requested']} bytes of {name}")


def compare_sites(truths, report, bad):
    """@truths: those of all traced processes. Calls and frees are counted by the first alone."""
    sums = collections.defaultdict(collections.Counter)
    for site in report["sites"]:
        name = site["frames"][0]["function"] if site["frames"] else None
        for field in ("calls", "frees", "requested_bytes", "live_blocks", "live_bytes",
                      "resident_bytes", "untouched_bytes"):
            sums[name][field] += site[field]
    for name, site in truths[0].sites.items():
        live = [b for t in truths for b in list(t.blocks.values()) + list(t.maps.values())
                if b.site == name and not b.before]
        wanted = {"calls": site.calls, "frees": site.frees, "requested_bytes": site.requested,
                  "live_blocks": len(live), "live_bytes": sum(b.requested for b in live),
                  "resident_bytes": sum(b.resident for b in live),
                  "untouched_bytes": sum(b.requested - b.resident for b in live)}
        if site.kind == "mmap":  # mappings are no blocks, and their end is no free
            del wanted["live_blocks"], wanted["frees"]
        for field, value in wanted.items():
            bad.equal("site", f"{name} {field}", sums[name][field], value)


def compare_links(process, seen, bad):
    """Each page row names the lowest live block on it, and how many there are."""
    on_page = collections.defaultdict(list)
    pages = sorted(seen)
    for row in process["blocks"]:
        addr, size = int(row["addr"], 0), row["requested"]
        size = row["usable"] if size is None else size
        first = bisect.bisect_left(pages, addr // PAGE * PAGE)
        last = bisect.bisect_left(pages, addr + size) if size else first
        for i in range(first, last):
            on_page[pages[i]].append(addr)
    for addr, row in seen.items():
        blocks = on_page.get(addr, ())
        lowest = hex(min(blocks)) if blocks else None
        if row["blocks"] != len(blocks) or row["block"] != lowest:
            bad.equal("link", f"blocks on {addr:#x}", row["blocks"], len(blocks))
            bad.equal("link", f"lowest block on {addr:#x}", row["block"], lowest)


def compare_books(truth, process, rss, bad):
    books = process["books"]
    parts = [name for name in books if name.endswith("_bytes") and name not in
             ("rss_bytes", "zero_bytes", "hugetlb_bytes", "pss_bytes", "pss_anon_bytes")]
    if rss is not None:
        bad.equal("books", "rss_bytes (smaps_rollup)", books["rss_bytes"], rss)
    if books["rss_bytes"] is not None:
        total = sum(books[name] or 0 for name in parts)
        bad.equal("books", "sum of the books", total, books["rss_bytes"])
        if books["coverage"] is None or not 0.98 <= books["coverage"] <= 1:
            bad.add("books", f"coverage {books['coverage']}: unexplained "
                    f"{books['unexplained_bytes']} of {books['rss_bytes']}")
    else:
        bad.add("books", "rss_bytes is not known")
    blocks = sum(row["resident_bytes"] for row in process["blocks"])
    bad.equal("books", "block_bytes (sum of blocks)", books["block_bytes"], blocks)
    zero = sum(page.state == "zero" for page in truth.pages.values())
    bad.equal("books", "zero_bytes", books["zero_bytes"], zero * PAGE)
    bad.equal("books", "tool_bytes", books["tool_bytes"], truth.tool_pages * PAGE)


def joined(ranges):
    out = []
    for start, end, kind in sorted(ranges):
        if out and out[-1][1:] == (start, kind):
            out[-1] = (out[-1][0], end, kind)
        else:
            out.append((start, end, kind))
    return set(out)


def compare_vmas(truth, process, bad):
    """At the exit nothing can be read: what is mapped privately follows from the system calls alone."""
    if process.get("at") != "exit":
        return
    true = joined((start, end, kind == "exec") for start, end, kind in truth.vmas)
    ours = joined((int(v["start"], 0), int(v["end"], 0), v["perms"][2] == "x") for v in process["vmas"]
                  if v["perms"][3] == "p" and v["kind"] != "hugetlb" and v["name"] not in ("[vdso]", UPROBES[1]))
    for start, end, execute in sorted(true ^ ours):
        if (start, end) != UPROBES[0]:
            bad.add("vma", f"{start:#x}-{end:#x}{' exec' if execute else ''} is "
                    f"{'not known' if (start, end, execute) in true else 'not there'}")


def compare_stacks(loss, processes, bad):
    """Some code has no unwind information: at least 99.5 % of stacks must be whole, but for a few of each process."""
    ends = loss.pop("stack_ends", None)
    if ends is None:
        return
    truncated, total = loss.pop("stacks_truncated"), sum(ends.values())
    bad.equal("loss", "stacks_truncated", truncated, total - ends["whole"])
    if truncated > 10 * processes + total * 0.005:
        bad.add("loss", f"only {ends['whole']} of {total} stacks are whole: {ends}")


def compare_loss(report, bad):
    loss = dict(report["loss"])
    if READ_BACK:
        del loss["moved_unseen_pages"]
        del loss["module_mismatch_pages"]  # the module walked before pagemap was read back
    reasons = loss.pop("dropped", None) or {}
    compare_stacks(loss, len(report["processes"]), bad)
    if gaps.others_skipped(report["host"]["fault_source"]):
        del loss["programs_skipped"]
    for name, value in list(loss.items()) + [("dropped." + k, v) for k, v in reasons.items()]:
        if value not in (0, None):
            bad.add("loss", f"{name} is {value}")
    if not report["checks"]["chain_faults"]:  # else a chain_mismatches of 0 says nothing
        bad.add("loss", "no PFN was followed from the page allocator to the entry")


def compare_audit(truths, report, stands, bad):
    """
    The kernel module's walk: of all that still stands, every page, and no other opinion. The process
    @stands does: a report that takes it for ended would be spared the walk.
    """
    loss, checks = report["loss"], report["checks"]
    bad.equal("audit", "host.module", report["host"].get("module", False), MODULE)
    if not MODULE:
        bad.equal("audit", "pages", loss.get("module_mismatch_pages"), None)
        return
    alive = {process["pid"] for process in report["processes"] if process.get("at") == "now"}
    if stands is not None and stands not in alive:
        bad.add("audit", f"{stands} stands there, and was not walked")
    if not alive:  # nothing was there any more to be walked
        bad.equal("audit", "pages of what has ended", loss["module_mismatch_pages"], None)
        return
    for row in [] if READ_BACK else report["module_mismatches"] or []:
        bad.add("audit", f"{row['addr']} of {row['pid']}: pfn {row['ledger_pfn']}, the module "
                f"says {row['module_pfn']}")
    if not READ_BACK:
        bad.equal("audit", "pages that differ", loss["module_mismatch_pages"], 0)
    pages = sum(page.state != "swapped" for truth in truths if truth.pid in alive
                for page in truth.pages.values())
    if checks["module_pages"] is None or checks["module_pages"] < pages:
        bad.add("audit", f"{checks['module_pages']} pages compared, {pages} are there")


def compare(truths, report, rss=None):
    """The list of what differs; @truths one a process, @rss of the first or None."""
    bad = Mismatches()
    sites = {site["id"]: site for site in report["sites"]}
    processes = {process["pid"]: process for process in report["processes"]}
    if report["schema"] != "mallocpath.report/1":
        bad.add("schema", report["schema"])
    for i, truth in enumerate(truths):
        process = processes.get(truth.pid)
        if not truth.whole or not truth.pages:
            bad.add("truth", f"the truth of {truth.pid} is not whole")
        if truth.nopfn:
            bad.add("truth", f"PFN 0 for {len(truth.nopfn)} pages: pagemap hides them from us")
        if process is None:
            bad.add("process", f"{truth.pid} is not in the report ({list(processes)})")
            continue
        seen = compare_pages(truth, process["pages"], bad)
        compare_expects(truth, seen, report["host"]["fault_source"], bad)
        compare_blocks(truth, process["blocks"], sites, "xray" in process, bad)
        compare_links(process, seen, bad)
        compare_books(truth, process, rss if i == 0 else None, bad)
        if i == 0:
            compare_vmas(truth, process, bad)
    compare_sites(truths, report, bad)
    compare_loss(report, bad)
    compare_audit(truths, report, None if rss is None else truths[0].pid, bad)
    return bad


def made_up(truth):
    """The report a perfect tool would give for @truth: to try the comparer itself."""
    idents = {name: i + 1 for i, name in enumerate(truth.sites)}
    blocks = [{"addr": f"{a:#x}", "requested": b.requested, "usable": None,
               "site": idents[b.site], "resident_bytes": b.resident}
              for a, b in truth.blocks.items() if not b.before]
    on_page = collections.defaultdict(list)
    for addr, block in truth.blocks.items():
        for page in range(addr // PAGE * PAGE, addr + block.requested, PAGE):
            if not block.before and block.requested:
                on_page[page].append(addr)
    expect_of = {a: e for e in truth.expects for a in range(e.start, e.end, PAGE)}
    pages = []
    for addr, page in truth.pages.items():
        expect = expect_of.get(addr)
        row = {"addr": f"{addr:#x}", "pfn": page.pfn, "kind": "anon", "by": "user", "order": page.order,
               "state": page.state, "source": "fault", "blocks": len(on_page[addr]),
               "block": f"{min(on_page[addr]):#x}" if on_page[addr] else None}
        if page.state == "present" and not page.exclusive:
            row["state"] = "shared_cow"
        if page.state == "zero":
            row["kind"] = "zero"
        if expect:
            row.update({f: getattr(expect, f).split("|")[-1] for f in ("kind", "by", "source")
                        if getattr(expect, f) != "-" and (f != "kind" or page.state != "zero")})
            if expect.source == "populate":
                row["by"] = "gup"
            if expect.before:
                row["source"] = "seeded"
        pages.append(row)
    sites = []
    for name, site in truth.sites.items():
        live = [b for b in list(truth.blocks.values()) + list(truth.maps.values())
                if b.site == name and not b.before]
        size, resident = sum(b.requested for b in live), sum(b.resident for b in live)
        sites.append({"id": idents[name], "frames": [{"function": name}], "calls": site.calls,
                      "frees": site.frees, "requested_bytes": site.requested,
                      "live_blocks": len(live), "live_bytes": size, "resident_bytes": resident,
                      "untouched_bytes": size - resident})
    resident = sum(b["resident_bytes"] for b in blocks)
    zero = sum(page.state == "zero" for page in truth.pages.values()) * PAGE
    rss = resident + 1000 + truth.tool_pages * PAGE
    books = {"rss_bytes": rss, "block_bytes": resident, "retained_bytes": 1000,
             "tool_bytes": truth.tool_pages * PAGE, "unexplained_bytes": 0, "zero_bytes": zero,
             "hugetlb_bytes": 0, "coverage": 1.0, "site_coverage": 1.0}
    return {"schema": "mallocpath.report/1", "sites": sites,
            "host": {"fault_source": "tracepoint", "module": MODULE},
            "loss": {"events_dropped": 0, "module_mismatch_pages": 0 if MODULE else None},
            "checks": {"chain_faults": 1, "module_pages": len(pages)}, "module_mismatches": [],
            "processes": [{"pid": truth.pid, "at": "now", "pages": pages, "blocks": blocks,
                           "books": books,
                           "vmas": [{"start": f"{start:#x}", "end": f"{end:#x}", "kind": kind, "name": "",
                                     "perms": "--xp" if kind == "exec" else "---p"}
                                    for start, end, kind in truth.vmas]}]}


def wrongs(report, pid):
    """(what was made wrong, the report with it or None) for each error that must be seen."""
    whole = marshal.dumps(report)  # copy.deepcopy takes many times longer

    def change(what, do):
        wrong = marshal.loads(whole)
        process = next(p for p in wrong["processes"] if p["pid"] == pid)
        try:
            do(wrong, process)
        except StopIteration:  # this report has no place for it (no zero page in it, ...)
            return what, None
        return what, wrong

    def row(process, state="present", source="fault"):
        return next(r for r in process["pages"] if r["state"] == state and r["source"] == source)

    def told_as_fault(process):
        row(process, source="populate")  # the first may be a page of which nothing is expected
        for populated in process["pages"]:
            if populated["source"] == "populate" and populated["state"] == "present":
                populated["source"] = "fault"

    def site(wrong):
        return next(s for s in wrong["sites"] if s["frames"] and s["live_blocks"] and
                    str(s["frames"][0]["function"]).startswith("site_"))

    def block(wrong, process):
        ident = site(wrong)["id"]
        return next(b for b in process["blocks"] if b["site"] == ident)

    def extra(process):
        new = dict(row(process))
        new["addr"] = "0x7000"
        process["pages"].append(new)

    yield change("one PFN", lambda w, p: row(p).update(pfn=row(p)["pfn"] + 1))
    yield change("one order", lambda w, p: row(p).update(order=row(p)["order"] ^ 9))
    yield change("a page missing", lambda w, p: p["pages"].remove(row(p)))
    yield change("a page too many", lambda w, p: extra(p))
    yield change("zero told as present", lambda w, p: row(p, "zero").update(state="present"))
    yield change("present told as zero", lambda w, p: row(p).update(state="zero"))
    yield change("a reconciled page", lambda w, p: row(p).update(source="reconciled"))
    yield change("populate told as fault", lambda w, p: told_as_fault(p))
    yield change("zero fault told as anon", lambda w, p: row(p, "zero").update(kind="anon"))
    if any(process["pid"] == pid and process["at"] == "exit" for process in report["processes"]):
        yield change("a mapping missing", lambda w, p: p["vmas"].remove(
            next(v for v in p["vmas"] if v["perms"] == "rw-p")))
        yield change("a mapping too long", lambda w, p: p["vmas"][0].update(start="0x1000"))
    yield change("a block missing", lambda w, p: p["blocks"].remove(block(w, p)))
    yield change("one resident byte", lambda w, p: block(w, p).update(
        resident_bytes=block(w, p)["resident_bytes"] + 1))
    yield change("one requested byte", lambda w, p: block(w, p).update(
        requested=block(w, p)["requested"] + 1))
    yield change("a block's site", lambda w, p: block(w, p).update(site=0))
    yield change("a site's calls", lambda w, p: site(w).update(calls=site(w)["calls"] - 1))
    yield change("a site's resident bytes", lambda w, p: site(w).update(
        resident_bytes=site(w)["resident_bytes"] + 4096))
    yield change("a site's name", lambda w, p: site(w)["frames"][0].update(function="main"))
    yield change("books: rss", lambda w, p: p["books"].update(
        rss_bytes=p["books"]["rss_bytes"] + 4096))
    yield change("books: blocks", lambda w, p: p["books"].update(
        block_bytes=p["books"]["block_bytes"] - 1))
    yield change("one event lost", lambda w, p: w["loss"].update(events_dropped=1))
    yield change("a page that is not the one given", lambda w, p: w["loss"].update(chain_mismatches=1))
    yield change("stacks cut off", lambda w, p: w["loss"].update(
        stacks_truncated=50, stack_ends={"whole": 1000, "no_rule": 50}))
    yield change("no chain checked", lambda w, p: w["checks"].update(chain_faults=0))
    yield change("the module without a word", lambda w, p: w["host"].update(module=not MODULE))
    yield change("one page of the module's", lambda w, p: w["loss"].update(module_mismatch_pages=1))
    if MODULE and report["loss"]["module_mismatch_pages"] is not None:
        yield change("no audit", lambda w, p: w["loss"].update(module_mismatch_pages=None))
        yield change("an audit of less", lambda w, p: w["checks"].update(module_pages=1))
    yield change("the process", lambda w, p: p.update(pid=1))
