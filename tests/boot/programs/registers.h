/*
 * Instructions between known registers: PROBE(name, "text") defines `name()`, which loads every
 * register and the red zone from `before`, runs the text, and stores them all to `after`.
 *
 * Both are of the thread. rsp and the flags but for SF ZF AF PF CF are the caller's own; DF is
 * clear. The text may use labels of its own; it is at `name_begin` up to `name_end`.
 */
#ifndef REGISTERS_H
#define REGISTERS_H
#include <cpuid.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum register_name {
	RAX, RBX, RCX, RDX, RSI, RDI, RBP, R8, R9, R10, R11, R12, R13, R14, R15, SLOTS
};
enum { RED_ZONE = 16, VECTORS = 16 };

struct registers {
	uint64_t general[SLOTS];		/* 0: offsets that the text below knows */
	uint64_t red_zone[RED_ZONE];		/* 120: from -8(%rsp) down */
	uint64_t flags;				/* 248: after only; the arithmetic ones before are AH's */
	uint8_t vectors[VECTORS][32];		/* 256: ymm, or xmm in the lower halves */
};

#define CLOBBERED_BY_SYSCALL (1u << RAX | 1u << RCX | 1u << R11)

static __thread struct registers before __attribute__((tls_model("local-exec"), used));
static __thread struct registers after __attribute__((tls_model("local-exec"), used));

/* Read by the probes: whether they use ymm registers. */
static int probes_have_avx __attribute__((used));

asm(	"	.macro	probe_general move, to_memory, area\n"
	"	.set	at, 0\n"
	"	.irp	name, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15\n"
	"	.if	\\to_memory\n"
	"	mov	%\\name, %fs:\\area@tpoff + at\n"
	"	.else\n"
	"	mov	%fs:\\area@tpoff + at, %\\name\n"
	"	.endif\n"
	"	.set	at, at + 8\n"
	"	.endr\n"
	"	.endm\n"
	"	.macro	probe_vectors\n"
	"	cmpl	$0, probes_have_avx(%rip)\n"
	"	je	1f\n"
	"	.set	at, 256\n"
	"	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
	"	vmovdqu	%fs:before@tpoff + at, %ymm\\n\n"
	"	.set	at, at + 32\n"
	"	.endr\n"
	"	jmp	2f\n"
	"1:	.set	at, 256\n"
	"	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
	"	movdqu	%fs:before@tpoff + at, %xmm\\n\n"
	"	.set	at, at + 32\n"
	"	.endr\n"
	"2:\n"
	"	.endm\n"
	"	.macro	probe_vectors_after\n"
	"	cmpl	$0, probes_have_avx(%rip)\n"
	"	je	1f\n"
	"	.set	at, 256\n"
	"	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
	"	vmovdqu	%ymm\\n, %fs:after@tpoff + at\n"
	"	.set	at, at + 32\n"
	"	.endr\n"
	"	vzeroupper\n"
	"	jmp	2f\n"
	"1:	.set	at, 256\n"
	"	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
	"	movdqu	%xmm\\n, %fs:after@tpoff + at\n"
	"	.set	at, at + 32\n"
	"	.endr\n"
	"2:\n"
	"	.endm\n"
	"	.macro	probe_saved action, a, b, c, d, e, f\n"
	"	.irp	name, \\a, \\b, \\c, \\d, \\e, \\f\n"
	"	\\action	%\\name\n"
	"	.endr\n"
	"	.endm\n"
	"	.macro	probe_red_zone_before\n"
	"	.set	at, 0\n"
	"	.rept	16\n"
	"	mov	%fs:before@tpoff + 120 + at, %rax\n"
	"	mov	%rax, -8 - at(%rsp)\n"
	"	.set	at, at + 8\n"
	"	.endr\n"
	"	.endm\n"
	"	.macro	probe_red_zone_after\n"
	"	.set	at, 0\n"
	"	.rept	16\n"
	"	mov	-8 - at(%rsp), %rax\n"
	"	mov	%rax, %fs:after@tpoff + 120 + at\n"
	"	.set	at, at + 8\n"
	"	.endr\n"
	"	.endm\n");

#define PROBE(name, text)							\
	void name(void);							\
	extern const char name##_begin[], name##_end[];				\
	asm("	.text\n	.globl " #name ", " #name "_begin, " #name "_end\n"	\
	    "	.type	" #name ", @function\n" #name ":\n"			\
	    "	probe_saved push, rbx, rbp, r12, r13, r14, r15\n"		\
	    "	probe_vectors\n	probe_red_zone_before\n"			\
	    "	mov	%fs:before@tpoff, %rax\n	sahf\n"			\
	    "	probe_general mov, 0, before\n"					\
	    #name "_begin:\n" text "\n" #name "_end:\n"				\
	    "	probe_general mov, 1, after\n	probe_red_zone_after\n"		\
	    "	pushfq\n	popq	%fs:after@tpoff + 248\n	cld\n"		\
	    "	probe_vectors_after\n"						\
	    "	probe_saved pop, r15, r14, r13, r12, rbp, rbx\n	ret\n")

/* Fills `before` with values that depend on the seed. */
__attribute__((unused)) static void mark_registers(uint32_t seed)
{
	uint8_t *bytes = (uint8_t *)&before;

	for (size_t i = 0; i < sizeof(before); i++)
		bytes[i] = (uint8_t)(i * 37 + seed * 11 + (i >> 8) * 5 + (seed >> 8) + 1);
	before.general[RAX] &= ~0xff00ull;	/* AH: arithmetic flags, no reserved bit */
	before.general[RAX] |= (seed % 2 ? 0xd7 : 0x02) << 8;
	memset(&after, 0, sizeof(after));
}

/* The first place where `after` is not `before`, as words; NULL when there is none. */
__attribute__((unused)) static const char *changed_register(unsigned int except)
{
	static const char *const names[] = {
		"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8", "r9", "r10", "r11", "r12",
		"r13", "r14", "r15",
	};

	for (int i = 0; i < SLOTS; i++)
		if (!(except >> i & 1) && before.general[i] != after.general[i])
			return names[i];
	if (memcmp(before.red_zone, after.red_zone, sizeof(before.red_zone)))
		return "the red zone";
	for (int i = 0; i < VECTORS; i++)
		if (memcmp(before.vectors[i], after.vectors[i], probes_have_avx ? 32 : 16))
			return "a vector register";
	return NULL;
}

#define CHECK_UNCHANGED(except)							\
	do {									\
		const char *changed = changed_register(except);			\
		if (changed) {							\
			printf("%s:%d: wrong: %s has changed\n", __FILE__, __LINE__, changed); \
			exit(1);						\
		}								\
	} while (0)

/* Arithmetic flags as `before` had them in AH. */
#define FLAGS_KEPT() (((after.flags ^ before.general[RAX] >> 8) & 0xd5) == 0)

__attribute__((constructor)) static void find_avx(void)
{
	__builtin_cpu_init();
	probes_have_avx = !!__builtin_cpu_supports("avx");
}
#endif
