/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the colours and letters of the heap map's cells mean. */

const LETTERS = 'ABCDEFG';

const MAP_MODES = [
	['site', 'site', 'Who asked for the memory: the site with the most bytes on the page'],
	['toucher', 'first touch', 'Who touched the page first, and so made the kernel find it'],
	['state', 'state', 'What the page is now'],
	['age', 'age', 'When the page came: in which tenth of the run'],
	['order', 'order', 'How many pages came at once: 2 to the power of the order'],
];
const STATE_LETTERS = { present: 'P', zero: 'Z', swapped: 'S', shared_cow: 'C', gone: 'G' };

/* What the cells say in a mode: classes [{ name, letter, colour }] and the class of each page. */
class MapKey {
	constructor(app, mode, colours) {
		this.app = app;
		this.pages = app.process.pages;
		this.of = new Uint8Array(this.pages.rows);
		this.classes = [];
		this[mode](colours);
		for (const entry of this.classes) entry.count = 0;
		for (let i = 0; i < this.pages.rows; i++) this.classes[this.of[i]].count++;
		this.findHollow();
	}

	/*
	 * Heap pages with no live block on them: memory that is kept for nothing, in any colour. What the
	 * program mapped itself needs no block to be its own.
	 */
	findHollow() {
		const { number, blocks, site, rows } = this.pages;
		const mapped = new Uint8Array(this.app.report.sites.length + 1);

		this.hollow = new Uint8Array(rows);
		this.hollows = 0;
		this.app.report.sites.forEach((one) => {
			mapped[one.id] = one.mapping;
		});
		for (const { vma, from, to } of pagesByMapping(number, rows, this.app.process.vmas)) {
			const used = blocks.subarray(from, to).some((n) => n > 0);

			if (!vma || vma.kind === 'file' || !(vma.kind === 'heap' || vma.growth || used)) continue;
			for (let i = from; i < to; i++) {
				this.hollow[i] = !blocks[i] && !mapped[site[i]];
				this.hollows += this.hollow[i];
			}
		}
	}

	site(colours) {
		this.bySite(this.pages.site, 'group', colours, 'no site known');
	}

	toucher(colours) {
		this.bySite(this.pages.toucher, 'toucher', colours, 'not seen: there before, or by a system call');
	}

	/* The seven groups with the most pages have a letter, the others share one. */
	bySite(column, together, colours, nobody) {
		const { report } = this.app;
		const counts = new Map();
		const class_of = new Uint8Array(report.sites.length + 1).fill(LETTERS.length);

		for (let i = 0; i < column.length; i++)
			if (column[i]) counts.set(column[i], (counts.get(column[i]) || 0) + 1);
		const groups = new Map();

		counts.forEach((n, id) => {
			const group = report.site(id)[together];

			groups.set(group, (groups.get(group) || 0) + n);
		});
		const largest = [...groups.keys()].sort((a, b) => groups.get(b) - groups.get(a) || a.id - b.id);

		largest.slice(0, LETTERS.length).forEach((group, i) => {
			class_of[group.id] = i;
			this.classes.push({ name: group.name, letter: LETTERS[i], colour: colours.kinds[i], group });
		});
		while (this.classes.length < LETTERS.length)
			this.classes.push({ name: '', letter: '', colour: colours.other });
		this.classes.push({
			name: `others (${inCount(Math.max(largest.length - LETTERS.length, 0))})`,
			letter: '+',
			colour: colours.other,
		});
		this.classes.push({ name: nobody, letter: '?', colour: colours.none });
		const none = LETTERS.length + 1;
		const of_site = new Uint8Array(report.sites.length + 1).fill(none);

		report.sites.forEach((site) => {
			of_site[site.id] = class_of[site[together].id];
		});
		for (let i = 0; i < column.length; i++) this.of[i] = of_site[column[i]];
	}

	state(colours) {
		const order = [0, 3, 1, 5, 6]; /* present: blue; zero: pink; swapped: orange; ... */

		this.classes = this.app.report.words.state.map((name, i) => ({
			name: name.replace('_', ' '),
			letter: STATE_LETTERS[name],
			colour: colours.kinds[order[i]],
		}));
		this.of.set(this.pages.state);
	}

	age(colours) {
		const end = Math.max(this.app.process.t, 1);
		const { t, source } = this.pages;
		const seeded = this.app.report.words.source.indexOf('seeded');

		for (let i = 0; i < 10; i++)
			this.classes.push({
				name: `${inTime((end * i) / 10)} to ${inTime((end * (i + 1)) / 10)}`,
				letter: `${i}`,
				colour: colours.steps[i],
			});
		this.classes.push({ name: 'before tracing began', letter: '–', colour: colours.none });
		for (let i = 0; i < this.pages.rows; i++)
			this.of[i] =
				source[i] === seeded ? 10 : Math.max(0, Math.min(9, Math.floor((t[i] / end) * 10)));
	}

	order(colours) {
		for (let i = 0; i < 10; i++)
			this.classes.push({
				name: `order ${i}: ${inBytes(4096 << i)}`,
				letter: `${i}`,
				colour: colours.steps[i],
			});
		for (let i = 0; i < this.pages.rows; i++) this.of[i] = Math.min(this.pages.order[i], 9);
	}
}
