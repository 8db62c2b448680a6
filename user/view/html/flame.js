/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The flame graph of any metric: main at the top, who it called below, the allocator at the end. */

const FLAME_ROW = 21; /* pixels */
const FLAME_LEAST = 2; /* narrower ones are not drawn */

class Flame {
	constructor(app) {
		this.app = app;
		this.panel = el('div', { class: 'flame' });
		this.zoomed = null;
	}

	/* One tree of all sites: a node is a function called from the nodes above. */
	build() {
		const { report, metric } = this.app;

		this.root = {
			name: 'all',
			label: 'all',
			object: '',
			value: 0,
			children: new Map(),
			up: null,
			depth: 0,
		};
		for (const site of report.sites) {
			const value = site[metric.field];

			if (!(value > 0)) continue;
			let node = this.root;

			this.root.value += value;
			if (site.end)
				node = this.grow(node, { short: 'stack cut off', label: site.end, object: '' }, value);

			for (let i = site.frames.length - 1; i >= 0; i--) node = this.grow(node, site.frames[i], value);
			this.grow(
				node,
				{
					short: site.fn || (site.mapping ? 'mmap' : 'malloc'),
					label: site.mapping ? 'mapped by the program itself' : 'the allocator',
					object: '',
					leaf: true,
				},
				value,
			);
		}
		this.root.value += this.addUnknown();
		this.colour();
	}

	grow(node, frame, value) {
		const key = `${frame.short}\n${frame.object}`;
		let child = node.children.get(key);

		if (!child) {
			child = {
				name: frame.short,
				label: frame.label,
				object: frame.object,
				leaf: frame.leaf,
				value: 0,
				children: new Map(),
				up: node,
				depth: node.depth + 1,
			};
			node.children.set(key, child);
		}
		child.value += value;
		return child;
	}

	addUnknown() {
		const value = this.app.report.unknownOf(this.app.metric);

		if (value)
			this.root.children.set('?', {
				name: 'unknown',
				label: 'blocks whose call was not seen',
				object: '',
				value,
				children: new Map(),
				up: this.root,
				depth: 1,
			});
		return value;
	}

	/* Objects by how much they have; the first few have a tint of their own. */
	colour() {
		const weight = new Map();
		const visit = (node) => {
			if (node.object) weight.set(node.object, (weight.get(node.object) || 0) + node.value);
			node.children.forEach(visit);
		};

		visit(this.root);
		this.objects = [...weight.keys()].sort((a, b) => weight.get(b) - weight.get(a)).slice(0, 4);
	}

	tint(node) {
		const i = this.objects.indexOf(node.object);

		return node.leaf ? 'tint-leaf' : i < 0 ? 'tint-other' : `tint-${i + 1}`;
	}

	show() {
		this.build();
		this.zoomed = this.root;
		this.head = el('p', { class: 'hint', id: 'flame-head' });
		this.chart = el('div', {
			class: 'flame-chart',
			role: 'tree',
			'aria-label': 'Flame graph',
			onkeydown: (e) => this.key(e),
			onpointerleave: hideTip,
		});
		this.panel.replaceChildren(
			panelTitle('Flame graph', this.app.metric.name),
			this.head,
			this.legend(),
			this.chart,
		);
		this.draw();
	}

	resize() {
		this.draw();
	}

	search() {
		this.draw();
	}

	legend() {
		return el(
			'ul',
			{ class: 'legend' },
			...this.objects.map((object, i) =>
				el('li', {}, el('span', { class: `swatch tint-${i + 1}` }), object.split('/').pop()),
			),
			el('li', {}, el('span', { class: 'swatch tint-leaf' }), 'the allocator’s function'),
		);
	}

	found(node) {
		return (
			this.app.report.searching &&
			node !== this.root &&
			this.app.report.matches({ label: `${node.name} ${node.label}`, object: node.object })
		);
	}

	/* Of nested matches the outermost counts, so that nothing counts twice. */
	matched(node) {
		if (this.found(node)) return node.value;
		let sum = 0;

		for (const child of node.children.values()) sum += this.matched(child);
		return sum;
	}

	ordered(node) {
		return [...node.children.values()].sort((a, b) => b.value - a.value || (a.name < b.name ? -1 : 1));
	}

	draw() {
		const width = this.chart.clientWidth;
		const boxes = [];
		const above = [];

		for (let node = this.zoomed.up; node; node = node.up) above.unshift(node);
		above.forEach((node, i) => boxes.push(this.box(node, 0, width, i, true)));
		this.deepest = above.length;
		this.place(this.zoomed, 0, width, above.length, boxes);
		this.chart.replaceChildren(...boxes);
		this.chart.style.height = `${(this.deepest + 1) * FLAME_ROW}px`;
		this.focusable(this.chart.querySelector('[data-zoomed]'));
		this.tell();
	}

	place(node, left, width, row, boxes) {
		boxes.push(this.box(node, left, width, row, false));
		this.deepest = Math.max(this.deepest, row);
		for (const child of this.ordered(node)) {
			const share = (width * child.value) / node.value;

			if (share >= FLAME_LEAST) this.place(child, left, share, row + 1, boxes);
			left += share;
		}
	}

	classes(node, width, above) {
		const names = ['frame', this.tint(node)];

		if (width <= 30) names.push('narrow');
		if (above) names.push('above');
		if (this.found(node)) names.push('found');
		return names.join(' ');
	}

	box(node, left, width, row, above) {
		const { metric } = this.app;
		const box = el(
			'div',
			{
				class: this.classes(node, width, above),
				role: 'treeitem',
				tabindex: '-1',
				'aria-level': row + 1,
				'aria-label': `${node.name}, ${metric.unit(node.value)}, ${inPercent(node.value / this.root.value)}`,
				'data-value': node.value,
				'data-name': node.name,
				'data-zoomed': node === this.zoomed,
				style: {
					left: `${left}px`,
					width: `${Math.max(width - 1, 1)}px`,
					top: `${row * FLAME_ROW}px`,
				},
				onclick: () => this.zoom(node),
				onpointermove: (e) => showTip(e.clientX, e.clientY, this.tip(node)),
				onfocus: () => announce(this.tip(node).join(', ')),
			},
			width > 30 ? (node === this.root ? `all: ${metric.unit(node.value)}` : node.name) : '',
		);

		box.node = node;
		return box;
	}

	tip(node) {
		const { metric } = this.app;

		return [
			node.name,
			node.label && node.label !== node.name ? node.label : null,
			node.object || null,
			`${metric.name}: ${metric.unit(node.value)}`,
			`${inPercent(node.value / this.root.value)} of all` +
				(node.up && node.up !== this.root
					? `, ${inPercent(node.value / node.up.value)} of its caller’s`
					: ''),
		].filter(Boolean);
	}

	share(value) {
		return `${this.app.metric.unit(value)}, ${inPercent(value / this.root.value)}`;
	}

	tell() {
		const { report, metric } = this.app;
		const parts = [`${metric.name}: ${metric.unit(this.root.value)} in all.`];

		if (!this.root.value) parts.push('Nothing of it was seen.');
		if (this.zoomed !== this.root)
			parts.push(`Shown: ${this.zoomed.name}, ${this.share(this.zoomed.value)} (Esc: all).`);
		if (report.searching) parts.push(`Found: ${this.share(this.matched(this.root))}.`);
		parts.push('A click or Enter zooms, arrow keys go from frame to frame.');
		this.head.textContent = parts.join(' ');
		this.head.dataset.total = this.root.value;
		this.head.dataset.found = report.searching ? this.matched(this.root) : '';
	}

	zoom(node) {
		hideTip();
		this.zoomed = node;
		this.draw();
		const box = this.chart.querySelector('[data-zoomed]');

		box.focus({ preventScroll: true });
		box.scrollIntoView({ block: 'nearest' });
	}

	focusable(box) {
		this.chart.querySelectorAll('[tabindex="0"]').forEach((b) => b.setAttribute('tabindex', '-1'));
		if (box) box.setAttribute('tabindex', '0');
	}

	/* The box that an arrow key means: up and down the stack, left and right among its neighbours. */
	next(node, key) {
		const boxes = [...this.chart.children];
		const at = (n) => boxes.find((box) => box.node === n);

		if (key === 'ArrowUp') return at(node.up);
		if (key === 'ArrowDown') return boxes.find((box) => box.node.up === node);
		const same = boxes.filter((box) => box.node.depth === node.depth);
		const i = same.findIndex((box) => box.node === node) + (key === 'ArrowLeft' ? -1 : 1);

		return same[i];
	}

	key(event) {
		const node = event.target.node;

		if (!node) return;
		if (event.key === 'Enter' || event.key === ' ') {
			this.zoom(node);
		} else if (event.key === 'Escape') {
			this.zoom(this.root);
		} else if (event.key.startsWith('Arrow')) {
			const box = this.next(node, event.key);

			if (box) {
				this.focusable(box);
				box.focus({ preventScroll: true });
				box.scrollIntoView({ block: 'nearest' });
			}
		} else {
			return;
		}
		event.preventDefault();
		event.stopPropagation();
	}
}
