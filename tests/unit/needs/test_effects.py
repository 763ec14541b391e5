"""Which registers an instruction writes. Taken from Intel's SDM, since a write that is passed over
would be a number that is told wrongly."""

import capstone
import pytest

from ukcc.needs import registers

A, C, D, B, SP, BP, SI, DI = range(8)

# instruction: its bytes, and what it writes of the general registers
WRITTEN = {
    "cmpxchg rcx,(rdi)": ("480fb10f", {A}),
    "lock cmpxchg rcx,(rdi)": ("f0480fb10f", {A}),
    "cmpxchg ecx,eax": ("0fb1c8", {A}),
    "cmpxchg16b (rdi)": ("480fc70f", {A, D}),
    "xadd rax,(rdi)": ("480fc107", {A}),
    "xadd ecx,eax": ("0fc1c8", {A, C}),
    "xchg eax,(rdi)": ("8707", {A}),
    "xchg rax,rdx": ("4887d0", {A, D}),
    "xchg al,ah": ("86c4", {A}),
    "xlatb": ("d7", {A}),
    "lahf": ("9f", {A}),
    "cwde": ("98", {A}),
    "cdqe": ("4898", {A}),
    "cdq": ("99", {D}),
    "mul ecx": ("f7e1", {A, D}),
    "imul ecx": ("f7e9", {A, D}),
    "imul ecx,edx": ("0fafd1", {D}),
    "imul 3,eax,ecx": ("6bc803", {C}),
    "idiv ecx": ("f7f9", {A, D}),
    "mulx rax,rdx,rcx": ("c4e2ebf6c1", {A, D}),
    "cpuid": ("0fa2", {A, B, C, D}),
    "rdtsc": ("0f31", {A, D}),
    "rdtscp": ("0f01f9", {A, C, D}),
    "xgetbv": ("0f01d0", {A, D}),
    "rdpkru": ("0f01ee", {A, D}),
    "rdsspq rax": ("f3480f1ec8", {A}),
    "rdfsbase rax": ("f3480faec0", {A}),
    "rdrand rax": ("480fc7f0", {A}),
    "xbegin": ("c7f800000000", {A}),
    "in (dx),al": ("ec", {A}),
    "lods": ("48ad", {A, SI}),
    "rep stos": ("f348ab", {C, DI}),
    "rep movs": ("f348a4", {C, SI, DI}),
    "repne scas": ("f2ae", {C, DI}),
    "cmps": ("a7", {SI, DI}),
    "loop": ("e2fe", {C}),
    "pcmpistri": ("660f3a63c100", {C}),
    "movq xmm0,rax": ("66480f7ec0", {A}),
    "pextrw": ("660fc5c000", {A}),
    "pmovmskb": ("660fd7c0", {A}),
    "cvttsd2si": ("f20f2cc0", {A}),
    "kmovd k0,eax": ("c5fb93c0", {A}),
    "blsr": ("c4e2f8f3c9", {A}),
    "popcnt": ("f30fb8c1", {A}),
    "bsf": ("0fbcc1", {A}),
    "bswap": ("0fc8", {A}),
    "sete al": ("0f94c0", {A}),
    "cmove ecx,eax": ("0f44c1", {A}),
    "adc 0,rax": ("4883d000", {A}),
    "shld": ("0fa4c101", {C}),
    "pop rax": ("58", {A, SP}),
    "push rax": ("50", {SP}),
    "enter": ("c8100000", {SP, BP}),
    "leave": ("c9", {SP, BP}),
    "mov eax,(rdi)": ("8907", set()),
    "cmp eax,ecx": ("39c1", set()),
    "test eax,eax": ("85c0", set()),
    "bt 0,eax": ("0fbae000", set()),
    "mov eax,ds": ("8ed8", set()),
    "movd eax,xmm0": ("660f6ec0", set()),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written(name: str) -> None:
    text, expected = WRITTEN[name]
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    decoder.detail = True
    (insn,) = decoder.disasm(bytes.fromhex(text), 0)
    found = registers.written(insn)
    assert expected <= found
    # more may be said to be written: rcx, which counts with `rep`, and what capstone says of cdq
    assert found - expected <= {"lods": {C}, "cmps": {C}, "cdq": {A}}.get(name, set())
