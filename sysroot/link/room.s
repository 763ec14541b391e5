# SPDX-License-Identifier: GPL-2.0-only
# Part of every link of a program: room for the program headers that an image
# has beside the program's own (ukcc/image/room.py).  It is a note because
# linkers put notes next to the program headers, and need no script for it.

	.section .note.uk.room, "a", @note
	.balign 4
	.long 5, 1004, 3		# bytes of the name and of the rest, type
	.asciz "UKCC"
	.balign 4
	.zero 1004

# An object without this property would take it from the whole program: the
# linker keeps what all objects have (x86-64 psABI, GNU_PROPERTY_X86_FEATURE_1_AND).
	.section .note.gnu.property, "a", @note
	.balign 8
	.long 4, 16, 5			# NT_GNU_PROPERTY_TYPE_0
	.asciz "GNU"
	.long 0xc0000002, 4, 3, 0	# IBT and SHSTK

	.section .note.GNU-stack, "", @progbits
