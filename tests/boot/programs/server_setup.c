/*
 * What a server finds before main: `server` with all that test_settings.py
 * sets, `defaults` with nothing set; `step NAME`, as a step before it.
 */
#define _GNU_SOURCE
#include "check.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <langinfo.h>
#include <locale.h>
#include <mqueue.h>
#include <netdb.h>
#include <pwd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#define ORDER "/run/order"

static int is(const char *path, mode_t mode, uid_t uid, gid_t gid)
{
	struct stat status;

	if (lstat(path, &status))
		return 0;
	printf("%s: %o %u:%u\n", path, status.st_mode, status.st_uid, status.st_gid);
	return status.st_mode == mode && status.st_uid == uid && status.st_gid == gid;
}

static int holds(const char *path, const char *text)
{
	char data[4096] = "";
	int fd = open(path, O_RDONLY);

	if (fd < 0 || read(fd, data, sizeof(data) - 1) < 0)
		return 0;
	close(fd);
	printf("%s: <%s>\n", path, data);
	return !strcmp(data, text);
}

static int limited(int resource, rlim_t soft, rlim_t hard)
{
	struct rlimit limit;

	return !getrlimit(resource, &limit) && limit.rlim_cur == soft && limit.rlim_max == hard;
}

static const char *hour(void)
{
	static char text[64];
	time_t then = 1700000000;

	strftime(text, sizeof(text), "%H:%M %Z", localtime(&then));
	return text;
}

/* Whatever the settings, on every machine. */
static void check_system(void)
{
	struct servent *service;
	struct mq_attr attributes = { .mq_maxmsg = 1, .mq_msgsize = 8 };
	wchar_t wide[8];
	char bytes[16];

	CHECK(getpwnam("daemon") && getpwnam("daemon")->pw_uid == 1);
	CHECK(getpwuid(65534) && !strcmp(getpwuid(65534)->pw_name, "nobody"));
	CHECK(!getpwnam("somebody"));
	service = getservbyname("https", "tcp");
	CHECK(service && service->s_port == htons(443));
	service = getservbyport(htons(53), "udp");
	CHECK(service && !strcmp(service->s_name, "domain"));
	CHECK(getprotobyname("sctp") && getprotobyname("sctp")->p_proto == 132);
	CHECK(gethostbyname("localhost"));

	CHECK(!strcmp(getenv("LANG"), "C.UTF-8"));
	CHECK(setlocale(LC_ALL, "") && !strcmp(nl_langinfo(CODESET), "UTF-8"));
	CHECK(mbstowcs(wide, "\xc3\xbc", 8) == 1 && towupper(wide[0]) == L'\u00dc');

	CHECK(is("/", S_IFDIR | 0755, 0, 0));
	CHECK(is("/tmp", S_IFDIR | 01777, 0, 0));
	CHECK(is("/var/tmp", S_IFDIR | 01777, 0, 0));
	CHECK(is("/dev/shm", S_IFDIR | 01777, 0, 0));
	CHECK(is("/dev/mqueue", S_IFDIR | 01777, 0, 0));
	CHECK(is("/run", S_IFDIR | 0755, 0, 0));
	CHECK(is("/etc/passwd", S_IFREG | 0644, 0, 0));
	CHECK(is("/etc/localtime", S_IFREG | 0644, 0, 0));
	CHECK(mq_open("/queue", O_CREAT | O_RDWR, 0600, &attributes) >= 0);
	CHECK(shm_open("/memory", O_CREAT | O_RDWR, 0600) >= 0);
	CHECK(posix_openpt(O_RDWR) >= 0);

	CHECK(getrandom(bytes, sizeof(bytes), GRND_NONBLOCK) == sizeof(bytes));
	CHECK(access("/.uk/seed", F_OK) && errno == ENOENT);
}

static void check_server(int argc, char **argv)
{
	char text[256];
	gid_t groups[8];

	CHECK(argc == 3 && !strcmp(argv[2], "two words"));
	CHECK(getuid() == 33 && geteuid() == 33 && getgid() == 33);
	CHECK(setuid(0) < 0 && errno == EPERM);
	CHECK(getgroups(8, groups) == 2 && groups[0] == 33 && groups[1] == 77);
	CHECK(!strcmp(getenv("HOME"), "/var/www"));
	CHECK(!strcmp(getenv("MODE"), "run") && !strcmp(getenv("KEPT"), "linked"));
	CHECK(!gethostname(text, sizeof(text)) && !strcmp(text, "box.example"));
	CHECK(holds("/etc/hostname", "box.example\n"));
	CHECK(getcwd(text, sizeof(text)) && !strcmp(text, "/srv/tree"));
	CHECK(limited(RLIMIT_NOFILE, 100, 200));
	CHECK(limited(RLIMIT_STACK, 4 << 20, RLIM_INFINITY));
	CHECK(!strcmp(hour(), "23:13 CET") && holds("/etc/timezone", "Europe/Berlin\n"));

	CHECK(holds("/etc/app.conf", "linked\n"));
	CHECK(is("/etc/app.conf", S_IFREG | 0640, 33, 77));
	CHECK(holds("/srv/tree/deep/leaf", "given\n"));
	/* a group that only the image's own /etc/group has */
	CHECK(is("/srv/tree/deep/leaf", S_IFREG | 0654, 0, 77));
	CHECK(is("/srv/tree/link", S_IFLNK | 0777, 0, 77));
	CHECK(holds("/data/linked", "linked\n"));
	CHECK(holds("/data/given", "given\n"));
	/* the second archive has this directory, too */
	CHECK(is("/data", S_IFDIR | 0700, 33, 33));

	CHECK(holds(ORDER, "first\nsecond\n"));
	/* standard output may be opened by its name */
	CHECK(open("/dev/stdout", O_WRONLY) >= 0);
	CHECK(open("/proc/self/fd/2", O_WRONLY) >= 0);
}

static void check_defaults(int argc)
{
	char text[256];

#ifdef DYNAMIC
	CHECK(dlopen(NULL, RTLD_NOW));
#endif
	CHECK(argc == 2);
	CHECK(getuid() == 0 && getgid() == 0);
	CHECK(!strcmp(getenv("HOME"), "/root") && is("/root", S_IFDIR | 0700, 0, 0));
	CHECK(!gethostname(text, sizeof(text)) && !strcmp(text, "setup"));
	CHECK(getcwd(text, sizeof(text)) && !strcmp(text, "/"));
	CHECK(limited(RLIMIT_NOFILE, 1024, 524288));
	CHECK(!strcmp(hour(), "22:13 UTC"));
	CHECK(getgrnam("tty") && getgrnam("tty")->gr_gid == 5);
	CHECK(!strcmp(getgrgid(33)->gr_name, "www-data"));
}

/* Adds its name to the list of those that ran. */
static void step(const char *name)
{
	FILE *list = fopen(ORDER, "a");

	CHECK(list);
	fprintf(list, "%s\n", name);
	CHECK(!fclose(list));
}

static void first_step(void)
{
	CHECK(getuid() == 0 && !strcmp(getenv("HOME"), "/root") && !getenv("STEP"));
	step("first");
	CHECK(!chmod(ORDER, 0666));
}

static void second_step(void)
{
	char text[256];

	CHECK(getuid() == 1 && getgid() == 77);
	CHECK(getcwd(text, sizeof(text)) && !strcmp(text, "/var/tmp"));
	CHECK(!strcmp(getenv("STEP"), "2") && !strcmp(getenv("MODE"), "run"));
	CHECK(getchar() == EOF);
	step("second");
}

int main(int argc, char **argv)
{
	CHECK(argc > 1);
	if (!strcmp(argv[1], "first"))
		first_step();
	else if (!strcmp(argv[1], "second"))
		second_step();
	else if (!strcmp(argv[1], "fail"))
		return 3;
	else {
		check_system();
		if (!strcmp(argv[1], "server"))
			check_server(argc, argv);
		else
			check_defaults(argc);
		printf("%s: all right\n", argv[1]);
	}
	return 0;
}
