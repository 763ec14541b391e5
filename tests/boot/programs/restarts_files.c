/* Restart of calls on pipes, FIFOs, terminals and locks. */
#define _GNU_SOURCE
#include "restarts.h"

#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/uio.h>

static char buffer[1 << 16];

static void pipes(struct scene *s)
{
	CHECK(!pipe(s->fd));
}

static void full_pipe(struct scene *s)
{
	CHECK(!pipe2(s->fd, O_NONBLOCK));
	while (write(s->fd[1], buffer, sizeof(buffer)) > 0)
		;
	CHECK(!fcntl(s->fd[1], F_SETFL, 0));
	CHECK(!fcntl(s->fd[0], F_SETFL, 0));
}

static void put_byte(struct scene *s)
{
	CHECK(write(s->fd[1], "x", 1) == 1);
}

static void drain(struct scene *s)
{
	CHECK(read(s->fd[0], buffer, sizeof(buffer)) > 0);
}

static long do_read(struct scene *s, site through)
{
	return CALL(through, SYS_read, s->fd[0], (long)buffer, 5);
}

static long do_readv(struct scene *s, site through)
{
	struct iovec parts[] = { { buffer, 1 }, { buffer + 1, 4 } };

	return CALL(through, SYS_readv, s->fd[0], (long)parts, 2);
}

static long do_write(struct scene *s, site through)
{
	return CALL(through, SYS_write, s->fd[1], (long)buffer, 7);
}

static long do_writev(struct scene *s, site through)
{
	struct iovec parts[] = { { buffer, 3 }, { buffer, 4 } };

	return CALL(through, SYS_writev, s->fd[1], (long)parts, 2);
}

/* A terminal: what the victim reads is the slave, the parent types into the master. */
static void terminal(struct scene *s)
{
	s->fd[1] = posix_openpt(O_RDWR | O_NOCTTY);
	CHECK(s->fd[1] >= 0 && !grantpt(s->fd[1]) && !unlockpt(s->fd[1]));
	s->fd[0] = open(ptsname(s->fd[1]), O_RDWR | O_NOCTTY);
	CHECK(s->fd[0] >= 0);
}

static void type_line(struct scene *s)
{
	CHECK(write(s->fd[1], "line\n", 5) == 5);
}

static void fifo(struct scene *s)
{
	snprintf(s->path, sizeof(s->path), "/tmp/restart-fifo-%d", getpid());
	unlink(s->path);
	CHECK(!mkfifo(s->path, 0600));
}

static long open_reader(struct scene *s, site through)
{
	return CALL(through, SYS_open, (long)s->path, O_RDONLY);
}

static long open_writer(struct scene *s, site through)
{
	return CALL(through, SYS_openat, AT_FDCWD, (long)s->path, O_WRONLY);
}

static void open_other_end(struct scene *s)
{
	s->fd[0] = open(s->path, O_RDWR);
	CHECK(s->fd[0] >= 0);
	unlink(s->path);
}

static void locked_file(struct scene *s)
{
	struct flock whole = { .l_type = F_WRLCK };
	char name[] = "/tmp/restart-lock-XXXXXX";

	s->fd[0] = mkstemp(name);
	s->fd[1] = open(name, O_RDWR);
	CHECK(s->fd[0] >= 0 && s->fd[1] >= 0);
	unlink(name);
	CHECK(!fcntl(s->fd[0], F_SETLK, &whole));
	CHECK(!flock(s->fd[0], LOCK_EX));
}

static void locked_by_description(struct scene *s)
{
	struct flock whole = { .l_type = F_WRLCK };

	locked_file(s);
	whole.l_type = F_UNLCK;
	CHECK(!fcntl(s->fd[0], F_SETLK, &whole));
	whole.l_type = F_WRLCK;
	CHECK(!fcntl(s->fd[0], F_OFD_SETLK, &whole));
}

static void unlock_file(struct scene *s)
{
	struct flock whole = { .l_type = F_UNLCK };

	CHECK(!fcntl(s->fd[0], F_SETLK, &whole));
	CHECK(!fcntl(s->fd[0], F_OFD_SETLK, &whole));
	CHECK(!flock(s->fd[0], LOCK_UN));
}

static long do_flock(struct scene *s, site through)
{
	return CALL(through, SYS_flock, s->fd[1], LOCK_EX);
}

static long do_setlkw(struct scene *s, site through)
{
	struct flock whole = { .l_type = F_WRLCK };

	return CALL(through, SYS_fcntl, s->fd[1], F_SETLKW, (long)&whole);
}

static long do_ofd_setlkw(struct scene *s, site through)
{
	struct flock whole = { .l_type = F_WRLCK };

	return CALL(through, SYS_fcntl, s->fd[1], F_OFD_SETLKW, (long)&whole);
}

static void watch(struct scene *s)
{
	snprintf(s->path, sizeof(s->path), "/tmp/restart-watch-XXXXXX");
	close(mkstemp(s->path));
	s->fd[0] = inotify_init();
	CHECK(s->fd[0] >= 0 && inotify_add_watch(s->fd[0], s->path, IN_ATTRIB) >= 0);
}

static void change_watched(struct scene *s)
{
	CHECK(!chmod(s->path, 0644));
	unlink(s->path);
}

static long do_read_events(struct scene *s, site through)
{
	return CALL(through, SYS_read, s->fd[0], (long)buffer, 4096);
}

static void transfer(void)
{
	static const struct row rows[] = {
		{ "read", pipes, do_read, put_byte, RESTARTS, 1 },
		{ "readv", pipes, do_readv, put_byte, RESTARTS, 1 },
		{ "write", full_pipe, do_write, drain, RESTARTS, 7 },
		{ "writev", full_pipe, do_writev, drain, RESTARTS, 7 },
		{ "read of a terminal", terminal, do_read, type_line, RESTARTS, 5 },
		{ "read of inotify", watch, do_read_events, change_watched, RESTARTS, -1 },
		{ "open for reading", fifo, open_reader, open_other_end, RESTARTS, -1 },
		{ "open for writing", fifo, open_writer, open_other_end, RESTARTS, -1 },
		{ 0 },
	};
	run_rows(rows);
}

static void locks(void)
{
	static const struct row rows[] = {
		{ "flock", locked_file, do_flock, unlock_file, RESTARTS, 0 },
		{ "F_SETLKW", locked_file, do_setlkw, unlock_file, RESTARTS, 0 },
		{ "F_OFD_SETLKW", locked_by_description, do_ofd_setlkw, unlock_file, RESTARTS, 0 },
		{ 0 },
	};
	run_rows(rows);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = { CASE(transfer), CASE(locks), { 0 } };

	return run_cases(cases, argc, argv);
}
