/* SPDX-License-Identifier: MIT */
/*
 * MicroPython for Unix: the terminal. Nothing is translated, and Ctrl-C is
 * SIGINT, as for any program.
 */
#ifndef MPHALPORT_H
#define MPHALPORT_H

#include <stddef.h>

static inline void mp_hal_set_interrupt_char(int c)
{
	(void)c;
}

#define mp_hal_pin_obj_t void *

#endif
