/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Elements, the tooltip, colours. Text of others is only ever set as text. */

const SVG = 'http://www.w3.org/2000/svg';

function fillElement(element, properties, children) {
	for (const [name, value] of Object.entries(properties)) {
		if (value === null || value === undefined || value === false) continue;
		if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
		else if (name === 'style')
			Object.entries(value).forEach(([key, v]) => element.style.setProperty(key, v));
		else element.setAttribute(name, value === true ? '' : value);
	}
	element.append(...children.filter((child) => child !== null && child !== undefined));
	return element;
}

const el = (tag, properties = {}, ...children) =>
	fillElement(document.createElement(tag), properties, children);
const svg = (tag, properties = {}, ...children) =>
	fillElement(document.createElementNS(SVG, tag), properties, children);
const $ = (id) => document.getElementById(id);

function announce(text) {
	$('status').textContent = text;
}

/* The tooltip stays inside of the window and off the pointer. @lines: the first is its title. */
function showTip(x, y, lines) {
	const tip = $('tip');

	tip.replaceChildren(...lines.map((line, i) => el(i ? 'p' : 'strong', {}, line)));
	tip.hidden = false;
	const box = tip.getBoundingClientRect();
	const left = x + 14 + box.width > innerWidth ? x - 14 - box.width : x + 14;
	const top = y + 16 + box.height > innerHeight ? y - 12 - box.height : y + 16;

	tip.style.left = `${Math.max(left, 4)}px`;
	tip.style.top = `${Math.max(top, 4)}px`;
}

function hideTip() {
	$('tip').hidden = true;
}

/* The colours of the sheet, for the canvas: they follow the theme. */
function themeColours() {
	const style = getComputedStyle(document.documentElement);
	const get = (name) => style.getPropertyValue(name).trim();

	return {
		kinds: [1, 2, 3, 4, 5, 6, 7].map((i) => get(`--kind-${i}`)),
		steps: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((i) => get(`--step-${i}`)),
		other: get('--kind-other'),
		none: get('--kind-none'),
		absent: get('--absent'),
		ground: get('--ground'),
		ink: get('--ink'),
	};
}

const channels = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

/* Black or white, whichever is read more easily on @hex. */
function inkOn(hex) {
	const [r, g, b] = channels(hex).map((c) => (c / 255) ** 2.2);

	return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.24 ? '#101214' : '#ffffff';
}

/* A small square with the letter that stands for the colour where there is none. */
function swatch(colour, letter, hatched) {
	return el(
		'span',
		{
			class: hatched ? 'swatch hatched' : 'swatch',
			'aria-hidden': 'true',
			style: { 'background-color': colour, color: inkOn(colour) },
		},
		letter,
	);
}

const panelTitle = (text, note) => el('h2', {}, text, note ? el('small', {}, note) : null);
