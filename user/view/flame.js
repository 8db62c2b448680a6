// SPDX-License-Identifier: GPL-2.0-or-later
// Inside of the SVG that flame.c writes. Frames come parents first; all that is needed of them is in
// their attributes. No name is ever made into markup: only textContent is written.
(function () {
	"use strict";
	const svg = document.currentScript ? document.currentScript.parentNode : document.documentElement;
	const unit = svg.getAttribute("data-unit");
	const about = svg.querySelector("#about");
	const field = svg.querySelector("#find");
	const found = svg.querySelector("#found");
	const frames = [];
	let zoomed = 0, focused = 0, letter = 7.3;

	svg.querySelectorAll(".f").forEach(function (element, i) {
		const up = element.getAttribute("data-up");
		const text = element.querySelector("text");
		frames.push({
			element: element, text: text, name: text.textContent, up: up === null ? -1 : +up,
			at: +element.getAttribute("data-at"), n: +element.getAttribute("data-n"),
			own: +element.getAttribute("data-own"), last: i,
		});
		for (let p = frames[i].up; p >= 0; p = frames[p].up)
			frames[p].last = i;
	});
	if (!frames.length)
		return;

	function scaled(n, step, units) {
		let i = 0;
		for (; n >= step && i < units.length - 1; i++)
			n /= step;
		return (i ? n.toFixed(1) : n) + " " + units[i];
	}
	function number(n) {
		if (unit === "bytes")
			return scaled(n, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);
		if (unit === "nanoseconds")
			return scaled(n, 1000, ["ns", "us", "ms", "s"]);
		return String(n);
	}
	function share(n, of) {
		return (of ? 100 * n / of : 0).toFixed(1) + " %";
	}

	function describe(i) {
		const f = frames[i], z = frames[zoomed];
		about.textContent = f.name + ": " + number(f.n) + ", " + share(f.n, frames[0].n) + " of all" +
			(zoomed && i >= zoomed && i <= z.last ? ", " + share(f.n, z.n) + " of what is shown" : "") +
			(f.own && f.own !== f.n ? "; " + number(f.own) + " in itself" : "");
	}

	function label(f, pixels) {
		const room = Math.floor((pixels - 6) / letter);
		f.text.textContent = room < 3 ? "" : f.name.length <= room ? f.name : f.name.slice(0, room - 2) + "..";
	}

	// Frames outside of the zoomed one are hidden, those around it as wide as the picture.
	function place() {
		const z = frames[zoomed], width = svg.getBoundingClientRect().width || 1200;
		const around = new Set();
		for (let p = z.up; p >= 0; p = frames[p].up)
			around.add(p);
		frames.forEach(function (f, i) {
			const inside = i >= zoomed && i <= z.last, outer = around.has(i);
			f.element.style.display = inside || outer ? "" : "none";
			f.element.classList.toggle("around", outer);
			if (!inside && !outer)
				return;
			const part = outer ? 1 : f.n / z.n;
			f.element.setAttribute("x", (outer ? 0 : 100 * (f.at - z.at) / z.n) + "%");
			f.element.setAttribute("width", 100 * part + "%");
			label(f, part * width);
		});
	}

	// What several frames of one stack have is counted once.
	function find() {
		const wanted = field ? field.value.toLowerCase() : "";
		let hits = 0, sum = 0, counted = -1;
		frames.forEach(function (f, i) {
			const hit = wanted !== "" && i > 0 && f.name.toLowerCase().includes(wanted);
			f.element.classList.toggle("hit", hit);
			f.element.classList.toggle("miss", wanted !== "" && !hit);
			hits += hit;
			if (hit && i > counted) {
				sum += f.n;
				counted = f.last;
			}
		});
		found.textContent = wanted === "" ? "" : hits + (hits === 1 ? " frame, " : " frames, ") + number(sum) +
			", " + share(sum, frames[0].n) + " of all";
	}

	function remember() {
		const parts = [];
		if (zoomed)
			parts.push("zoom=" + zoomed);
		if (field && field.value)
			parts.push("find=" + encodeURIComponent(field.value));
		try {
			history.replaceState(null, "", "#" + parts.join("&"));
		} catch (refused) {
			// a picture within a page has no address of its own
		}
	}
	function recall() {
		const wanted = { zoom: "0", find: "" };
		location.hash.slice(1).split("&").forEach(function (part) {
			const at = part.indexOf("=");
			try {
				wanted[part.slice(0, at)] = decodeURIComponent(part.slice(at + 1));
			} catch (malformed) {
				// as if it were not there
			}
		});
		zoomed = frames[+wanted.zoom] ? +wanted.zoom : 0;
		if (field)
			field.value = wanted.find;
		place();
		find();
	}

	function focus(i) {
		if (i < 0 || !frames[i] || frames[i].element.style.display === "none")
			return;
		frames[focused].element.setAttribute("tabindex", "-1");
		focused = i;
		frames[i].element.setAttribute("tabindex", "0");
		frames[i].element.focus();
		describe(i);
	}
	function zoom(i) {
		zoomed = i;
		place();
		remember();
		focus(i);
	}
	// The frame beside in the same stack's row: its parent's child before or after.
	function sibling(i, step) {
		const up = frames[i].up;
		let best = -1;
		for (let k = up + 1; up >= 0 && k <= frames[up].last; k = frames[k].last + 1) {
			if (step < 0 && k < i)
				best = k;
			if (step > 0 && k > i)
				return k;
		}
		return best;
	}

	svg.addEventListener("keydown", function (event) {
		const typing = event.target === field;
		const keys = {
			ArrowUp: function () { focus(frames[focused].up); },
			ArrowDown: function () { focus(frames[focused].last > focused ? focused + 1 : -1); },
			ArrowLeft: function () { focus(sibling(focused, -1)); },
			ArrowRight: function () { focus(sibling(focused, 1)); },
			Enter: function () { zoom(focused); },
			" ": function () { zoom(focused); },
			Backspace: function () { zoom(Math.max(0, frames[zoomed].up)); },
			"/": function () { if (field) field.focus(); },
			Escape: function () {
				if (field)
					field.value = "";
				find();
				zoom(0);
			},
		};
		if (event.ctrlKey || event.altKey || event.metaKey || !Object.hasOwn(keys, event.key) ||
		    (typing && event.key !== "Escape"))
			return;
		event.preventDefault();
		keys[event.key]();
	});
	frames.forEach(function (f, i) {
		f.element.addEventListener("click", function () { zoom(i); });
		f.element.addEventListener("mouseover", function () { describe(i); });
		f.element.addEventListener("focus", function () { focused = i; describe(i); });
	});
	if (field)
		field.addEventListener("input", function () { find(); remember(); });
	svg.querySelector("#tools").style.display = "";
	addEventListener("resize", place);
	addEventListener("hashchange", recall);
	about.textContent = "mmmmmmmmmm";
	letter = about.getComputedTextLength() / 10 || letter;
	about.textContent = "";
	recall();
	describe(zoomed);
})();
