/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the plugin uses of QEMU's interface. Debian's QEMU comes without
 * qemu-plugin.h, so it is declared here, as of the version INTERFACE of it:
 *	1	QEMU 7.2
 *	2	9.0: nothing is added in place, as two CPUs would lose sums
 *	3	9.1: an instruction's bytes are copied
 *	7	11.1: callbacks get no id, and all of them a word of ours
 * plugin.py finds out which of them the QEMU at hand takes.
 */
#ifndef UKCC_PLUGIN_H
#define UKCC_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { NO_REGISTERS };
enum { READS_AND_WRITES = 3 }; /* QEMU 7.2 mistakes one for the other */
#if INTERFACE >= 7
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id,
	void (*callback)(struct qemu_plugin_tb *tb, void *data), void *data);
void qemu_plugin_register_atexit_cb(uint64_t id,
	void (*callback)(void *data), void *data);
#else
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id,
	void (*callback)(uint64_t id, struct qemu_plugin_tb *tb));
void qemu_plugin_register_atexit_cb(uint64_t id,
	void (*callback)(uint64_t id, void *data), void *data);
#endif
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb,
						 size_t index);
#if INTERFACE >= 3
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *to, size_t room);
#else
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
#endif
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb,
	void (*callback)(unsigned int cpu, void *data), int registers, void *data);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn,
	void (*callback)(unsigned int cpu, uint32_t info, uint64_t address, void *data),
	int registers, int direction, void *data);

/* The longest instruction of x86. */
#define INSN_SIZE 15

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
size_t read_insn(const struct qemu_plugin_insn *insn, unsigned char bytes[INSN_SIZE]);
void read_code(struct place *place, const char *hex);
bool begins_at(const struct qemu_plugin_tb *tb, const struct place *place);

/* calls.c */
bool calls_open(uint64_t id, const char *question, const char *answer);
void calls_watch(struct qemu_plugin_tb *tb);

#endif
