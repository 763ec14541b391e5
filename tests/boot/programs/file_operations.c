/*
 * What a program may do to files, one operation a line: `NAME: ok`, or what has
 * failed, an errno's name or `wrong`.  Each runs in a directory and a process
 * of its own.  test_file_operations.py compares file systems by it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum {
	SECONDS = 120,		/* an operation that hangs */
	PAGE = 4096,
	WRITERS = 4,
	LINES = 50,
	FILES = 300,
};

static void fail(const char *why)
{
	puts(why);
	fflush(stdout);
	_exit(1);
}

#define CHECK(what)								\
	do {									\
		errno = 0;							\
		if (!(what))							\
			fail(errno ? strerrorname_np(errno) : "wrong");		\
	} while (0)

static int fresh(const char *name)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);

	CHECK(fd >= 0);
	return fd;
}

static void put(int fd, const char *text)
{
	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static int holds(int fd, const char *text)
{
	char data[100] = "";
	ssize_t got = pread(fd, data, sizeof(data) - 1, 0);

	return got == (ssize_t)strlen(text) && memcmp(data, text, got) == 0;
}

static off_t size_of(int fd)
{
	struct stat status;

	CHECK(fstat(fd, &status) == 0);
	return status.st_size;
}

/* What a child process says: 0 for right. */
static int in_child(int (*act)(int), int argument)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(act(argument));
	CHECK(child > 0 && waitpid(child, &status, 0) == child);
	return status;
}

static void open_exclusive(void)
{
	CHECK(open("file", O_WRONLY | O_CREAT | O_EXCL, 0600) >= 0);
	CHECK(open("file", O_WRONLY | O_CREAT | O_EXCL, 0600) < 0 && errno == EEXIST);
}

static void open_truncate(void)
{
	put(fresh("file"), "text");
	CHECK(size_of(open("file", O_WRONLY | O_TRUNC)) == 0);
}

static void open_directory(void)
{
	fresh("file");
	CHECK(open("file", O_RDONLY | O_DIRECTORY) < 0 && errno == ENOTDIR);
	CHECK(open(".", O_WRONLY) < 0 && errno == EISDIR);
}

static void open_nofollow(void)
{
	CHECK(symlink("nowhere", "link") == 0);
	CHECK(open("link", O_RDONLY | O_NOFOLLOW) < 0 && errno == ELOOP);
}

static void open_path(void)
{
	int fd;

	put(fresh("file"), "text");
	fd = open("file", O_PATH);
	CHECK(fd >= 0 && size_of(fd) == 4);
}

static void open_direct(void)
{
	char *page = aligned_alloc(PAGE, PAGE);
	int fd;

	memset(page, 'd', PAGE);
	CHECK((fd = open("file", O_RDWR | O_CREAT | O_DIRECT, 0600)) >= 0);
	CHECK(write(fd, page, PAGE) == PAGE);
	CHECK(pread(fd, page, PAGE, 0) == PAGE && page[PAGE - 1] == 'd');
}

static void open_sync(void)
{
	int fd = open("file", O_RDWR | O_CREAT | O_SYNC, 0600);

	CHECK(fd >= 0);
	put(fd, "text");
	CHECK(holds(fd, "text"));
}

static void open_without_a_name(void)
{
	char place[40];
	int fd;

	CHECK((fd = open(".", O_TMPFILE | O_RDWR, 0600)) >= 0);
	put(fd, "text");
	snprintf(place, sizeof(place), "/proc/self/fd/%d", fd);
	CHECK(linkat(AT_FDCWD, place, AT_FDCWD, "file", AT_SYMLINK_FOLLOW) == 0);
	CHECK(holds(open("file", O_RDONLY), "text"));
}

static int append_lines(int number)
{
	char line[20];
	int i, fd, length;

	for (i = 0; i < LINES; i++) {
		fd = open("file", O_WRONLY | O_APPEND);
		length = snprintf(line, sizeof(line), "%d %04d\n", number, i);
		if (fd < 0 || write(fd, line, length) != length || close(fd))
			return 1;
		usleep(100);
	}
	return 0;
}

static void append_by_processes(void)
{
	int fd = fresh("file"), i, status;

	for (i = 0; i < WRITERS; i++)
		if (fork() == 0)
			_exit(append_lines(i));
	while (wait(&status) > 0)
		CHECK(status == 0);
	if (size_of(fd) != WRITERS * LINES * (off_t)strlen("0 0000\n"))
		fail("lines lost");
}

static void append_by_two(void)
{
	int fd = fresh("file");
	int first = open("file", O_WRONLY | O_APPEND);
	int second = open("file", O_WRONLY | O_APPEND);

	put(first, "a");
	put(second, "b");
	put(first, "c");
	CHECK(ftruncate(fd, 2) == 0);
	put(second, "d");
	CHECK(holds(fd, "abd"));
}

static void append_flag_later(void)
{
	int fd = fresh("file");

	put(fd, "text");
	CHECK(lseek(fd, 0, SEEK_SET) == 0 && fcntl(fd, F_SETFL, O_APPEND) == 0);
	put(fd, "more");
	CHECK(holds(fd, "textmore"));
}

static void rename_over(void)
{
	int old, fd = fresh("new");

	put(fd, "new");
	old = fresh("old");
	put(old, "old");
	CHECK(rename("new", "old") == 0 && access("new", F_OK) && errno == ENOENT);
	CHECK(holds(open("old", O_RDONLY), "new"));
	CHECK(holds(old, "old") && holds(fd, "new"));
}

static void rename_noreplace(void)
{
	fresh("a");
	fresh("b");
	CHECK(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE) && errno == EEXIST);
	CHECK(renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE) == 0);
}

static void rename_exchange(void)
{
	put(fresh("a"), "a");
	put(fresh("b"), "b");
	CHECK(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE) == 0);
	CHECK(holds(open("a", O_RDONLY), "b") && holds(open("b", O_RDONLY), "a"));
}

static void rename_directory(void)
{
	CHECK(mkdir("a", 0755) == 0 && mkdir("b", 0755) == 0);
	CHECK(close(fresh("a/file")) == 0 && rename("a", "b") == 0);
	CHECK(access("b/file", F_OK) == 0 && rename("b", "b/c") && errno == EINVAL);
}

static void rename_open(void)
{
	int fd = fresh("a");

	put(fd, "a");
	CHECK(rename("a", "b") == 0);
	put(fd, "b");
	CHECK(fsync(fd) == 0 && fchmod(fd, 0600) == 0 && holds(open("b", O_RDONLY), "ab"));
}

static void unlink_open(void)
{
	int fd = fresh("file");

	put(fd, "kept");
	CHECK(unlink("file") == 0 && access("file", F_OK) && errno == ENOENT);
	CHECK(holds(fd, "kept") && pwrite(fd, "K", 1, 0) == 1 && holds(fd, "Kept"));
	CHECK(size_of(fd) == 4);
}

static void unlink_then_truncate(void)
{
	int fd = fresh("file");

	put(fd, "text");
	CHECK(unlink("file") == 0 && ftruncate(fd, PAGE) == 0 && size_of(fd) == PAGE);
}

static void unlink_then_chmod(void)
{
	int fd = fresh("file");

	CHECK(unlink("file") == 0 && fchmod(fd, 0600) == 0 && futimens(fd, NULL) == 0);
}

static void unlink_then_map(void)
{
	int fd = fresh("file");
	char *map;

	put(fd, "text");
	CHECK(unlink("file") == 0);
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED && map[0] == 't');
	map[0] = 'T';
	CHECK(msync(map, PAGE, MS_SYNC) == 0 && holds(fd, "Text"));
}

static void remove_open_directory(void)
{
	int fd;

	CHECK(mkdir("sub", 0755) == 0);
	fd = open("sub", O_RDONLY | O_DIRECTORY);
	CHECK(fd >= 0 && rmdir("sub") == 0);
	CHECK(openat(fd, "file", O_WRONLY | O_CREAT, 0600) < 0 && errno == ENOENT);
}

static void hard_link(void)
{
	struct stat a, b;

	fresh("a");
	CHECK(link("a", "b") == 0 && stat("a", &a) == 0 && stat("b", &b) == 0);
	CHECK(a.st_ino == b.st_ino && a.st_nlink == 2);
	CHECK(unlink("a") == 0 && stat("b", &b) == 0 && b.st_nlink == 1);
}

static void symbolic_link(void)
{
	char target[PATH_MAX] = "", found[PATH_MAX] = "";

	/* ext4 takes as much as fits into a block of 1 KiB */
	memset(target, 'x', 1000);
	CHECK(symlink(target, "link") == 0);
	CHECK(readlink("link", found, sizeof(found)) == 1000 && !strcmp(target, found));
	put(fresh("file"), "text");
	CHECK(symlink("file", "short") == 0 && holds(open("short", O_RDONLY), "text"));
}

static int write_to_fifo(int unused)
{
	int fd = open("fifo", O_WRONLY);

	(void)unused;
	return fd < 0 || write(fd, "x", 1) != 1;
}

static void fifo(void)
{
	char byte;
	int fd, status;
	pid_t child;

	CHECK(mkfifo("fifo", 0600) == 0);
	child = fork();
	if (child == 0)
		_exit(write_to_fifo(0));
	fd = open("fifo", O_RDONLY);
	CHECK(fd >= 0 && read(fd, &byte, 1) == 1 && byte == 'x');
	CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void unix_socket(void)
{
	struct sockaddr_un place = { AF_UNIX, "socket" };
	int server = socket(AF_UNIX, SOCK_STREAM, 0);
	int client = socket(AF_UNIX, SOCK_STREAM, 0);

	CHECK(bind(server, (void *)&place, sizeof(place)) == 0 && listen(server, 1) == 0);
	CHECK(connect(client, (void *)&place, sizeof(place)) == 0);
}

static void device_node(void)
{
	CHECK(mknod("null", S_IFCHR | 0600, makedev(1, 3)) == 0);
}

static void map_private(void)
{
	int fd = fresh("file");
	char *map;

	put(fd, "text");
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(map != MAP_FAILED);
	map[0] = 'T';
	CHECK(holds(fd, "text"));
}

static void map_shared_read(void)
{
	int fd = fresh("file");
	char *map;

	put(fd, "text");
	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED && !memcmp(map, "text", 4));
	CHECK(pwrite(fd, "next", 4, 0) == 4 && !memcmp(map, "next", 4));
}

static void map_shared_write(void)
{
	int fd = fresh("file"), other;
	char *map;

	CHECK(ftruncate(fd, PAGE) == 0);
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	strcpy(map, "text");
	CHECK(msync(map, PAGE, MS_SYNC) == 0);
	other = open("file", O_RDONLY);
	CHECK(pread(other, map + 100, 4, 0) == 4 && !memcmp(map + 100, "text", 4));
}

static void map_appending(void)
{
	int fd, other = fresh("file");
	char *map, first;

	CHECK(ftruncate(other, PAGE) == 0);
	fd = open("file", O_RDWR | O_APPEND);
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	map[0] = 'a';
	CHECK(msync(map, PAGE, MS_SYNC) == 0 && munmap(map, PAGE) == 0);
	if (size_of(other) != PAGE || pread(other, &first, 1, 0) != 1 || first != 'a')
		fail("appended");
}

static int write_to_map(int fd)
{
	char *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		return 1;
	strcpy(map, "child");
	return 0;
}

static void map_shared_by_processes(void)
{
	int fd = fresh("file");
	char *map;

	CHECK(ftruncate(fd, PAGE) == 0);
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	CHECK(in_child(write_to_map, fd) == 0 && !strcmp(map, "child"));
}

static void execute(void)
{
	int status, fd = open("script", O_WRONLY | O_CREAT, 0755);
	pid_t child;

	CHECK(fd >= 0);
	put(fd, "#!/proc/self/exe --exit-7\n");
	CHECK(close(fd) == 0);
	child = fork();
	if (child == 0) {
		execl("./script", "script", NULL);
		_exit(1);
	}
	CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7);
}

static void truncate_both_ways(void)
{
	int fd = fresh("file");
	char byte = 'x';

	put(fd, "text");
	CHECK(ftruncate(fd, 2) == 0 && holds(fd, "te"));
	CHECK(truncate("file", PAGE) == 0 && size_of(fd) == PAGE);
	CHECK(pread(fd, &byte, 1, PAGE - 1) == 1 && byte == 0);
}

static void allocate(void)
{
	int fd = fresh("file");

	CHECK(fallocate(fd, 0, 0, 1 << 20) == 0 && size_of(fd) == 1 << 20);
}

static void allocate_keep_size(void)
{
	int fd = fresh("file");

	CHECK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1 << 20) == 0 && size_of(fd) == 0);
}

static void posix_allocate(void)
{
	int fd = fresh("file");

	CHECK(posix_fallocate(fd, 0, 1 << 20) == 0 && size_of(fd) == 1 << 20);
}

static void punch_hole(void)
{
	static char data[4 * PAGE];
	int fd = fresh("file");

	memset(data, 'x', sizeof(data));
	CHECK(write(fd, data, sizeof(data)) == sizeof(data));
	CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE) == 0);
	CHECK(pread(fd, data, sizeof(data), 0) == sizeof(data));
	CHECK(data[PAGE - 1] == 'x' && data[PAGE] == 0 && data[2 * PAGE] == 'x');
}

static void seek_data(void)
{
	int fd = fresh("file");
	off_t place = 1 << 20;

	CHECK(pwrite(fd, "x", 1, place) == 1);
	CHECK(lseek(fd, 0, SEEK_DATA) == place && lseek(fd, 0, SEEK_HOLE) == 0);
}

static void sparse(void)
{
	int fd = fresh("file");
	struct stat status;

	CHECK(pwrite(fd, "x", 1, 64 << 20) == 1 && fstat(fd, &status) == 0);
	CHECK(status.st_size == (64 << 20) + 1 && status.st_blocks < 1000);
}

static void beyond_4_gib(void)
{
	int fd = fresh("file");
	off_t place = ((off_t)1 << 32) + 5;
	char data[5] = "";

	CHECK(pwrite(fd, "tail", 4, place) == 4 && size_of(fd) == place + 4);
	CHECK(pread(fd, data, 4, place) == 4 && !strcmp(data, "tail"));
}

static void attributes(void)
{
	char data[100] = "";

	fresh("file");
	CHECK(setxattr("file", "user.a", "value", 5, 0) == 0);
	CHECK(setxattr("file", "user.a", "x", 1, XATTR_CREATE) && errno == EEXIST);
	CHECK(getxattr("file", "user.a", data, sizeof(data)) == 5 && !strcmp(data, "value"));
	CHECK(listxattr("file", data, sizeof(data)) >= 7);
	CHECK(removexattr("file", "user.a") == 0);
	CHECK(getxattr("file", "user.a", data, sizeof(data)) < 0 && errno == ENODATA);
}

static void access_list(void)
{
	/* version 2; u::rw-, u:1:r--, g::---, m::r--, o::--- (linux/posix_acl_xattr.h) */
	static const struct { unsigned short tag, bits; unsigned int id; } entries[] = {
		{ 1, 6, -1 }, { 2, 4, 1 }, { 4, 0, -1 }, { 16, 4, -1 }, { 32, 0, -1 },
	};
	char data[4 + sizeof(entries)] = { 2 };

	memcpy(data + 4, entries, sizeof(entries));
	fresh("file");
	CHECK(setxattr("file", "system.posix_acl_access", data, sizeof(data), 0) == 0);
	CHECK(getxattr("file", "system.posix_acl_access", data, sizeof(data)) == sizeof(data));
}

static int try_flock(int unused)
{
	int fd = open("file", O_RDWR);

	(void)unused;
	return !(flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK);
}

static void flock_whole(void)
{
	int fd = fresh("file");

	CHECK(flock(fd, LOCK_EX) == 0 && in_child(try_flock, 0) == 0);
	CHECK(flock(fd, LOCK_UN) == 0 && in_child(try_flock, 0) != 0);
}

static int try_range(int command)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open("file", O_RDWR);

	return !(fcntl(fd, command, &all) && (errno == EAGAIN || errno == EACCES));
}

static void lock_by_process(void)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = fresh("file");

	CHECK(fcntl(fd, F_SETLK, &all) == 0 && in_child(try_range, F_SETLK) == 0);
	all.l_type = F_UNLCK;
	CHECK(fcntl(fd, F_SETLK, &all) == 0 && in_child(try_range, F_SETLK) != 0);
}

static void lock_by_description(void)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = fresh("file");

	CHECK(fcntl(fd, F_OFD_SETLK, &all) == 0);
	/* of this process, too */
	CHECK(try_range(F_OFD_SETLK) == 0);
}

static void both_kinds_of_lock(void)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = fresh("file"), other = open("file", O_RDWR);

	CHECK(flock(fd, LOCK_EX) == 0 && fcntl(other, F_SETLK, &all) == 0);
}

static void lease(void)
{
	int fd;

	fresh("file");
	fd = open("file", O_RDONLY);
	/* the only one that has it open for writing is fresh()'s, so a read lease is refused */
	CHECK(fcntl(fd, F_SETLEASE, F_RDLCK) < 0 && errno == EAGAIN);
}

static void set_times(void)
{
	struct timespec times[2] = { { 1000, 0 }, { 2000, 123456789 } };
	int fd = fresh("file");
	struct stat status;

	CHECK(futimens(fd, times) == 0 && fstat(fd, &status) == 0);
	CHECK(status.st_mtim.tv_sec == 2000);
	if (status.st_mtim.tv_nsec != 123456789)
		fail("whole seconds");
}

static void set_times_of_a_link(void)
{
	struct timespec times[2] = { { 1000, 0 }, { 2000, 0 } };
	struct stat status;

	CHECK(symlink("nowhere", "link") == 0);
	CHECK(utimensat(AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW) == 0);
	CHECK(lstat("link", &status) == 0 && status.st_mtim.tv_sec == 2000);
}

static void time_of_a_write(void)
{
	struct timespec times[2] = { { 1000, 0 }, { 1000, 0 } };
	int fd = fresh("file");
	struct stat status;

	CHECK(futimens(fd, times) == 0);
	put(fd, "text");
	CHECK(fstat(fd, &status) == 0 && status.st_mtim.tv_sec > 1000);
}

static void read_while_removing(void)
{
	struct dirent *entry;
	char name[20];
	int i, removed = 0;
	DIR *all;

	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "%d", i);
		CHECK(close(fresh(name)) == 0);
	}
	all = opendir(".");
	while ((entry = readdir(all)))
		if (entry->d_name[0] != '.')
			removed += unlink(entry->d_name) == 0;
	CHECK(removed == FILES && rmdir(".") < 0);
}

static void seek_in_a_directory(void)
{
	char first[256];
	struct dirent *entry;
	DIR *all = opendir(".");
	long place;

	fresh("a");
	fresh("b");
	fresh("c");
	rewinddir(all);
	CHECK(readdir(all));
	place = telldir(all);
	entry = readdir(all);
	CHECK(entry && strcpy(first, entry->d_name) && readdir(all));
	seekdir(all, place);
	entry = readdir(all);
	CHECK(entry && !strcmp(entry->d_name, first));
}

static void long_name(void)
{
	char name[NAME_MAX + 2] = "";

	memset(name, 'n', NAME_MAX);
	fresh(name);
	name[NAME_MAX] = 'n';
	CHECK(open(name, O_WRONLY | O_CREAT, 0600) < 0 && errno == ENAMETOOLONG);
}

static void odd_name(void)
{
	static const char name[] = "odd \xff\xfe \"'\\:\n\x7f";

	CHECK(mkdir(name, 0700) == 0 && rmdir(name) == 0);
}

static void deep_path(void)
{
	int i;

	for (i = 0; i < 60; i++) {
		char name[100] = "";

		memset(name, 'd', sizeof(name) - 1);
		CHECK(mkdir(name, 0700) == 0 && chdir(name) == 0);
	}
	put(fresh("file"), "text");
}

static void send_file(void)
{
	int from = fresh("from"), to = fresh("to");

	put(from, "text");
	CHECK(lseek(from, 0, SEEK_SET) == 0 && sendfile(to, from, NULL, 100) == 4);
	CHECK(holds(to, "text"));
}

static void copy_range(void)
{
	int from = fresh("from"), to = fresh("to");

	put(from, "text");
	CHECK(lseek(from, 0, SEEK_SET) == 0);
	CHECK(copy_file_range(from, NULL, to, NULL, 100, 0) == 4 && holds(to, "text"));
}

static void splice_to_pipe(void)
{
	int fd = fresh("file"), ends[2];
	off_t start = 0;
	char data[5] = "";

	put(fd, "text");
	CHECK(pipe(ends) == 0 && splice(fd, &start, ends[1], NULL, 4, 0) == 4);
	CHECK(read(ends[0], data, 4) == 4 && !strcmp(data, "text"));
}

static void write_in_pieces(void)
{
	struct iovec pieces[2] = { { "te", 2 }, { "xt", 2 } };
	int fd = fresh("file");

	CHECK(pwritev2(fd, pieces, 2, 0, RWF_DSYNC) == 4 && holds(fd, "text"));
	CHECK(pwritev2(fd, pieces, 1, 0, RWF_APPEND) == 2 && holds(fd, "textte"));
}

static void notice(void)
{
	char event[PAGE];
	int fd = inotify_init();

	CHECK(fd >= 0 && inotify_add_watch(fd, ".", IN_CREATE) >= 0);
	fresh("file");
	CHECK(read(fd, event, sizeof(event)) > 0);
}

static void change_mode(void)
{
	struct stat status;
	int fd = fresh("file");

	CHECK(fchmod(fd, 0751) == 0 && stat("file", &status) == 0);
	CHECK((status.st_mode & 07777) == 0751 && chmod("file", 0) == 0);
	CHECK(mkdir("sub", 0755) == 0 && chmod("sub", 01777) == 0 && stat("sub", &status) == 0);
	CHECK((status.st_mode & 07777) == 01777);
}

static void change_owner(void)
{
	int fd = fresh("file");

	CHECK(fchown(fd, geteuid(), getegid()) == 0 && chown("file", -1, getegid()) == 0);
}

static void set_uid(void)
{
	CHECK(fchmod(fresh("file"), 04755) == 0);
}

static void set_gid(void)
{
	CHECK(mkdir("sub", 0755) == 0 && chmod("sub", 02755) == 0);
}

static void mask(void)
{
	struct stat status;

	umask(027);
	CHECK(open("file", O_WRONLY | O_CREAT, 0666) >= 0 && stat("file", &status) == 0);
	CHECK((status.st_mode & 07777) == 0640);
}

static void birth(void)
{
	struct statx status;

	fresh("file");
	CHECK(statx(AT_FDCWD, "file", 0, STATX_BASIC_STATS | STATX_BTIME, &status) == 0);
	CHECK((status.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
	if (!(status.stx_mask & STATX_BTIME))
		fail("no birth time");
}

static void sync_file(void)
{
	int fd = fresh("file"), directory = open(".", O_RDONLY | O_DIRECTORY);

	put(fd, "text");
	CHECK(fsync(fd) == 0 && fdatasync(fd) == 0 && syncfs(fd) == 0);
	CHECK(fsync(directory) == 0);
}

static void sync_range(void)
{
	int fd = fresh("file");

	put(fd, "text");
	CHECK(sync_file_range(fd, 0, 4, SYNC_FILE_RANGE_WRITE) == 0);
}

static void file_system(void)
{
	struct statfs status;

	CHECK(statfs(".", &status) == 0 && status.f_blocks > 0 && status.f_namelen == NAME_MAX);
}

static void advise(void)
{
	int fd = fresh("file");

	CHECK(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
	CHECK(readahead(fd, 0, PAGE) == 0);
}

static void handle(void)
{
	char place[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	struct file_handle *found = (void *)place;
	int mount;

	fresh("file");
	found->handle_bytes = MAX_HANDLE_SZ;
	CHECK(name_to_handle_at(AT_FDCWD, "file", found, &mount, 0) == 0);
}

#define OPERATION(name) { #name, name }

static const struct {
	const char *name;
	void (*act)(void);
} operations[] = {
	OPERATION(open_exclusive), OPERATION(open_truncate), OPERATION(open_directory),
	OPERATION(open_nofollow), OPERATION(open_path), OPERATION(open_direct),
	OPERATION(open_sync), OPERATION(open_without_a_name), OPERATION(append_by_processes),
	OPERATION(append_by_two), OPERATION(append_flag_later), OPERATION(rename_over),
	OPERATION(rename_noreplace), OPERATION(rename_exchange), OPERATION(rename_directory),
	OPERATION(rename_open), OPERATION(unlink_open), OPERATION(unlink_then_truncate),
	OPERATION(unlink_then_chmod), OPERATION(unlink_then_map),
	OPERATION(remove_open_directory), OPERATION(hard_link), OPERATION(symbolic_link),
	OPERATION(fifo), OPERATION(unix_socket), OPERATION(device_node), OPERATION(map_private),
	OPERATION(map_shared_read), OPERATION(map_shared_write), OPERATION(map_appending),
	OPERATION(map_shared_by_processes), OPERATION(execute), OPERATION(truncate_both_ways),
	OPERATION(allocate), OPERATION(allocate_keep_size), OPERATION(posix_allocate),
	OPERATION(punch_hole), OPERATION(seek_data), OPERATION(sparse), OPERATION(beyond_4_gib),
	OPERATION(attributes), OPERATION(access_list), OPERATION(flock_whole),
	OPERATION(lock_by_process), OPERATION(lock_by_description),
	OPERATION(both_kinds_of_lock), OPERATION(lease), OPERATION(set_times),
	OPERATION(set_times_of_a_link), OPERATION(time_of_a_write),
	OPERATION(read_while_removing), OPERATION(seek_in_a_directory), OPERATION(long_name),
	OPERATION(odd_name), OPERATION(deep_path), OPERATION(send_file), OPERATION(copy_range),
	OPERATION(splice_to_pipe), OPERATION(write_in_pieces), OPERATION(notice),
	OPERATION(change_mode), OPERATION(change_owner), OPERATION(set_uid), OPERATION(set_gid),
	OPERATION(mask), OPERATION(birth), OPERATION(sync_file), OPERATION(sync_range),
	OPERATION(file_system), OPERATION(advise), OPERATION(handle),
};

static void run(size_t index)
{
	const char *name = operations[index].name;
	int status;
	pid_t child;

	printf("%s: ", name);
	fflush(stdout);
	CHECK(mkdir(name, 0755) == 0);
	child = fork();
	if (child == 0) {
		alarm(SECONDS);
		CHECK(chdir(name) == 0);
		operations[index].act();
		puts("ok");
		fflush(stdout);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	if (WIFSIGNALED(status))
		puts(WTERMSIG(status) == SIGALRM ? "hangs" : strsignal(WTERMSIG(status)));
}

/* The argument: a directory, which is to be empty. */
int main(int argc, char **argv)
{
	size_t i;

	if (argc > 1 && !strcmp(argv[1], "--exit-7"))
		return 7;
	CHECK(argc == 2 && chdir(argv[1]) == 0);
	umask(022);
	for (i = 0; i < sizeof(operations) / sizeof(*operations); i++)
		run(i);
	puts("all");
	return 0;
}
