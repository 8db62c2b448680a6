/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rss and live bytes over time, and when addresses were asked of the kernel. */

const TIME_FIELDS = [
	't',
	'live',
	'livePeak',
	'resident',
	'residentPeak',
	'rss',
	'growths',
	'grown',
	'site',
];
const TIME_LEFT = 76,
	TIME_RIGHT = 104,
	TIME_TOP = 14,
	TIME_LANE = 46,
	TIME_FOOT = 26; /* pixels */

/* About five round numbers up to @most, in steps of 1, 2 or 5 times a power of the unit. */
function roundSteps(most, base) {
	const unit = base ** Math.floor(Math.log(Math.max(most, 1)) / Math.log(base));
	const sizes =
		base === 1024
			? [1, 2, 4, 8, 16, 32, 64, 128, 256, 512].map((n) => (n * unit) / 8)
			: [0.1, 0.2, 0.5, 1, 2, 5].map((n) => n * unit);
	const step = sizes.find((size) => most / size <= 5.5) || sizes[sizes.length - 1];
	const steps = [];

	for (let at = 0; at <= most * 1.0001; at += step) steps.push(at);
	return steps;
}

class Time {
	constructor(app) {
		this.app = app;
		this.panel = el('div', { class: 'time' });
	}

	show() {
		const { process } = this.app;

		this.moments = process.moments.map((row) =>
			Object.fromEntries(TIME_FIELDS.map((name, i) => [name, row[i]])),
		);
		this.at = this.moments.length - 1;
		this.panel.replaceChildren(
			panelTitle(
				'Memory over time',
				this.moments.length
					? `steps of ${inTime(process.moment_ns)}; lines show the most in each`
					: null,
			),
			this.legend(),
			(this.box = el('div', {
				class: 'time-chart',
				tabindex: '0',
				role: 'application',
				'aria-label': 'Memory over time: left and right go from step to step',
				onkeydown: (e) => this.key(e),
				onpointermove: (e) => this.hover(e),
				onpointerleave: () => this.leave(),
			})),
			this.growthTable(),
		);
		this.draw();
	}

	resize() {
		this.draw();
	}

	search() {}

	legend() {
		const line = (name) =>
			svg(
				'svg',
				{ class: 'line-swatch', width: 34, height: 12, 'aria-hidden': 'true' },
				name === 'dot'
					? svg('circle', { class: 'line-rss', cx: 17, cy: 6, r: 4 })
					: name === 'grown'
						? svg('rect', { class: 'line-grown', x: 14, y: 1, width: 5, height: 11 })
						: svg('line', { class: `line-${name}`, x1: 1, x2: 33, y1: 6, y2: 6 }),
			);

		return el(
			'ul',
			{ class: 'legend' },
			el('li', {}, line('live'), 'live bytes of blocks'),
			el('li', {}, line('resident'), 'anonymous memory in Rss, by events'),
			el('li', {}, line('dot'), 'Rss as the kernel told it'),
			el('li', {}, line('grown'), 'addresses asked of the kernel'),
		);
	}

	scales() {
		const { moments } = this;
		const { process } = this.app;
		const rss = [process.books.rss, ...moments.map((m) => m.rss)].filter((n) => n !== null);

		this.width = this.box.clientWidth;
		this.height = Math.max(220, Math.min(430, innerHeight - 330));
		this.end = Math.max(process.t, moments.length ? moments[moments.length - 1].t : 1, 1);
		this.most = Math.max(1, ...rss, ...moments.map((m) => Math.max(m.livePeak, m.residentPeak)));
		this.under = this.height - TIME_FOOT - TIME_LANE;
		this.x = (t) => TIME_LEFT + (t / this.end) * (this.width - TIME_LEFT - TIME_RIGHT);
		this.y = (bytes) => this.under - (bytes / this.most) * (this.under - TIME_TOP);
	}

	draw() {
		if (!this.box || !this.box.clientWidth) return;
		this.scales();
		const { moments, width, height } = this;
		const chart = svg('svg', { width, height, role: 'img', 'aria-label': 'Lines of memory over time' });

		this.axes(chart);
		if (moments.length) {
			chart.append(this.line('resident', 'residentPeak'), this.line('live', 'livePeak'));
			this.grown(chart);
			this.dots(chart);
			this.labels(chart);
		} else {
			chart.append(svg('text', { x: TIME_LEFT + 8, y: 40 }, 'No event of this process was seen.'));
		}
		this.cross = svg('g', { class: 'cross' });
		chart.append(this.cross);
		this.box.replaceChildren(chart);
	}

	axes(chart) {
		for (const bytes of roundSteps(this.most, 1024))
			chart.append(
				svg('line', {
					class: 'grid',
					x1: TIME_LEFT,
					x2: this.width - TIME_RIGHT,
					y1: this.y(bytes),
					y2: this.y(bytes),
				}),
				svg(
					'text',
					{ class: 'tick', x: TIME_LEFT - 8, y: this.y(bytes) + 4, 'text-anchor': 'end' },
					inBytes(bytes),
				),
			);
		for (const t of roundSteps(this.end, 10))
			chart.append(
				svg(
					'text',
					{ class: 'tick', x: this.x(t), y: this.height - 6, 'text-anchor': 'middle' },
					t ? `+${inTime(t)}` : '0',
				),
			);
		chart.append(
			svg('line', {
				class: 'axis',
				x1: TIME_LEFT,
				x2: this.width - TIME_RIGHT,
				y1: this.under,
				y2: this.under,
			}),
			svg(
				'text',
				{ class: 'tick', x: TIME_LEFT - 8, y: this.under + TIME_LANE - 8, 'text-anchor': 'end' },
				'asked for',
			),
		);
	}

	/* Steps, as memory does not come gradually. */
	line(name, field) {
		const points = [];
		let before = null;

		for (const m of this.moments) {
			if (before !== null) points.push(`H${this.x(m.t).toFixed(1)}`);
			points.push(
				`${before === null ? `M${this.x(m.t).toFixed(1)} ` : 'V'}${this.y(m[field]).toFixed(1)}`,
			);
			before = m;
		}
		points.push(`V${this.y(before[name]).toFixed(1)}H${this.x(this.end).toFixed(1)}`);
		return svg('path', { class: `line-${name}`, d: points.join('') });
	}

	grown(chart) {
		const most = Math.max(...this.moments.map((m) => m.grown), 1);

		for (const m of this.moments.filter((one) => one.growths)) {
			const high = Math.max(3, (TIME_LANE - 14) * Math.sqrt(m.grown / most));

			chart.append(
				svg('rect', {
					class: 'line-grown',
					x: this.x(m.t) - 1,
					width: 2,
					y: this.under + TIME_LANE - 4 - high,
					height: high,
				}),
			);
		}
	}

	dots(chart) {
		const { process } = this.app;
		const rows = this.moments.filter((m) => m.rss !== null).map((m) => [m.t, m.rss]);

		if (process.books.rss !== null) rows.push([this.end, process.books.rss]);
		for (const [t, rss] of rows)
			chart.append(svg('circle', { class: 'line-rss', cx: this.x(t), cy: this.y(rss), r: 4 }));
	}

	/* What the lines are, at their ends; apart from each other however close they are. */
	labels(chart) {
		const { process } = this.app;
		const last = this.moments[this.moments.length - 1];
		const rows = [
			['Rss', process.books.rss, 'rss'],
			['anonymous', last.resident, 'resident'],
			['live', last.live, 'live'],
		]
			.filter(([, bytes]) => bytes !== null)
			.sort((a, b) => b[1] - a[1]);
		let least = TIME_TOP - 20;

		rows.forEach(([name, bytes, key], i) => {
			const y = Math.min(
				Math.max(this.y(bytes), least + 30),
				this.under + 6 - 30 * (rows.length - 1 - i),
			);

			least = y;
			chart.append(
				svg('text', { class: `end end-${key}`, x: this.width - TIME_RIGHT + 12, y: y - 2 }, name),
				svg(
					'text',
					{
						class: 'end',
						x: this.width - TIME_RIGHT + 12,
						y: y + 12,
						'data-end': key,
						'data-bytes': bytes,
					},
					inBytes(bytes),
				),
			);
		});
	}

	go(i, x, y) {
		const m = this.moments[i];
		const lines = [
			`+${inTime(m.t)}`,
			`live ${inBytes(m.livePeak)}`,
			`anonymous in Rss ${inBytes(m.residentPeak)}`,
		];

		this.at = i;
		if (m.rss !== null) lines.push(`Rss ${inBytes(m.rss)}`);
		if (m.growths)
			lines.push(
				`asked for ${inBytes(m.grown)} in ${inCount(m.growths)} call${m.growths === 1 ? '' : 's'}`,
				`most by ${clip(this.app.report.nameOf(m.site), 60)}`,
			);
		this.cross.replaceChildren(
			svg('line', { x1: this.x(m.t), x2: this.x(m.t), y1: TIME_TOP, y2: this.under + TIME_LANE }),
		);
		showTip(x, y, lines);
		announce(lines.join(', '));
	}

	hover(event) {
		if (!this.moments.length) return;
		const box = this.box.getBoundingClientRect();
		const t =
			((event.clientX - box.left - TIME_LEFT) / (this.width - TIME_LEFT - TIME_RIGHT)) * this.end;
		const after = this.moments.findIndex((m) => m.t > t);

		this.go(after < 0 ? this.moments.length - 1 : Math.max(after - 1, 0), event.clientX, event.clientY);
	}

	leave() {
		hideTip();
		if (this.cross) this.cross.replaceChildren();
	}

	key(event) {
		const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20, Home: -1e9, End: 1e9 }[
			event.key
		];

		if (!by || !this.moments.length) return;
		const i = Math.max(0, Math.min(this.moments.length - 1, this.at + by));
		const box = this.box.getBoundingClientRect();

		this.go(i, box.left + this.x(this.moments[i].t), box.top + 40);
		event.preventDefault();
	}

	growthTable() {
		const rows = this.moments
			.filter((m) => m.growths)
			.sort((a, b) => b.grown - a.grown)
			.slice(0, 8);

		if (!rows.length)
			return el('p', { class: 'hint' }, 'No growth of the heap or other memory was seen.');
		return el(
			'div',
			{ class: 'scroll' },
			el(
				'table',
				{ class: 'growths' },
				el('caption', {}, 'The steps in which most was asked of the kernel'),
				el(
					'thead',
					{},
					el(
						'tr',
						{},
						...['At', 'Asked for', 'Calls', 'Most by'].map((name, i) =>
							el('th', { scope: 'col', class: i < 3 ? 'number' : '' }, name),
						),
					),
				),
				el(
					'tbody',
					{},
					...rows.map((m) =>
						el(
							'tr',
							{},
							el('td', { class: 'number' }, `+${inTime(m.t)}`),
							el('td', { class: 'number' }, inBytes(m.grown)),
							el('td', { class: 'number' }, inCount(m.growths)),
							el('td', {}, this.app.report.nameOf(m.site)),
						),
					),
				),
			),
		);
	}
}
