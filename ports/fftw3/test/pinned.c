// SPDX-License-Identifier: GPL-2.0
/*
 * Threads of OpenMP, each bound to a CPU: whether they stay there, and what
 * other tasks do meanwhile. /proc/PID/stat has the clock ticks of a task.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <omp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WORK 150000000L

/* Ticks that all tasks but this process have had so far. */
static long others(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	long sum = 0;

	while ((entry = readdir(proc))) {
		char path[300];
		unsigned long user, system;
		FILE *file;

		if (!isdigit(entry->d_name[0]) || atoi(entry->d_name) == getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fscanf(file, "%*d %*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
			   &user, &system) == 2)
			sum += user + system;
		fclose(file);
	}
	closedir(proc);
	return sum;
}

int main(void)
{
	int threads = omp_get_max_threads(), moved = 0, bound = 0, used[CPU_SETSIZE] = { 0 };
	double sum = 0, start;
	long stray, all;

	/* threads are made, and moved to their CPUs, before anything is counted */
#pragma omp parallel
	usleep(100000);
	start = omp_get_wtime();
	stray = others();
#pragma omp parallel reduction(+ : sum, moved, bound)
	{
		cpu_set_t allowed;
		int cpu = sched_getcpu();

		sched_getaffinity(0, sizeof(allowed), &allowed);
		bound += CPU_COUNT(&allowed) == 1 && CPU_ISSET(cpu, &allowed);
#pragma omp atomic
		used[cpu]++;
		for (long i = 1; i <= WORK; i++) {
			sum += 1.0 / ((double)i * (i + 1));
			if (i % 1000000 == 0)
				moved += sched_getcpu() != cpu;
		}
	}
	stray = others() - stray;
	all = (omp_get_wtime() - start) * sysconf(_SC_CLK_TCK) * threads;
	for (int cpu = 0; cpu < threads; cpu++)
		if (used[cpu] != 1)
			return 1;
	printf("%d threads bound, each to one of %d CPUs; moved %d times; sum %.6f\n", bound, threads,
	       moved, sum);
	printf("other tasks had %s of the time (%ld of %ld ticks)\n",
	       stray * 100 < all ? "less than 1%" : "too much", stray, all);
	return 0;
}
