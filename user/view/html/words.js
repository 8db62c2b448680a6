/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers as people read them; null is what is not known. */

function scaled(n, step, units) {
	let unit = 0;

	while (Math.abs(n) >= step - (unit ? 0.05 : 0) && unit < units.length - 1) {
		n /= step;
		unit++;
	}
	return `${unit ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
}

const inBytes = (n) => (n === null ? '–' : scaled(n, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB']));
const inTime = (ns) => (ns === null ? '–' : scaled(ns, 1000, ['ns', 'µs', 'ms', 's']));
const inCount = (n) => (n === null ? '–' : n.toLocaleString('en'));
const inPercent = (x) =>
	x === null || !isFinite(x) ? '–' : `${(Math.floor(x * 1000 + 1e-9) / 10).toFixed(1)} %`;
const inPages = (n) => `${inCount(n)} page${n === 1 ? '' : 's'}`;

/* A page number and an offset, so that no bit of the address is lost. */
const hexAddr = (number, offset = 0) => `0x${(number * 4096 + offset).toString(16)}`;
const hexPfn = (pfn) => (pfn ? `0x${pfn.toString(16)}` : 'not known');

const clip = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/* What sites can be measured by; the words of --sort. */
const METRICS = [
	{ key: 'resident', field: 'resident_bytes', name: 'Resident bytes', short: 'Resident', unit: inBytes },
	{ key: 'charged', field: 'charged_bytes', name: 'Charged bytes', short: 'Charged', unit: inBytes },
	{ key: 'live', field: 'live_bytes', name: 'Live bytes', short: 'Live', unit: inBytes },
	{
		key: 'untouched',
		field: 'untouched_bytes',
		name: 'Untouched bytes',
		short: 'Untouched',
		unit: inBytes,
	},
	{
		key: 'requested',
		field: 'requested_bytes',
		name: 'Bytes ever asked for',
		short: 'Asked for',
		unit: inBytes,
	},
	{ key: 'pinned', field: 'pinned_bytes', name: 'Pinned bytes', short: 'Pinned', unit: inBytes },
	{ key: 'faults', field: 'faults', name: 'Page faults', short: 'Faults', unit: inCount },
	{ key: 'fault-ns', field: 'fault_ns', name: 'Fault time', short: 'Fault time', unit: inTime },
	{ key: 'calls', field: 'calls', name: 'Calls', short: 'Calls', unit: inCount },
];

/* The parts of Rss, in the order of the books, with what each is. */
const BOOKS = [
	['block', 'block', 'bytes of live blocks that are memory'],
	['retained', 'retained', 'heap memory under no live block, come since tracing began'],
	['metadata', 'metadata', 'the allocator’s own headers and structures'],
	['before_attach', 'before attach', 'heap memory that was there at attach, under no known block'],
	['other_anon', 'other anon', 'anonymous memory that is no heap'],
	['stack', 'stack', 'stacks of threads'],
	['file', 'file', 'pages of files: code and mapped data'],
	['shmem', 'shmem', 'shared memory'],
	['tool', 'tool', 'added by tracing itself: copied text pages'],
	['unexplained', 'unexplained', 'what is left when all else is subtracted'],
];
