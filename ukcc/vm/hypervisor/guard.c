// SPDX-License-Identifier: Apache-2.0
/*
 * Preloaded into QEMU by `ukcc run` (guard.py has it compiled): what QEMU 7.2 has no option for.
 *
 * 1. QEMU's user mode network connects to the host's loopback for its guest: for the gateway's
 *    address, for all of its IPv6 prefix, and for 127.0.0.1 if a guest writes that into a packet.
 *    Here such a connect() or sendto() fails, with two exceptions: the name servers of resolv.conf,
 *    which the guest reaches at the network's own name server anyway, and answers to a datagram
 *    that has come from there, which is what a forwarded UDP port is for.
 *    UKCC_LOOPBACK=yes in the environment leaves the loopback open.
 * 2. -runas changes the user, and the kernel forgets then by which signal QEMU is to end with
 *    ukcc. Here it is set again.
 *
 * A number in UKCC_GUARD_FD is a descriptor that gets one byte, to tell that all this is there.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DNS_PORT 53
#define RESOLV_CONF "/etc/resolv.conf"
#define RESOLV_BYTES 4096 /* more than libslirp reads of it */

static bool loopback_is_open;
static int death_signal;
static long parent;

/* Where a datagram came from, by its port: the socket that got it, and the address. */
struct sender {
	uint64_t cookie;
	uint32_t address;
};

static struct sender senders[1 << 16];

/* An IPv4 address in host order for what is one, mapped or not; -1 for any other, -2 for ::1. */
static int64_t ipv4_of(const struct sockaddr *address, socklen_t length, uint16_t *port)
{
	const struct sockaddr_in *in = (const void *)address;
	const struct sockaddr_in6 *in6 = (const void *)address;

	*port = 0;
	if (length >= sizeof(*in) && address->sa_family == AF_INET) {
		*port = ntohs(in->sin_port);
		return ntohl(in->sin_addr.s_addr);
	}
	if (length < sizeof(*in6) || address->sa_family != AF_INET6)
		return -1;
	*port = ntohs(in6->sin6_port);
	if (IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr) || IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr))
		return -2;
	if (!IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		return -1;
	return ntohl(in6->sin6_addr.s6_addr32[3]);
}

/* 127/8, and 0/8, of which Linux makes the same. */
static bool is_loopback(int64_t ipv4)
{
	return ipv4 == -2 || (ipv4 >= 0 && (ipv4 >> 24 == 127 || ipv4 >> 24 == 0));
}

/* Whether the text at `word` is this address: dotted numbers, or ::1. */
static bool names(const char *word, int64_t ipv4)
{
	uint32_t value = 0, byte = 0;
	int digits = 0, dots = 0;

	if (ipv4 == -2)
		return !strncmp(word, "::1", 3) && (word[3] <= ' ' || word[3] == '#');
	for (;; word++) {
		if (*word >= '0' && *word <= '9' && digits < 3) {
			byte = byte * 10 + (*word - '0');
			digits++;
			continue;
		}
		if (!digits || byte > 255)
			return false;
		value = value << 8 | byte;
		byte = digits = 0;
		if (*word != '.')
			break;
		dots++;
	}
	return dots == 3 && *word <= ' ' && value == ipv4;
}

/* Read each time: a laptop's changes while the machine runs, and libslirp follows it. */
static bool is_name_server(int64_t ipv4)
{
	static const char key[] = "nameserver";
	char text[RESOLV_BYTES + 1];
	long fd, size;
	char *line;

	fd = syscall(SYS_openat, AT_FDCWD, RESOLV_CONF, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	size = syscall(SYS_read, fd, text, RESOLV_BYTES);
	syscall(SYS_close, fd);
	text[size < 0 ? 0 : size] = '\0';
	for (line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, sizeof(key) - 1))
			continue;
		line += sizeof(key) - 1;
		while (*line == ' ' || *line == '\t')
			line++;
		if (names(line, ipv4))
			return true;
	}
	return false;
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t length = sizeof(cookie);

	syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, &cookie, &length);
	return cookie;
}

static bool has_sent_to(int fd, int64_t ipv4, uint16_t port)
{
	const struct sender *sender = &senders[port];

	return ipv4 >= 0 && sender->cookie && sender->address == ipv4 &&
	       sender->cookie == cookie_of(fd);
}

static bool is_refused(int fd, const struct sockaddr *address, socklen_t length)
{
	uint16_t port;
	int64_t ipv4;

	if (loopback_is_open || !address)
		return false;
	ipv4 = ipv4_of(address, length, &port);
	if (!is_loopback(ipv4) || has_sent_to(fd, ipv4, port))
		return false;
	if (port == DNS_PORT && is_name_server(ipv4))
		return false;
	errno = ECONNREFUSED;
	return true;
}

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
	if (is_refused(fd, address, length))
		return -1;
	return syscall(SYS_connect, fd, address, length);
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *address,
	       socklen_t length)
{
	if (is_refused(fd, address, length))
		return -1;
	return syscall(SYS_sendto, fd, data, size, flags, address, length);
}

ssize_t recvfrom(int fd, void *data, size_t size, int flags, struct sockaddr *address,
		 socklen_t *length)
{
	ssize_t got = syscall(SYS_recvfrom, fd, data, size, flags, address, length);
	uint16_t port;
	int64_t ipv4;

	if (got < 0 || !address || !length)
		return got;
	ipv4 = ipv4_of(address, *length, &port);
	if (ipv4 >= 0 && is_loopback(ipv4))
		senders[port] = (struct sender){ cookie_of(fd), ipv4 };
	return got;
}

/* The C library's changes all threads; the signal is the main thread's, which calls this. */
int setuid(uid_t user)
{
	int (*libc_setuid)(uid_t) = dlsym(RTLD_NEXT, "setuid");
	int result = libc_setuid(user);

	if (result < 0 || !death_signal)
		return result;
	syscall(SYS_prctl, PR_SET_PDEATHSIG, death_signal, 0, 0, 0);
	/* the parent may have ended before that */
	if (syscall(SYS_getppid) != parent)
		syscall(SYS_kill, syscall(SYS_getpid), death_signal);
	return result;
}

__attribute__((constructor)) static void begin(void)
{
	const char *open = getenv("UKCC_LOOPBACK"), *fd = getenv("UKCC_GUARD_FD");

	parent = syscall(SYS_getppid);
	syscall(SYS_prctl, PR_GET_PDEATHSIG, &death_signal, 0, 0, 0);
	loopback_is_open = open && !strcmp(open, "yes");
	if (fd)
		syscall(SYS_write, atoi(fd), "g", 1);
}
