/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MP_SYMBOL_DEMANGLE_H
#define MP_SYMBOL_DEMANGLE_H

/*
 * A fresh string (the caller frees it) with the C++ or Rust name that @name is the mangled form of;
 * NULL: it is none, its plain form would be unreasonably long, or
 * this was built without libiberty.
 */
char *mp_demangle(const char *name);

#endif
