// SPDX-License-Identifier: Apache-2.0
/*
 * Who called whom, and how many instructions each function executed: a tree of
 * calls, in which a node is a function as called from its parent.
 *
 * A call writes its return address to the stack, and a return reads it there:
 * the address of that word says which call a return belongs to. A return from
 * another stack than the last call's, in the kernel's switch of threads, goes
 * on with the thread that called there. An interrupt has no call; the kernel's
 * entry points begin a frame, which ends where the interrupted code goes on.
 *
 * The questions, a line each, in hexadecimal:
 *	f ADDRESS			a function of the kernel
 *	i ADDRESS			an entry point of the kernel, for interrupts
 *	g ADDRESS			an entry point that is called
 *	s ADDRESS			a function that switches threads
 *	m NUMBER ADDRESS MASK CODE	a program's begin; the highest ends it, once
 *					the others have begun
 *
 * The answer, in decimal but for addresses:
 *	m NUMBER ADDRESS TOTAL		a program began, after so many instructions
 *	n NODE PARENT KIND ADDRESS CALLS OWN FIRST
 *	end TOTAL
 * KIND is c for a call, t for a thread's first function (its parent: the begin
 * that came last), b for what runs after a begin (ADDRESS is its number). OWN: instructions of the function itself;
 * FIRST: after how many it was first called. A parent comes before its
 * children; the root is 0, what ran before the first begin.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin.h"

#define MOST_FRAMES 256
#define MOST_NODES (1u << 22)
#define MOST_BEGINS 16
#define KERNEL_HALF (1ULL << 63)

enum kind { ORDINARY, FUNCTION, INTERRUPT, GATE, SWITCH };

struct question {
	uint64_t address;
	enum kind kind;
};

struct node {
	uint64_t address, calls, own, first;
	uint32_t parent, child, sibling;
	char kind;
};

/* sp: where the return address is, 0 for an interrupt. called: the call that it has come between. */
struct frame {
	uint32_t node;
	enum kind kind;
	uint64_t sp, called;
};

struct thread {
	struct thread *next;
	size_t depth, unseen; /* unseen: calls deeper than what is kept */
	struct frame frames[MOST_FRAMES];
};

struct block {
	uint64_t address, size;
	enum kind kind;
	int begin; /* its number, or 0 */
	bool is_interrupt_return;
};

static FILE *answer;
static struct question *questions;
static size_t question_count;
static struct begin {
	struct place place;
	bool is_known;
} begins[MOST_BEGINS];
static int last_begin;
static uint32_t begun; /* the node of the begin that came last */

static struct node *nodes;
static uint32_t node_count, node_room;
static struct thread *current, *parked;
static uint64_t total, accounted;
/* Where the last block's call left, or its return found, its return address; or 0. */
static uint64_t called, returned;
static const struct block *before;
static bool is_started, is_written;

static bool is_kernel(uint64_t address)
{
	return address >= KERNEL_HALF;
}

static uint32_t new_node(uint32_t parent, char kind, uint64_t address)
{
	struct node *made;

	if (node_count == node_room) {
		node_room = node_room ? 2 * node_room : 4096;
		nodes = realloc(nodes, node_room * sizeof(*nodes));
		if (!nodes)
			abort();
	}
	made = &nodes[node_count];
	*made = (struct node){ .address = address, .kind = kind, .parent = parent, .first = total };
	if (node_count) {
		made->sibling = nodes[parent].child;
		nodes[parent].child = node_count;
	}
	return node_count++;
}

/* The child is found at the head of the list if it was the last one, too. */
static uint32_t child_of(uint32_t parent, char kind, uint64_t address)
{
	uint32_t last = 0;

	for (uint32_t n = nodes[parent].child; n; last = n, n = nodes[n].sibling) {
		if (nodes[n].address != address || nodes[n].kind != kind)
			continue;
		if (last) {
			nodes[last].sibling = nodes[n].sibling;
			nodes[n].sibling = nodes[parent].child;
			nodes[parent].child = n;
		}
		return n;
	}
	return node_count < MOST_NODES ? new_node(parent, kind, address) : parent;
}

static struct frame *top(void)
{
	return &current->frames[current->depth - 1];
}

/* Up to now, the function on top was executing. */
static void account(void)
{
	nodes[top()->node].own += total - accounted;
	accounted = total;
}

static void push(char kind, const struct block *block, uint64_t sp)
{
	uint32_t node;

	account();
	if (current->depth == MOST_FRAMES) {
		current->unseen++;
		return;
	}
	node = child_of(top()->node, kind, block->address);
	nodes[node].calls++;
	current->frames[current->depth++] = (struct frame){ node, block->kind, sp, 0 };
}

/* The lowest frame stays: it is the thread's. */
static void pop_to(size_t depth)
{
	account();
	current->depth = depth ? depth : 1;
	current->unseen = 0;
}

static void begin_thread(uint32_t node, enum kind kind)
{
	struct thread *thread = malloc(sizeof(*thread));

	if (!thread)
		abort();
	thread->next = NULL;
	thread->depth = 1;
	thread->unseen = 0;
	thread->frames[0] = (struct frame){ node, kind, 0, 0 };
	current = thread;
}

static void park(void)
{
	account();
	current->next = parked;
	parked = current;
}

/* Goes on with the thread whose last call left its return address there. */
static bool resume(uint64_t sp)
{
	for (struct thread **at = &parked; *at; at = &(*at)->next) {
		struct thread *thread = *at;
		struct frame *last = &thread->frames[thread->depth - 1];

		if (last->kind != SWITCH || last->sp != sp)
			continue;
		*at = thread->next;
		current = thread;
		return true;
	}
	return false;
}

static void pop_call(uint64_t sp)
{
	for (size_t depth = current->depth; depth > 1; depth--) {
		if (current->frames[depth - 1].sp != sp)
			continue;
		/* who jumped to the function instead of calling it returns, too */
		while (depth > 2 && current->frames[depth - 2].sp == sp)
			depth--;
		pop_to(depth - 1);
		return;
	}
}

/*
 * QEMU 7.2 may tell of what a later instruction does in memory (a callback stays
 * in place where its instruction leaves the block), so it counts only within
 * the block; and the last access of the block is the one of its last
 * instruction.
 */
static void on_call(unsigned int cpu, uint32_t info, uint64_t sp, void *block)
{
	(void)cpu;
	(void)info;
	if (block == before)
		called = sp;
}

static void on_return(unsigned int cpu, uint32_t info, uint64_t sp, void *block)
{
	(void)cpu;
	(void)info;
	if (block == before)
		returned = sp;
}

/* Whether the return goes to a thread that has not been seen yet. */
static bool is_new_thread(uint64_t sp)
{
	if (top()->kind == SWITCH && top()->sp != sp) {
		park();
		if (!resume(sp))
			return true;
	}
	pop_call(sp);
	return false;
}

/* The interrupted code goes on, perhaps with a call that the interrupt came between. */
static void end_interrupt(void)
{
	for (size_t depth = current->depth; depth > 1; depth--) {
		const struct frame *frame = &current->frames[depth - 1];

		if (frame->kind != INTERRUPT && frame->kind != GATE)
			continue;
		called = frame->called;
		pop_to(depth - 1);
		return;
	}
}

static void write_answer(void)
{
	if (is_written)
		return;
	is_written = true;
	account();
	for (uint32_t n = 0; n < node_count; n++) {
		const struct node *node = &nodes[n];

		fprintf(answer, "n %u %u %c %llx %llu %llu %llu\n", n, node->parent, node->kind,
			(unsigned long long)node->address, (unsigned long long)node->calls,
			(unsigned long long)node->own, (unsigned long long)node->first);
	}
	fprintf(answer, "end %llu\n", (unsigned long long)total);
	fflush(answer);
}

/* The last one may be a function of the kernel's, which init calls as well. */
static bool is_too_early(int number)
{
	for (int i = 1; number == last_begin && i < number; i++)
		if (begins[i].place.code_size && !begins[i].is_known)
			return true;
	return false;
}

/* What ran before has been replaced, by the boot loader or by execve; or it is the end. */
static void begin(const struct block *block)
{
	begins[block->begin].is_known = true;
	fprintf(answer, "m %d %llx %llu\n", block->begin, (unsigned long long)block->address,
		(unsigned long long)total);
	is_started = true;
	called = 0;
	returned = 0;
	pop_to(1);
	begun = child_of(0, 'b', block->begin);
	top()->node = begun;
	nodes[begun].calls++;
	if (block->begin == last_begin)
		write_answer();
}

static void arrive(const struct block *block)
{
	uint64_t sp = returned;

	returned = 0;
	if (sp && is_new_thread(sp)) {
		begin_thread(child_of(begun, 't', block->address), block->kind);
		called = 0;
		return;
	}
	if (before->is_interrupt_return ||
	    (is_kernel(before->address) && !is_kernel(block->address)))
		end_interrupt();
	if (block->kind == INTERRUPT) {
		uint64_t between = called;

		called = 0;
		push('c', block, 0);
		top()->called = between;
	} else if (called) {
		push('c', block, called);
		called = 0;
	} else if (block->kind != ORDINARY && nodes[top()->node].address != block->address) {
		/* a call in tail position is a jump */
		push('c', block, top()->sp);
	}
}

static void on_block(unsigned int cpu, void *data)
{
	const struct block *block = data;

	(void)cpu;
	if (is_written)
		return;
	if (block->begin && !begins[block->begin].is_known && !is_too_early(block->begin))
		begin(block);
	else if (is_started)
		arrive(block);
	total += block->size;
	before = block;
}

static int compare(const void *a, const void *b)
{
	const struct question *left = a, *right = b;

	return left->address < right->address ? -1 : left->address > right->address;
}

static enum kind kind_of(uint64_t address)
{
	struct question wanted = { .address = address };
	const struct question *found = bsearch(&wanted, questions, question_count,
					       sizeof(*questions), compare);

	return found ? found->kind : ORDINARY;
}

static int begin_of(const struct qemu_plugin_tb *tb)
{
	for (int i = 1; i < MOST_BEGINS; i++)
		if (begins_at(tb, &begins[i].place))
			return i;
	return 0;
}

/* The instruction without its prefixes; at least the last byte of it. */
static const unsigned char *opcode(const unsigned char *bytes, size_t size)
{
	const unsigned char *last = bytes + size - 1;

	for (; bytes < last; bytes++) {
		bool is_rex = (*bytes & 0xf0) == 0x40;

		if (!is_rex && !memchr("\x26\x2e\x36\x3e\x64\x65\x66\xf2\xf3", *bytes, 9))
			break;
	}
	return bytes;
}

static void watch_last(struct qemu_plugin_tb *tb, struct block *block)
{
	struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, block->size - 1);
	unsigned char bytes[INSN_SIZE];
	size_t size = read_insn(insn, bytes);
	const unsigned char *code;
	bool has_more;

	if (!size)
		return;
	code = opcode(bytes, size);
	has_more = code < bytes + size - 1;
	block->is_interrupt_return = *code == 0xcf;
	if (*code == 0xe8 || (*code == 0xff && has_more && (code[1] & 0x38) == 0x10))
		qemu_plugin_register_vcpu_mem_cb(insn, on_call, NO_REGISTERS, READS_AND_WRITES,
						 block);
	else if (*code == 0xc3 || *code == 0xc2)
		qemu_plugin_register_vcpu_mem_cb(insn, on_return, NO_REGISTERS, READS_AND_WRITES,
						 block);
}

/* A block's facts stay, for the code may be executed until the end. */
void calls_watch(struct qemu_plugin_tb *tb)
{
	struct block *block = calloc(1, sizeof(*block));

	if (!block)
		abort();
	block->address = qemu_plugin_tb_vaddr(tb);
	block->size = qemu_plugin_tb_n_insns(tb);
	block->kind = kind_of(block->address);
	block->begin = begin_of(tb);
	watch_last(tb, block);
	qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, NO_REGISTERS, block);
}

static bool read_question(const char *line)
{
	static const enum kind kinds[] = {
		['f'] = FUNCTION, ['i'] = INTERRUPT, ['g'] = GATE, ['s'] = SWITCH,
	};
	unsigned long long address, mask;
	char kind, code[2 * CODE_SIZE + 1];
	int number;

	if (sscanf(line, "m %d %llx %llx %32s", &number, &address, &mask, code) == 4) {
		if (number < 1 || number >= MOST_BEGINS)
			return false;
		begins[number].place = (struct place){ .address = address, .mask = mask };
		read_code(&begins[number].place, code);
		if (number > last_begin)
			last_begin = number;
		return true;
	}
	if (sscanf(line, "%c %llx", &kind, &address) != 2 || !strchr("figs", kind))
		return false;
	questions[question_count++] = (struct question){ address, kinds[(int)kind] };
	return true;
}

static bool read_questions(const char *path)
{
	FILE *file = fopen(path, "re");
	size_t room = 0;
	char line[128];
	bool is_right = true;

	while (file && is_right && fgets(line, sizeof(line), file)) {
		if (question_count == room) {
			room = room ? 2 * room : 4096;
			questions = realloc(questions, room * sizeof(*questions));
			if (!questions)
				abort();
		}
		is_right = read_question(line);
	}
	if (!file)
		return false;
	fclose(file);
	qsort(questions, question_count, sizeof(*questions), compare);
	return is_right;
}

#if INTERFACE >= 7
static void at_exit(void *data)
{
#else
static void at_exit(uint64_t id, void *data)
{
	(void)id;
#endif
	(void)data;
	if (is_started) /* `ukcc run` tries QEMU before it runs the machine */
		write_answer();
}

bool calls_open(uint64_t id, const char *question, const char *to)
{
	answer = fopen(to, "we");
	if (!answer || !read_questions(question))
		return false;
	new_node(0, 'b', 0);
	begin_thread(0, ORDINARY);
	qemu_plugin_register_atexit_cb(id, at_exit, NULL);
	return true;
}
