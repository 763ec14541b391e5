// SPDX-License-Identifier: Apache-2.0
/*
 * A plugin of QEMU (TCG) that counts the guest's instructions in a file that
 * others may read meanwhile: two numbers of 8 bytes, little-endian. The first
 * goes on; the second is what the first was when a program was entered, and 0
 * before.
 *
 * Debian's QEMU comes without qemu-plugin.h; what is used of it is declared
 * here, as of version 1 of that interface.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { INLINE_ADD_U64 };
enum { NO_REGISTERS };
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id,
	void (*callback)(uint64_t id, struct qemu_plugin_tb *tb));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb,
						 size_t index);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb,
	int operation, void *where, uint64_t value);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb,
	void (*callback)(unsigned int cpu, void *data), int registers, void *data);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

static struct {
	uint64_t executed;
	uint64_t at_entry;
} *counter;

/*
 * Where the program begins: an address, those bits of it that count (a program
 * at a random address keeps its place in a page), and its first bytes.
 */
static uint64_t entry, mask;
static unsigned char code[16];
static size_t code_size;

static void entered(unsigned int cpu, void *data)
{
	(void)cpu;
	(void)data;
	if (!counter->at_entry)
		counter->at_entry = counter->executed;
}

static bool begins_program(const struct qemu_plugin_tb *tb)
{
	size_t seen = 0;

	if (!code_size || (qemu_plugin_tb_vaddr(tb) & mask) != (entry & mask))
		return false;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb) && seen < code_size; i++) {
		const struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		size_t size = qemu_plugin_insn_size(insn);

		if (size > code_size - seen)
			size = code_size - seen;
		if (memcmp(qemu_plugin_insn_data(insn), code + seen, size))
			return false;
		seen += size;
	}
	return true;
}

static void count(uint64_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	if (begins_program(tb))
		qemu_plugin_register_vcpu_tb_exec_cb(tb, entered, NO_REGISTERS, NULL);
	qemu_plugin_register_vcpu_tb_exec_inline(tb, INLINE_ADD_U64, &counter->executed,
						 qemu_plugin_tb_n_insns(tb));
}

static void read_code(const char *hex)
{
	for (; code_size < sizeof(code) && hex[0] && hex[1]; hex += 2) {
		char byte[3] = { hex[0], hex[1] };

		code[code_size++] = strtoul(byte, NULL, 16);
	}
}

/* `file=…/count.so,to=FILE[,entry=0x…,mask=0x…,code=HEX]` */
__attribute__((visibility("default")))
int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	const char *file = NULL;
	int fd;

	(void)info;
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "to=", 3))
			file = argv[i] + 3;
		else if (!strncmp(argv[i], "entry=", 6))
			entry = strtoull(argv[i] + 6, NULL, 0);
		else if (!strncmp(argv[i], "mask=", 5))
			mask = strtoull(argv[i] + 5, NULL, 0);
		else if (!strncmp(argv[i], "code=", 5))
			read_code(argv[i] + 5);
		else
			return -1;
	}
	fd = file ? open(file, O_RDWR | O_CLOEXEC) : -1;
	if (fd < 0 || ftruncate(fd, sizeof(*counter)))
		return -1;
	counter = mmap(NULL, sizeof(*counter), PROT_READ | PROT_WRITE,
		       MAP_SHARED, fd, 0);
	close(fd);
	if (counter == MAP_FAILED)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, count);
	return 0;
}
