/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The heap map: each page a cell, coloured by what the reader asks for. */

const CELL_SIZES = [2, 3, 4, 6, 8, 12, 16, 20];
const LETTERED = 12; /* pixels from which on a cell has its letter */

/* As much of @text as is not wider than @width. */
function fitText(context, text, width) {
	let most = text.length;

	while (most > 4 && context.measureText(clip(text, most)).width > width)
		most = Math.ceil(most * 0.9) - 1;
	return clip(text, most);
}

class HeapMap {
	constructor(app) {
		this.app = app;
		this.panel = el('div', { class: 'map' });
		this.mode = 'site';
		this.only = null; /* { name, test(row) }: what is not meant is drawn faintly */
		this.selected = -1;
	}

	show() {
		if (this.process !== this.app.process) {
			this.process = this.app.process;
			this.layout = layOutPages(this.process.pages, this.process.vmas);
			this.selected = -1;
			this.cell = 0;
		}
		this.frame();
		this.rekey();
		this.resize();
	}

	frame() {
		this.canvas = el('canvas', { 'aria-hidden': 'true' });
		this.tall = el('div', { class: 'map-tall' });
		this.scroller = el(
			'div',
			{
				class: 'map-scroll',
				tabindex: '0',
				role: 'application',
				'aria-label':
					'Heap map: arrow keys go from page to page, Enter shows the life of a block on it',
				onscroll: () => this.draw(),
				onpointermove: (e) => this.hover(e),
				onpointerleave: hideTip,
				onclick: (e) => this.click(e),
				onkeydown: (e) => this.key(e),
			},
			this.canvas,
			this.tall,
		);
		this.legend = el('ul', { class: 'legend' });
		this.side = el('aside', { class: 'inspector', 'aria-label': 'The selected page' });
		this.head = el('p', { class: 'hint' });
		this.panel.replaceChildren(
			panelTitle('Heap map', `${inPages(this.process.pages.rows)} of anonymous memory, by address`),
			el('div', { class: 'map-controls' }, this.modes(), this.sizes()),
			this.head,
			this.legend,
			el('div', { class: 'map-both' }, this.scroller, this.side),
		);
		this.inspect();
	}

	modes() {
		return el(
			'fieldset',
			{},
			el('legend', {}, 'Coloured by'),
			...MAP_MODES.map(([key, name, what]) =>
				el(
					'label',
					{ title: what },
					el('input', {
						type: 'radio',
						name: 'map-mode',
						value: key,
						checked: key === this.mode,
						onchange: () => {
							this.mode = key;
							this.only = null;
							this.rekey();
							this.draw();
						},
					}),
					name,
				),
			),
		);
	}

	sizes() {
		this.size = el('input', {
			type: 'range',
			min: 0,
			max: CELL_SIZES.length - 1,
			step: 1,
			'aria-label': 'Size of a cell',
			oninput: () => {
				this.cell = CELL_SIZES[this.size.value];
				this.resize();
				this.reveal();
			},
		});
		return el('label', { class: 'map-size' }, 'Cell ', this.size);
	}

	rekey() {
		this.colours = themeColours();
		this.key_ = new MapKey(this.app, this.mode, this.colours);
		const pixel = (hex, share) => {
			const [r, g, b] = channels(hex).map((c, i) =>
				Math.round(c * share + channels(this.colours.ground)[i] * (1 - share)),
			);

			return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
		};

		this.bright = this.key_.classes.map((entry) => pixel(entry.colour, 1));
		this.pale = this.key_.classes.map((entry) => pixel(entry.colour, 0.4));
		this.faint = this.key_.classes.map((entry) => pixel(entry.colour, 0.15));
		this.absent = pixel(this.colours.absent, 1);
		const { of, hollow, hollows, classes } = this.key_;

		this.legend.replaceChildren(
			...classes
				.map((entry, i) =>
					entry.count
						? this.entry(
								swatch(entry.colour, entry.letter),
								entry.name,
								entry.count,
								(row) => of[row] === i,
							)
						: null,
				)
				.filter(Boolean),
			...(hollows
				? [
						this.entry(
							el('span', { class: 'swatch hollow', 'aria-hidden': 'true' }),
							'hollow: no live block on it',
							hollows,
							(row) => hollow[row],
						),
					]
				: []),
		);
		this.tell();
	}

	entry(mark, name, count, test) {
		const button = el(
			'button',
			{
				type: 'button',
				class: 'plain',
				'aria-pressed': 'false',
				title: `${name}: show only these`,
				onclick: () => {
					const on = button.getAttribute('aria-pressed') !== 'true';

					this.legend
						.querySelectorAll('button')
						.forEach((b) => b.setAttribute('aria-pressed', 'false'));
					button.setAttribute('aria-pressed', String(on));
					this.setOnly(on ? { name, test } : null);
				},
			},
			mark,
			el('span', { class: 'name' }, name),
			el('span', { class: 'count', 'data-pages': count }, inCount(count)),
		);

		return el('li', {}, button);
	}

	setOnly(only) {
		this.only = only;
		this.tell();
		this.draw();
	}

	search() {
		this.tell();
		this.draw();
	}

	meant(row) {
		const { report } = this.app;

		if (this.only && !this.only.test(row)) return false;
		if (!report.searching) return true;
		const site = report.site(this.process.pages.site[row]);

		return Boolean(site && site.found);
	}

	tell() {
		const { mode } = this;
		const parts = [MAP_MODES.find(([key]) => key === mode)[2] + '.'];

		if (this.only) parts.push(`Only: ${this.only.name}.`);
		if (this.app.report.searching || this.only) {
			let n = 0;

			for (let i = 0; i < this.process.pages.rows; i++) n += this.meant(i);
			parts.push(`${inPages(n)} found.`);
		}
		this.head.textContent = parts.join(' ');
	}

	/* The largest cell with which all fits, unless the reader has chosen one. */
	choose(width, height) {
		for (let i = CELL_SIZES.length - 1; i > 1; i--) {
			const columns = Math.max(1, Math.floor(width / CELL_SIZES[i]));

			if (placeBands(this.layout.bands, columns, CELL_SIZES[i]) <= height) return CELL_SIZES[i];
		}
		return CELL_SIZES[2];
	}

	resize() {
		const width = this.scroller.clientWidth,
			height = this.scroller.clientHeight;

		if (!width) return;
		this.cell = this.cell || this.choose(width, height);
		this.size.value = CELL_SIZES.indexOf(this.cell);
		/* columns in eights, so that addresses are easily counted */
		this.columns = Math.max(8, Math.floor(width / this.cell / 8) * 8);
		this.tall.style.height = `${placeBands(this.layout.bands, this.columns, this.cell)}px`;
		this.ratio = devicePixelRatio || 1;
		this.canvas.width = Math.round(width * this.ratio);
		this.canvas.height = Math.round(height * this.ratio);
		this.canvas.style.width = `${width}px`;
		this.canvas.style.height = `${height}px`;
		this.draw();
	}

	draw() {
		const { canvas, ratio, cell } = this;
		/* its pixels are written one by one: they are best kept where that is done */
		const context = canvas.getContext('2d', { willReadFrequently: true });
		const top = this.scroller.scrollTop,
			bottom = top + canvas.height / ratio;

		if (!canvas.width || !canvas.height) return;
		const image = context.createImageData(canvas.width, canvas.height);
		const bands = this.layout.bands.filter(
			(band) => band.top < bottom && band.top + BAND_HEAD + band.lines * cell > top,
		);

		this.pixels = new Uint32Array(image.data.buffer);
		for (const band of bands) this.paint(band, top, bottom);
		context.putImageData(image, 0, 0);
		context.save();
		context.scale(ratio, ratio);
		bands.forEach((band) => this.write(context, band, top, bottom));
		this.mark(context, top);
		context.restore();
		this.canvas.dataset.drawn = Number(this.canvas.dataset.drawn || 0) + 1;
	}

	/* Lines of @band between the edges, as cells [first, last). */
	visible(band, top, bottom) {
		const from = Math.max(0, Math.floor((top - band.top - BAND_HEAD) / this.cell));
		const to = Math.min(band.lines, Math.ceil((bottom - band.top - BAND_HEAD) / this.cell));

		return [from * this.columns, Math.min(to * this.columns, band.slots)];
	}

	paint(band, top, bottom) {
		const [first, last] = this.visible(band, top, bottom);
		const { slot } = this.layout;
		let row = lowerBound(slot, first, band.from, band.to);

		for (let at = first; at < last; at++) {
			const here = row < band.to && slot[row] === at;

			if (!here) this.square(band, at, top, this.absent, 0.3);
			else this.page(band, at, top, row);
			row += here;
		}
	}

	page(band, at, top, row) {
		const class_of = this.key_.of[row];

		if (!this.meant(row)) {
			this.square(band, at, top, this.faint[class_of], 0);
		} else if (!this.key_.hollow[row]) {
			this.square(band, at, top, this.bright[class_of], 0);
		} else {
			if (this.cell > 4) this.square(band, at, top, this.bright[class_of], 0);
			this.square(band, at, top, this.pale[class_of], this.cell > 4 ? 0.16 : 0);
		}
	}

	/* @inset_share: how much of the cell is left free on each side */
	square(band, at, top, colour, inset_share) {
		const { ratio, cell, columns, canvas, pixels } = this;
		const x = Math.round((at % columns) * cell * ratio);
		const y = Math.round((band.top + BAND_HEAD + Math.floor(at / columns) * cell - top) * ratio);
		const gap = cell > 3 ? Math.max(1, Math.round(ratio)) : 0;
		const right = Math.min(Math.round(((at % columns) + 1) * cell * ratio) - gap, canvas.width);
		const under = Math.min(y + Math.round(cell * ratio) - gap, canvas.height);
		const inset = cell < 4 ? 0 : Math.round(cell * ratio * inset_share);

		for (let line = Math.max(y + inset, 0); line < under - inset; line++)
			pixels.fill(colour, line * canvas.width + x + inset, line * canvas.width + right - inset);
	}

	title(band) {
		const { vma } = band;
		const here = band.to - band.from;

		if (vma)
			return `${hexAddr(vma.start)}  ${vmaName(vma)}  ${inCount(here)} of ${inPages(vma.end - vma.start)}`;
		const names = [...new Set(band.names.map((name) => name.split('/').pop()))].join(', ');
		const what = band.names.length
			? `in ${inCount(band.names.length)} small mapping${band.names.length > 1 ? 's' : ''}: ${names}`
			: 'in no known mapping';

		return `${hexAddr(this.process.pages.number[band.from])}  ${inPages(here)} ${what}`;
	}

	/* The band's title, and the letters where cells are large enough. */
	write(context, band, top, bottom) {
		const width = this.canvas.width / this.ratio;

		context.fillStyle = this.colours.ink;
		context.font = '12px system-ui, sans-serif';
		context.textAlign = 'left';
		context.textBaseline = 'alphabetic';
		context.fillText(fitText(context, this.title(band), width), 0, band.top + BAND_HEAD - 7 - top);
		if (this.cell < LETTERED) return;
		const [first, last] = this.visible(band, top, bottom);

		context.font = `600 ${this.cell - 5}px ui-monospace, monospace`;
		context.textAlign = 'center';
		context.textBaseline = 'middle';
		for (
			let row = lowerBound(this.layout.slot, first, band.from, band.to);
			row < band.to && this.layout.slot[row] < last;
			row++
		)
			this.letter(context, band, row, top);
	}

	letter(context, band, row, top) {
		const entry = this.key_.classes[this.key_.of[row]];
		const at = this.layout.slot[row];

		context.fillStyle =
			this.meant(row) && !this.key_.hollow[row] ? inkOn(entry.colour) : this.colours.ink;
		context.fillText(
			entry.letter,
			(at % this.columns) * this.cell + (this.cell - 1) / 2,
			band.top + BAND_HEAD + Math.floor(at / this.columns) * this.cell - top + this.cell / 2,
		);
	}

	bandOf(row) {
		return this.layout.bands.find((band) => band.from <= row && row < band.to);
	}

	/* Left and top of a page's cell, within all that scrolls. */
	spot(row) {
		const band = this.bandOf(row),
			at = this.layout.slot[row];

		return {
			x: (at % this.columns) * this.cell,
			y: band.top + BAND_HEAD + Math.floor(at / this.columns) * this.cell,
		};
	}

	mark(context, top) {
		if (this.selected < 0) return;
		const { x, y } = this.spot(this.selected);

		context.lineWidth = 2;
		context.strokeStyle = this.colours.ground;
		context.strokeRect(x - 2.5, y - top - 2.5, this.cell + 4, this.cell + 4);
		context.strokeStyle = this.colours.ink;
		context.strokeRect(x - 1, y - top - 1, this.cell + 1, this.cell + 1);
	}

	/* What lies under the pointer. */
	under(event) {
		const box = this.canvas.getBoundingClientRect();
		const x = event.clientX - box.left,
			y = event.clientY - box.top + this.scroller.scrollTop;
		const band = this.layout.bands.find(
			(b) => y >= b.top + BAND_HEAD && y < b.top + BAND_HEAD + b.lines * this.cell,
		);
		const column = Math.floor(x / this.cell);

		if (!band || column < 0 || column >= this.columns) return null;
		return pageInCell(
			this.process.pages,
			this.layout,
			band,
			Math.floor((y - band.top - BAND_HEAD) / this.cell) * this.columns + column,
		);
	}

	hover(event) {
		const hit = this.under(event);

		if (!hit) hideTip();
		else if (hit.row < 0)
			showTip(event.clientX, event.clientY, [
				`${inPages(hit.absent[1] - hit.absent[0])} not in memory`,
				`from ${hexAddr(hit.absent[0])}`,
			]);
		else showTip(event.clientX, event.clientY, briefPage(this.app, hit.row));
	}

	click(event) {
		const hit = this.under(event);

		if (hit && hit.row >= 0) this.select(hit.row);
	}

	select(row) {
		this.selected = Math.max(0, Math.min(row, this.process.pages.rows - 1));
		this.reveal();
		this.draw();
		this.inspect();
		announce(briefPage(this.app, this.selected).join(', '));
	}

	reveal() {
		if (this.selected < 0 || !this.columns) return;
		const { y } = this.spot(this.selected);
		const height = this.scroller.clientHeight;

		if (y - BAND_HEAD < this.scroller.scrollTop) this.scroller.scrollTop = y - BAND_HEAD;
		else if (y + this.cell > this.scroller.scrollTop + height)
			this.scroller.scrollTop = y + this.cell - height + 4;
	}

	/* The page in the same column some lines away, in this band or the next. */
	lineAway(lines) {
		const at = this.layout.slot[this.selected] + lines * this.columns;
		const band = this.bandOf(this.selected);

		if (at < 0) return band.from - 1;
		return Math.min(lowerBound(this.layout.slot, at, band.from, band.to), this.process.pages.rows - 1);
	}

	key(event) {
		const page = Math.max(1, Math.floor(this.scroller.clientHeight / this.cell) - 2);
		const rows = this.process.pages.rows;
		const moves = {
			ArrowLeft: () => this.selected - 1,
			ArrowRight: () => this.selected + 1,
			ArrowUp: () => this.lineAway(-1),
			ArrowDown: () => this.lineAway(1),
			PageUp: () => this.lineAway(-page),
			PageDown: () => this.lineAway(page),
			Home: () => 0,
			End: () => rows - 1,
		};

		if (!rows) return;
		if (event.key === 'Enter' && this.selected >= 0) {
			const [block] = blocksOnPage(this.process.blocks, this.process.pages.number[this.selected]);

			if (block !== undefined) this.app.showLife(block);
		} else if (moves[event.key]) {
			this.select(this.selected < 0 ? 0 : moves[event.key]());
		} else {
			return;
		}
		event.preventDefault();
		event.stopPropagation();
	}

	inspect() {
		this.side.replaceChildren(...pageCard(this.app, this.selected));
	}
}
