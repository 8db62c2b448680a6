/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests ask the page, besides what it is itself. */
window.asked = {
	/* The part of a box that nothing above it cuts off. */
	seen(element, box) {
		let { left, top, right, bottom } = box;

		for (let e = element; e && e !== document.documentElement; e = e.parentElement) {
			const style = getComputedStyle(e);

			if (style.visibility === 'hidden' || style.opacity === '0') return null;
			if (style.overflowX !== 'visible' || style.overflowY !== 'visible') {
				const edge = e.getBoundingClientRect();

				left = Math.max(left, edge.left);
				top = Math.max(top, edge.top);
				right = Math.min(right, edge.right);
				bottom = Math.min(bottom, edge.bottom);
			}
		}
		left = Math.max(left, 0);
		top = Math.max(top, 0);
		right = Math.min(right, innerWidth);
		bottom = Math.min(bottom, innerHeight);
		return right - left > 1 && bottom - top > 1 ? { left, top, right, bottom } : null;
	},

	/* Every piece of text on the screen with where it is. */
	texts() {
		const found = [];
		const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
		const range = document.createRange();

		while (walker.nextNode()) {
			const node = walker.currentNode,
				element = node.parentElement;

			if (
				!node.data.trim() ||
				element.closest('script, option, [hidden], .unseen, noscript, dialog:not([open])')
			)
				continue;
			range.selectNodeContents(node);
			for (const box of range.getClientRects()) {
				const seen = asked.seen(element, box);

				if (seen) found.push({ node, text: node.data.trim().slice(0, 40), ...seen });
			}
		}
		return found;
	},

	/* Pairs of texts that lie on each other by more than a line's own slack. */
	overlaps() {
		const texts = asked.texts();
		const bad = [];

		for (let i = 0; i < texts.length; i++) {
			for (let k = i + 1; k < texts.length; k++) {
				const a = texts[i],
					b = texts[k];
				const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
				const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);

				if (a.node !== b.node && wide > 1.5 && high > 3.5) bad.push(`${a.text} | ${b.text}`);
			}
		}
		return { texts: texts.length, bad: bad.slice(0, 5) };
	},

	/* Controls must not lie on each other either, and nothing may stick out to the side. */
	crowded() {
		const boxes = [...document.querySelectorAll('button, input, select, .swatch')]
			.map((e) => ({ e, box: asked.seen(e, e.getBoundingClientRect()) }))
			.filter((x) => x.box);
		const bad = [];

		boxes.forEach((a, i) =>
			boxes.slice(i + 1).forEach((b) => {
				const wide = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left);
				const high = Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top);

				if (wide > 1.5 && high > 1.5 && !a.e.contains(b.e) && !b.e.contains(a.e))
					bad.push(`${a.e.outerHTML.slice(0, 60)} | ${b.e.outerHTML.slice(0, 60)}`);
			}),
		);
		if (document.documentElement.scrollWidth > innerWidth)
			bad.push('the page is wider than the window');
		if (document.getElementById('main').scrollWidth > document.getElementById('main').clientWidth)
			bad.push('the view is wider than the window');
		return bad.slice(0, 5);
	},

	/* The middle of a page's cell on the screen, and the colour that is there on the canvas. */
	cell(row) {
		const map = app.views.map,
			spot = map.spot(row),
			box = map.canvas.getBoundingClientRect();
		const x = spot.x + map.cell / 2 - 0.5,
			y = spot.y - map.scroller.scrollTop + map.cell / 2 - 0.5;
		/* beside the letter */
		const [r, g, b] = map.canvas
			.getContext('2d')
			.getImageData(
				Math.round(spot.x) + 1,
				Math.round(spot.y - map.scroller.scrollTop) + 1,
				1,
				1,
			).data;

		return {
			x: box.left + x,
			y: box.top + y,
			colour: `#${[r, g, b].map((c) => c.toString(16).padStart(2, '0')).join('')}`,
		};
	},

	/* Does every frame hold at least what its callees hold, and the first all? */
	flameAdds() {
		const wrong = [];
		const visit = (node) => {
			let sum = 0;

			for (const child of node.children.values()) {
				sum += child.value;
				visit(child);
			}
			if (node.children.size && sum > node.value) wrong.push(node.name);
			return sum;
		};
		const root = app.views.flame.root;

		if (visit(root) !== root.value) wrong.push('all');
		return wrong;
	},

	flameTotal() {
		return [
			+document.getElementById('flame-head').dataset.total,
			+document.querySelector('.frame').dataset.value,
		];
	},

	/* Numbers that elements carry, by name: of the table's last row, of the books, at the ends of lines. */
	numbers(selector, name, number) {
		const all = [...document.querySelectorAll(selector)];

		return Object.fromEntries(all.map((e) => [e.dataset[name], +e.dataset[number]]));
	},

	/* Pages by the heap map's legend; hollow ones are among the others. */
	legendPages() {
		const entries = [...document.querySelectorAll('.map .legend li')];

		return entries
			.filter((e) => !e.textContent.startsWith('hollow'))
			.map((e) => +e.querySelector('.count').dataset.pages);
	},

	pages() {
		const p = app.process.pages,
			{ state, source } = app.report.words;

		return Array.from(p.number, (n, i) => [
			hexAddr(n),
			p.pfn[i] || null,
			state[p.state[i]],
			source[p.source[i]],
			p.order[i],
			p.site[i] || null,
			p.toucher[i] || null,
			p.blocks[i],
			p.fault_ns[i] ? p.fault_ns[i] - 1 : null,
			p.node[i] ? p.node[i] - 1 : null,
		]);
	},

	blocks() {
		const b = app.process.blocks,
			{ tier } = app.report.words;

		return Array.from(b.addr, (a, i) => [
			hexAddr(0, a),
			b.tier[i] % 2 ? null : b.requested[i],
			b.resident[i],
			b.site[i] || null,
			tier[(b.tier[i] >> 1) & 15],
			b.tid[i] || null,
		]);
	},

	foundFrames() {
		const frames = [...document.querySelectorAll('.frame.found')].map((e) => e.dataset.name);

		return [frames, +document.getElementById('flame-head').dataset.found];
	},

	choose(id, key) {
		const list = document.getElementById(id);

		list.value = key;
		list.dispatchEvent(new Event('change'));
	},

	text(selector) {
		return document.querySelector(selector).textContent;
	},

	/* Lays some things over each other. */
	spoil() {
		document.querySelector('.books').style.marginTop = '-20px';
		document.querySelector('#search').style.marginLeft = '-80px';
	},

	/* ms until the heap map is there */
	drawMap() {
		const from = performance.now();

		app.go('map');
		return performance.now() - from;
	},

	/* A yardstick of this machine at this moment: ms for work like that of the page. */
	yardstick() {
		const from = performance.now();
		const bytes = new Uint8Array(1 << 20);
		let sum = 0;

		for (let i = 0; i < bytes.length; i++) bytes[i] = i * 7;
		for (let turn = 0; turn < 40; turn++)
			for (let i = 0; i < bytes.length; i++) sum += (bytes[i] & 127) * 128;
		return sum > 0 ? performance.now() - from : 0;
	},
};
