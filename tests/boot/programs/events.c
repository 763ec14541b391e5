/* Descriptors and timers that tell of events. */
#define _GNU_SOURCE
#include "cases.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

static void *add_many(void *number)
{
	uint64_t one = 1;

	for (int i = 0; i < 1000; i++)
		CHECK(write((int)(long)number, &one, 8) == 8);
	return NULL;
}

/* Eight threads write to eight counters that one epoll watches; nothing is lost. */
static void epoll_and_eventfd(void)
{
	int all = epoll_create1(EPOLL_CLOEXEC), counters[8];
	struct epoll_event ready[8];
	pthread_t threads[8];
	uint64_t sum = 0;

	CHECK(all >= 0);
	for (int i = 0; i < 8; i++) {
		struct epoll_event event = { .events = EPOLLIN | (i % 2 ? EPOLLET : 0) };

		event.data.u32 = (uint32_t)i;
		counters[i] = eventfd(0, EFD_NONBLOCK);
		CHECK(counters[i] >= 0);
		CHECK(!epoll_ctl(all, EPOLL_CTL_ADD, counters[i], &event));
		CHECK(!pthread_create(&threads[i], NULL, add_many, (void *)(long)counters[i]));
	}
	while (sum < 8000) {
		int count = epoll_wait(all, ready, 8, 20000);

		CHECK(count > 0);
		for (int i = 0; i < count; i++) {
			uint64_t value;

			if (read(counters[ready[i].data.u32], &value, 8) == 8)
				sum += value;
			else
				CHECK(errno == EAGAIN);
		}
	}
	CHECK(sum == 8000);
	CHECK(epoll_wait(all, ready, 8, 0) == 0);
	for (int i = 0; i < 8; i++)
		CHECK(!pthread_join(threads[i], NULL));
}

static void timerfd_counts(void)
{
	struct itimerspec fast = { { 0, 1000000 }, { 0, 1000000 } }, left;
	int timer = timerfd_create(CLOCK_MONOTONIC, 0);
	uint64_t expired = 0, sum = 0;
	struct timespec begin, end;
	long ms;

	CHECK(timer >= 0);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	CHECK(!timerfd_settime(timer, 0, &fast, NULL));
	while (sum < 50) {
		CHECK(read(timer, &expired, 8) == 8);
		sum += expired;
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	ms = (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000;
	CHECK(ms >= 49 && (uint64_t)ms + 1 >= sum);
	CHECK(!timerfd_gettime(timer, &left) && left.it_interval.tv_nsec == 1000000);
}

static void signalfd_reads(void)
{
	union sigval value = { .sival_int = 4711 };
	struct signalfd_siginfo info;
	sigset_t set;
	int signals;
	pid_t child;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	sigaddset(&set, SIGCHLD);
	CHECK(!sigprocmask(SIG_BLOCK, &set, NULL));
	signals = signalfd(-1, &set, 0);
	CHECK(signals >= 0);
	child = fork();
	if (!child) {
		for (int i = 0; i < 5; i++, value.sival_int++)
			CHECK(!sigqueue(getppid(), SIGRTMIN + 1, value));
		_exit(17);
	}
	/* The lowest number first: SIGCHLD may come at any place. */
	for (int i = 0, ended = 0; i + ended < 6;) {
		CHECK(read(signals, &info, sizeof(info)) == sizeof(info));
		CHECK(info.ssi_pid == (uint32_t)child);
		if (info.ssi_signo == SIGCHLD) {
			CHECK(info.ssi_status == 17 && info.ssi_code == CLD_EXITED);
			ended++;
		} else {
			CHECK(info.ssi_signo == (uint32_t)SIGRTMIN + 1);
			CHECK(info.ssi_int == 4711 + i++);
		}
	}
	CHECK(end_of(child) == 17);
}

static void inotify_tells(void)
{
	char events[4096], directory[] = "/tmp/inotify-XXXXXX", name[64];
	const struct inotify_event *event = (void *)events;
	int watcher = inotify_init1(0), watch;

	CHECK(watcher >= 0 && mkdtemp(directory));
	watch = inotify_add_watch(watcher, directory, IN_CREATE | IN_DELETE | IN_CLOSE_WRITE);
	CHECK(watch >= 0);
	snprintf(name, sizeof(name), "%s/file", directory);
	close(open(name, O_WRONLY | O_CREAT, 0600));
	unlink(name);
	static const uint32_t wanted[] = { IN_CREATE, IN_CLOSE_WRITE, IN_DELETE };
	CHECK(read(watcher, events, sizeof(events)) > 0);
	for (int i = 0; i < 3; i++) {
		CHECK(event->wd == watch && event->mask == wanted[i]);
		CHECK(!strcmp(event->name, "file"));
		event = (const void *)((const char *)(event + 1) + event->len);
	}
	rmdir(directory);
}

static volatile int fired;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void fire(int number, siginfo_t *info, void *context)
{
	(void)context;
	CHECK(number == SIGRTMIN + 3 && info->si_code == SI_TIMER && info->si_int == 1234);
	fired += 1 + info->si_overrun;
}

static void fire_in_thread(union sigval value)
{
	pthread_mutex_lock(&lock);
	fired += value.sival_int;
	pthread_mutex_unlock(&lock);
}

static void run_timer(struct sigevent *event, int enough)
{
	struct itimerspec fast = { { 0, 2000000 }, { 0, 1 } };
	timer_t timer;

	fired = 0;
	CHECK(!timer_create(CLOCK_MONOTONIC, event, &timer));
	CHECK(!timer_settime(timer, 0, &fast, NULL));
	while (fired < enough)
		sleep_ms(1);
	CHECK(!timer_delete(timer));
}

static void posix_timers(void)
{
	struct sigaction action = { .sa_sigaction = fire, .sa_flags = SA_SIGINFO };
	struct sigevent by_signal = {
		.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3,
		.sigev_value.sival_int = 1234,
	};
	struct sigevent by_thread = {
		.sigev_notify = SIGEV_THREAD, .sigev_value.sival_int = 5,
		.sigev_notify_function = fire_in_thread,
	};

	CHECK(!sigaction(SIGRTMIN + 3, &action, NULL));
	run_timer(&by_signal, 50);
	run_timer(&by_thread, 100);
	CHECK(fired % 5 == 0);
}

/* A thread serves the faults of another; those come from code and from a system call. */
enum { PAGE = 4096, PAGES = 32 };
static int faults;
static char *area;

static void *serve(void *unused)
{
	static char page[PAGE];

	for (int i = 0; i < PAGES; i++) {
		struct uffd_msg message;
		struct uffdio_copy copy;

		CHECK(read(faults, &message, sizeof(message)) == sizeof(message));
		CHECK(message.event == UFFD_EVENT_PAGEFAULT);
		memset(page, 'A' + i, PAGE);
		copy = (struct uffdio_copy){
			.dst = message.arg.pagefault.address & ~(PAGE - 1ull),
			.src = (uintptr_t)page, .len = PAGE,
		};
		CHECK(!ioctl(faults, UFFDIO_COPY, &copy) && copy.copy == PAGE);
	}
	return unused;
}

static void userfaultfd_serves(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int pipes[2];
	pthread_t server;

	faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (faults < 0 && errno == EPERM && !in_kernel)
		return;		/* the host does not let us */
	CHECK(faults >= 0 && !ioctl(faults, UFFDIO_API, &api) && !pipe(pipes));
	area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(area != MAP_FAILED);
	range.range.start = (uintptr_t)area;
	range.range.len = PAGES * PAGE;
	CHECK(!ioctl(faults, UFFDIO_REGISTER, &range));
	CHECK(!pthread_create(&server, NULL, serve, NULL));
	for (int i = 0; i < PAGES; i++) {
		char byte = 0;

		if (i % 2) {
			CHECK(write(pipes[1], area + i * PAGE + 99, 1) == 1);
			CHECK(read(pipes[0], &byte, 1) == 1);
		} else {
			byte = area[i * PAGE + 5];
		}
		CHECK(byte == 'A' + i);
	}
	CHECK(!pthread_join(server, NULL));
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		CASE(epoll_and_eventfd), CASE(timerfd_counts), CASE(signalfd_reads),
		CASE(inotify_tells), CASE(posix_timers), CASE(userfaultfd_serves), { 0 },
	};

	return run_cases(cases, argc, argv);
}
