# The smallest kernel an image can hold: says OK and the first word of the archive, then ends QEMU.

    .code32
    .text
    .globl _start
_start:                                     # PVH: 32-bit, flat segments, paging off
    mov     $greeting, %esi
1:  lodsb
    test    %al, %al
    jz      2f
    call    put
    jmp     1b
2:  mov     uk_archive + 8, %esi            # the low half of the archive's physical address
    mov     $6, %ecx
3:  lodsb
    call    put
    loop    3b
    mov     $'\n', %al
    call    put
    mov     $0x10, %al
    mov     $0xf4, %dx                      # isa-debug-exit
    out     %al, %dx
4:  hlt
    jmp     4b

put:
    mov     $0x3f8, %dx                     # COM1
    out     %al, %dx
    ret

    .data
    .asciz  "Linux version 0.0-test (none)"
greeting:
    .asciz  "OK "
    .balign 8
    .globl  uk_archive
uk_archive:
    .ascii  "UKARCHIV"
    .quad   0, 0
    .long   0, 0

    .bss
    .skip   100000

    .section .note.Xen, "a", @note
    .balign 4
    .long   4, 8, 18                        # XEN_ELFNOTE_PHYS32_ENTRY
    .asciz  "Xen"
    .quad   _start
