// SPDX-License-Identifier: GPL-2.0-only
/*
 * The DHCP client (RFC 2131): a child of init that gets addresses, and keeps
 * them, for all interfaces that are to have one; it also hears of the name
 * servers that routers announce.  A process of its own, since init waits for
 * whoever reads the application's output, and a lease does not.
 *
 * It speaks through UDP sockets, each bound to its interface, and asks the
 * server to answer by broadcast: so the kernel checks headers and checksums,
 * and passes on what comes before there is an address.
 */
#define _GNU_SOURCE
#include "dhcp.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE	(10 * SECOND)	/* in which the application waits */

static struct client clients[MAX_INTERFACES];
static size_t nr_clients;
static struct {
	int index;			/* 0: its routers are not listened to */
	struct announced said;
} routers[MAX_INTERFACES];
static const struct settings *settings;
static const char *own_name;

/* Those of a lease, then those that a router has announced. */
static void add_servers(struct names *names)
{
	char text[SERVER_SIZE], name[IF_NAMESIZE];
	size_t i, j;

	for (i = 0; i < nr_clients; i++) {
		const struct lease *lease = &clients[i].lease;

		if (!clients[i].bound)
			continue;
		if (*lease->domain)
			names->domain[names->nr_domains++] = lease->domain;
		for (j = 0; j < lease->nr_nameservers; j++)
			add_server(names, inet_ntop(AF_INET, lease->nameserver + j,
						    text, sizeof(text)));
	}
	for (i = 0; i < MAX_INTERFACES; i++) {
		for (j = 0; j < routers[i].said.count; j++) {
			const struct in6_addr *server = routers[i].said.server + j;

			inet_ntop(AF_INET6, server, text, sizeof(text));
			/* such an address says nothing without its interface */
			if (IN6_IS_ADDR_LINKLOCAL(server) &&
			    !interface_name(routers[i].index, name))
				strcat(strcat(text, "%"), name);
			add_server(names, text);
		}
	}
}

void leases_changed(void)
{
	struct names names = { .nr_servers = 0 };

	add_servers(&names);
	/* of /etc as it was: what the user mounts there is not ours to change */
	write_resolv_conf("resolv.conf", settings, &names);
}

/* The last announcement by an interface takes the place of the one before. */
static void take_announcements(void)
{
	struct announced said;
	int index;
	size_t i;

	while (!take_announcement(&said, &index))
		for (i = 0; i < MAX_INTERFACES; i++)
			if (index && routers[i].index == index)
				routers[i].said = said;
	leases_changed();
}

static int open_socket(const struct client *client)
{
	const struct sockaddr_in any = {
		.sin_family = AF_INET, .sin_port = htons(DHCP_CLIENT_PORT),
	};
	const int yes = 1;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, client->name,
		       strlen(client->name)) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) ||
	    setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &yes, sizeof(yes)) ||
	    bind(fd, (const struct sockaddr *)&any, sizeof(any))) {
		close(fd);
		return -1;
	}
	return fd;
}

/*
 * An address that is there already is that of a client that was killed; its
 * lease is asked for again, as after a reboot.
 */
static void take_over(struct client *client)
{
	struct ifreq request = { 0 };
	struct in_addr mask;

	strcpy(request.ifr_name, client->name);
	if (ioctl(client->socket, SIOCGIFADDR, &request))
		return;
	memcpy(&client->lease.address, request.ifr_addr.sa_data + 2, 4);
	if (ioctl(client->socket, SIOCGIFNETMASK, &request))
		return;
	memcpy(&mask, request.ifr_netmask.sa_data + 2, 4);
	client->lease.bits = __builtin_popcount(mask.s_addr);
	client->bound = 1;
	enter(client, REBOOTING);
}

static void add_client(const struct interface *interface, unsigned int order)
{
	struct client *client = clients + nr_clients;
	struct ifreq request = { 0 };

	client->order = order;
	client->hostname = own_name;
	client->index = find_interface(interface, client->name);
	if (!client->index)
		return;
	client->socket = open_socket(client);
	strcpy(request.ifr_name, client->name);
	if (client->socket < 0 ||
	    ioctl(client->socket, SIOCGIFHWADDR, &request)) {
		complain("cannot ask for an address on", client->name, errno);
		return;
	}
	memcpy(client->mac, request.ifr_hwaddr.sa_data, MAC_SIZE);
	enter(client, SELECTING);
	take_over(client);
	nr_clients++;
}

/* Nothing but SIGKILL ends it; SIGUSR1 has it ask whether its leases hold. */
static int take_signals(void)
{
	sigset_t all, usr1;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	return signalfd(-1, &usr1, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void ask_again(int signals)
{
	struct signalfd_siginfo info;
	size_t i;

	while (read(signals, &info, sizeof(info)) > 0)
		;
	for (i = 0; i < nr_clients; i++)
		if (clients[i].bound)
			enter(clients + i, REBOOTING);
}

/* Lets the application start, once: with all addresses, or after a while. */
static void tell_init(int *ready, long deadline)
{
	size_t i, missing = 0;

	for (i = 0; i < nr_clients; i++)
		missing += !clients[i].bound;
	if (*ready < 0 || (missing && now() < deadline))
		return;
	for (i = 0; i < nr_clients; i++)
		if (!clients[i].bound)
			complain("no DHCP server has answered yet (the search goes on) on",
				 clients[i].name, 0);
	close(*ready);
	*ready = -1;
}

static int time_until(long due)
{
	long left = due - now();

	return left < 0 ? 0 : left < 1000 * SECOND ? left : 1000 * SECOND;
}

static void serve(int signals, int ready)
{
	struct pollfd news[MAX_INTERFACES + 2];
	long deadline = now() + PATIENCE;
	size_t i;

	for (;;) {
		long due = ready < 0 ? LONG_MAX : deadline;

		for (i = 0; i < nr_clients; i++) {
			if (clients[i].due <= now())
				act(clients + i);
			if (clients[i].due < due)
				due = clients[i].due;
			news[i] = (struct pollfd){
				.fd = clients[i].socket, .events = POLLIN,
			};
		}
		news[i] = (struct pollfd){ .fd = signals, .events = POLLIN };
		news[i + 1] = (struct pollfd){ .fd = router_news(), .events = POLLIN };
		if (poll(news, nr_clients + 2, time_until(due)) > 0) {
			if (news[i + 1].revents)
				take_announcements();
			if (news[i].revents)
				ask_again(signals);
			while (i--)
				if (news[i].revents)
					take_message(clients + i);
		}
		tell_init(&ready, deadline);
	}
}

static int wants(const struct interface *interface, const char *word)
{
	size_t i;

	for (i = 0; i < interface->nr_addresses; i++)
		if (!strcmp(interface->address[i], word))
			return 1;
	return 0;
}

static void __attribute__((noreturn)) run(int ready)
{
	size_t i;

	setsid();
	prctl(PR_SET_NAME, "dhcp");
	write_text("/proc/self/oom_score_adj", "-1000");
	for (i = 0; i < settings->nr_interfaces; i++) {
		const struct interface *interface = settings->interface + i;
		char name[IF_NAMESIZE];

		if (wants(interface, "dhcp"))
			add_client(interface, i);
		if (wants(interface, "slaac"))
			routers[i].index = find_interface(interface, name);
	}
	serve(take_signals(), ready);
	_exit(0);
}

static pid_t process;	/* the client, 0: there is none */
static int etc = -1;	/* the directory, before anything is mounted there */

/* Is this the client?  Whoever looks at all processes leaves it out. */
int is_dhcp_client(pid_t pid)
{
	return pid > 0 && pid == process;
}

static pid_t start(int ready)
{
	pid_t pid = fork();
	int fd;

	if (pid == 0) {
		if (fchdir(etc))
			complain("cannot change to the directory", "/etc", errno);
		for (fd = 3; fd < 1024; fd++)
			if (fd != ready && fd != router_news())
				close(fd);
		run(ready);
	}
	return pid;
}

/*
 * Starts the client where an interface wants one, and returns when it has the
 * addresses, or has waited long enough.
 */
void start_dhcp(const struct settings *given, const char *hostname)
{
	size_t i, wanted = 0;
	int ends[2];
	char byte;

	settings = given;
	own_name = hostname;
	for (i = 0; i < given->nr_interfaces; i++)
		wanted += wants(given->interface + i, "dhcp") ||
			  wants(given->interface + i, "slaac");
	if (!wanted || pipe(ends))
		return;
	etc = open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	process = start(ends[1]);
	if (process < 0)
		complain("cannot start", "the DHCP client", errno);
	close(ends[1]);
	while (read(ends[0], &byte, 1) < 0 && errno == EINTR)
		;
	close(ends[0]);
}

/* A process of that number has ended: the client is started again. */
void dhcp_client_ended(pid_t pid, int status)
{
	static int left = 8;

	if (!is_dhcp_client(pid))
		return;
	process = 0;
	if (WIFEXITED(status) || !left--)
		return;
	complain("the DHCP client was killed", left ? "and is started again" :
		 "too often: leases are not renewed any more", 0);
	if (left)
		process = start(-1);
}
