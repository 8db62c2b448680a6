/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The page: tabs, the controls that all views share, keys. */

const TABS = [
	['overview', 'Overview', Overview],
	['flame', 'Flame graph', Flame],
	['map', 'Heap map', HeapMap],
	['touchers', 'First touches', Touchers],
	['time', 'Over time', Time],
	['life', 'Life of a block', Life],
];

const KEYS = [
	['1 to 6', 'the views'],
	['/', 'search'],
	['m', 'next metric'],
	['Esc', 'end the search, the zoom or the choice'],
	[
		'arrow keys',
		'in the flame graph from frame to frame, in the heap map from page to page, over time from step to step',
	],
	['Enter', 'zoom into a frame; show the life of a block on the chosen page'],
	['?', 'this list'],
];

class App {
	constructor(report) {
		this.report = report;
		this.process = report.data.processes[0];
		this.metric = METRICS[0];
		this.views = Object.fromEntries(TABS.map(([key, , View]) => [key, new View(this)]));
		this.stale = new Set(Object.keys(this.views));
		this.head();
		this.tabs();
		this.controls();
		document.addEventListener('keydown', (e) => this.key(e));
		addEventListener('resize', () => this.onResize());
		addEventListener('hashchange', () => this.fromHash());
		matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.changed());
		this.fromHash();
	}

	head() {
		const { process, report } = this;
		const { host } = report.data;
		const at =
			{ now: 'as it stands now', exit: 'at its exit', peak: 'at its peak', oom: 'as memory ran out' }[
				process.at
			] || process.at;

		document.title = `${process.comm || 'process'} ${process.pid} – mallocpath`;
		$('title').replaceChildren(
			el('h1', {}, process.comm || 'process', el('small', {}, `pid ${process.pid}, ${at}`)),
			el(
				'p',
				{ title: process.cmdline.join(' ') },
				process.cmdline.join(' ') || '–',
				host.kernel ? ` · Linux ${host.kernel}` : '',
			),
		);
	}

	tabs() {
		$('tabs').replaceChildren(
			...TABS.map(([key, name], i) =>
				el(
					'button',
					{
						type: 'button',
						role: 'tab',
						id: `tab-${key}`,
						'aria-controls': `view-${key}`,
						'aria-selected': 'false',
						tabindex: '-1',
						onclick: () => this.go(key),
					},
					el('kbd', { 'aria-hidden': 'true' }, `${i + 1}`),
					name,
				),
			),
			el(
				'button',
				{ type: 'button', class: 'ask', 'aria-label': 'Keys', onclick: () => this.help() },
				'?',
			),
		);
		$('tabs').addEventListener('keydown', (e) => this.tabKey(e));
		$('main').replaceChildren(
			...TABS.map(([key]) =>
				el(
					'section',
					{
						id: `view-${key}`,
						role: 'tabpanel',
						'aria-labelledby': `tab-${key}`,
						hidden: true,
					},
					this.views[key].panel,
				),
			),
		);
	}

	tabKey(event) {
		const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];

		if (!by) return;
		const i = (TABS.findIndex(([key]) => key === this.tab) + by + TABS.length) % TABS.length;

		this.go(TABS[i][0]);
		$(`tab-${this.tab}`).focus();
		event.preventDefault();
	}

	controls() {
		const { processes } = this.report.data;
		const select = $('process');

		$('process-box').hidden = processes.length < 2;
		select.replaceChildren(
			...processes.map((process, i) => el('option', { value: i }, `${process.pid} ${process.comm}`)),
		);
		select.addEventListener('change', async () => {
			this.process = await unpacked(processes[select.value]);
			this.head();
			this.changed();
		});
		$('metric').replaceChildren(
			...METRICS.map((metric) => el('option', { value: metric.key }, metric.name)),
		);
		$('metric').addEventListener('change', () => this.setMetric($('metric').value));
		$('search').addEventListener('input', () => this.search());
		$('controls').addEventListener('submit', (e) => e.preventDefault());
	}

	/* Every view draws itself anew when it is next seen; the one that is, now. */
	changed() {
		this.stale = new Set(Object.keys(this.views));
		this.draw();
	}

	draw() {
		hideTip();
		if (this.stale.delete(this.tab)) this.views[this.tab].show();
	}

	onResize() {
		const view = this.views[this.tab];

		TABS.forEach(([key]) => {
			if (key !== this.tab && this.views[key].resize) this.stale.add(key);
		});
		if (view.resize) view.resize();
	}

	go(tab) {
		this.tab = tab;
		for (const [key] of TABS) {
			$(`view-${key}`).hidden = key !== tab;
			$(`tab-${key}`).setAttribute('aria-selected', String(key === tab));
			$(`tab-${key}`).setAttribute('tabindex', key === tab ? '0' : '-1');
		}
		if (location.hash.slice(1) !== tab) history.replaceState(null, '', `#${tab}`);
		this.draw();
	}

	fromHash() {
		const wanted = location.hash.slice(1);

		this.go(this.views[wanted] ? wanted : 'overview');
	}

	setMetric(key) {
		this.metric = METRICS.find((metric) => metric.key === key);
		$('metric').value = key;
		['overview', 'flame'].forEach((name) => this.stale.add(name));
		this.draw();
		announce(this.metric.name);
	}

	search() {
		this.report.search($('search').value);
		Object.keys(this.views).forEach((name) => this.stale.add(name));
		this.stale.delete(this.tab);
		this.views[this.tab].search();
	}

	showGroup(group) {
		const map = this.views.map;

		this.go('map');
		map.setOnly({
			name: group.name,
			test: (row) => {
				const site = this.report.site(this.process.pages.site[row]);

				return Boolean(site && site.group === group);
			},
		});
	}

	/* @test: of the groups of a page's owner and toucher */
	showPages(name, test) {
		const { report } = this;
		const owner_of = (id) => (id ? report.site(id).group.id : 0);
		const toucher_of = (id) => (id ? report.site(id).toucher.id : 0);

		this.go('map');
		this.views.map.setOnly({
			name,
			test: (row) =>
				test(owner_of(this.process.pages.site[row]), toucher_of(this.process.pages.toucher[row])),
		});
	}

	showLife(block) {
		this.views.life.block = block;
		this.views.life.process = this.process;
		this.stale.add('life');
		this.go('life');
		$('tab-life').focus();
	}

	help() {
		const box = $('help');

		box.replaceChildren(
			el('h2', {}, 'Keys'),
			el(
				'dl',
				{},
				...KEYS.flatMap(([key, what]) => [el('dt', {}, el('kbd', {}, key)), el('dd', {}, what)]),
			),
			el('form', { method: 'dialog' }, el('button', {}, 'Close')),
		);
		box.showModal();
	}

	escape() {
		$('search').value = '';
		this.search();
		if (this.tab === 'map') this.views.map.setOnly(null);
		if (this.tab === 'flame') this.views.flame.zoom(this.views.flame.root);
		$(`tab-${this.tab}`).focus();
	}

	key(event) {
		const typing =
			event.target.matches &&
			event.target.matches('input[type="text"], input[type="search"], select');

		if (event.ctrlKey || event.metaKey || event.altKey || $('help').open) return;
		if (event.key === 'Escape') this.escape();
		else if (typing) return;
		else if (TABS[event.key - 1]) this.go(TABS[event.key - 1][0]);
		else if (event.key === '/') $('search').focus();
		else if (event.key === 'm')
			this.setMetric(METRICS[(METRICS.indexOf(this.metric) + 1) % METRICS.length].key);
		else if (event.key === '?') this.help();
		else return;
		event.preventDefault();
	}
}

/* Packed tables are opened when their process is first looked at. */
function unpacked(process) {
	process.opened = process.opened || openProcess(process);
	return process.opened;
}

async function open() {
	const holder = $('data');
	const report = new Report(JSON.parse(holder.textContent));

	holder.remove();
	if (!report.data.processes.length) {
		$('main').replaceChildren(
			el('p', {}, 'Nothing was traced: this report has no process.'),
			el('pre', { class: 'notes' }, report.data.notes),
		);
	} else {
		await unpacked(report.data.processes[0]);
		window.app = new App(report);
	}
	document.documentElement.dataset.ready = String(Math.round(performance.now()));
}

open().catch((error) => {
	$('main').replaceChildren(
		el('p', { class: 'broken' }, `This report cannot be shown: ${error.message}`),
	);
	throw error;
});
