/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MP_BASE_SOON_H
#define MP_BASE_SOON_H

/* How near the turn of an event is that is looked at before it: each step waits for the one before. */
enum mp_soon { MP_SOON_FAR, MP_SOON_MID, MP_SOON_NEAR, MP_SOON_STEPS };

#endif
