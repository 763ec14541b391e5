// SPDX-License-Identifier: Apache-2.0
/*
 * A plugin of QEMU (TCG) that counts the guest's instructions in a file that
 * others may read meanwhile: two numbers of 8 bytes, little-endian. The first
 * goes on; the second is what the first was when a program was entered, and 0
 * before.
 *
 * With `questions` and `calls` it also tells which function has executed how
 * many of them (calls.c).
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plugin.h"

__attribute__((visibility("default"))) int qemu_plugin_version = INTERFACE;

static struct {
	uint64_t executed;
	uint64_t at_entry;
} *counter;

static struct place entry;
static bool is_calls;

static void entered(unsigned int cpu, void *data)
{
	(void)cpu;
	(void)data;
	if (!counter->at_entry)
		counter->at_entry = counter->executed;
}

/* An instruction's bytes, and how many they are. */
size_t read_insn(const struct qemu_plugin_insn *insn, unsigned char bytes[INSN_SIZE])
{
	size_t size = qemu_plugin_insn_size(insn);

	if (size > INSN_SIZE)
		size = INSN_SIZE;
#if INTERFACE >= 3
	return qemu_plugin_insn_data(insn, bytes, size);
#else
	memcpy(bytes, qemu_plugin_insn_data(insn), size);
	return size;
#endif
}

bool begins_at(const struct qemu_plugin_tb *tb, const struct place *place)
{
	size_t seen = 0;

	if (!place->code_size ||
	    (qemu_plugin_tb_vaddr(tb) & place->mask) != (place->address & place->mask))
		return false;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb) && seen < place->code_size; i++) {
		unsigned char bytes[INSN_SIZE];
		size_t size = read_insn(qemu_plugin_tb_get_insn(tb, i), bytes);

		if (size > place->code_size - seen)
			size = place->code_size - seen;
		if (!size || memcmp(bytes, place->code + seen, size))
			return false;
		seen += size;
	}
	return true;
}

static void executed(unsigned int cpu, void *size)
{
	(void)cpu;
	__atomic_fetch_add(&counter->executed, (uintptr_t)size, __ATOMIC_RELAXED);
}

#if INTERFACE >= 7
static void count(struct qemu_plugin_tb *tb, void *data)
{
	(void)data;
#else
static void count(uint64_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
#endif
	if (begins_at(tb, &entry))
		qemu_plugin_register_vcpu_tb_exec_cb(tb, entered, NO_REGISTERS, NULL);
	if (is_calls)
		calls_watch(tb);
	qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, NO_REGISTERS,
					     (void *)qemu_plugin_tb_n_insns(tb));
}

void read_code(struct place *place, const char *hex)
{
	for (; place->code_size < CODE_SIZE && hex[0] && hex[1]; hex += 2) {
		char byte[3] = { hex[0], hex[1] };

		place->code[place->code_size++] = strtoul(byte, NULL, 16);
	}
}

/*
 * `file=…/count.so,to=FILE[,entry=0x…,mask=0x…,code=HEX][,questions=FILE,calls=FILE]`
 */
__attribute__((visibility("default")))
int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	const char *file = NULL, *questions = NULL, *calls = NULL;
	int fd;

	(void)info;
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "to=", 3))
			file = argv[i] + 3;
		else if (!strncmp(argv[i], "entry=", 6))
			entry.address = strtoull(argv[i] + 6, NULL, 0);
		else if (!strncmp(argv[i], "mask=", 5))
			entry.mask = strtoull(argv[i] + 5, NULL, 0);
		else if (!strncmp(argv[i], "code=", 5))
			read_code(&entry, argv[i] + 5);
		else if (!strncmp(argv[i], "questions=", 10))
			questions = argv[i] + 10;
		else if (!strncmp(argv[i], "calls=", 6))
			calls = argv[i] + 6;
		else
			return -1;
	}
	if (questions && calls)
		is_calls = true;
	if (is_calls && !calls_open(id, questions, calls))
		return -1;
	fd = file ? open(file, O_RDWR | O_CLOEXEC) : -1;
	if (fd < 0 || ftruncate(fd, sizeof(*counter)))
		return -1;
	counter = mmap(NULL, sizeof(*counter), PROT_READ | PROT_WRITE,
		       MAP_SHARED, fd, 0);
	close(fd);
	if (counter == MAP_FAILED)
		return -1;
#if INTERFACE >= 7
	qemu_plugin_register_vcpu_tb_trans_cb(id, count, NULL);
#else
	qemu_plugin_register_vcpu_tb_trans_cb(id, count);
#endif
	return 0;
}
