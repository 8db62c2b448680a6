/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whose memory was touched first by whom: the pages of each site by their first toucher. */

const MATRIX_ROWS = 15,
	MATRIX_COLUMNS = 8;

class Touchers {
	constructor(app) {
		this.app = app;
		this.panel = el('div', { class: 'touchers' });
	}

	/* Pages in Rss by group of owner and of toucher; 0: not known. */
	count() {
		const { report, process } = this.app;
		const { rows, state, site, toucher } = process.pages;
		const resident = new Set(['present', 'shared_cow'].map((name) => report.words.state.indexOf(name)));
		const owner_of = (id) => (id ? report.site(id).group.id : 0);
		const toucher_of = (id) => (id ? report.site(id).toucher.id : 0);
		const cells = new Map();

		this.total = 0;
		for (let row = 0; row < rows; row++) {
			if (!resident.has(state[row])) continue;
			const key = owner_of(site[row]) * 0x100000000 + toucher_of(toucher[row]);

			cells.set(key, (cells.get(key) || 0) + 1);
			this.total++;
		}
		this.cells = [...cells].map(([key, n]) => ({
			owner: Math.floor(key / 0x100000000),
			toucher: key % 0x100000000,
			n,
		}));
	}

	/* The largest on one side, the rest as one: { ids, index of an id }. */
	side(name, most) {
		const sums = new Map();

		for (const cell of this.cells) sums.set(cell[name], (sums.get(cell[name]) || 0) + cell.n);
		const all = [...sums.keys()].sort((a, b) => sums.get(b) - sums.get(a) || a - b);
		const shown = all.length > most + 1 ? all.slice(0, most) : all;

		return {
			shown,
			rest: all.length - shown.length,
			at: (id) => (shown.includes(id) ? shown.indexOf(id) : shown.length),
		};
	}

	show() {
		this.count();
		const owners = this.side('owner', MATRIX_ROWS),
			touchers = this.side('toucher', MATRIX_COLUMNS);
		const height = owners.shown.length + (owners.rest > 0),
			width = touchers.shown.length + (touchers.rest > 0);
		const n = Array.from({ length: height }, () => new Array(width).fill(0));

		for (const cell of this.cells) n[owners.at(cell.owner)][touchers.at(cell.toucher)] += cell.n;
		this.panel.replaceChildren(
			panelTitle('Who touched whose memory first', `${inPages(this.total)} in Rss`),
			el(
				'p',
				{ class: 'hint' },
				'A row is a site that owns memory, a column the code whose first touch made the kernel find a page ' +
					'for it; a cell tells how many pages. A click shows them in the heap map.',
			),
			this.total ? this.table(n, owners, touchers) : el('p', {}, 'No page is known of this process.'),
			this.key(touchers),
		);
	}

	search() {
		this.show();
	}

	column(touchers, i) {
		if (i === touchers.shown.length) return `${inCount(touchers.rest)} others`;
		const id = touchers.shown[i];

		return id ? this.app.report.touchers[id - 1].name : 'not seen (there before, or by a system call)';
	}

	row(owners, i) {
		if (i === owners.shown.length) return `${inCount(owners.rest)} other sites`;
		const id = owners.shown[i];

		return id ? this.app.report.groups[id - 1].name : 'no site known';
	}

	table(n, owners, touchers) {
		const most = Math.max(...n.flat());
		const sum = (list) => list.reduce((a, b) => a + b, 0);
		const letter = (i) => String.fromCharCode(97 + i);
		const head = el(
			'tr',
			{},
			el('td'),
			...n[0].map((_, i) =>
				el(
					'th',
					{ scope: 'col', title: this.column(touchers, i) },
					el('b', {}, letter(i)),
					el('span', {}, this.column(touchers, i)),
				),
			),
			el('th', { scope: 'col' }, 'all'),
		);
		const body = n.map((line, i) =>
			el(
				'tr',
				{ class: this.searched(owners.shown[i]) ? '' : 'unmeant' },
				el('th', { scope: 'row', title: this.row(owners, i) }, this.row(owners, i)),
				...line.map((value, k) => this.cell(value, most, owners, touchers, i, k)),
				el('td', { class: 'number' }, inCount(sum(line))),
			),
		);
		const foot = el(
			'tr',
			{},
			el('th', { scope: 'row' }, 'all'),
			...n[0].map((_, k) => el('td', { class: 'number' }, inCount(sum(n.map((line) => line[k]))))),
			el('td', { class: 'number', 'data-total': sum(n.flat()) }, inCount(sum(n.flat()))),
		);

		return el(
			'div',
			{ class: 'scroll' },
			el(
				'table',
				{ class: 'matrix' },
				el('thead', {}, head),
				el('tbody', {}, ...body),
				el('tfoot', {}, foot),
			),
		);
	}

	searched(id) {
		return (
			!this.app.report.searching ||
			Boolean(id && this.app.report.groups[id - 1].sites.some((site) => site.found))
		);
	}

	cell(value, most, owners, touchers, i, k) {
		const name = `${this.row(owners, i)}, first touched by ${this.column(touchers, k)}`;

		if (!value) return el('td', { class: 'number none' }, '·');
		return el(
			'td',
			{ class: 'number', style: { '--weight': `${Math.round(8 + (62 * value) / most)}%` } },
			el(
				'button',
				{
					type: 'button',
					class: 'plain',
					title: `${name}: ${inPages(value)}`,
					'aria-label': `${name}: ${inPages(value)}`,
					onclick: () =>
						this.app.showPages(
							name,
							(site, toucher) => owners.at(site) === i && touchers.at(toucher) === k,
						),
				},
				inCount(value),
			),
		);
	}

	key(touchers) {
		const width = touchers.shown.length + (touchers.rest > 0);

		return el(
			'ol',
			{ class: 'key', type: 'a' },
			...Array.from({ length: width }, (_, i) => el('li', {}, this.column(touchers, i))),
		);
	}
}
