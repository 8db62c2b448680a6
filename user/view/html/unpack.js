'use strict';
/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Columns as view/pack.h writes them: base64, deflate, then numbers of seven bits a byte. */

function bytesOf(text) {
	const raw = atob(text);
	const bytes = new Uint8Array(raw.length);

	for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
	return bytes;
}

async function inflate(bytes) {
	if (!bytes.length) return bytes;
	const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));

	return new Uint8Array(await new Response(stream).arrayBuffer());
}

/*
 * Calls take(row, number) for each number. Numbers are exact below 2^53, as all that is told of pages
 * is; the sign is in the lowest bit where differences are told.
 */
function eachNumber(bytes, rows, take) {
	let at = 0;

	for (let row = 0; row < rows; row++) {
		let byte = bytes[at++];
		let value = byte & 127;

		for (let scale = 128; byte > 127; scale *= 128) {
			byte = bytes[at++];
			value += (byte & 127) * scale;
		}
		take(row, value);
	}
}

function plainColumn(bytes, rows, Kind) {
	const column = new Kind(rows);

	eachNumber(bytes, rows, (row, value) => {
		column[row] = value;
	});
	return column;
}

function runningColumn(bytes, rows) {
	const column = new Float64Array(rows);
	let sum = 0;

	eachNumber(bytes, rows, (row, value) => {
		sum += value % 2 ? -(value + 1) / 2 : value / 2;
		column[row] = sum;
	});
	return column;
}

const RUNNING = new Set(['number', 'pfn', 't', 'addr', 'tid']);
const SMALL = new Set(['state', 'kind', 'by', 'source', 'order', 'zone']);
const MIDDLE = new Set(['site', 'toucher', 'blocks', 'node', 'tier']);

/* A table whose columns are inflated now, and read when somebody first asks for them. */
async function unpackTable(packed) {
	const table = { rows: packed.rows };
	const names = Object.keys(packed).filter((name) => typeof packed[name] === 'string');
	const raw = await Promise.all(names.map((name) => inflate(bytesOf(packed[name]))));

	names.forEach((name, i) => {
		Object.defineProperty(table, name, {
			configurable: true,
			enumerable: true,
			get() {
				const Kind = SMALL.has(name) ? Uint8Array : MIDDLE.has(name) ? Uint32Array : Float64Array;
				const column = RUNNING.has(name)
					? runningColumn(raw[i], table.rows)
					: plainColumn(raw[i], table.rows, Kind);

				Object.defineProperty(table, name, { value: column });
				return column;
			},
		});
		packed[name] = null; /* the text has served */
	});
	return table;
}

/* The first row of an ascending column that is not below @value. */
function lowerBound(column, value, from = 0, to = column.length) {
	while (from < to) {
		const middle = (from + to) >>> 1;

		if (column[middle] < value) from = middle + 1;
		else to = middle;
	}
	return from;
}
