// SPDX-License-Identifier: MIT
/*
 * MicroPython for Unix:
 *
 *     micropython [-c CODE | FILE]
 *
 * Without CODE and FILE it is a prompt. Modules are those of the current
 * directory; there is no sys.path and no sys.argv in this core.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "py/compile.h"
#include "py/gc.h"
#include "py/lexer.h"
#include "py/mphal.h"
#include "py/nlr.h"
#include "py/runtime.h"
#include "py/stackctrl.h"
#include "lib/utils/pyexec.h"

#define HEAP (16 << 20)
#define STACK (4 << 20)
#define END_OF_INPUT 4		/* Ctrl-D ends the prompt */

static char heap[HEAP];
static char *stack_top;

/* What is in registers lies in the jump buffer, hence between here and main. */
void gc_collect(void)
{
	jmp_buf registers;

	setjmp(registers);
	gc_collect_start();
	gc_collect_root((void **)&registers,
			(stack_top - (char *)&registers) / sizeof(void *));
	gc_collect_end();
}

mp_import_stat_t mp_import_stat(const char *path)
{
	struct stat found;

	if (stat(path, &found))
		return MP_IMPORT_STAT_NO_EXIST;
	return S_ISDIR(found.st_mode) ? MP_IMPORT_STAT_DIR : MP_IMPORT_STAT_FILE;
}

void nlr_jump_fail(void *value)
{
	fprintf(stderr, "micropython: nobody caught %p\n", value);
	abort();
}

int mp_hal_stdin_rx_chr(void)
{
	unsigned char c;

	if (read(STDIN_FILENO, &c, 1) != 1)
		return END_OF_INPUT;
	return c == '\n' ? '\r' : c;	/* what a terminal's Enter sends */
}

static void write_all(int fd, const char *text, size_t size)
{
	while (size) {
		ssize_t written = write(fd, text, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return;
		text += written;
		size -= written;
	}
}

void mp_hal_stdout_tx_strn(const char *text, size_t size)
{
	write_all(STDOUT_FILENO, text, size);
}

void mp_hal_stdout_tx_strn_cooked(const char *text, size_t size)
{
	write_all(STDOUT_FILENO, text, size);
}

void mp_hal_stdout_tx_str(const char *text)
{
	write_all(STDOUT_FILENO, text, strlen(text));
}

mp_uint_t mp_hal_ticks_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void print_error(void *data, const char *text, size_t size)
{
	(void)data;
	write_all(STDERR_FILENO, text, size);
}

/* The exit status that an exception stands for; it is shown if it is no SystemExit. */
static int status_of(mp_obj_t exception)
{
	const mp_print_t print = { NULL, print_error };
	mp_obj_t value;

	if (!mp_obj_is_subclass_fast(mp_obj_get_type(exception), &mp_type_SystemExit)) {
		mp_obj_print_exception(&print, exception);
		return 1;
	}
	value = mp_obj_exception_get_value(exception);
	if (value == mp_const_none)
		return 0;
	if (MP_OBJ_IS_INT(value))
		return mp_obj_get_int(value) & 255;
	mp_obj_print_helper(&print, value, PRINT_STR);
	print_error(NULL, "\n", 1);
	return 1;
}

static int run(const char *code, const char *file)
{
	nlr_buf_t caught;
	mp_lexer_t *lexer;
	mp_parse_tree_t tree;
	qstr name;

	if (nlr_push(&caught))
		return status_of(MP_OBJ_FROM_PTR(caught.ret_val));
	if (code)
		lexer = mp_lexer_new_from_str_len(MP_QSTR__lt_string_gt_, code, strlen(code), 0);
	else
		lexer = mp_lexer_new_from_file(file);
	name = lexer->source_name;
	tree = mp_parse(lexer, MP_PARSE_FILE_INPUT);
	mp_call_function_0(mp_compile(&tree, name, MP_EMIT_OPT_NONE, false));
	nlr_pop();
	return 0;
}

int main(int argc, char **argv)
{
	const char *code = NULL, *file = NULL;
	char *here;
	int status;

	stack_top = (char *)&here;
	mp_stack_ctrl_init();
	mp_stack_set_limit(STACK);
	gc_init(heap, heap + sizeof(heap));
	mp_init();

	if (argc == 3 && !strcmp(argv[1], "-c")) {
		code = argv[2];
	} else if (argc == 2 && argv[1][0] != '-') {
		file = argv[1];
	} else if (argc > 1) {
		fprintf(stderr, "usage: micropython [-c CODE | FILE]\n");
		return 2;
	}
	if (file && access(file, R_OK)) {
		fprintf(stderr, "micropython: %s: %s\n", file, strerror(errno));
		return 2;
	}

	status = code || file ? run(code, file) : pyexec_friendly_repl() & 255;
	mp_deinit();
	return status;
}
