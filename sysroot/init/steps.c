// SPDX-License-Identifier: GPL-2.0-only
/*
 * The user's own steps of initialisation: commands of the image, one after
 * the other, before the application.  Each is a directory /.uk/steps/N with
 * the files that the application has in /.uk: args (the program first), env
 * and settings (`user`, `cwd`, `optional`).
 */
#include "init.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char *read_part(unsigned int number, const char *part, size_t *len)
{
	char path[64];

	snprintf(path, sizeof(path), "/.uk/steps/%u/%s", number, part);
	return read_file(path, len);
}

/* The application's settings, but for what a step has of its own. */
static void load_step(unsigned int number, const struct settings *settings,
		      struct settings *step)
{
	struct settings own;
	size_t len;
	char *text = read_part(number, "settings", &len);
	const char *bad = text ? parse_settings(text, &own) : NULL;

	*step = *settings;
	step->input = INPUT_NULL;
	step->user = text ? own.user : NULL;
	step->cwd = text ? own.cwd : NULL;
	step->optional = text && own.optional;
	/* nobody sits at a terminal yet */
	step->stops_for_host = 0;
	if (bad)
		complain("setting of a step not understood:", bad, 0);
}

/* Says why the step is no success, if it is none; 0 if it is one. */
static int judge(unsigned int number, const char *program, int status)
{
	char what[512];

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	snprintf(what, sizeof(what), "%u (%.256s) %s %d", number, program,
		 WIFEXITED(status) ? "ended with status" : "was ended by signal",
		 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	complain("the initialisation's step", what, 0);
	return -1;
}

/* Runs it to its end; 0, or -1 after a word on its failure. */
static int run_step(unsigned int number, char **argv, char **more,
		    const struct settings *step)
{
	const struct command command = {
		.program = argv[0],
		.argv = argv,
		.env = load_env(step, more),
		.settings = step,
		.is_step = 1,
	};
	char what[512];
	int status = -1, error = 0;

	/* of its user load_env() has said all */
	if (command.env) {
		if (!access(argv[0], X_OK))
			status = run_job(&command, NULL);
		error = errno;
	}
	leave_job();
	if (status >= 0)
		return judge(number, argv[0], status);
	snprintf(what, sizeof(what), "%u (%.256s) cannot be run", number,
		 argv[0]);
	complain("the initialisation's step", what, error);
	return -1;
}

/* 0, or -1 after a word on the first step that failed. */
int run_steps(const struct settings *settings)
{
	unsigned int number;
	struct settings step;
	char **argv, **more, *args, *data;
	size_t len;

	for (number = 1; (args = read_part(number, "args", &len)); number++) {
		argv = split_entries(args, len);
		data = read_part(number, "env", &len);
		more = data ? split_entries(data, len) : NULL;
		load_step(number, settings, &step);
		if (!argv || !argv[0])
			return -1;
		if (run_step(number, argv, more, &step) && !step.optional)
			return -1;
	}
	return 0;
}
