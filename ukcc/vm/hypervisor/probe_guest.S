/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest that decides whether KVM works (accel.py): entered as a kernel is,
 * by the PVH protocol, it does what a kernel does in its first milliseconds
 * and folds each result into %r15.  The sum goes out on the first serial port,
 * 8 bytes, least significant first; then isa-debug-exit ends the machine.
 *
 * The sum that is right does not depend on the processor.  probe_guest.py has
 * the machine code and the same steps in Python; a test assembles this file
 * and compares:  as --64 probe_guest.S; ld -Ttext=0x100000 --oformat=binary
 */
	.set	ORIGIN,		0x100000
	.set	PML4,		0x200000	/* page tables, cleared first */
	.set	PDPT,		0x201000
	.set	PD_LOW,		0x202000	/* 0 to 1 GiB, 2 MiB pages */
	.set	PD_WINDOW,	0x203000	/* 1 to 2 GiB: one table below */
	.set	PT_WINDOW,	0x204000
	.set	PD_HIGH,	0x205000	/* 3 to 4 GiB: the local APIC */
	.set	IDT,		0x206000
	.set	TSS,		0x207000
	.set	TABLES_END,	0x208000
	.set	STACK,		0x20c000	/* grows down */
	.set	IST_STACK,	0x210000
	.set	PAGE_A,		0x300000	/* seen through the window */
	.set	PAGE_B,		0x301000
	.set	WINDOW,		0x40000000
	.set	APIC,		0xfee00000

	.set	COM1,		0x3f8
	.set	EXIT_PORT,	0xf4

	.set	MSR_EFER,	0xc0000080
	.set	MSR_STAR,	0xc0000081
	.set	MSR_LSTAR,	0xc0000082
	.set	MSR_FMASK,	0xc0000084
	.set	MSR_FS_BASE,	0xc0000100
	.set	MSR_GS_BASE,	0xc0000101
	.set	MSR_KERNEL_GS,	0xc0000102

	.macro	fold value
	rolq	$5, %r15
	xorq	\value, %r15
	.endm

	/* clobbers rax, rcx, rdx */
	.macro	write_msr msr, value
	movl	$\msr, %ecx
	movabsq	$\value, %rax
	movq	%rax, %rdx
	shrq	$32, %rdx
	wrmsr
	.endm

	.macro	fold_msr msr
	movl	$\msr, %ecx
	rdmsr
	shlq	$32, %rdx
	orq	%rdx, %rax
	fold	%rax
	.endm

	/* an interrupt gate on the first IST stack */
	.macro	set_gate vector, handler
	movl	$\handler, %eax
	movw	%ax, IDT + 16 * \vector
	movl	$0x8e010008, IDT + 16 * \vector + 2
	shrl	$16, %eax
	movw	%ax, IDT + 16 * \vector + 6
	.endm

	.text
	.code32
	.globl	_start
_start:
	cli
	cld
	movl	$STACK, %esp
	movl	$PML4, %edi
	movl	$(TABLES_END - PML4) / 4, %ecx
	xorl	%eax, %eax
	rep stosl

	movl	$PDPT + 3, PML4
	movl	$PD_LOW + 3, PDPT
	movl	$PD_WINDOW + 3, PDPT + 8
	movl	$PD_HIGH + 3, PDPT + 24
	movl	$PT_WINDOW + 3, PD_WINDOW
	movl	$APIC + 0x9b, PD_HIGH + 8 * ((APIC - 0xc0000000) >> 21)
	movl	$PAGE_A + 3, PT_WINDOW
	movl	$PAGE_B + 3, PT_WINDOW + 8
	movl	$0x83, %eax
	movl	$PD_LOW, %edi
1:	movl	%eax, (%edi)
	addl	$8, %edi
	addl	$0x200000, %eax
	cmpl	$0x40000083, %eax
	jne	1b

	/* PAE, OSFXSR, OSXMMEXCPT; long mode with NX and SYSCALL; paging */
	movl	%cr4, %eax
	orl	$0x620, %eax
	movl	%eax, %cr4
	movl	$PML4, %eax
	movl	%eax, %cr3
	movl	$MSR_EFER, %ecx
	rdmsr
	orl	$0x901, %eax
	wrmsr
	movl	%cr0, %eax
	andl	$~0x0000000c, %eax
	orl	$0x80010023, %eax
	movl	%eax, %cr0
	lgdt	gdt_pointer
	ljmp	$0x08, $long_mode

	.code64
long_mode:
	movl	$0x10, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	movl	$STACK, %esp
	xorl	%r15d, %r15d

	movq	$IST_STACK, TSS + 0x24
	movl	$0x18, %eax
	ltr	%ax
	set_gate 3, on_breakpoint
	set_gate 14, on_page_fault
	set_gate 64, on_timer
	lidt	idt_pointer

	/* arithmetic, 100000 rounds of Knuth's MMIX generator */
	movl	$1, %eax
	movl	$100000, %ecx
	movabsq	$6364136223846793005, %rdx
	movabsq	$1442695040888963407, %rbx
1:	imulq	%rdx, %rax
	addq	%rbx, %rax
	decl	%ecx
	jnz	1b
	fold	%rax

	/* string and locked instructions */
	movl	$PAGE_A, %edi
	movl	$1024, %ecx
	movabsq	$0x1111111122222222, %rax
	rep stosq
	movl	$PAGE_A, %esi
	movl	$PAGE_B, %edi
	movl	$4096, %ecx
	rep movsb
	fold	PAGE_B + 4088
	movl	$5, %eax
	lock xaddq %rax, PAGE_B
	fold	PAGE_B
	movq	PAGE_A, %rax
	movq	PAGE_A + 8, %rdx
	movl	$7, %ebx
	movl	$9, %ecx
	lock cmpxchg16b PAGE_A
	fold	PAGE_A
	fold	PAGE_A + 8

	/* cpuid says the same twice, the time stamp counter counts */
	movl	$1, %eax
	xorl	%ecx, %ecx
	cpuid
	movl	%ecx, %r12d
	movl	%eax, %r13d
	movl	$1, %eax
	xorl	%ecx, %ecx
	cpuid
	cmpl	%eax, %r13d
	sete	%al
	movzbl	%al, %eax
	fold	%rax
	rdtsc
	shlq	$32, %rdx
	orq	%rax, %rdx
	movq	%rdx, %r13
	movl	$1000, %ecx
1:	decl	%ecx
	jnz	1b
	rdtsc
	shlq	$32, %rdx
	orq	%rax, %rdx
	cmpq	%rdx, %r13
	setb	%al
	movzbl	%al, %eax
	fold	%rax

	/* SSE: 1.5 + 2.25 in each lane */
	movl	$0x3fc00000, %eax
	movd	%eax, %xmm0
	pshufd	$0, %xmm0, %xmm0
	movl	$0x40100000, %eax
	movd	%eax, %xmm1
	pshufd	$0, %xmm1, %xmm1
	addps	%xmm1, %xmm0
	movq	%xmm0, %rax
	fold	%rax

	/* AVX, where XSAVE and AVX are: the upper lanes of the same sum */
	andl	$0x14000000, %r12d
	cmpl	$0x14000000, %r12d
	jne	1f
	movq	%cr4, %rax
	orl	$0x40000, %eax
	movq	%rax, %cr4
	xorl	%ecx, %ecx
	xgetbv
	orl	$7, %eax
	xsetbv
	movaps	%xmm1, %xmm2
	vinsertf128 $1, %xmm2, %ymm2, %ymm2
	vaddps	%ymm2, %ymm2, %ymm2
	vextractf128 $1, %ymm2, %xmm2
	vsubps	%xmm1, %xmm2, %xmm2
	vmovq	%xmm2, %rax
	fold	%rax
	jmp	2f
1:	movq	%xmm1, %rax
	fold	%rax
2:
	/* model-specific registers, swapgs */
	write_msr MSR_FS_BASE, 0x123456789000
	write_msr MSR_GS_BASE, 0xffff888812345000
	write_msr MSR_KERNEL_GS, 0x7fff87654000
	swapgs
	fold_msr MSR_FS_BASE
	fold_msr MSR_GS_BASE
	fold_msr MSR_KERNEL_GS

	/* page tables: one address, another page */
	movl	$WINDOW, %ebx
	fold	(%rbx)
	movl	$PAGE_B + 3, PT_WINDOW
	invlpg	(%rbx)
	fold	(%rbx)

	/* exceptions on a stack of their own: an absent page, a breakpoint */
	xorl	%r14d, %r14d
	fold	0x2000(%rbx)
	int3
	fold	%r14

	/* SYSCALL from ring 0 */
	write_msr MSR_STAR, 0x0008000800000000
	write_msr MSR_LSTAR, on_syscall
	write_msr MSR_FMASK, 0x200
	movl	$0x5ca11, %ebp
	syscall
after_syscall:
	fold	%rbp

	/* ports: the host bridge's vendor in PCI's configuration space */
	movl	$0x80000000, %eax
	movl	$0xcf8, %edx
	outl	%eax, %dx
	movl	$0xcfc, %edx
	inl	%dx, %eax
	movzwl	%ax, %eax
	fold	%rax

	/* an interrupt of the local APIC's timer wakes the processor */
	movb	$0xff, %al
	outb	%al, $0x21
	outb	%al, $0xa1
	movl	$APIC, %ebx
	movl	$0x1ff, 0xf0(%rbx)
	movl	$64, 0x320(%rbx)
	movl	$0xb, 0x3e0(%rbx)
	movl	$100000, 0x380(%rbx)
	xorl	%r13d, %r13d
1:	sti
	hlt
	cli
	testq	%r13, %r13
	jz	1b
	fold	%r13

	/* the answer */
	movl	$8, %ecx
1:	movl	$COM1 + 5, %edx
2:	inb	%dx, %al
	testb	$0x20, %al
	jz	2b
	movl	$COM1, %edx
	movb	%r15b, %al
	outb	%al, %dx
	shrq	$8, %r15
	decl	%ecx
	jnz	1b
	movb	$42, %al
	outb	%al, $EXIT_PORT
3:	hlt
	jmp	3b

on_breakpoint:
	addq	$0x100, %r14
	iretq

on_page_fault:
	addq	$8, %rsp		/* the error code */
	pushq	%rax
	movq	%cr2, %rax
	addq	%rax, %r14
	movl	$PAGE_A + 3, PT_WINDOW + 16
	popq	%rax
	iretq

on_syscall:
	leaq	after_syscall(%rip), %rax
	subq	%rcx, %rax
	addq	%rax, %rbp
	jmp	*%rcx

on_timer:
	incq	%r13
	movl	$0, 0xb0(%rbx)
	iretq

	.balign	8, 0xcc	/* of nops, assemblers choose different ones */
gdt:	.quad	0
	.quad	0x00af9b000000ffff	/* 0x08: 64-bit code */
	.quad	0x00cf93000000ffff	/* 0x10: data */
	.quad	0x0000890000000067 | (TSS << 16)	/* 0x18: TSS, below 16 MiB */
	.quad	0
gdt_pointer:
	.word	. - gdt - 1
	.long	gdt
	.balign	8, 0xcc
idt_pointer:
	.word	0xfff
	.quad	IDT
