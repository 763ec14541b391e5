/* The kernel's log and memory, told to the host in lines. */
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WARNING 4		/* KERN_WARNING; a lower number is worse */
#define SETTLE_MS 4000		/* for what the kernel frees later: RCU, work queues */
#define SETTLE_PAUSE_MS 200

static int kernel_log = -1;

void tell(const char *format, ...)
{
	char line[1024] = "UKS ";
	size_t len = strlen(line);
	va_list arguments;
	int more;

	va_start(arguments, format);
	more = vsnprintf(line + len, sizeof(line) - len - 1, format, arguments);
	va_end(arguments);
	if (more < 0)
		return;
	len = strlen(line);
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) != (ssize_t)len)
		_exit(125);	/* nobody would know what happened here */
}

int put_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int done;

	if (fd < 0)
		return -1;
	done = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return done ? 0 : -1;
}

long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void pause_ms(long ms)
{
	struct timespec time = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&time, NULL);
}

void watch_kernel(void)
{
	put_text("/proc/sys/kernel/printk", "5");
	kernel_log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (kernel_log < 0 || lseek(kernel_log, 0, SEEK_END) < 0) {
		tell("broken cannot read /dev/kmsg: %s", strerror(errno));
		exit(125);
	}
}

/* A record is `facility and level,sequence,microseconds,flags;text\n`, then lines of its own. */
void tell_kernel_log(const char *name)
{
	char record[8192];
	ssize_t len;

	for (;;) {
		char *text;

		len = read(kernel_log, record, sizeof(record) - 1);
		if (len < 0 && errno == EPIPE) {
			tell("kmsg %s BUG: records were lost: the log ran over", name);
			continue;
		}
		if (len <= 0)
			return;
		record[len] = '\0';
		text = strchr(record, ';');
		if (!text || (strtol(record, NULL, 10) & 7) > WARNING)
			continue;
		text[strcspn(text, "\n")] = '\0';
		tell("kmsg %s %s", name, text + 1);
	}
}

static long field(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtol(at + strlen(name), NULL, 10) : -1;
}

static void read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t had = 0;
	ssize_t more;

	/* the kernel hands out a page at a time */
	while (fd >= 0 && had < size - 1 && (more = read(fd, text + had, size - 1 - had)) > 0)
		had += more;
	text[had] = '\0';
	if (fd >= 0)
		close(fd);
}

/* `0.20 0.18 0.12 1/80 11206`: 80 tasks */
static long count_tasks(void)
{
	char text[128];

	read_text("/proc/loadavg", text, sizeof(text));
	return field(text, "/");
}

/* kB of the pages on the CPUs' own free lists, which no figure of meminfo counts. */
static long listed_free(void)
{
	char text[32768];
	const char *at = text;
	long pages = 0;

	read_text("/proc/zoneinfo", text, sizeof(text));
	while ((at = strstr(at, " count: "))) {
		at += strlen(" count: ");
		pages += strtol(at, NULL, 10);
	}
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

struct memory measure(void)
{
	char text[4096];
	struct memory memory;

	sync();
	/* 4: say nothing in the log; 3: pages, dentries and inodes */
	put_text("/proc/sys/vm/drop_caches", "7");
	read_text("/proc/meminfo", text, sizeof(text));
	memory.available = field(text, "MemAvailable:") + listed_free();
	memory.slab = field(text, "Slab:");
	memory.unreclaimable = field(text, "SUnreclaim:");
	memory.tasks = count_tasks();
	return memory;
}

struct memory measure_settled(long available)
{
	long end = now_ms() + SETTLE_MS;
	struct memory memory = measure();

	while (memory.available < available && now_ms() < end) {
		pause_ms(SETTLE_PAUSE_MS);
		memory = measure();
	}
	return memory;
}

void tell_memory(const char *name, const char *when, const struct memory *memory)
{
	tell("memory %s %s available=%ld slab=%ld unreclaimable=%ld tasks=%ld", name, when,
	     memory->available, memory->slab, memory->unreclaimable, memory->tasks);
}
