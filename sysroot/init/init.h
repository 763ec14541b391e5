/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * PID 1 of a ukcc machine: prepares what a program expects of a Linux
 * system, runs the application as a child, reports how it ended and powers
 * the machine off.  The file formats are those of docs/architecture.md.
 */
#ifndef UK_INIT_H
#define UK_INIT_H

#include <netinet/in.h>
#include <stddef.h>

#define MAX_MOUNTS		16
#define MAX_NAMESERVERS		3	/* as many as resolv.conf(5) reads */
#define NR_OUTPUTS		2	/* standard output and error */
#define PORT_NODE_SIZE		sizeof("/dev/vport0p0")

/* One `mount=tag:path:ro|rw` line: a 9p share of the host. */
struct share {
	const char *tag;
	const char *path;
	int readonly;
};

/* Where standard input comes from: the console, a virtio port, nowhere. */
enum input { INPUT_TTY, INPUT_PORT, INPUT_NULL };

/* /.uk/settings, parsed.  A string that was not given is NULL. */
struct settings {
	const char *hostname;
	const char *address;		/* CIDR or "dhcp" */
	const char *gateway;
	const char *nameserver[MAX_NAMESERVERS];
	size_t nr_nameservers;
	const char *cwd;
	const char *term;
	int cooked;
	enum input input;
	int output_ports;		/* else the console has the output */
	unsigned short rows;		/* 0: unknown */
	unsigned short columns;
	struct share share[MAX_MOUNTS];
	size_t nr_shares;
};

/* config.c: files and text to data; runs as well in a Linux process. */
char *read_file(const char *path, size_t *len);
char **split_entries(char *data, size_t len);
char **words_after_dashes(char *cmdline);
const char *parse_settings(char *text, struct settings *settings);
char **merge_env(char **defaults, char **given);
int parse_cidr(const char *text, struct in_addr *addr, struct in_addr *mask);

/* root.c: mounts, directories and the files that libraries look for. */
void mount_system(void);
void mount_shares(const struct settings *settings);
void write_etc(const struct settings *settings, const char *hostname);
void write_text(const char *path, const char *text);

/* console.c: the terminal, and the port that carries the exit record. */
void open_console(void);
void set_terminal(const struct settings *settings);
int find_port(const char *name, char node[PORT_NODE_SIZE]);
int open_port(const char *name, int flags);
void drain(int fd);
void record(const char *what, const char *value);
void complain(const char *what, const char *which, int error);
char *decimal(unsigned long n, char buffer[24]);

/* relay.c: standard output and error to the host's pipes and files. */
void open_outputs(void);
void take_outputs(void);
void pass_outputs(void);
void wait_for_news(int timeout);
void settle_outputs(void);
int report_sent(const char *kind);
void forget_sent(void);
void write_all(int fd, const void *data, size_t len);

/* report.c: what the host hears of while the run goes on. */
int open_reports(void);
void begin_report(int port, const char *kind, size_t len);
int send_report(const char *kind, const char *text);
int watch_requests(void);
void serve_requests(void);
int all_is_taken(void);

/* crash.c, memory.c, stacks.c: what is reported. */
void catch_crashes(void);
int report_crash(const char *pid);
int watch_messages(void);
void report_killed(void);
void report_stacks(void);

/* hold.c: standing still while the machine is saved. */
void hold_still(int port);

/* network.c */
void bring_up_network(const struct settings *settings);

/* trace.c: the application under strace. */
int is_traced(void);
void launch_traced(const char *program, char **argv, char **env);
void finish_trace(void);

/* launch.c: the child; does not return. */
void launch(const char *program, char **argv, char **env,
	    const struct settings *settings) __attribute__((noreturn));

#endif
