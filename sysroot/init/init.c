// SPDX-License-Identifier: GPL-2.0-only
/*
 * PID 1.  It stays PID 1, so that the kernel's protection of that process
 * from signals never reaches the application, which is an ordinary child:
 * abort(), SIGTERM and orphans behave as on any Linux system.
 *
 * Built by `uk-gcc -Os -static` from all the .c files here; an ordinary gcc
 * will do as well.
 */
#include "init.h"

#include <errno.h>
#include <linux/reboot.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

static char *default_env[] = {
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/app",
	"HOME=/",
	"TERM=linux",
	NULL,	/* LANG, if there is the locale */
	NULL,
};

static const char locale[] = "/usr/lib/locale/C.utf8/LC_CTYPE";

static char *no_words[] = { NULL };

/* What the host, one that is there now, answers to if it is told. */
static void load_answers(struct settings *settings)
{
	size_t len;
	char *data = read_file("/.uk/answers", &len);
	char **word = data ? split_entries(data, len) : NULL;

	for (; word && *word; word++) {
		settings->clock_of_host |= !strcmp(*word, "clock");
		settings->stops_for_host |= !strcmp(*word, "stopped");
	}
}

static void load_settings(struct settings *settings)
{
	size_t len;
	char *text = read_file("/.uk/settings", &len);
	const char *bad;

	memset(settings, 0, sizeof(*settings));
	if (!text)
		return;
	bad = parse_settings(text, settings);
	if (bad)
		complain("setting not understood:", bad, 0);
}

/* The arguments behind argv[0]: from `ukcc run`, else the command line's. */
static char **load_arguments(void)
{
	size_t len;
	char *data = read_file("/.uk/args", &len);
	char **words;

	if (data) {
		words = split_entries(data, len);
	} else {
		data = read_file("/proc/cmdline", &len);
		words = data ? words_after_dashes(data) : NULL;
	}
	return words ? words : no_words;
}

/* Puts `NAME=value` in a place of the defaults, if there is memory for it. */
static void set_default(size_t index, const char *name, const char *value)
{
	char *entry = malloc(strlen(name) + strlen(value) + 1);

	if (entry)
		default_env[index] = strcat(strcpy(entry, name), value);
}

/*
 * The defaults, what the user has set, and what a step has set beside it.
 * NULL after a word on a user who is not known.
 */
char **load_env(const struct settings *settings, char **more)
{
	size_t len;
	char *data = read_file("/.uk/env", &len);
	char **given = data ? split_entries(data, len) : NULL;
	struct account account;
	char **env;

	if (settings->user && find_account(settings->user, &account))
		return NULL;
	set_default(1, "HOME=", home_of(settings->user ? settings->user : "0"));
	if (settings->term)
		set_default(2, "TERM=", settings->term);
	if (access(locale, R_OK) == 0)
		default_env[3] = "LANG=C.UTF-8";
	env = merge_env(default_env, given);
	if (env && more)
		env = merge_env(env, more);
	return env ? env : default_env;
}

/*
 * argv[0] is the program's path, as for whoever is started by its path; or
 * what `ukcc run` says, since a program may pick its applet by it.
 */
static char **make_argv(char *program, char **words)
{
	size_t count = 0, len;
	char **argv, *name = read_file("/.uk/argv0", &len);

	while (words[count])
		count++;
	argv = calloc(count + 2, sizeof(*argv));
	if (!argv)
		return no_words;
	argv[0] = name ? name : program;
	memcpy(argv + 1, words, count * sizeof(*words));
	return argv;
}

static void report(int status)
{
	char number[24];

	if (WIFEXITED(status)) {
		record("exit", decimal(WEXITSTATUS(status), number));
		return;
	}
	report_killed();
	record("signal", decimal(WTERMSIG(status), number));
}

/*
 * A kernel without ACPI cannot power off, and makes a halt of the wish, from
 * which nothing wakes it; a reset is what every machine can do, and `ukcc run`
 * takes a reset for the end.
 */
static void __attribute__((noreturn)) power_off(void)
{
	leave_volumes();
	sync();
	/* "reboot: Power down" is an emergency to the kernel, not to the user */
	write_text("/proc/sys/kernel/printk", "0\n");
	if (access("/sys/firmware/acpi", F_OK) == 0)
		reboot(RB_POWER_OFF);
	reboot(RB_AUTOBOOT);
	reboot(RB_HALT_SYSTEM);
	for (;;)
		pause();
}

static void __attribute__((noreturn)) finish(int status)
{
	pass_outputs();
	settle_outputs();
	drain(STDOUT_FILENO);
	report(status);
	power_off();
}

/* Runs the application, and gives its wait status. */
static int run(char *program, const struct settings *settings)
{
	const struct command command = {
		.program = program,
		.argv = make_argv(program, load_arguments()),
		.env = load_env(settings, NULL),
		.settings = settings,
	};
	int status;

	if (!command.env)
		return 126 << 8;
	signals_are_of(settings->cooked);
	status = run_job(&command, signals_go_to);
	signals_go_to(-1);
	if (status >= 0)
		return status;
	complain("cannot start", program, errno);
	return 126 << 8;
}

int main(int argc, char **given)
{
	struct settings settings;
	char *program, *name;
	const char *hostname;
	size_t len;
	int status;

	/* the kernel's own words may be arguments of PID 1 */
	if (getpid() != 1)
		return argc == 3 ? report_crash(given[2]) : 1;
	mount_system();
	open_console();
	seed_random();
	load_settings(&settings);
	load_answers(&settings);
	set_terminal(&settings);
	if (settings.clock_of_host)
		ask_for_time();

	program = read_file("/.uk/program", &len);
	if (!program) {
		complain("no application in this image:", "/.uk/program", errno);
		finish(127 << 8);
	}
	if (spread_program())
		finish(126 << 8);
	name = strrchr(program, '/');
	name = name ? name + 1 : program;

	hostname = settings.hostname ? settings.hostname : name;
	sethostname(hostname, strnlen(hostname, 64));
	bring_up_network(&settings);
	write_etc(&settings, hostname);
	start_dhcp(&settings, hostname);
	wait_for_routers(&settings);
	/* what the application would write is to be kept, and would not be */
	if (mount_volumes(&settings))
		finish(126 << 8);
	if (settings.readonly_root)
		protect_root();

	if (settings.output_ports)
		open_outputs();
	catch_crashes();
	wait_for_news(0);
	if (run_steps(&settings))
		finish(126 << 8);
	status = run(program, &settings);
	if (is_traced())
		finish_trace();
	finish(status);
}
