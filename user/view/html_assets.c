// SPDX-License-Identifier: GPL-2.0-or-later
/* The page's own files, byte for byte; paths are from the top of the tree, where make runs. */
#include "view/html.h"

#define ASSET(name, files)                                                   \
	__asm__(".section .rodata\n"                                         \
		".global mp_html_" name "\n"                                 \
		"mp_html_" name ":\n" files ".global mp_html_" name "_end\n" \
		"mp_html_" name "_end:\n"                                    \
		".byte 0\n"                                                  \
		".previous\n")
#define FILE_IN(name) ".incbin \"user/view/html/" name "\"\n"

ASSET("style", FILE_IN("page.css") FILE_IN("views.css"));
ASSET("body", FILE_IN("page.html"));
/* In the order in which they need each other; main.js begins. */
ASSET("script", FILE_IN("unpack.js") FILE_IN("words.js") FILE_IN("report.js") FILE_IN("parts.js")
			FILE_IN("overview.js") FILE_IN("flame.js") FILE_IN("map_layout.js")
				FILE_IN("map_key.js") FILE_IN("map_page.js") FILE_IN("map.js")
					FILE_IN("touchers.js") FILE_IN("time.js") FILE_IN("life.js")
						FILE_IN("main.js"));
