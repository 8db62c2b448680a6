/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The report as the views ask for it: sites with names, groups of them, pages and blocks. */

/* Each stack's frames by name, innermost first, made when first asked for. */
function framesOf(data, stack) {
	const frames = [];

	for (let id = stack; id; id = data.stacks.outer[id - 1]) {
		for (const [short, label, object] of data.places[data.stacks.place[id - 1] - 1])
			frames.push({ short, label, object });
	}
	return frames;
}

/* Objects out of columns; what is not known, an end or a function, is null. */
function sitesOf({ rows, ends, fns, ...counts }) {
	return rows.map(([stack, shown, end, mapping, fn, faults, pinned_bytes], i) => {
		const site = {
			id: i + 1,
			stack,
			shown,
			end: ends[end] || null,
			mapping: Boolean(mapping),
			fn: fns[fn] || null,
			faults,
			pinned_bytes,
		};

		for (const [name, column] of Object.entries(counts)) site[name] = column[i];
		return site;
	});
}

class Report {
	constructor(data) {
		this.data = data;
		this.words = data.words;
		this.sites = sitesOf(data.sites);
		this.sites.forEach((site) => {
			site.frames = framesOf(data, site.stack);
			site.frame = site.frames[site.shown] || site.frames[0];
			site.name = `${site.mapping ? '(mmap) ' : ''}${site.frame.label}`;
			site.found = true;
		});
		this.group();
	}

	/* Sites shown by the same frame are one line to the reader, as in the table; touchers, a function. */
	group() {
		this.groups = this.together('group', (site) => site.name);
		this.touchers = this.together('toucher', (site) => site.frame.short);
	}

	together(property, name_of) {
		const known = new Map();
		const groups = [];

		for (const site of this.sites) {
			const name = name_of(site);
			let group = known.get(name);

			if (!group) {
				group = { id: groups.length + 1, name, site, sites: [] };
				known.set(name, group);
				groups.push(group);
			}
			group.sites.push(site);
			site[property] = group;
		}
		return groups;
	}

	site(id) {
		return id ? this.sites[id - 1] : null;
	}

	nameOf(id) {
		return id ? this.sites[id - 1].name : 'unknown';
	}

	/* Resident bytes of blocks without a known site: they are in the books only. */
	unknownBytes() {
		let bytes = 0;

		for (const process of this.data.processes) bytes += Math.max(process.books.block, 0);
		for (const site of this.sites) bytes -= site.mapping ? 0 : site.resident_bytes;
		return Math.max(bytes, 0);
	}

	unknownOf(metric) {
		return metric.key === 'resident' ? this.unknownBytes() : 0;
	}

	totalOf(metric) {
		let sum = this.unknownOf(metric);

		for (const site of this.sites) sum += Math.max(site[metric.field], 0);
		return sum;
	}

	/* Marks the sites that a search is after; true if it is after any. */
	search(text) {
		const words = text.toLowerCase().split(/\s+/).filter(Boolean);
		const hit = (frame) =>
			words.every((word) => `${frame.label} ${frame.object}`.toLowerCase().includes(word));

		this.searching = words.length > 0;
		this.matches = hit;
		for (const site of this.sites) site.found = !this.searching || site.frames.some(hit);
		return this.searching;
	}
}

/* One process: what of its tables was packed is unpacked. */
async function openProcess(process) {
	[process.pages, process.blocks] = await Promise.all([
		unpackTable(process.pages),
		unpackTable(Object.assign(process.blocks)).then((table) =>
			Object.assign(table, { all: process.blocks.all, least: process.blocks.least }),
		),
	]);
	return process;
}

/* Numbers of the blocks that lie on page @number; of those left out nothing is known here. */
function blocksOnPage(blocks, number) {
	const found = [];
	const start = number * 4096;
	let i = lowerBound(blocks.addr, start);

	if (i > 0 && blocks.addr[i - 1] + blocks.requested[i - 1] > start) i--;
	for (; i < blocks.rows && blocks.addr[i] < start + 4096; i++) found.push(i);
	return found;
}

/* Rows [from, to) of the pages under block @i. */
function pagesOfBlock(process, i) {
	const first = Math.floor(process.blocks.addr[i] / 4096);
	const bytes = Math.max(process.blocks.requested[i], 1);
	const last = Math.floor((process.blocks.addr[i] + bytes - 1) / 4096);

	return [
		lowerBound(process.pages.number, first),
		lowerBound(process.pages.number, last + 1),
		first,
		last,
	];
}

function vmaAt(process, number) {
	return process.vmas.find((vma) => vma.start <= number && number < vma.end) || null;
}

const vmaName = (vma) => vma.name || '[anonymous]';
const vmaPerms = (vma) =>
	['r', 'w', 'x'].map((c, i) => ((vma.perms >> i) & 1 ? c : '-')).join('') + (vma.perms & 8 ? 's' : 'p');
