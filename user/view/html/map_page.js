/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the heap map says of one page, in a tooltip or beside the map. @row: of the page table. */

const LISTED = 60; /* blocks beside the map */

/* Lines for the tooltip, the first its title. */
function briefPage(app, row) {
	const { pages, blocks } = app.process;
	const state = app.report.words.state[pages.state[row]];
	const found = blocksOnPage(blocks, pages.number[row]);
	const lines = [
		`${hexAddr(pages.number[row])} ${state.replace('_', ' ')}, PFN ${hexPfn(pages.pfn[row])}`,
	];

	for (const i of found.slice(0, 4))
		lines.push(`${inBytes(blocks.requested[i])} of ${app.report.nameOf(blocks.site[i])}`);
	const more = pages.blocks[row] - Math.min(found.length, 4);

	if (more > 0) lines.push(`and ${inCount(more)} more block${more === 1 ? '' : 's'}`);
	if (!pages.blocks[row])
		lines.push(pages.site[row] ? app.report.nameOf(pages.site[row]) : 'no live block on it');
	return lines;
}

function pageFacts(app, row) {
	const { pages } = app.process;
	const { words } = app.report;
	const word = (list, i) => (i ? list[i - 1] : null);
	const came = [
		word(words.kind, pages.kind[row]),
		word(words.by, pages.by[row]),
		words.source[pages.source[row]],
	];
	const site = pages.site[row] ? app.report.nameOf(pages.site[row]) : 'no known site';

	return [
		['Address', hexAddr(pages.number[row])],
		['Frame', `PFN ${hexPfn(pages.pfn[row])}, order ${pages.order[row]}`],
		['State', words.state[pages.state[row]].replace('_', ' ')],
		['Node, zone', pages.node[row] ? `${pages.node[row] - 1}, ${pages.zone[row] - 1}` : null],
		['Came by', came.filter(Boolean).join(', ')],
		['Came at', `+${inTime(pages.t[row])}`],
		['The fault took', pages.fault_ns[row] ? inTime(pages.fault_ns[row] - 1) : null],
		['First touch', pages.toucher[row] ? app.report.nameOf(pages.toucher[row]) : null],
		[pages.blocks[row] ? 'Most of it' : 'Reserved by', site],
	].filter(([, value]) => value);
}

function blockEntry(app, i) {
	const { blocks } = app.process;

	return el(
		'li',
		{},
		el(
			'button',
			{ type: 'button', class: 'plain', title: 'Show its life', onclick: () => app.showLife(i) },
			el('code', {}, hexAddr(0, blocks.addr[i])),
			` ${inBytes(blocks.requested[i])}`,
			el('br'),
			app.report.nameOf(blocks.site[i]),
		),
	);
}

/* Blocks that the file leaves out are counted at least, and the lowest has its address. */
function leftOut(app, row, named) {
	const { blocks, pages } = app.process;
	const n = pages.blocks[row] - named;
	const lowest = hexAddr(pages.number[row] + 1, -pages.block[row]);

	if (n <= 0) return null;
	return el(
		'li',
		{ class: 'hint' },
		`${inCount(n)} are not named, as blocks below ${inBytes(blocks.least)} are left out of this file; ` +
			`the lowest on the page is at ${lowest}`,
	);
}

/* Everything beside the map; @row -1: no page is chosen. */
function pageCard(app, row) {
	const { pages, blocks } = app.process;

	if (row < 0) {
		const hint = pages.rows
			? 'Choose a cell, by a click or with the arrow keys, to see what lies on it.'
			: 'No anonymous page is known of this process.';

		return [el('h3', {}, 'A page'), el('p', { class: 'hint' }, hint)];
	}
	const found = blocksOnPage(blocks, pages.number[row]);
	const facts = pageFacts(app, row).flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]);

	return [
		el('h3', {}, 'The page'),
		el('dl', {}, ...facts),
		el('h3', {}, `${inCount(pages.blocks[row])} block${pages.blocks[row] === 1 ? '' : 's'} on it`),
		el(
			'ol',
			{ class: 'blocks' },
			...found.slice(0, LISTED).map((i) => blockEntry(app, i)),
			found.length > LISTED ? el('li', {}, `and ${found.length - LISTED} more`) : null,
			leftOut(app, row, found.length),
		),
	];
}
