/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where each page's cell is. Pages stand in order of address, a band a mapping. What is not in memory
 * between them has cells too, unless it is long: then one cell stands for all of it.
 */

const GAP_MOST = 32; /* absent pages drawn one by one */
const FEW = 16; /* pages that are not worth a band of their own */
const BAND_HEAD = 24,
	BAND_FOOT = 12; /* pixels */

/* How many pages each mapping has: { vma, from, to } for those that have any, and for what lies in none. */
function pagesByMapping(number, rows, vmas) {
	const pieces = [];
	let v = 0;

	for (let i = 0; i < rows; i++) {
		while (v < vmas.length && vmas[v].end <= number[i]) v++;
		const vma = v < vmas.length && vmas[v].start <= number[i] ? vmas[v] : null;
		const last = pieces[pieces.length - 1];

		if (last && last.vma === vma) last.to = i + 1;
		else pieces.push({ vma, from: i, to: i + 1 });
	}
	return pieces;
}

/* A mapping with many pages is a band; neighbours with few, libraries mostly, are one together. */
function bandsOf(pieces) {
	const bands = [];
	const few = ({ from, to, vma }) => to - from < FEW && !(vma && vma.kind === 'heap');

	for (const piece of pieces) {
		const last = bands[bands.length - 1];
		const small = few(piece);
		const names = piece.vma ? [vmaName(piece.vma)] : [];

		if (small && last && last.small) {
			last.to = piece.to;
			last.names.push(...names);
			last.vma = null;
		} else {
			bands.push({ vma: piece.vma, from: piece.from, to: piece.to, names, small, slots: 0 });
		}
	}
	return bands;
}

/*
 * Bands [{ vma, names, from, to, slots }]: rows [from, to) of the page table lie in it, in @slots cells;
 * and for each page its cell, counted from the start of its band. Does not depend on sizes.
 */
function layOutPages(pages, vmas) {
	const { number, rows } = pages;
	const slot = new Uint32Array(rows);
	const bands = bandsOf(pagesByMapping(number, rows, vmas));

	for (const band of bands) {
		let next = band.vma ? band.vma.start : number[band.from];

		for (let i = band.from; i < band.to; i++) {
			const gap = number[i] - next;

			slot[i] = band.slots + (gap > GAP_MOST ? 1 : gap);
			band.slots = slot[i] + 1;
			next = number[i] + 1;
		}
		const left = band.vma ? band.vma.end - next : 0;

		band.slots += left > GAP_MOST ? 1 : left;
	}
	return { slot, bands };
}

/* With that many columns and pixels a cell: where bands begin, and how high all is. */
function placeBands(bands, columns, cell) {
	let top = 0;

	for (const band of bands) {
		band.top = top;
		band.lines = Math.ceil(band.slots / columns);
		top += BAND_HEAD + band.lines * cell + BAND_FOOT;
	}
	return top;
}

/* The page at cell @at of a band: its row, or -1 and which pages are not there. */
function pageInCell(pages, layout, band, at) {
	if (at < 0 || at >= band.slots) return null;
	const i = lowerBound(layout.slot, at, band.from, band.to);

	if (i < band.to && layout.slot[i] === at) return { row: i, band };
	const before = i > band.from ? pages.number[i - 1] + 1 : band.vma ? band.vma.start : pages.number[i];
	const after = i < band.to ? pages.number[i] : band.vma.end;
	const first = i > band.from ? layout.slot[i - 1] + 1 : 0;

	if (after - before > GAP_MOST) return { row: -1, band, absent: [before, after] };
	return { row: -1, band, absent: [before + at - first, before + at - first + 1] };
}
