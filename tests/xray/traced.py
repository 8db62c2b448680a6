# SPDX-License-Identifier: GPL-2.0-or-later
"""The X-ray beside the trace: blocks from before the attach, and by site what keeps memory."""
import json
import os
import signal
import subprocess

import harness
from programs import Heap, build, vma_rss, xray


class Traced:
    """mallocpath -p PID, until the block ends; then .report is what it said."""

    def __init__(self, pid, where, *args):
        self.out = os.path.join(where, "report.json")
        self.tool = harness.Tool(["-p", str(pid), "--view", "json", "-o", self.out, *args], where)
        self.report = None

    def __enter__(self):
        self.tool.wait_tracing()
        return self

    def __exit__(self, kind, *_):
        status = self.tool.finish(signal.SIGINT)
        if kind is None:
            if status:
                raise harness.Hang(f"mallocpath ended with {status}: {self.tool.stderr()}")
            with open(self.out, encoding="utf-8") as file:
                self.report = json.load(file)


def check_seeds(tap, rows, truth):
    """Exactly the blocks that are there, each with what it can hold and nothing made up."""
    found = {int(row["addr"], 16): row["usable"] for row in rows}
    known = [row for row in rows if (row["requested"], row["site"], row["t_ns"], row["tid"],
                                     row["tier"]) != (None, None, None, None, "unknown")]
    tap.check(found == truth and truth and not known,
              f"seeded: its {len(truth)} blocks, and no other, without what cannot be known",
              f"{len(found)} {known[:3]} {sorted(set(found.items()) ^ set(truth.items()))[:5]}")


def seeded(tap, version, command, where):
    """A process that stands still: the same blocks by its own table, by the events, by X-ray."""
    with Heap(command, where, "mixed", 4000) as workload:
        with Traced(workload.pid, where, "--blocks") as traced:
            truth = workload.truth()
        alone, done = xray(workload.pid)
        process = traced.report["processes"][0]
        told, books = process["xray"], process["books"]
        check_seeds(tap, process["blocks"], truth)
        nr = len(truth)
        tap.check([told[key] for key in ("seeded_blocks", "seeded_live_blocks", "blocks_both",
                                         "blocks_xray_only", "blocks_trace_only", "seeded_wrong",
                                         "partial")] == [nr, nr, nr, 0, 0, 0, False],
                  "seeded: X-ray and events tell the same", str(told))
        if not tap.check(alone is not None, "seeded: an X-ray alone", done.stderr):
            return
        own = alone["total"]["books"]
        tap.check((books["block_bytes"], told["seeded_resident_bytes"], books["metadata_bytes"],
                   told["trim_bytes"]) ==
                  (own["live"]["resident_bytes"], own["live"]["resident_bytes"],
                   own["metadata"]["resident_bytes"], alone["total"]["trim_bytes"]),
                  "seeded: live blocks, metadata and what trim gives are the X-ray's",
                  f"{books} {told} {own}")
        summed = sum(books[f"{key}_bytes"] or 0 for key in
                     ("block", "retained", "metadata", "before_attach", "other_anon", "stack",
                      "file", "shmem", "tool", "unexplained"))
        tap.check(summed == books["rss_bytes"] and not books["unexplained_bytes"],
                  "seeded: the books balance", str(books))


def seeded_busy(tap, version, command, where):
    """Attached to while four threads allocate and free: what the X-ray saw half done is put right by
    the events, and no free is taken to be lost."""
    with Heap(command, where, "busy", 400) as workload:
        for n in range(4):
            with Traced(workload.pid, where, "-d", "1", "--ring-size", "256M") as traced:
                traced.tool.child.wait(harness.PATIENCE)
            process, loss = traced.report["processes"][0], traced.report["loss"]
            told = process["xray"]
            tap.note(f"{told} frees_lost {loss['frees_lost']}")
            tap.check(told["seeded_blocks"] > 100 and not loss["frees_lost"] and
                      not loss["events_dropped"] and told["seeded_wrong"] * 100 <=
                      told["seeded_blocks"], f"seeded_busy, {n}: every free is known", f"{loss}")


class Keeps:
    """One run of the workload of that name."""

    def __init__(self, command, nr):
        self.child = subprocess.Popen(command + [str(nr)], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)
        self.expect("ready")

    def expect(self, word):
        line = self.child.stdout.readline().strip()
        if line != word:
            raise harness.Hang(f"the workload said '{line}', not '{word}'")

    def ask(self, word):
        """How much of its own memory Rss lost by it; it may run code that was not there before."""
        before = self.anonymous()
        self.child.stdin.write(f"{word}\n")
        self.child.stdin.flush()
        self.expect(word)
        return before - self.anonymous()

    def anonymous(self):
        return sum(vma_rss(self.child.pid, "Anonymous").values())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()
        self.child.stdin.close()
        self.child.stdout.close()


def functions_of(site):
    return [frame["function"] for frame in site["frames"]]


def pinned_by(report, function):
    return sum(site["pinned_bytes"] for site in report["sites"]
               if function in functions_of(site)[:3] and site["calls"])


def pinned(tap, version, command, where):
    """N blocks, all but each 64th freed: the sites that keep the pages are named, with the bytes that
    freeing their blocks gives back, for each of them on its own."""
    command = build(version, where, "keeps")
    for word, function in (("one", "keep_one"), ("other", "keep_other"), ("some", "map_some")):
        with Keeps(command, 200000) as workload:
            with Traced(workload.child.pid, where) as traced:
                workload.ask("make")
            report = traced.report
            told = report["processes"][0]["xray"]
            trimmed = workload.ask("trim")
            tap.check(trimmed == told["trim_bytes"] > 10 << 20,
                      f"pinned: malloc_trim gives back the {told['trim_bytes']} bytes foretold",
                      f"{trimmed}")
            foretold, gone = pinned_by(report, function), workload.ask(word)
            tap.check(abs(foretold - gone) <= gone / 100 and gone > 2 << 20,
                      f"pinned: freeing the blocks of {function} gives back {gone}, {foretold} were "
                      "foretold", str([(functions_of(site)[:3], site["pinned_bytes"])
                                       for site in report["sites"] if site["pinned_bytes"]]))
            most = max((site for site in report["sites"] if "map_some" not in
                        functions_of(site)[:3]), key=lambda site: site["pinned_bytes"])
            tap.check("keep_one" in functions_of(most)[:3],
                      "pinned: of the heap's, keep_one keeps most", str(functions_of(most)))
