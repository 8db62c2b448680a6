/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where all of Rss went, then the sites that own it. */

const ROWS_SHOWN = 25;

class Overview {
	constructor(app) {
		this.app = app;
		this.shown = ROWS_SHOWN;
		this.panel = el('div', { class: 'overview' });
	}

	show() {
		const { process } = this.app;

		this.panel.replaceChildren(
			panelTitle('The books', this.headline(process)),
			...this.books(process),
			panelTitle('Sites', 'what each line of the program owns'),
			this.table(),
			panelTitle('What else there is to say'),
			el('pre', { class: 'notes' }, process.notes + this.app.report.data.notes),
		);
	}

	search() {
		this.show();
	}

	headline(process) {
		const { books } = process;
		const parts = [
			`Rss ${inBytes(books.rss)}`,
			`explained ${inPercent(books.coverage)}`,
			`caller known of what came ${inPercent(books.site_coverage)}`,
		];

		return parts.join(' · ');
	}

	books(process) {
		const { books } = process;
		const parts = BOOKS.map(([key, name, what], i) => ({
			key,
			name,
			what,
			n: i + 1,
			bytes: books[key],
		})).filter((part) => part.bytes);
		const whole = parts.reduce((sum, part) => sum + Math.max(part.bytes, 0), 0);
		const bar = el('div', {
			class: 'bar',
			role: 'img',
			'aria-label': 'Rss by what it is; the table below has the numbers',
		});

		for (const part of parts.filter((p) => p.bytes > 0))
			bar.append(
				el(
					'div',
					{
						class: `part part-${part.key}`,
						'data-bytes': part.bytes,
						style: { flex: `${part.bytes / whole} 0 0` },
						onpointermove: (e) =>
							showTip(e.clientX, e.clientY, [
								part.name,
								`${inBytes(part.bytes)}, ${inPercent(part.bytes / books.rss)} of Rss`,
								part.what,
							]),
						onpointerleave: hideTip,
					},
					part.bytes / whole > 0.025 ? el('span', {}, `${part.n}`) : null,
				),
			);
		return [bar, this.legend(parts, books)];
	}

	legend(parts, books) {
		const rows = parts.map((part) =>
			el(
				'tr',
				{},
				el(
					'td',
					{},
					el('span', { class: `swatch part-${part.key}`, 'aria-hidden': 'true' }, `${part.n}`),
				),
				el('th', { scope: 'row' }, part.name),
				el(
					'td',
					{ class: 'number', 'data-book': part.key, 'data-bytes': part.bytes },
					inBytes(part.bytes),
				),
				el('td', { class: 'number' }, books.rss ? inPercent(part.bytes / books.rss) : '–'),
				el('td', { class: 'what' }, part.what),
			),
		);

		if (books.zero > 0)
			rows.push(
				this.beside('zero page', books.zero, 'touched but only read: one page for all, in no Rss'),
			);
		if (books.hugetlb > 0) rows.push(this.beside('hugetlb', books.hugetlb, 'beside Rss'));
		return el('table', { class: 'books' }, el('tbody', {}, ...rows));
	}

	beside(name, bytes, what) {
		return el(
			'tr',
			{ class: 'beside' },
			el('td'),
			el('th', { scope: 'row' }, name),
			el('td', { class: 'number' }, inBytes(bytes)),
			el('td'),
			el('td', { class: 'what' }, what),
		);
	}

	columns() {
		const { metric } = this.app;
		const usual = METRICS.filter((m) =>
			['resident', 'live', 'untouched', 'calls', 'faults', 'fault-ns'].includes(m.key),
		);

		return usual.includes(metric) ? usual : [metric, ...usual];
	}

	rows() {
		const { report, metric } = this.app;
		const sum = (group, m) => group.sites.reduce((n, site) => n + Math.max(site[m.field], 0), 0);

		return report.groups
			.map((group) => ({ group, value: sum(group, metric), sum: (m) => sum(group, m) }))
			.filter((row) =>
				row.group.sites.some(
					(site) => site.calls || site.resident_bytes || site.faults || site.live_blocks,
				),
			)
			.filter((row) => row.group.sites.some((site) => site.found))
			.sort((a, b) => b.value - a.value || a.group.id - b.group.id);
	}

	table() {
		const { report, metric } = this.app;
		const columns = this.columns();
		const rows = this.rows();
		const most = Math.max(1, ...rows.map((row) => row.value));
		const cells = (of) =>
			columns.map((m) =>
				el('td', { class: m === metric ? 'number chosen' : 'number', 'data-metric': m.key }, of(m)),
			);
		const body = rows.slice(0, this.shown).map((row) =>
			el(
				'tr',
				{},
				...cells((m) => m.unit(row.sum(m))),
				el(
					'td',
					{ class: 'share' },
					el('span', { style: { width: `${(row.value / most) * 100}%` } }),
				),
				el(
					'td',
					{ class: 'site' },
					el(
						'button',
						{
							type: 'button',
							class: 'plain',
							title: `${row.group.name}\n${row.group.site.frame.object}`,
							onclick: () => this.app.showGroup(row.group),
						},
						row.group.name,
					),
				),
			),
		);
		const unknown = report.unknownOf(METRICS[0]);

		if (unknown)
			body.push(
				el(
					'tr',
					{},
					...cells((m) => (m.key === 'resident' ? inBytes(unknown) : '–')),
					el('td', { class: 'share' }),
					el('td', { class: 'site' }, 'unknown: blocks whose call was not seen'),
				),
			);
		return el(
			'div',
			{ class: 'scroll' },
			el(
				'table',
				{ class: 'sites' },
				el(
					'thead',
					{},
					el(
						'tr',
						{},
						...columns.map((m) =>
							el(
								'th',
								{ scope: 'col', class: m === metric ? 'number chosen' : 'number' },
								el(
									'button',
									{
										type: 'button',
										class: 'plain',
										title: `Sort by ${m.name.toLowerCase()}`,
										onclick: () => this.app.setMetric(m.key),
									},
									m.short,
								),
							),
						),
						el('th', { class: 'share' }),
						el('th', { scope: 'col' }, 'Site'),
					),
				),
				el('tbody', {}, ...body),
				el(
					'tfoot',
					{},
					el(
						'tr',
						{},
						...columns.map((m) =>
							el(
								'td',
								{
									class: 'number',
									'data-metric': m.key,
									'data-total': report.totalOf(m),
								},
								m.unit(report.totalOf(m)),
							),
						),
						el('td', { class: 'share' }),
						el('td', {}, 'total'),
					),
				),
			),
			rows.length > this.shown
				? el(
						'button',
						{
							type: 'button',
							onclick: () => {
								this.shown *= 4;
								this.show();
							},
						},
						`${inCount(rows.length - this.shown)} more sites`,
					)
				: null,
		);
	}
}
