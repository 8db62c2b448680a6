// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/json.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "view/label.h"

static void print(void *ctx, const char *bytes, size_t len)
{
	fwrite(bytes, 1, len, ctx);
}

static void checked(struct mp_json *j, yajl_gen_status status)
{
	if (status != yajl_gen_status_ok && !j->err)
		j->err = -EINVAL;
}

static void string(struct mp_json *j, const char *s)
{
	checked(j, yajl_gen_string(j->gen, (const unsigned char *)s, strlen(s)));
}

static void key(struct mp_json *j, const char *name)
{
	if (name)
		string(j, name);
}

int mp_json_init(struct mp_json *j)
{
	j->err = 0;
	j->gen = yajl_gen_alloc(NULL);
	if (!j->gen)
		return -ENOMEM;
	yajl_gen_config(j->gen, yajl_gen_print_callback, print, j->out);
	return 0;
}

void mp_json_end(struct mp_json *j)
{
	yajl_gen_free(j->gen);
}

void mp_json_open(struct mp_json *j, const char *name, const char *bracket)
{
	key(j, name);
	checked(j, *bracket == '{' ? yajl_gen_map_open(j->gen) : yajl_gen_array_open(j->gen));
}

void mp_json_close(struct mp_json *j, const char *bracket)
{
	checked(j, *bracket == '}' ? yajl_gen_map_close(j->gen) : yajl_gen_array_close(j->gen));
}

void mp_json_line(struct mp_json *j)
{
	fputc('\n', j->out);
}

void mp_json_word(struct mp_json *j, const char *name, const char *value)
{
	key(j, name);
	if (value)
		string(j, value);
	else
		checked(j, yajl_gen_null(j->gen));
}

/* @bad: how many bytes of @s are not UTF-8. NULL: no memory. */
static char *replace_bad(const char *s, size_t bad)
{
	char *clean = malloc(strlen(s) + 2 * bad + 1);
	size_t used = 0, len;

	if (!clean)
		return NULL;
	for (; *s; s += len ? len : 1) {
		len = mp_utf8_len(s);
		memcpy(clean + used, len ? s : "\xef\xbf\xbd", len ? len : 3);
		used += len ? len : 3;
	}
	clean[used] = '\0';
	return clean;
}

void mp_json_string(struct mp_json *j, const char *name, const char *value)
{
	size_t bad = 0, len;
	const char *p;
	char *clean;

	for (p = value; *p; p += len ? len : 1) {
		len = mp_utf8_len(p);
		bad += !len;
	}
	if (!bad) {
		mp_json_word(j, name, value);
		return;
	}
	clean = replace_bad(value, bad);
	if (!clean && !j->err)
		j->err = -ENOMEM;
	mp_json_word(j, name, clean);
	free(clean);
}

void mp_json_text(struct mp_json *j, const char *name, const char *value)
{
	if (value && *value)
		mp_json_string(j, name, value);
	else
		mp_json_word(j, name, NULL);
}

void mp_json_bool(struct mp_json *j, const char *name, bool value)
{
	key(j, name);
	checked(j, yajl_gen_bool(j->gen, value));
}

void mp_json_address(struct mp_json *j, const char *name, uint64_t addr)
{
	char hex[24];

	snprintf(hex, sizeof(hex), "0x%" PRIx64, addr);
	mp_json_word(j, name, hex);
}

void mp_json_number(struct mp_json *j, const char *name, uint64_t n)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);

	key(j, name);
	checked(j, yajl_gen_number(j->gen, digits, len));
}

void mp_json_known(struct mp_json *j, const char *name, uint64_t n)
{
	if (n)
		mp_json_number(j, name, n);
	else
		mp_json_word(j, name, NULL);
}

void mp_json_signed(struct mp_json *j, const char *name, int64_t n)
{
	if (n == MP_UNKNOWN) {
		mp_json_word(j, name, NULL);
		return;
	}
	key(j, name);
	checked(j, yajl_gen_integer(j->gen, n));
}

void mp_json_real(struct mp_json *j, const char *name, double x)
{
	char digits[40];
	int len;

	if (!isfinite(x)) {
		mp_json_word(j, name, NULL);
		return;
	}
	key(j, name);
	len = snprintf(digits, sizeof(digits), "%.9g", x);
	checked(j, yajl_gen_number(j->gen, digits, len));
}
