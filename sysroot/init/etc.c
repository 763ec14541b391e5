// SPDX-License-Identifier: GPL-2.0-only
/*
 * The files of /etc that libraries and servers look for.  The texts lie
 * beside this file: the packer reads the accounts as well.
 */
#include "init.h"

#include <fcntl.h>
#include <unistd.h>

/* A file, and a NUL behind it, as a string. */
#define TEXT_OF(symbol, file)						\
	extern const char symbol[];					\
	asm(".section .rodata\n"					\
	    #symbol ":\n"						\
	    "\t.incbin \"" file "\"\n"					\
	    "\t.byte 0\n"						\
	    "\t.previous")

TEXT_OF(passwd_text, "passwd.txt");
TEXT_OF(group_text, "group.txt");
TEXT_OF(nsswitch_text, "nsswitch.txt");
TEXT_OF(protocols_text, "protocols.txt");
TEXT_OF(services_text, "services.txt");

static const struct {
	const char *path;
	const char *text;
} files[] = {
	{ "/etc/passwd", passwd_text },
	{ "/etc/group", group_text },
	{ "/etc/nsswitch.conf", nsswitch_text },
	{ "/etc/protocols", protocols_text },
	{ "/etc/services", services_text },
	/* else a name of /etc/hosts has one address only */
	{ "/etc/host.conf", "multi on\n" },
};

/* tzfile(5), version 2: one type of time, UTC, with no transitions. */
static const char utc[] =
	"TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" "\0\0\0\0" "\0\0\0\0"
	"\0\0\0\0" "\0\0\0\0" "\0\0\0\1" "\0\0\0\4" "\0\0\0\0\0\0" "UTC\0"
	"TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" "\0\0\0\0" "\0\0\0\0"
	"\0\0\0\0" "\0\0\0\0" "\0\0\0\1" "\0\0\0\4" "\0\0\0\0\0\0" "UTC\0"
	"\nUTC0\n";

/* What the image has stays as it is. */
void write_etc_files(void)
{
	size_t i;
	int fd;

	for (i = 0; i < sizeof(files) / sizeof(*files); i++)
		if (access(files[i].path, F_OK))
			write_text(files[i].path, files[i].text);
	fd = open("/etc/localtime", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		  0644);
	if (fd < 0)
		return;
	write_all(fd, utc, sizeof(utc) - 1);
	close(fd);
}
