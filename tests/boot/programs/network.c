/*
 * What a program sees of its network, and what it can do with it, by the
 * words of its command line, one after the other.
 */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned int bits_of(const struct sockaddr *mask)
{
	const unsigned char *byte = (const unsigned char *)mask;
	size_t len = 4, i;
	unsigned int bits = 0;

	byte += offsetof(struct sockaddr_in, sin_addr);
	if (mask->sa_family == AF_INET6) {
		byte = (const unsigned char *)&((struct sockaddr_in6 *)mask)->sin6_addr;
		len = 16;
	}
	for (i = 0; i < len; i++)
		bits += __builtin_popcount(byte[i]);
	return bits;
}

/* Link-local addresses come by themselves. */
static void show_addresses(void)
{
	struct ifaddrs *all, *one;
	char text[NI_MAXHOST];

	getifaddrs(&all);
	for (one = all; one; one = one->ifa_next) {
		const struct sockaddr *addr = one->ifa_addr;
		socklen_t len = sizeof(struct sockaddr_in);

		if (!addr || !strcmp(one->ifa_name, "lo") ||
		    (addr->sa_family != AF_INET && addr->sa_family != AF_INET6))
			continue;
		if (addr->sa_family == AF_INET6) {
			len = sizeof(struct sockaddr_in6);
			if (IN6_IS_ADDR_LINKLOCAL(&((struct sockaddr_in6 *)addr)->sin6_addr))
				continue;
		}
		getnameinfo(addr, len, text, sizeof(text), NULL, 0, NI_NUMERICHOST);
		printf("%s %s/%u\n", one->ifa_name, text, bits_of(one->ifa_netmask));
	}
	freeifaddrs(all);
}

static void show_mtu(const char *name)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq request = { 0 };

	strcpy(request.ifr_name, name);
	ioctl(fd, SIOCGIFMTU, &request);
	printf("%s mtu %d\n", name, request.ifr_mtu);
	close(fd);
}

static void show_file(const char *path)
{
	FILE *file = fopen(path, "r");
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		printf("%s: %s", path, line);
	if (file)
		fclose(file);
}

static void look_up(const char *name)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *all, *one;
	char text[NI_MAXHOST];
	int error = getaddrinfo(name, NULL, &hints, &all);

	if (error) {
		printf("%s: %s\n", name, gai_strerror(error));
		return;
	}
	for (one = all; one; one = one->ai_next) {
		getnameinfo(one->ai_addr, one->ai_addrlen, text, sizeof(text),
			    NULL, 0, NI_NUMERICHOST);
		printf("%s is %s\n", name, text);
	}
	freeaddrinfo(all);
}

/* One connection; what it brings is shown and sent back. */
static void serve(const char *port)
{
	struct sockaddr_in6 any = {
		.sin6_family = AF_INET6, .sin6_port = htons(atoi(port)),
	};
	int listener = socket(AF_INET6, SOCK_STREAM, 0), fd;
	const int yes = 1;
	char data[64];
	ssize_t len;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(listener, (struct sockaddr *)&any, sizeof(any)) ||
	    listen(listener, 4)) {
		perror("listen");
		exit(1);
	}
	puts("listening");
	fd = accept(listener, NULL, NULL);
	len = read(fd, data, sizeof(data));
	printf("got %.*s\n", (int)len, data);
	if (write(fd, data, len) != len)
		perror("write");
	close(fd);
	close(listener);
}

/* One datagram, sent back. */
static void serve_udp(const char *port)
{
	struct sockaddr_in any = {
		.sin_family = AF_INET, .sin_port = htons(atoi(port)),
	}, from;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	socklen_t len = sizeof(from);
	char data[64];
	ssize_t got;

	bind(fd, (struct sockaddr *)&any, sizeof(any));
	puts("waiting");
	got = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &len);
	printf("got %.*s\n", (int)got, data);
	sendto(fd, data, got, 0, (struct sockaddr *)&from, len);
	close(fd);
}

static int try(const char *host, const char *port, const char *word)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *all;
	char data[64];
	ssize_t len = -1;
	int fd;

	if (getaddrinfo(host, port, &hints, &all))
		return -1;
	fd = socket(all->ai_family, all->ai_socktype, 0);
	if (!connect(fd, all->ai_addr, all->ai_addrlen) &&
	    write(fd, word, strlen(word)) > 0)
		len = read(fd, data, sizeof(data));
	if (len > 0)
		printf("%s answers %.*s\n", host, (int)len, data);
	close(fd);
	freeaddrinfo(all);
	return len > 0 ? 0 : -1;
}

/* The other side may not listen yet. */
static void call(const char *host, const char *port, const char *word)
{
	int tries = 300;

	while (try(host, port, word) && tries--)
		usleep(200 * 1000);
}

static void wait_for_line(const char *wanted)
{
	char line[64];

	while (fgets(line, sizeof(line), stdin) && strncmp(line, wanted, strlen(wanted)))
		;
}

/* To every process but init and this one. */
static void signal_all(int sig)
{
	if (sig != SIGKILL)
		signal(sig, SIG_IGN);
	kill(-1, sig);
}

int main(int argc, char **argv)
{
	int i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "addresses"))
			show_addresses();
		else if (!strcmp(argv[i], "mtu"))
			show_mtu(argv[++i]);
		else if (!strcmp(argv[i], "file"))
			show_file(argv[++i]);
		else if (!strcmp(argv[i], "lookup"))
			look_up(argv[++i]);
		else if (!strcmp(argv[i], "serve"))
			serve(argv[++i]);
		else if (!strcmp(argv[i], "serve-udp"))
			serve_udp(argv[++i]);
		else if (!strcmp(argv[i], "call"))
			call(argv[i + 1], argv[i + 2], argv[i + 3]), i += 3;
		else if (!strcmp(argv[i], "until"))
			wait_for_line(argv[++i]);
		else if (!strcmp(argv[i], "signal-all"))
			signal_all(atoi(argv[++i]));
	}
	return 0;
}
