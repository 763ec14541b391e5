/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the plugin uses of QEMU's interface. Debian's QEMU comes without
 * qemu-plugin.h, so it is declared here, as of version 1 of that interface.
 */
#ifndef UKCC_PLUGIN_H
#define UKCC_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { INLINE_ADD_U64 };
enum { NO_REGISTERS };
enum { READS_AND_WRITES = 3 }; /* QEMU 7.2 mistakes one for the other */
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
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn,
	void (*callback)(unsigned int cpu, uint32_t info, uint64_t address, void *data),
	int registers, int direction, void *data);
void qemu_plugin_register_atexit_cb(uint64_t id,
	void (*callback)(uint64_t id, void *data), void *data);

/* The first bytes of a piece of code: enough to know it by. */
#define CODE_SIZE 16

/*
 * Where a program begins: an address, those bits of it that count (a program
 * at a random address keeps its place in a page), and its first bytes.
 */
struct place {
	uint64_t address, mask;
	unsigned char code[CODE_SIZE];
	size_t code_size;
};

/* count.c */
void read_code(struct place *place, const char *hex);
bool begins_at(const struct qemu_plugin_tb *tb, const struct place *place);

/* calls.c */
bool calls_open(uint64_t id, const char *question, const char *answer);
void calls_watch(struct qemu_plugin_tb *tb);

#endif
