// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/terminal.h"

#include <curses.h>
#include <errno.h>
#include <stdlib.h>

static SCREEN *screen;

int mp_terminal_open(bool color, struct mp_err *err)
{
	const char *kind = getenv("TERM");

	screen = newterm(NULL, stdout, stdin);
	if (!screen)
		return mp_fail(
			err, MP_EXIT_FAILED, ENOTTY,
			"the terminal \"%s\" is not known here: set TERM, or send the output "
			"through a pipe for plain text",
			kind ? kind : "");
	set_escdelay(50); /* ms until a lone Esc is one */
	cbreak();
	noecho();
	curs_set(0);
	keypad(stdscr, true);
	nodelay(stdscr, true);
	if (color && has_colors())
		start_color();
	return 0;
}

void mp_terminal_close(void)
{
	if (!screen)
		return;
	endwin();
	delscreen(screen);
	screen = NULL;
}

void mp_terminal_size(size_t *columns, size_t *rows)
{
	*columns = COLS > 0 ? COLS : 1;
	*rows = LINES > 0 ? LINES : 1;
}

static chtype look_of(enum mp_look look)
{
	switch (look) {
	case MP_LOOK_BOLD:
		return A_BOLD;
	case MP_LOOK_TITLE:
		return A_UNDERLINE;
	case MP_LOOK_CHOSEN:
		return A_REVERSE;
	case MP_LOOK_PLAIN:
		break;
	}
	return A_NORMAL;
}

void mp_terminal_show(const struct mp_top_line *lines, size_t nr)
{
	erase();
	for (size_t i = 0; i < nr; i++) {
		attrset(look_of(lines[i].look));
		mvaddstr((int)i, 0, lines[i].text);
	}
	attrset(A_NORMAL);
	refresh();
}

int mp_terminal_key(void)
{
	int key = getch();

	switch (key) {
	case ERR:
		return 0;
	case KEY_RESIZE:
		return -1;
	case KEY_UP:
		return MP_KEY_UP;
	case KEY_DOWN:
		return MP_KEY_DOWN;
	case KEY_PPAGE:
		return MP_KEY_PAGE_UP;
	case KEY_NPAGE:
		return MP_KEY_PAGE_DOWN;
	case KEY_HOME:
		return MP_KEY_HOME;
	case KEY_END:
		return MP_KEY_END;
	case KEY_ENTER:
	case '\n':
	case '\r':
		return MP_KEY_ENTER;
	case KEY_LEFT:
	case 27:
		return MP_KEY_BACK;
	case KEY_BACKSPACE:
	case 127:
	case '\b':
		return MP_KEY_ERASE;
	}
	return key > 0 && key < 256 ? key : 0;
}
