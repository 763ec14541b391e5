"""Numbers of system calls in machine code: each way a compiler or a person may set one."""

import pytest
from support.needs_samples import BASE, DATA, number, program, walker

from ukcc.needs.backward import Walker
from ukcc.needs.code import Code
from ukcc.needs.imports import Imports
from ukcc.needs.regions import Region
from ukcc.needs.switches import Switches

# bytes (the assembly beside them), and what rax can hold before the last `syscall`
TOLD = {
    "a number": ("b8270000000f05c3", {39}),  # mov 39,eax; syscall; ret
    "zero": ("31c00f05c3", {0}),  # xor eax,eax; syscall
    "a copy": ("ba270000004889d00f05c3", {39}),  # mov 39,edx; mov rdx,rax
    "a copy of a copy": (
        "bb270000004889d989c80f05c3",
        {39},
    ),  # mov 39,ebx; mov rbx,rcx; mov ecx,eax
    "pushed and popped": ("6a27580f05c3", {39}),  # push 39; pop rax
    # push rbp; mov rsp,rbp; movl 39,-4(rbp); mov -4(rbp),eax; syscall; pop rbp; ret
    "on the stack": ("554889e5c745fc270000008b45fc0f055dc3", {39}),
    # sub 24,rsp; movq 39,8(rsp); push rcx; mov 16(rsp),rax; syscall; pop rcx; add 24,rsp; ret
    "on the stack, by rsp": ("4883ec1848c74424082700000051488b4424100f05594883c418c3", {39}),
    "a sum": ("b81e00000083c00affc80f05c3", {39}),  # mov 30,eax; add 10,eax; dec eax
    "lea": ("ba1e0000008d42090f05c3", {39}),  # mov 30,edx; lea 9(rdx),eax
    # test edi,edi; je 1f; mov 39,eax; jmp 2f; 1: mov 110,eax; 2: syscall; ret
    "a join": ("85ff7407b827000000eb05b86e0000000f05c3", {39, 110}),
    # mov 39,eax; 1: syscall; mov 24,eax; dec edi; jne 1b; ret
    "a loop": ("b8270000000f05b818000000ffcf75f5c3", {39, 24}),
    # mov 39,eax; mov 110,edx; test edi,edi; cmovne edx,eax
    "a conditional move": ("b827000000ba6e00000085ff0f45c20f05c3", {39, 110}),
    # cmp 1,edi; sbb eax,eax; and 71,eax; add 39,eax
    "a borrow": ("83ff0119c083e04783c0270f05c3", {39, 110}),
    # xor eax,eax; test edi,edi; sete al; add 39,eax
    "a comparison": ("31c085ff0f94c083c0270f05c3", {39, 40}),
    # cmp 1,edi; mov 110,eax; adc 0,rax
    "a carry": ("83ff01b86e0000004883d0000f05c3", {110, 111}),
    "al over zero": ("31c0b0270f05c3", {39}),  # xor eax,eax; mov 39,al
    # push rbx; mov 39,ebx; call 1f; mov ebx,eax; syscall; pop rbx; ret; 1: ret
    "kept over a call": ("53bb27000000e80600000089d80f055bc3c3", {39}),
    # mov 39,eax; cmpl 0,(rdi); je 1f; lock; 1: incl (rsi); syscall
    "over a lock prefix": ("b827000000833f007401f0ff060f05c3", {39}),
}

LOST = {
    "memory": ("8b070f05c3", "mov eax"),  # mov (rdi),eax
    "al over what is not known": ("8b07b0270f05c3", "mov eax"),  # mov (rdi),eax; mov 39,al
    "ax over an argument": ("89f866b827000f05c3", "nothing shows how"),  # mov edi,eax; mov 39,ax
    "the second byte": ("b827000000b4010f05c3", "mov ah"),  # mov 39,eax; mov 1,ah
    "a product of two": ("b827000000f7e70f05c3", "mul edi"),
    "what a call returns": ("b827000000e8030000000f05c3c3", "call returns"),
    "what a system call returns": ("b8270000000f050f05c3", "system call returns"),
    # sub 24,rsp; movl 39,8(rsp); lea 8(rsp),rdi; call 1f; mov 8(rsp),eax; syscall; …
    "memory that is shared": (
        "4883ec18c744240827000000488d7c2408e80b0000008b4424080f054883c418c3c3",
        "address is used",
    ),
    # mov 39,eax; lea (rdi,rsi),rdx; jmp *rdx; syscall; ret
    "an unknown jump": ("b827000000488d1437ffe20f05c3", "may go anywhere"),
    # mov 39,eax; test edi,edi; je into the `test`; syscall
    "a jump into an instruction": ("b82700000085ff74fd0f05c3", "middle of an instruction"),
    "an argument of nobody": ("89f80f05c3", "nothing shows how"),  # mov edi,eax
    "bytes that are no instruction": ("b82700000006070f05c3", "data, or code"),
}


def last_site(code: bytes) -> int:
    return code.rindex(b"\x0f\x05")


@pytest.mark.parametrize("name", TOLD)
def test_a_number_is_told(name: str) -> None:
    text, expected = TOLD[name]
    code = bytes.fromhex(text)
    # in the loop the one `syscall` is reached twice
    found = number(program(code), last_site(code))
    assert found.values == expected
    assert not found.unknown and not found.wanted


@pytest.mark.parametrize("name", LOST)
def test_what_cannot_be_told_says_why(name: str) -> None:
    text, why = LOST[name]
    code = bytes.fromhex(text)
    found = number(program(code), last_site(code))
    assert any(why in unknown.why for unknown in found.unknown), found


def test_a_register_is_not_kept_over_a_call_without_unwinding_information() -> None:
    code = bytes.fromhex(TOLD["kept over a call"][0])
    found = number(program(code, is_framed=False), last_site(code))
    assert [unknown.why for unknown in found.unknown] == [
        "it goes through a call that may change it"
    ]


# f: mov edi,eax; syscall; ret, padded to 8; g: mov 39,edi; jmp f; h: mov 110,edi; call f; ret
PASSED = bytes.fromhex("89f80f05c3909090bf27000000e9eeffffffbf6e000000e8e4ffffffc3")
FUNCTIONS = {"f": (0, 5), "g": (8, 10), "h": (18, 11)}


def test_an_argument_is_what_the_callers_pass() -> None:
    assert number(program(PASSED, FUNCTIONS), 2).values == {39, 110}
    assert not number(program(PASSED, FUNCTIONS), 2).unknown


def test_a_short_jump_from_the_next_function_is_a_caller() -> None:
    code = PASSED[:8] + bytes.fromhex("bf27000000ebf1")  # mov 39,edi; jmp f
    found = number(program(code, {"f": (0, 5), "g": (8, 7)}), 2)
    assert (found.values, found.unknown) == ({39}, ())


def test_an_argument_of_a_function_whose_address_is_used_is_lost() -> None:
    in_data = number(program(PASSED, FUNCTIONS, pointers={0: (DATA,)}), 2)
    assert [unknown.why for unknown in in_data.unknown] == ["its address is in data"]
    lea = PASSED + bytes.fromhex("488d05dcffffffc3")  # lea f(rip),rax; ret
    by_code = number(program(lea, {**FUNCTIONS, "i": (29, 8)}), 2)
    assert [unknown.why for unknown in by_code.unknown] == ["its address is used"]
    number_of_it = PASSED + b"\xb8" + BASE.to_bytes(4, "little") + b"\xc3"  # mov f,eax; ret
    fixed = number(program(number_of_it, {**FUNCTIONS, "i": (29, 6)}, is_fixed=True), 2)
    assert [unknown.why for unknown in fixed.unknown] == ["its address is used"]


def test_an_argument_of_an_exported_function_is_wanted_from_other_files() -> None:
    found = number(program(PASSED, FUNCTIONS, exports={"f": 0}), 2)
    assert found.values == {39, 110}
    assert [(wanted.names, wanted.register) for wanted in found.wanted] == [(("f",), 7)]


def test_what_a_call_of_an_import_passes() -> None:
    # mov 39,edi; call *slot(rip); ret
    slot = DATA + 8
    code = bytes.fromhex("bf27000000ff15") + (slot - BASE - 11).to_bytes(4, "little") + b"\xc3"
    made = program(code, data=bytes(16), imports={slot: "syscall"})
    assert passed(made).values == {39} and not passed(made).unknown
    # push rbx; mov slot(rip),rbx; mov 39,edi; call *rbx; mov 110,edi; call *rbx; pop rbx; ret
    load = b"\x53\x48\x8b\x1d" + (slot - BASE - 8).to_bytes(4, "little")
    calls = load + bytes.fromhex("bf27000000ffd3bf6e000000ffd35bc3")
    made = program(calls, data=bytes(16), imports={slot: "syscall"})
    assert passed(made).values == {39, 110} and not passed(made).unknown
    # the same, but it is stored, passed on, or of a function that nothing is known of
    for end in ("48891e5bc3", "4889df5bc3", "ffe1", "eb10"):
        made = program(load + bytes.fromhex(end), data=bytes(16), imports={slot: "syscall"})
        assert "address of syscall is used" in passed(made).unknown[0].why
    # mov slot(rip),rdi; call f: it is an argument
    code = b"\x48\x8b\x3d" + (slot - BASE - 7).to_bytes(4, "little") + b"\xe8\1\0\0\0\xc3\xc3"
    made = program(code, data=bytes(16), imports={slot: "syscall"})
    assert "address of syscall is used" in passed(made).unknown[0].why
    # mov slot(rip),rax; ret: it is returned
    code = b"\x48\x8b\x05" + (slot - BASE - 7).to_bytes(4, "little") + b"\xc3"
    made = program(code, data=bytes(16), imports={slot: "syscall"})
    assert "address of syscall is used" in passed(made).unknown[0].why
    made = program(b"\xc3", data=bytes(16), imports={slot: "syscall"})
    assert "nothing shows" in passed(made).unknown[0].why
    assert "in data" in passed(program(b"\xc3", stored=("syscall",))).unknown[0].why


def passed(made: "object"):  # type: ignore[no-untyped-def]
    code = Code(made)  # type: ignore[arg-type]
    return Imports(code, Walker(code, Switches(code))).passed("syscall", 7)


def switch(table: "tuple[int, ...]") -> "tuple[bytes, bytes]":
    """A jump table of distances, of which two entries are in the function."""
    code = bytes.fromhex("488d15") + (DATA - BASE - 7).to_bytes(4, "little")  # lea table(rip),rdx
    code += bytes.fromhex("4863048a4801d0ffe0")  # movslq (rdx,rcx,4),rax; add rdx,rax; jmp
    code += bytes.fromhex("b827000000eb05b86e0000000f05c3")  # 16: 39; 23: 110; 28: call
    data = b"".join((BASE + at - DATA).to_bytes(4, "little", signed=True) for at in table)
    return code, data


def test_a_jump_table_leads_to_its_entries() -> None:
    code, data = switch((16, 23))
    found = number(program(code, data=data), 28)
    assert (found.values, found.unknown) == ({39, 110}, ())


def test_all_of_a_function_with_an_unknown_jump_is_lost() -> None:
    # lea (rdi,rsi),rdx; mov 39,eax; 1: syscall; mov 24,eax; test edi,edi; jne 1b; jmp *rdx
    code = bytes.fromhex("488d1437b8270000000f05b81800000085ff75f5ffe2")
    found = number(program(code), 9)
    (unknown,) = found.unknown
    assert unknown.why == f"the jump at {BASE + 20:#x} may go anywhere"


def test_an_entry_of_a_jump_table_can_be_the_call_itself() -> None:
    code, data = switch((16, 23, 28))
    found = number(program(code, data=data), 28)
    assert found.unknown  # rax is an address there


def test_code_behind_a_call_that_does_not_return_is_not_reached_by_it() -> None:
    # f: mov 39,eax; jmp 1f; call g; 1: syscall; ret   g: ud2
    code = bytes.fromhex("b827000000eb05e8030000000f05c30f0b")
    found = number(program(code, {"f": (0, 15), "g": (15, 2)}), 12)
    assert (found.values, found.unknown) == ({39}, ())
    returning = code[:-2] + b"\xc3\x90"
    assert number(program(returning, {"f": (0, 15), "g": (15, 2)}), 12).unknown


def test_the_bytes_of_a_call_within_an_instruction_are_none() -> None:
    code = bytes.fromhex("48b80f050f050f050000c3")  # movabs 0x50f050f050f,rax; ret
    region = Code(program(code)).region_at(BASE)
    assert isinstance(region, Region) and [insn.size for insn in region.insns] == [10, 1]


def test_data_between_functions_is_no_code_unless_something_leads_there() -> None:
    gap = bytes.fromhex("b8270000000f05c3")
    alone = Code(program(b"\xc3" + gap, {"f": (0, 1)})).region_at(BASE + 1)
    assert alone is not None and alone.is_gap and not alone.insns
    led = Code(program(b"\xeb\x00" + gap, {"f": (0, 2)}))  # jmp to it
    region = led.region_at(BASE + 2)
    assert region is not None and [insn.mnemonic for insn in region.insns] == [
        "mov",
        "syscall",
        "ret",
    ]


def test_bytes_like_a_branch_within_an_instruction_lead_nowhere() -> None:
    calls = bytes.fromhex("e801000000c3")  # f: call gap
    gap = bytes.fromhex("b8270000000f05c3")
    number_like = bytes.fromhex(
        "b8ebf90000c3"
    )  # g: mov eax, 0xf9eb; as a `jmp`: into the gap's mov
    made = program(calls + gap + number_like, {"f": (0, 6), "g": (14, 6)})
    found = number(made, 11)
    assert found.values == {39} and not found.unknown


def test_the_work_is_bounded() -> None:
    huge = program(b"\x90" * ((1 << 20) + 1) + bytes.fromhex("0f05"))
    found = number(huge, 1 << 20)
    assert "bytes of one function" in found.unknown[0].why
    deep = b"".join(b"\x83\xc0\x01" for _ in range(64)) + b"\x0f\x05"  # add 1,eax, 64 times
    assert "too many steps" in number(program(b"\x31\xc0" + deep), 194).unknown[0].why
    assert walker(program(b"\x31\xc0\xeb\xfe")).register(BASE + 2, 0).values == {0}
