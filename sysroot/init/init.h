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
#include <sys/types.h>
#include <time.h>

#define MAX_MOUNTS		16
#define MAX_NAMESERVERS		3	/* as many as resolv.conf(5) reads */
#define MAX_LIMITS		16	/* as many as there are resources */
#define MAX_GROUPS		64
#define MAX_INTERFACES		8
#define MAX_ADDRESSES		4	/* of an interface */
#define MAX_SEARCHES		6	/* as many as every resolver reads */
#define MAX_HOSTS		64
#define SERVER_SIZE		64	/* bytes of its address and interface */
#define NR_OUTPUTS		2	/* standard output and error */
#define SEED_BYTES		32	/* for a machine that is continued */
#define LINE_ROOM		256	/* of a request */
#define PORT_NODE_SIZE		sizeof("/dev/vport0p0")

/*
 * One `mount=`, `virtiofs=` or `disk=` line, each `tag:path:ro|rw`: a directory
 * of the host by its tag, or a disk by its device.
 */
struct share {
	const char *type;		/* 9p, virtiofs or ext4 */
	const char *tag;
	const char *path;
	int readonly;
};

/* One `ulimit=name:resource:soft:hard` line. */
struct limit {
	const char *name;
	int resource;
	unsigned long soft;
	unsigned long hard;
};

/* A user, as far as becoming one needs it; name: NULL if it has none. */
struct account {
	const char *name;
	const char *home;
	uid_t uid;
	gid_t gid;
	gid_t group[MAX_GROUPS];
	size_t nr_groups;
};

/* An address of either family, with the bits of its network. */
struct ip {
	int family;
	unsigned int bits;
	union {
		struct in_addr v4;
		struct in6_addr v6;
		unsigned char addr[16];
	};
};

/* From one `interface=` line to the next; without any it is eth0. */
struct interface {
	const char *mac;
	const char *address[MAX_ADDRESSES];	/* CIDR, "dhcp" or "slaac" */
	size_t nr_addresses;
	const char *gateway[2];			/* of either family */
	size_t nr_gateways;
};

/* Where standard input comes from: the console, a virtio port, nowhere. */
enum input { INPUT_TTY, INPUT_PORT, INPUT_NULL };

/* /.uk/settings, parsed.  A string that was not given is NULL. */
struct settings {
	const char *hostname;
	struct interface interface[MAX_INTERFACES];
	size_t nr_interfaces;
	const char *nameserver[MAX_NAMESERVERS];
	size_t nr_nameservers;
	const char *search[MAX_SEARCHES];
	size_t nr_searches;
	const char *host[MAX_HOSTS];	/* lines of /etc/hosts */
	size_t nr_hosts;
	const char *cwd;
	const char *user;		/* NAME|UID[:NAME|GID] */
	struct limit limit[MAX_LIMITS];
	size_t nr_limits;
	unsigned short optional;	/* a step: its failure is none */
	const char *term;
	int cooked;
	enum input input;
	int output_ports;		/* else the console has the output */
	unsigned short rows;		/* 0: unknown */
	unsigned short columns;
	struct share share[MAX_MOUNTS];
	size_t nr_shares;
	int readonly_root;
	int clock_of_host;		/* the host tells the time */
	int stops_for_host;		/* the host continues what is stopped */
};

/* What is run: the application, or a step. */
struct command {
	const char *program;
	char **argv;
	char **env;
	const struct settings *settings;
	int is_step;
};

/* What the host asks for; `number`, `time` and `seed` as far as it has them. */
enum ask {
	ASK_CONTINUE, ASK_HOLD, ASK_RESIZE, ASK_RESUMED, ASK_SIGNAL, ASK_STACKS,
	ASK_TAKEN, ASK_TIME,
};

struct host_request {
	enum ask ask;
	unsigned short number[2];
	struct timespec time;
	unsigned char seed[SEED_BYTES];
};

/* A line of a port, as far as it has come. */
struct lines {
	char text[LINE_ROOM];
	size_t used;
};

/* config.c: files and text to data; runs as well in a Linux process. */
char *read_file(const char *path, size_t *len);
char **split_entries(char *data, size_t len);
char **words_after_dashes(char *cmdline);
const char *parse_settings(char *text, struct settings *settings);
char **merge_env(char **defaults, char **given);
int parse_ip(const char *text, struct ip *ip);

/* etc.c: the files of /etc that an image may do without. */
void write_etc_files(void);

/* account.c: who the application runs as. */
int find_account(const char *text, struct account *account);
const char *home_of(const char *user);
int become(const struct account *account);

/* limits.c */
int set_limits(const struct settings *settings);

/* seed.c */
int add_entropy(const void *bytes, size_t len);
void seed_random(void);

/* sparse.c: the program's file as the host has it. */
int spread_file(char **words);
int spread_program(void);

/* steps.c: what the user wants done before. */
int run_steps(const struct settings *settings);

/* init.c */
char **load_env(const struct settings *settings, char **more);

/* job.c: the application and the steps, and who is their parent. */
int run_job(const struct command *command, void (*started)(pid_t pid));
void leave_job(void);
void continue_job(void);
int watch_job(void);
int is_job_parent(pid_t pid);

/* clock.c */
void ask_for_time(void);

/* root.c: mounts, directories and the files that libraries look for. */
void mount_system(void);
int make_directory(const char *path);
void write_etc(const struct settings *settings, const char *hostname);
void write_text(const char *path, const char *text);

/* volumes.c: what is mounted from outside, and how it is left. */
int mount_volumes(const struct settings *settings);
void protect_root(void);
void leave_volumes(void);

/* console.c: the terminal, and the port that carries the exit record. */
void open_console(void);
void set_terminal(const struct settings *settings);
int find_port(const char *name, char node[PORT_NODE_SIZE]);
int open_port(const char *name, int flags);
void drain(int fd);
void keep_record_port(void);
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

/* request.c: a request as data; runs as well in a Linux process. */
int parse_request(const char *line, struct host_request *request);
int add_to_line(struct lines *lines, char byte);

/* requests.c: what the host asks for. */
int watch_requests(void);
void serve_requests(void);
int all_is_taken(void);
int time_was_told(struct timespec *time);
void signals_are_of(int terminal);
void signals_go_to(pid_t pid);

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
void wait_for_routers(const struct settings *settings);

/* What interfaces have learned of names. */
struct names {
	const char *domain[MAX_INTERFACES];
	size_t nr_domains;
	char server[MAX_NAMESERVERS][SERVER_SIZE];
	size_t nr_servers;
};

/* resolver.c: resolv.conf, rewritten whole, and hosts. */
void add_server(struct names *names, const char *server);
void write_resolv_conf(const char *path, const struct settings *settings,
		       const struct names *learned);
void add_hosts(const struct settings *settings);

/* announced.c: what routers say. */
void watch_routers(void);

/* dhcp.c: the client, a process of its own. */
void start_dhcp(const struct settings *settings, const char *hostname);
int is_dhcp_client(pid_t pid);
void dhcp_client_ended(pid_t pid, int status);

/* trace.c: the application under strace. */
int is_traced(void);
void give_trace_port(uid_t uid);
void launch_traced(const char *program, char **argv, char **env);
void finish_trace(void);

/* launch.c: the child; does not return. */
void launch(const struct command *command) __attribute__((noreturn));

#endif
