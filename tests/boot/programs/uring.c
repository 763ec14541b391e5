/* io_uring by its three system calls: the rings, files, pipes, timeouts, a polling kernel thread. */
#define _GNU_SOURCE
#include "cases.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/uio.h>

struct ring {
	int fd;
	unsigned int mask;
	_Atomic unsigned int *head, *tail, *flags, *done_head, *done_tail;
	struct io_uring_sqe *entries;
	struct io_uring_cqe *done;
};

/* Returns 0 when this kernel lets nobody have a ring (only a host may say so). */
static int make_ring(struct ring *ring, unsigned int flags)
{
	struct io_uring_params p = { .flags = flags, .sq_thread_idle = 100 };
	unsigned int *index;
	size_t size;
	char *at;

	ring->fd = (int)syscall(SYS_io_uring_setup, 64, &p);
	if (ring->fd < 0 && !in_kernel && (errno == EPERM || errno == ENOSYS))
		return 0;
	CHECK(ring->fd >= 0);
	CHECK(p.features & IORING_FEAT_SINGLE_MMAP);
	size = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
	CHECK(at != MAP_FAILED);
	ring->entries = mmap(NULL, p.sq_entries * sizeof(struct io_uring_sqe),
			     PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQES);
	CHECK(ring->entries != MAP_FAILED);
	ring->head = (void *)(at + p.sq_off.head);
	ring->tail = (void *)(at + p.sq_off.tail);
	ring->flags = (void *)(at + p.sq_off.flags);
	ring->mask = *(unsigned int *)(at + p.sq_off.ring_mask);
	ring->done_head = (void *)(at + p.cq_off.head);
	ring->done_tail = (void *)(at + p.cq_off.tail);
	ring->done = (void *)(at + p.cq_off.cqes);
	index = (void *)(at + p.sq_off.array);
	for (unsigned int i = 0; i < p.sq_entries; i++)
		index[i] = i;
	return 1;
}

/* The next free entry, filled; `queue_up` hands it over. */
static struct io_uring_sqe *entry(struct ring *ring, int operation, int fd, uint64_t address,
				  unsigned int length, uint64_t user_data)
{
	struct io_uring_sqe *next = &ring->entries[*ring->tail & ring->mask];

	*next = (struct io_uring_sqe){
		.opcode = (uint8_t)operation, .fd = fd, .addr = address, .len = length,
		.user_data = user_data,
	};
	return next;
}

static void queue_up(struct ring *ring)
{
	++*ring->tail;
}

static long enter(struct ring *ring, unsigned int submit, unsigned int wait)
{
	return syscall(SYS_io_uring_enter, ring->fd, submit, wait, IORING_ENTER_GETEVENTS, NULL, 0);
}

struct done {
	uint64_t user_data;
	int res;
};

static struct done take(struct ring *ring)
{
	unsigned int head = *ring->done_head;
	const struct io_uring_cqe *at;
	struct done result;

	while (head == *ring->done_tail)
		CHECK(enter(ring, 0, 1) >= 0 || errno == EINTR);
	at = &ring->done[head % ((ring->mask + 1) * 2)];
	result = (struct done){ at->user_data, at->res };
	++*ring->done_head;
	return result;
}

static void no_operations(void)
{
	struct ring ring;
	uint64_t sum = 0;

	if (!make_ring(&ring, 0))
		return;
	for (uint64_t i = 0; i < 1000; i += 50) {
		for (uint64_t k = i; k < i + 50; k++) {
			entry(&ring, IORING_OP_NOP, -1, 0, 0, k);
			queue_up(&ring);
		}
		CHECK(enter(&ring, 50, 50) == 50);
		for (int k = 0; k < 50; k++) {
			struct done done = take(&ring);

			CHECK(done.res == 0);
			sum += done.user_data;
		}
	}
	CHECK(sum == 1000 * 999 / 2);
}

static void files_and_links(void)
{
	char name[] = "/tmp/uring-XXXXXX", text[16] = "";
	int file = mkstemp(name);
	struct ring ring;

	CHECK(file >= 0 && !unlink(name));
	if (!make_ring(&ring, 0))
		return;
	/* A chain: write, sync, read, in this order. */
	entry(&ring, IORING_OP_WRITE, file, (uintptr_t)"through a ring", 14, 1)->flags = IOSQE_IO_LINK;
	queue_up(&ring);
	entry(&ring, IORING_OP_FSYNC, file, 0, 0, 2)->flags = IOSQE_IO_LINK;
	queue_up(&ring);
	entry(&ring, IORING_OP_READ, file, (uintptr_t)text, 14, 3);
	queue_up(&ring);
	CHECK(enter(&ring, 3, 3) == 3);
	for (uint64_t i = 1; i <= 3; i++) {
		struct done done = take(&ring);

		CHECK(done.user_data == i && done.res == (i == 2 ? 0 : 14));
	}
	CHECK(!strcmp(text, "through a ring"));
}

/* A read that blocks is cancelled, one times out by a linked timeout, one gets its byte. */
static void blocked_reads(void)
{
	struct __kernel_timespec soon = { 0, 20000000 };
	struct ring ring;
	int pipes[2];
	char byte = 0;
	int results[5] = { 0 };

	CHECK(!pipe(pipes));
	if (!make_ring(&ring, 0))
		return;
	entry(&ring, IORING_OP_READ, pipes[0], (uintptr_t)&byte, 1, 1)->flags = IOSQE_IO_LINK;
	queue_up(&ring);
	entry(&ring, IORING_OP_LINK_TIMEOUT, -1, (uintptr_t)&soon, 1, 2);
	queue_up(&ring);
	CHECK(enter(&ring, 2, 2) == 2);
	entry(&ring, IORING_OP_READ, pipes[0], (uintptr_t)&byte, 1, 3);
	queue_up(&ring);
	CHECK(enter(&ring, 1, 0) == 1);
	entry(&ring, IORING_OP_ASYNC_CANCEL, -1, 3, 0, 4);
	queue_up(&ring);
	CHECK(enter(&ring, 1, 0) == 1);
	for (int i = 0; i < 4; i++) {
		struct done done = take(&ring);

		CHECK(done.user_data >= 1 && done.user_data <= 4);
		results[done.user_data] = done.res;
	}
	CHECK(results[1] == -ECANCELED && results[2] == -ETIME);
	CHECK(results[3] == -ECANCELED && results[4] == 0);
	entry(&ring, IORING_OP_READ, pipes[0], (uintptr_t)&byte, 1, 9);
	queue_up(&ring);
	CHECK(enter(&ring, 1, 0) == 1);
	CHECK(write(pipes[1], "q", 1) == 1);
	CHECK(take(&ring).res == 1 && byte == 'q');
}

/* A thread of the kernel takes what lies in the ring, without any system call of ours. */
static void kernel_polls(void)
{
	struct ring ring;

	if (!make_ring(&ring, IORING_SETUP_SQPOLL))
		return;
	for (uint64_t i = 0; i < 100; i++) {
		entry(&ring, IORING_OP_NOP, -1, 0, 0, i);
		queue_up(&ring);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (*ring.flags & IORING_SQ_NEED_WAKEUP)
			CHECK(syscall(SYS_io_uring_enter, ring.fd, 1, 0, IORING_ENTER_SQ_WAKEUP, NULL,
				      0) >= 0);
		CHECK(take(&ring).user_data == i);
	}
}

/* Buffers that are registered: pinned pages of ours, used by the kernel. */
static void registered_buffers(void)
{
	static char buffer[8192] __attribute__((aligned(4096)));
	struct iovec whole = { buffer, sizeof(buffer) };
	struct ring ring;
	int file = memfd_create("file", 0);

	if (!make_ring(&ring, 0))
		return;
	CHECK(file >= 0);
	CHECK(!syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, &whole, 1));
	memset(buffer, 'w', 4096);
	entry(&ring, IORING_OP_WRITE_FIXED, file, (uintptr_t)buffer, 4096, 1);
	queue_up(&ring);
	CHECK(enter(&ring, 1, 1) == 1 && take(&ring).res == 4096);
	entry(&ring, IORING_OP_READ_FIXED, file, (uintptr_t)buffer + 4096, 4096, 2);
	queue_up(&ring);
	CHECK(enter(&ring, 1, 1) == 1 && take(&ring).res == 4096);
	CHECK(!memcmp(buffer, buffer + 4096, 4096));
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		CASE(no_operations), CASE(files_and_links), CASE(blocked_reads), CASE(kernel_polls),
		CASE(registered_buffers), { 0 },
	};

	return run_cases(cases, argc, argv);
}
