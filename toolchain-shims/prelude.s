.nolist                                     # first, so that a listing (-Wa,-al) shows the source alone
# SPDX-License-Identifier: 0BSD
#
# The system-call layer of ukcc, version 1: `syscall` becomes a jump through a pointer.
#
# Read by the assembler before every input (see `as` beside this file). It defines a macro and
# emits nothing until the input uses it. docs/syscalls.md explains the why of each piece.
#
# Instructions are written as bytes, so that AT&T and Intel syntax read the same; register names
# in CFI are DWARF numbers (2 rcx, 7 rsp, 16 rip) for the same reason. Labels are .L…, so that
# `nm` shows nothing, and never numeric, so that the input's own `1b` and `1f` are undisturbed.

.ifndef .Luk_prelude_v1
.set .Luk_prelude_v1, 1

# The instruction as the CPU knows it.
.macro .Luk_raw_syscall
    .byte 0x0f, 0x05
.endm

# This object's own gate pointer and the stub it points to until the initialiser runs.
#
# A pointer for each object, not one hidden COMDAT variable for each module: `ld -r` followed by
# `objcopy --localize-hidden` would tear such a variable from its users. The stub steps back over
# the literal `syscall` behind the site's jump, so that it runs after all; flags stay untouched.
.macro .Luk_emit_gate
    .pushsection .text.uk_gate_v1, "ax", @progbits
    .Luk_stub:
    .cfi_startproc
    .cfi_def_cfa 7, 0                       # nothing was pushed: the caller's rsp is ours,
    .cfi_register 16, 2                     # and its rip is in rcx
    .byte 0xf3, 0x0f, 0x1e, 0xfa            # endbr64
    .byte 0x48, 0x8d, 0x49, 0xfe            # leaq -2(%rcx),%rcx
    .byte 0x3e, 0xff, 0xe1                  # notrack jmp *%rcx
    .cfi_endproc
    .popsection

    .pushsection uk_gate_v1, "aw", @progbits
    .p2align 3
    .Luk_gate:
    .quad .Luk_stub
    .popsection
.endm

# One initialiser for each linked module, whoever links it: a COMDAT group with an .init_array
# entry that sorts before all others. It fills the pointers of its own module and no other's,
# because the range's symbols are hidden.
.macro .Luk_emit_init
    .hidden __start_uk_gate_v1
    .hidden __stop_uk_gate_v1

    # Keeps the range from being empty, and so its symbols defined, when every site is discarded.
    .pushsection uk_gate_v1, "awG", @progbits, uk_gate_init_v1, comdat
    .p2align 3
    .quad 0
    .popsection

    .pushsection .init_array.00000, "awG", @init_array, uk_gate_init_v1, comdat
    .p2align 3
    .quad .Luk_init
    .popsection

    .pushsection .text.uk_gate_init_v1, "axG", @progbits, uk_gate_init_v1, comdat
    .p2align 4
    .Luk_init:
    .cfi_startproc
    .byte 0xf3, 0x0f, 0x1e, 0xfa            # endbr64
    .byte 0x8c, 0xc8                        # movl %cs,%eax
    .byte 0xa8, 0x03                        # testb $3,%al
    .byte 0x75, .Luk_init_return - . - 1    # jnz: ring 3, an ordinary Linux

    # prctl(PR_GET_AUXV, %rsp, 512, 0, 0); a zero behind the buffer ends the walk for certain.
    .byte 0x48, 0x81, 0xec                  # subq $520,%rsp
    .long 520
    .cfi_adjust_cfa_offset 520
    .byte 0x48, 0xc7, 0x84, 0x24            # movq $0,512(%rsp)
    .long 512, 0
    .byte 0xb8                              # movl $__NR_prctl,%eax
    .long 157
    .byte 0xbf                              # movl $PR_GET_AUXV,%edi
    .long 0x41555856
    .byte 0x48, 0x89, 0xe6                  # movq %rsp,%rsi
    .byte 0xba                              # movl $512,%edx
    .long 512
    .byte 0x45, 0x31, 0xd2                  # xorl %r10d,%r10d
    .byte 0x45, 0x31, 0xc0                  # xorl %r8d,%r8d
    .byte 0x0f, 0x05                        # syscall
    .byte 0x85, 0xc0                        # testl %eax,%eax
    .byte 0x7e, .Luk_init_done - . - 1      # jle: this kernel does not tell

    # Find AT_SYSINFO.
    .byte 0x48, 0x89, 0xe6                  # movq %rsp,%rsi
    .Luk_init_next:
    .byte 0x48, 0x8b, 0x06                  # movq (%rsi),%rax
    .byte 0x48, 0x85, 0xc0                  # testq %rax,%rax
    .byte 0x74, .Luk_init_done - . - 1      # jz: no gate
    .byte 0x48, 0x83, 0xc6, 0x10            # addq $16,%rsi
    .byte 0x48, 0x83, 0xf8, 0x20            # cmpq $AT_SYSINFO,%rax
    .byte 0x75, .Luk_init_next - . - 1      # jne
    .byte 0x48, 0x8b, 0x56, 0xf8            # movq -8(%rsi),%rdx

    # A gate of another version keeps us on the literal instruction.
    .byte 0x48, 0xb8                        # movabsq $"UKatEv1\0",%rax
    .quad 0x31764574614b55
    .byte 0x48, 0x39, 0x42, 0xf8            # cmpq %rax,-8(%rdx)
    .byte 0x75, .Luk_init_done - . - 1      # jne

    .byte 0x48, 0x8d, 0x35                  # leaq __start_uk_gate_v1(%rip),%rsi
    .long __start_uk_gate_v1 - . - 4
    .byte 0x48, 0x8d, 0x3d                  # leaq __stop_uk_gate_v1(%rip),%rdi
    .long __stop_uk_gate_v1 - . - 4
    .Luk_init_store:
    .byte 0x48, 0x89, 0x16                  # movq %rdx,(%rsi)
    .byte 0x48, 0x83, 0xc6, 0x08            # addq $8,%rsi
    .byte 0x48, 0x39, 0xfe                  # cmpq %rdi,%rsi
    .byte 0x72, .Luk_init_store - . - 1     # jb

    .Luk_init_done:
    .byte 0x48, 0x81, 0xc4                  # addq $520,%rsp
    .long 520
    .cfi_adjust_cfa_offset -520
    .Luk_init_return:
    .byte 0xc3                              # ret
    .cfi_endproc
    .popsection
.endm

# The site: 19 bytes. rcx and r11 are what SYSCALL clobbers anyway, nothing is pushed (leaf
# functions keep data in the red zone), flags are untouched, and the two bytes before the return
# address are a real `syscall`, as restarting a call and running as a Linux process need it.
.macro .Luk_gated_syscall
    .ifndef .Luk_gate
    .Luk_emit_gate
    .Luk_emit_init
    .endif
    .Luk_site\@:
    .byte 0x4c, 0x8b, 0x1d                  # movq .Luk_gate(%rip),%r11
    .long .Luk_gate - . - 4
    .byte 0x48, 0x8d, 0x0d                  # leaq 5(%rip),%rcx: just behind the site
    .long 5
    .byte 0x41, 0xff, 0xe3                  # jmp *%r11
    .byte 0x0f, 0x05                        # syscall

    # Where sites are, for tools. "?": in the group of the code, "o": kept or dropped with it.
    .pushsection uk_sites_v1, "?o", @progbits, .Luk_site\@
    .quad .Luk_site\@
    .popsection
.endm

# Unwinders and debuggers know a signal's return trampoline by its bytes, so the first system
# call behind `__restore_rt` (glibc, musl) stays what it is.
.macro syscall
    .ifdef __restore_rt
    .ifndef .Luk_restorer
    .set .Luk_restorer, 1
    .Luk_raw_syscall
    .else
    .Luk_gated_syscall
    .endif
    .else
    .Luk_gated_syscall
    .endif
.endm

.endif
.list
