// SPDX-License-Identifier: Apache-2.0
/*
 * A plugin of QEMU (TCG) that counts the guest's instructions in a file that
 * others may read meanwhile: 8 bytes, little-endian.
 *
 * Debian's QEMU comes without qemu-plugin.h; what is used of it is declared
 * here, as of version 1 of that interface.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct qemu_plugin_tb;
enum { INLINE_ADD_U64 };
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id,
	void (*callback)(uint64_t id, struct qemu_plugin_tb *tb));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb,
	int operation, void *where, uint64_t value);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

static uint64_t *counter;

static void count(uint64_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	qemu_plugin_register_vcpu_tb_exec_inline(tb, INLINE_ADD_U64, counter,
						 qemu_plugin_tb_n_insns(tb));
}

/* `file=…/count.so,to=FILE` */
__attribute__((visibility("default")))
int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	int fd;

	(void)info;
	if (argc != 1 || strncmp(argv[0], "to=", 3))
		return -1;
	fd = open(argv[0] + 3, O_RDWR | O_CLOEXEC);
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
