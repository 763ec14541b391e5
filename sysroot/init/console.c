// SPDX-License-Identifier: GPL-2.0-only
/* The terminal of the application, and the port that carries the record. */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/serial.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static const char record_port[] = "/dev/ttyS1";

/*
 * The device behind /dev/console, which unlike it can be a controlling
 * terminal under a name that ttyname() finds.  The active ones are in one
 * line, the one that /dev/console stands for last.
 */
static int open_active_console(void)
{
	char path[64] = "/dev/", *names, *last;
	size_t len;
	int fd = -1;

	names = read_file("/sys/class/tty/console/active", &len);
	if (!names)
		return -1;
	names[strcspn(names, "\n")] = '\0';
	last = strrchr(names, ' ');
	last = last ? last + 1 : names;
	if (*last && strlen(last) < sizeof(path) - strlen(path)) {
		strcat(path, last);
		fd = open(path, O_RDWR | O_NOCTTY);
	}
	free(names);
	return fd;
}

/*
 * Makes the console, or nothing at all, descriptors 0, 1 and 2, and the
 * controlling terminal of a session that init leads.
 */
void open_console(void)
{
	int fd = open_active_console();
	int target;

	if (fd < 0)
		fd = open("/dev/console", O_RDWR | O_NOCTTY);
	if (fd < 0)
		fd = open("/dev/null", O_RDWR);
	if (fd < 0)
		return;
	for (target = 0; target <= 2; target++)
		if (fd != target)
			dup2(fd, target);
	if (fd > 2)
		close(fd);
	setsid();
	ioctl(STDIN_FILENO, TIOCSCTTY, 0);
}

static void make_raw(struct termios *mode)
{
	cfmakeraw(mode);
	mode->c_cflag |= CREAD | CLOCAL;
	mode->c_cc[VMIN] = 1;
	mode->c_cc[VTIME] = 0;
}

static void make_cooked(struct termios *mode)
{
	mode->c_iflag = ICRNL | IXON | IUTF8;
	mode->c_oflag = OPOST | ONLCR;
	mode->c_lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL |
			ECHOKE | IEXTEN;
	mode->c_cflag |= CREAD | CLOCAL;
}

/*
 * Raw is for an output that somebody keeps or pipes on: the bytes arrive as
 * the application wrote them.  Cooked is for a person at a terminal.
 */
void set_terminal(const struct settings *settings)
{
	struct winsize size = {
		.ws_row = settings->rows,
		.ws_col = settings->columns,
	};
	struct termios mode;

	if (tcgetattr(STDIN_FILENO, &mode))
		return;
	if (settings->cooked)
		make_cooked(&mode);
	else
		make_raw(&mode);
	tcsetattr(STDIN_FILENO, TCSANOW, &mode);
	if (size.ws_row && size.ws_col)
		ioctl(STDIN_FILENO, TIOCSWINSZ, &size);
}

static void name_node(char node[PORT_NODE_SIZE], char device, char port)
{
	strcpy(node, "/dev/vport0p0");
	node[strlen("/dev/vport")] = device;
	node[strlen("/dev/vport0p")] = port;
}

/*
 * A kernel without sysfs does not say what its ports are called.  `ukcc run`
 * does: their names in the order of their numbers, which begin at 1.
 */
static int find_port_by_number(const char *name, char node[PORT_NODE_SIZE])
{
	size_t len, i;
	char *data = read_file("/.uk/ports", &len);
	char **names = data ? split_entries(data, len) : NULL;
	int device, port = 0;

	for (i = 0; names && names[i] && i < 9; i++)
		if (!strcmp(names[i], name))
			port = '1' + i;
	free(names);
	free(data);
	/* the device is numbered among all of virtio */
	for (device = '0'; port && device <= '9'; device++) {
		name_node(node, device, port);
		if (access(node, F_OK) == 0)
			return 0;
	}
	errno = ENOENT;
	return -1;
}

/*
 * A virtio port by its name, for what is no terminal: unlike a serial line it
 * has an end of file, and waits when the other side does not read.  Elsewhere
 * udev makes links by the ports' names; here sysfs is asked.  Gives the path
 * of the device.
 */
int find_port(const char *name, char node[PORT_NODE_SIZE])
{
	char file[] = "/sys/class/virtio-ports/vport0p0/name";
	char *text;
	size_t len;
	int device, port, found;

	if (access("/sys/class/virtio-ports", F_OK))
		return find_port_by_number(name, node);
	for (device = '0'; device <= '9'; device++) {
		for (port = '0'; port <= '9'; port++) {
			file[strlen("/sys/class/virtio-ports/vport")] = device;
			file[strlen("/sys/class/virtio-ports/vport0p")] = port;
			text = read_file(file, &len);
			if (!text)
				continue;
			text[strcspn(text, "\n")] = '\0';
			found = strcmp(text, name) == 0;
			free(text);
			if (!found)
				continue;
			name_node(node, device, port);
			return 0;
		}
	}
	errno = ENOENT;
	return -1;
}

int open_port(const char *name, int flags)
{
	char node[PORT_NODE_SIZE];

	return find_port(name, node) ? -1 : open(node, flags | O_CLOEXEC);
}

/*
 * Waits until the last byte has left the machine.  tcdrain() alone waits only
 * a few character times for the transmitter's own FIFO, too short when the
 * host is slow to read.
 */
void drain(int fd)
{
	const struct timespec millisecond = { .tv_nsec = 1000 * 1000 };
	unsigned int status;

	while (tcdrain(fd) && errno == EINTR)
		;
	while (!ioctl(fd, TIOCSERGETLSR, &status) && !(status & TIOCSER_TEMT))
		nanosleep(&millisecond, NULL);
}

static void write_parts(int fd, const struct iovec *part, int count)
{
	ssize_t done;
	int i;

	/* one call for a line, so that it stays in one piece; then what is left */
	done = writev(fd, part, count);
	for (i = 0; i < count && done >= 0; i++) {
		size_t len = part[i].iov_len;

		if ((size_t)done >= len) {
			done -= len;
			continue;
		}
		if (write(fd, (char *)part[i].iov_base + done, len - done) < 0)
			return;
		done = 0;
	}
}

static struct iovec text_part(const char *text)
{
	return (struct iovec){
		.iov_base = (void *)text, .iov_len = strlen(text),
	};
}

/*
 * A file descriptor of the second serial port, or -1.  The node exists
 * whether or not there is a port behind it, opens and has a mode; only what
 * has to ask the hardware fails.
 */
static int open_record_port(void)
{
	int fd = open(record_port, O_WRONLY | O_NOCTTY | O_CLOEXEC);
	unsigned int status;
	struct termios mode;

	if (fd < 0)
		return -1;
	if (ioctl(fd, TIOCSERGETLSR, &status) || tcgetattr(fd, &mode)) {
		close(fd);
		return -1;
	}
	make_raw(&mode);
	tcsetattr(fd, TCSANOW, &mode);
	return fd;
}

static int kept_port = -1;

/* For a child that will not be allowed to open the port any more. */
void keep_record_port(void)
{
	kept_port = open_record_port();
}

/* Writes `UKCC1 what value` and waits until it is out. */
void record(const char *what, const char *value)
{
	const struct iovec line[] = {
		text_part("UKCC1 "), text_part(what), text_part(" "),
		text_part(value), text_part("\n"),
	};
	int fd = open_record_port();

	if (fd < 0)
		return;
	write_parts(fd, line, sizeof(line) / sizeof(*line));
	drain(fd);
	close(fd);
}

/*
 * Says what went wrong in the set-up, as `UKCC1 note` on the record port,
 * from where `ukcc run` puts it on its standard error; without that port on
 * the console.
 */
void complain(const char *what, const char *which, int error)
{
	int fd = kept_port < 0 ? open_record_port() : dup(kept_port);
	const struct iovec line[] = {
		text_part(fd < 0 ? "ukcc init: " : "UKCC1 note "),
		text_part(what), text_part(" "), text_part(which),
		text_part(error ? ": " : ""),
		text_part(error ? strerror(error) : ""),
		text_part(fd < 0 ? "\r\n" : "\n"),
	};

	write_parts(fd < 0 ? STDERR_FILENO : fd, line,
		    sizeof(line) / sizeof(*line));
	if (fd < 0)
		return;
	drain(fd);
	close(fd);
}

/* The number in decimal, in the caller's buffer. */
char *decimal(unsigned long n, char buffer[24])
{
	char *at = buffer + 23;

	*at = '\0';
	do {
		*--at = '0' + n % 10;
		n /= 10;
	} while (n);
	return at;
}
