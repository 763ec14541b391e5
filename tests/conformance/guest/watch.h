/* What a runner in the guest watches between and beside its jobs: the kernel's log, and memory. */
#ifndef UKCC_WATCH_H
#define UKCC_WATCH_H

/* kB; available: MemAvailable, and the CPUs' own free lists; tasks: kernel threads too */
struct memory {
	long available;
	long slab;
	long unreclaimable;
	long tasks;
};

/* One line for the host, on standard error: `UKS <text>`, written at once and whole. */
__attribute__((format(printf, 1, 2))) void tell(const char *format, ...);

/* `UKS memory <name> <when> available=… slab=… unreclaimable=… tasks=…` */
void tell_memory(const char *name, const char *when, const struct memory *memory);

/* The kernel's log from now on; warnings go to the console too, in case the machine dies. */
void watch_kernel(void);

/* `UKS kmsg <name> <text>` for each new record of the level of a warning, or worse. */
void tell_kernel_log(const char *name);

/* Clean caches dropped, the CPUs' free lists counted: what is used is used by somebody. */
struct memory measure(void);

/* measure(), again and again until so much is available, in kB, or some seconds are over. */
struct memory measure_settled(long available);

/* Writes a text into a file that exists; an error is the caller's to ignore. */
int put_text(const char *path, const char *text);

/* Monotonic time in milliseconds: a job may set the clock. */
long now_ms(void);

void pause_ms(long ms);

#endif
