/*
 * What a program may expect of a directory that the host has as well; says
 * `right` at its end.  `turn` hands over to the host: it has then seen, and
 * changed, what the test says.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CHECK(what) \
	do { \
		if (!(what)) { \
			printf("%d: %s: %s\n", __LINE__, #what, strerror(errno)); \
			exit(1); \
		} \
	} while (0)

static void turn(void)
{
	puts("turn");
	fflush(stdout);
	CHECK(getchar() == '\n');
}

static int holds(int fd, const char *text)
{
	char buffer[100] = "";

	return pread(fd, buffer, sizeof(buffer) - 1, 0) == (ssize_t)strlen(text) &&
	       strcmp(buffer, text) == 0;
}

/* Each sees at once what the other has written, by whatever means. */
static void two_sides(void)
{
	int fd = open("both", O_RDWR | O_CREAT | O_EXCL, 0640);
	int tail = open("both", O_WRONLY | O_APPEND);
	struct stat status;
	char *map;

	CHECK(fd >= 0 && tail >= 0);
	CHECK(write(fd, "guest\n", 6) == 6);
	turn();		/* read "guest\n", made it "host was here\n" */
	CHECK(holds(fd, "host was here\n"));
	CHECK(fstat(fd, &status) == 0 && status.st_size == 14);
	CHECK((status.st_mode & 07777) == 0640);
	CHECK(write(tail, "end\n", 4) == 4);
	CHECK(holds(fd, "host was here\nend\n"));
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED && memcmp(map, "host", 4) == 0);
	map[0] = 'H';
	CHECK(msync(map, 4096, MS_SYNC) == 0);
	CHECK(pwrite(fd, "E", 1, 14) == 1 && map[14] == 'E');
	turn();		/* read "Host was here\nEnd\n", appended "more\n" */
	CHECK(fstat(fd, &status) == 0 && status.st_size == 23);
	CHECK(write(tail, "last\n", 5) == 5);
	CHECK(holds(fd, "Host was here\nEnd\nmore\nlast\n"));
	CHECK(ftruncate(fd, 4) == 0 && holds(fd, "Host"));
	CHECK(close(tail) == 0);
	turn();		/* read "Host", put another file in its place, and a new one */
	CHECK(holds(fd, "Host"));
	CHECK(stat("both", &status) == 0 && status.st_size == 8);
	CHECK(access("new", F_OK) == 0);
	CHECK(munmap(map, 4096) == 0 && close(fd) == 0);
	fd = open("both", O_RDONLY);
	CHECK(fd >= 0 && holds(fd, "another\n") && close(fd) == 0);
}

static void names(void)
{
	static const char odd[] = "odd \xff\xfe \"'\\ \n\x7f";
	int fd = open("open", O_RDWR | O_CREAT, 0600), other;
	struct stat status, link_status;
	char target[100] = "";

	CHECK(fd >= 0 && write(fd, "kept", 4) == 4);
	CHECK(unlink("open") == 0 && access("open", F_OK) && errno == ENOENT);
	CHECK(holds(fd, "kept") && fstat(fd, &status) == 0 && status.st_size == 4);
	CHECK(pwrite(fd, "K", 1, 0) == 1 && holds(fd, "Kept") && close(fd) == 0);

	fd = open("old", O_RDWR | O_CREAT, 0600);
	other = open("new name", O_RDWR | O_CREAT, 0600);
	CHECK(fd >= 0 && other >= 0 && write(fd, "old", 3) == 3);
	CHECK(write(other, "replaced", 8) == 8);
	CHECK(rename("old", "new name") == 0 && holds(other, "replaced"));
	CHECK(stat("new name", &status) == 0 && status.st_size == 3);
	CHECK(close(fd) == 0 && close(other) == 0);
	CHECK(open("new name", O_RDWR | O_CREAT | O_EXCL, 0600) < 0 && errno == EEXIST);

	CHECK(link("new name", "second name") == 0);
	CHECK(stat("second name", &link_status) == 0 && stat("new name", &status) == 0);
	CHECK(link_status.st_ino == status.st_ino && status.st_nlink == 2);

	CHECK(symlink("/proc/self/comm", "outside") == 0);
	CHECK(readlink("outside", target, sizeof(target)) == 15);
	fd = open("outside", O_RDONLY);
	CHECK(fd >= 0 && read(fd, target, sizeof(target)) == 6);
	CHECK(memcmp(target, "share\n", 6) == 0 && close(fd) == 0);

	CHECK(mkdir(odd, 0711) == 0 && stat(odd, &status) == 0);
	CHECK(S_ISDIR(status.st_mode) && rmdir(odd) == 0);
}

static void attributes(void)
{
	struct timespec times[2] = { { 1000, 0 }, { 2000, 123456789 } };
	struct stat status;
	char value[10] = "";
	int fd = open("file", O_RDWR | O_CREAT, 0644);

	CHECK(fd >= 0 && setxattr("file", "user.name", "value", 5, 0) == 0);
	CHECK(getxattr("file", "user.name", value, sizeof(value)) == 5);
	CHECK(strcmp(value, "value") == 0);
	CHECK(fchmod(fd, 0751) == 0 && futimens(fd, times) == 0);
	CHECK(fstat(fd, &status) == 0 && (status.st_mode & 07777) == 0751);
	/* by 9p it has whole seconds */
	CHECK(status.st_mtim.tv_sec == 2000 &&
	      (status.st_mtim.tv_nsec == 123456789 || status.st_mtim.tv_nsec == 0));
	CHECK(close(fd) == 0);
}

/*
 * One process has the files, another one sees that.  By 9p both kinds of lock
 * are one, so that each has a file of its own here.
 */
static void locks(void)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int whole = open("file", O_RDWR), ranges = open("new name", O_RDWR);
	int status;
	pid_t child;

	CHECK(whole >= 0 && flock(whole, LOCK_EX) == 0);
	CHECK(ranges >= 0 && fcntl(ranges, F_SETLK, &all) == 0);
	child = fork();
	if (child == 0) {
		whole = open("file", O_RDWR);
		CHECK(flock(whole, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK);
		CHECK(fcntl(ranges, F_SETLK, &all) && errno == EAGAIN);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	CHECK(close(whole) == 0 && close(ranges) == 0);
}

static void many(void)
{
	char name[100];
	int n, seen = 0;
	DIR *dir;

	CHECK(mkdir("many", 0755) == 0 && chdir("many") == 0);
	for (n = 0; n < 300; n++) {
		snprintf(name, sizeof(name), "%090d", n);
		CHECK(close(open(name, O_WRONLY | O_CREAT, 0644)) == 0);
	}
	dir = opendir(".");
	CHECK(dir);
	while (readdir(dir))
		seen++;
	CHECK(seen == 302 && closedir(dir) == 0 && chdir("..") == 0);
}

/* Nobody of root's, without any rights of his own. */
static void somebody(void)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		CHECK(setgid(1234) == 0 && setuid(1234) == 0);
		CHECK(close(open("his", O_WRONLY | O_CREAT, 0644)) == 0);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void beyond_4_gib(void)
{
	int fd = open("huge", O_RDWR | O_CREAT, 0644);
	off_t end = ((off_t)1 << 32) + 5;
	struct stat status;
	char text[5] = "";

	CHECK(fd >= 0 && pwrite(fd, "tail", 4, end) == 4);
	CHECK(fstat(fd, &status) == 0 && status.st_size == end + 4);
	CHECK(pread(fd, text, 4, end) == 4 && strcmp(text, "tail") == 0);
	CHECK(pread(fd, text, 4, end - 2) == 4 && memcmp(text, "\0\0ta", 4) == 0);
	CHECK(close(fd) == 0);
}

int main(int argc, char **argv)
{
	CHECK(argc == 2 && chdir(argv[1]) == 0);
	two_sides();
	names();
	attributes();
	locks();
	many();
	CHECK(chmod(".", 0777) == 0);
	somebody();
	beyond_4_gib();
	puts("right");
	return 0;
}
