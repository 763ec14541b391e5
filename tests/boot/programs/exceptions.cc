// C++ exceptions: out of signal handlers, through system-call sites, across threads and forks.
#include <csetjmp>
#include <cstdint>
#include <exception>
#include <execinfo.h>
#include <pthread.h>
#include <stdexcept>
#include <string>
#include <sys/time.h>
#include <thread>
#include <unwind.h>
#include <vector>

#include "cases.h"

namespace {

struct Fault : std::runtime_error {
	explicit Fault(int signal) : std::runtime_error("fault"), number(signal) {}
	int number;
};

int destroyed;

struct Guard {
	std::string text = "a string too long for the small buffer of its class";
	~Guard() { destroyed++; }
};

void throw_fault(int number, siginfo_t *, void *)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, number);
	sigprocmask(SIG_UNBLOCK, &set, nullptr);
	throw Fault(number);
}

void throw_on(int number)
{
	struct sigaction action = {};

	action.sa_sigaction = throw_fault;
	action.sa_flags = SA_SIGINFO;
	CHECK(!sigaction(number, &action, nullptr));
}

// Volatile, so that no fault is optimised away.
const volatile long *volatile nowhere = reinterpret_cast<long *>(8);
volatile long zero, sink;

[[gnu::noinline]] void load()
{
	Guard guard;

	sink = *nowhere;
}

[[gnu::noinline]] void divide()
{
	Guard guard;

	sink = 5 / zero;
}

template <typename Action> int thrown_by(Action action)
{
	try {
		action();
	} catch (const Fault &fault) {
		return fault.number;
	}
	return 0;
}

void out_of_faults()
{
	throw_on(SIGSEGV);
	throw_on(SIGFPE);
	for (int i = 0; i < 200; i++) {
		destroyed = 0;
		CHECK(thrown_by(load) == SIGSEGV);
		CHECK(thrown_by(divide) == SIGFPE);
		CHECK(destroyed == 2);
	}
}

// The signal comes while a call blocks: the frame below the handler's is the site's.
[[gnu::noinline]] void throw_out_of(site through)
{
	itimerval soon = { { 0, 0 }, { 0, 2000 } };
	Guard guard;
	int pipes[2];
	char byte;

	CHECK(!pipe(pipes));
	CHECK(!setitimer(ITIMER_REAL, &soon, nullptr));
	through(SYS_read, pipes[0], reinterpret_cast<long>(&byte), 1, 0, 0, 0);
	CHECK(!"the read has come back");
}

void out_of_calls()
{
	throw_on(SIGALRM);
	for (int i = 0; i < 20; i++) {
		destroyed = 0;
		CHECK(thrown_by([] { throw_out_of(gated_call); }) == SIGALRM);
		CHECK(thrown_by([] { throw_out_of(raw_call); }) == SIGALRM);
		CHECK(destroyed == 2);
	}
}

// What the unwinder walks from inside a handler that interrupted a site: up to `here`.
bool saw_here;

[[gnu::noinline]] void walk_from_site(int rounds);

_Unwind_Reason_Code look(_Unwind_Context *context, void *)
{
	auto begin = reinterpret_cast<uintptr_t>(_Unwind_FindEnclosingFunction(
		reinterpret_cast<void *>(_Unwind_GetIP(context))));

	saw_here = saw_here || begin == reinterpret_cast<uintptr_t>(walk_from_site);
	return _URC_NO_REASON;
}

volatile int walks;

void walk(int)
{
	saw_here = false;
	_Unwind_Backtrace(look, nullptr);
	CHECK(saw_here);
	walks = walks + 1;
}

// The timer hits the site's own instructions, the stub and the gate's ends: each can be unwound.
[[gnu::noinline]] void walk_from_site(int rounds)
{
	while (walks < rounds)
		gated_call(SYS_getppid, 0, 0, 0, 0, 0, 0);
	asm volatile("" : : : "memory");
}

void unwound_anywhere()
{
	itimerval fast = { { 0, 3000 }, { 0, 3000 } }, off = {};

	signal(SIGALRM, walk);
	CHECK(!setitimer(ITIMER_REAL, &fast, nullptr));
	walk_from_site(500);
	CHECK(!setitimer(ITIMER_REAL, &off, nullptr));
}

void in_threads()
{
	std::vector<std::thread> threads;

	throw_on(SIGSEGV);
	for (int number = 0; number < 8; number++)
		threads.emplace_back([] {
			for (int i = 0; i < 50; i++)
				CHECK(thrown_by(load) == SIGSEGV);
		});
	for (auto &thread : threads)
		thread.join();
}

// Cancellation is an exception too: destructors run, from a thread that blocks in a call.
void *block(void *)
{
	Guard guard;

	try {
		pause();
	} catch (...) {
		destroyed++;
		throw;
	}
	return nullptr;
}

void cancelled()
{
	for (int i = 1; i <= 20; i++) {
		pthread_t thread;
		void *result;

		destroyed = 0;
		CHECK(!pthread_create(&thread, nullptr, block, nullptr));
		sleep_ms(i % 4 * 5);
		CHECK(!pthread_cancel(thread));
		CHECK(!pthread_join(thread, &result) && result == PTHREAD_CANCELED);
		CHECK(destroyed == 2 || (i % 4 == 0 && destroyed == 0));
	}
}

void uncaught()
{
	throw_on(SIGSEGV);
	load();
}

void terminate()
{
	fclose(stderr);
	CHECK(end_of_doing(uncaught) == 1000 + SIGABRT);
}

} // namespace

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		CASE(out_of_faults), CASE(out_of_calls), CASE(unwound_anywhere), CASE(in_threads),
		CASE(cancelled), CASE(terminate), { nullptr, nullptr },
	};

	return run_cases(cases, argc, argv);
}
