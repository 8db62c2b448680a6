/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One block's life, stage by stage: from the call to the page frames. */

const LIFE_PAGES = 10; /* drawn one by one */
const CALLS_BY_OP = [null, 'brk', 'mmap', 'munmap', 'mremap', 'madvise', 'mprotect'];

class Life {
	constructor(app) {
		this.app = app;
		this.panel = el('div', { class: 'life' });
		this.block = -1;
	}

	show() {
		if (this.process !== this.app.process) {
			this.process = this.app.process;
			this.block = -1;
		}
		const { blocks } = this.process;

		if (this.block < 0 && blocks.rows) this.block = this.telling();
		this.panel.replaceChildren(
			panelTitle('The life of a block'),
			this.choice(),
			this.block < 0
				? el('p', {}, 'No live block is known of this process.')
				: this.story(this.block),
		);
	}

	search() {}

	/* The largest block that was touched, or the largest. */
	telling() {
		const { blocks } = this.process;
		let best = 0;

		for (let i = 1; i < blocks.rows; i++)
			if (
				(blocks.resident[i] > 0) - (blocks.resident[best] > 0) ||
				blocks.requested[i] > blocks.requested[best]
			)
				if (blocks.resident[i] > 0 || !blocks.resident[best]) best = i;
		return best;
	}

	choice() {
		const { blocks } = this.process;
		const input = el('input', {
			id: 'life-address',
			type: 'text',
			size: 20,
			spellcheck: 'false',
			placeholder: '0x…',
			value: this.block < 0 ? '' : hexAddr(0, blocks.addr[this.block]),
		});
		const answer = el('span', { class: 'hint', role: 'status' });

		return el(
			'form',
			{
				class: 'choice',
				onsubmit: (e) => {
					e.preventDefault();
					const i = this.find(parseInt(input.value, 16));

					answer.textContent = i < 0 ? 'No live block is known there.' : '';
					if (i >= 0) this.go(i);
				},
			},
			el('label', {}, 'Any address in it ', input),
			el('button', { type: 'submit' }, 'Show'),
			el(
				'button',
				{ type: 'button', onclick: () => this.go(Math.max(this.block - 1, 0)) },
				'Lower neighbour',
			),
			el(
				'button',
				{ type: 'button', onclick: () => this.go(Math.min(this.block + 1, blocks.rows - 1)) },
				'Upper neighbour',
			),
			answer,
		);
	}

	find(addr) {
		const { blocks } = this.process;

		if (!(addr >= 0)) return -1;
		const i = lowerBound(blocks.addr, addr + 1) - 1;

		return i >= 0 && addr < blocks.addr[i] + Math.max(blocks.requested[i], 1) ? i : -1;
	}

	go(i) {
		this.block = i;
		this.show();
		announce(`Block ${hexAddr(0, this.process.blocks.addr[i])}`);
	}

	story(i) {
		const stages = [
			this.call(i),
			this.system(i),
			this.vma(i),
			this.fault(i),
			this.allocator(i),
			this.frames(i),
		];

		return el(
			'ol',
			{ class: 'stages' },
			...stages
				.filter(Boolean)
				.map((stage, n) =>
					el(
						'li',
						{ class: stage.kernel ? 'stage kernel' : 'stage' },
						el(
							'h3',
							{},
							el('span', { class: 'step' }, `${n + 1}`),
							stage.title,
							el('small', {}, stage.at || ''),
						),
						stage.code ? el('p', { class: 'code' }, el('code', {}, stage.code)) : null,
						...stage.body,
					),
				),
		);
	}

	facts(rows) {
		return el(
			'dl',
			{},
			...rows
				.filter(([, value]) => value)
				.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]),
		);
	}

	call(i) {
		const { blocks } = this.process;
		const given = blocks.room[i] ? `, given ${inBytes(blocks.requested[i] + blocks.room[i] - 1)}` : '';
		const { words } = this.app.report;
		const site = this.app.report.site(blocks.site[i]);
		const seeded = blocks.tier[i] % 2;
		const tier = blocks.tier[i] >> 1;
		const fn = site && site.fn ? site.fn : 'malloc';
		const frames = site ? site.frames.slice(site.shown) : [];
		const served =
			words.tier[tier & 15] === 'unknown'
				? null
				: `${words.tier[tier & 15]}${words.sure[tier >> 4] === 'certain' ? '' : ', as a snapshot tells'}`;

		return {
			title: 'User space: the allocator hands out addresses',
			at: seeded ? 'before tracing began' : `+${inTime(blocks.t[i])}`,
			code: `${fn}(${seeded ? '?' : inCount(blocks.requested[i])}) = ${hexAddr(0, blocks.addr[i])}`,
			body: [
				this.facts([
					['Asked for', seeded ? null : inBytes(blocks.requested[i]) + given],
					['Served by', served],
					['Thread', blocks.tid[i] ? `${blocks.tid[i]}` : null],
				]),
				site
					? el(
							'ol',
							{ class: 'stack' },
							...frames
								.slice(0, 8)
								.map((frame) => el('li', { title: frame.object }, frame.label)),
							frames.length > 8
								? el('li', { class: 'hint' }, `and ${frames.length - 8} more`)
								: null,
						)
					: el('p', { class: 'hint' }, 'Who asked for it is not known.'),
			],
		};
	}

	mapping(i) {
		return vmaAt(this.process, Math.floor(this.process.blocks.addr[i] / 4096));
	}

	system(i) {
		const vma = this.mapping(i);

		if (!vma) return null;
		if (!vma.op)
			return {
				kernel: true,
				title: 'System call: addresses were reserved',
				at: 'before tracing began',
				body: [],
			};
		const call = CALLS_BY_OP[vma.op] || 'a system call';
		const hook = vma.hooked ? (call === 'brk' ? 'do_brk_flags()' : 'mmap_region()') : null;

		return {
			kernel: true,
			title: 'System call: addresses are reserved, no memory yet',
			at: `+${inTime(vma.t)}`,
			code: `${call}()${hook ? ` → ${hook}` : ''}`,
			body: [
				this.facts([
					['Inside of', vma.growth ? `${vma.growth}()` : null],
					['Called by', vma.site ? this.app.report.nameOf(vma.site) : null],
				]),
			],
		};
	}

	vma(i) {
		const vma = this.mapping(i);

		if (!vma) return null;
		return {
			kernel: true,
			title: 'VMA: the kernel’s note of the range',
			code: `${hexAddr(vma.start)}–${hexAddr(vma.end)} ${vmaPerms(vma)} ${vmaName(vma)}`,
			body: [
				this.facts([
					[
						'Holds',
						`${inPages(vma.end - vma.start)}, of which ${inCount(vma.present)} in memory`,
					],
				]),
			],
		};
	}

	/* Counts of what the block's pages say in one column, in words, most first. */
	tally(rows, word) {
		const counts = new Map();

		for (const row of rows) {
			const name = word(row);

			if (name) counts.set(name, (counts.get(name) || 0) + 1);
		}
		return [...counts]
			.sort((a, b) => b[1] - a[1])
			.slice(0, 3)
			.map(([name, n]) => (rows.length === 1 ? name : `${name} (${inCount(n)})`))
			.join('; ');
	}

	rows(i) {
		const [from, to] = pagesOfBlock(this.process, i);

		return Array.from({ length: to - from }, (_, k) => from + k);
	}

	fault(i) {
		const { pages } = this.process;
		const { words } = this.app.report;
		const rows = this.rows(i);
		const timed = rows.filter((row) => pages.fault_ns[row]);
		const mean = timed.reduce((sum, row) => sum + pages.fault_ns[row] - 1, 0) / timed.length;
		const first = rows.reduce((least, row) => Math.min(least, pages.t[row]), Infinity);

		if (!rows.length)
			return {
				kernel: true,
				title: 'Page fault: the first touch',
				body: [el('p', {}, 'None of its pages was ever touched: it is addresses only.')],
			};
		return {
			kernel: true,
			title: 'Page fault: the first touch of each page',
			at: `+${inTime(first)}`,
			code: 'handle_mm_fault() → do_anonymous_page()',
			body: [
				this.facts([
					[
						'Touched by',
						this.tally(rows, (row) =>
							pages.toucher[row] ? this.app.report.nameOf(pages.toucher[row]) : null,
						),
					],
					[
						'Kind',
						this.tally(rows, (row) =>
							pages.kind[row]
								? words.kind[pages.kind[row] - 1]
								: words.source[pages.source[row]],
						),
					],
					[
						'Taken by',
						this.tally(rows, (row) => (pages.by[row] ? words.by[pages.by[row] - 1] : null)),
					],
					[
						'Took',
						timed.length
							? `${inTime(mean)}${timed.length > 1 ? ` on average, of ${inCount(timed.length)}` : ''}`
							: null,
					],
				]),
			],
		};
	}

	allocator(i) {
		const { pages } = this.process;
		const zero = this.app.report.words.state.indexOf('zero');
		const rows = this.rows(i).filter((row) => pages.pfn[row] && pages.state[row] !== zero);
		const timed = rows.filter((row) => pages.alloc_ns[row]);
		const mean = timed.reduce((sum, row) => sum + pages.alloc_ns[row] - 1, 0) / timed.length;

		if (!rows.length) return null;
		return {
			kernel: true,
			title: 'Page allocator: where a page comes from',
			code: '__alloc_pages(): per-CPU list, buddy lists, slow path',
			body: [
				this.facts([
					[
						'Order',
						this.tally(
							rows,
							(row) => `${pages.order[row]}: ${inBytes(4096 * 2 ** pages.order[row])}`,
						),
					],
					[
						'Node, zone',
						this.tally(rows, (row) =>
							pages.node[row]
								? `node ${pages.node[row] - 1}, zone ${pages.zone[row] - 1}`
								: null,
						),
					],
					[
						'Took',
						timed.length ? `${inTime(mean)}${timed.length > 1 ? ' on average' : ''}` : null,
					],
				]),
			],
		};
	}

	frames(i) {
		const { blocks } = this.process;
		const asked = Math.max(blocks.requested[i], 1); /* nothing asked for is a byte, to divide by */

		return {
			title: 'Return to user space: addresses on page frames',
			code: `${inBytes(blocks.resident[i])} of ${inBytes(asked)} are memory: ${inPercent(blocks.resident[i] / asked)}`,
			body: [this.drawing(i)],
		};
	}

	/* Virtual pages on the left, frames by number on the right: lines that cross are scattered memory. */
	drawing(i) {
		const { pages } = this.process;
		const [from, to, first, last] = pagesOfBlock(this.process, i);
		const state = (page) => this.app.report.words.state[pages.state[page.row]];
		const what = (page) =>
			page.row < 0 ? `${inCount(page.pages)} absent` : pages.pfn[page.row] ? '' : state(page);
		const shown = [];
		let number = first;

		for (let row = from; number <= last && shown.length < LIFE_PAGES;) {
			const next = row < to ? pages.number[row] : last + 1;

			if (next === number) shown.push({ number, row: row++, pages: 1 });
			else shown.push({ number, row: -1, pages: next - number });
			number += shown[shown.length - 1].pages;
		}
		const frames = shown
			.filter((page) => page.row >= 0 && pages.pfn[page.row])
			.sort((a, b) => pages.pfn[a.row] - pages.pfn[b.row]);
		const height = Math.max(shown.length, 1) * 30 + 24;
		const chart = svg('svg', {
			class: 'frames',
			viewBox: `0 0 560 ${height}`,
			width: 560,
			height,
			role: 'img',
			'aria-label': `Its first ${shown.length} pages and the frames they are on`,
		});

		chart.append(
			svg('text', { class: 'tick', x: 0, y: 12 }, 'virtual pages of the block'),
			svg('text', { class: 'tick', x: 330, y: 12 }, 'page frames, by number'),
		);
		frames.forEach((page, k) => {
			const y = 24 + shown.indexOf(page) * 30 + 12,
				to_y = 24 + k * 30 + 12;

			chart.append(
				svg('path', { class: 'to-frame', d: `M200 ${y}C260 ${y} 270 ${to_y} 330 ${to_y}` }),
				this.cellBox(
					330,
					24 + k * 30,
					`PFN ${hexPfn(pages.pfn[page.row])}${state(page) === 'zero' ? ' zero page' : ''}`,
					'held',
				),
			);
		});
		shown.forEach((page, k) =>
			chart.append(
				this.cellBox(
					0,
					24 + k * 30,
					`${hexAddr(page.number)} ${what(page)}`,
					page.row < 0 ? 'missing' : 'held',
				),
			),
		);
		const more = last + 1 - number;
		const drawn = shown.filter((page) => page.row >= 0).length;

		return el(
			'div',
			{ class: 'scroll' },
			chart,
			more > 0
				? el(
						'p',
						{ class: 'hint' },
						`and ${inPages(more)} more, ${inCount(to - from - drawn)} of them in memory`,
					)
				: null,
		);
	}

	cellBox(x, y, text, kind) {
		return svg(
			'g',
			{ class: `page-${kind}` },
			svg('rect', { x: x + 1, y: y + 1, width: 198, height: 22, rx: 3 }),
			svg('text', { x: x + 10, y: y + 16 }, text),
		);
	}
}
