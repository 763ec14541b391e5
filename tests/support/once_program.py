"""A program that holds its code and constants against its own file, in either life.

More than a page of each is what an image shares (`ukcc.image.sharing`). In C++, as exceptions and
threads read the program's tables.
"""

SOURCE = r"""
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <link.h>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>
#ifdef PLUGINS
#include <dlfcn.h>
void *plugin(const char *name) { return dlopen(name, RTLD_NOW); }
#endif
#ifdef BIG
char big[1ul << 30];
#endif

extern "C" const uint64_t constants[];
asm(".section .rodata\n.balign 8\n.globl constants\nconstants:\n.set n, 1\n.rept 9000\n"
    ".quad n * 0x9e3779b97f4a7c15\n.set n, n + 1\n.endr\n"
    ".text\n.rept 20000\nint3\nnop\n.endr\n");
#ifdef EVEN_MORE
asm(".section .rodata\n.incbin \"" EVEN_MORE "\"\n.text\n");
#endif

static std::vector<unsigned char> own;
static char path[4096];

static int fail(const char *what)
{
	std::printf("%s\n", what);
	std::exit(1);
}

// What may not be written is in memory as the file has it.
static int compare(struct dl_phdr_info *info, size_t, void *)
{
	auto *ehdr = reinterpret_cast<Elf64_Ehdr *>(own.data());
	auto *phdr = reinterpret_cast<Elf64_Phdr *>(own.data() + ehdr->e_phoff);
	int found = 0;

	for (int i = 0; i < ehdr->e_phnum; i++, phdr++) {
		if (phdr->p_type != PT_LOAD || !phdr->p_filesz || phdr->p_flags & PF_W)
			continue;
		auto *memory = reinterpret_cast<unsigned char *>(info->dlpi_addr + phdr->p_vaddr);
		if (std::memcmp(memory, &own[phdr->p_offset], phdr->p_filesz))
			fail("the file is not what is in memory");
		auto *end = memory + phdr->p_filesz;
		auto *mine = reinterpret_cast<const unsigned char *>(constants);
		found += memory <= mine && mine < end;
	}
	if (found != 1)
		fail("no segment with the constants");
	return 1;
}

static void mappings()
{
	int fd = open("/proc/self/exe", O_RDONLY);
	size_t size = own.size();
	auto *shared = (unsigned char *)mmap(0, size, PROT_READ, MAP_SHARED, fd, 0);
	auto *copied = (unsigned char *)mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	std::vector<unsigned char> again(size);

	if (shared == MAP_FAILED || copied == MAP_FAILED)
		fail("mmap");
	if (std::memcmp(shared, own.data(), size))
		fail("a mapping is not what was read");
	for (size_t at = 0; at < size; at += 4096)
		copied[at] ^= 0xff;
	if (std::memcmp(shared, own.data(), size))
		fail("a private page was written through");
	if (pread(fd, again.data(), size, 0) != (ssize_t)size || again != own)
		fail("the file has changed");
	for (int i = 0; i < 9000; i++)
		if (constants[i] != (i + 1) * 0x9e3779b97f4a7c15ul)
			fail("a constant has changed");
	close(fd);
}

// A copy of the file is written, truncated and removed; the program stays what it is.
static void files()
{
	char name[] = "/tmp/once-XXXXXX";
	int fd = mkstemp(name);

	if (fd < 0 || write(fd, own.data(), own.size()) != (ssize_t)own.size())
		fail("no copy of the file");
	auto *copy = (unsigned char *)mmap(0, own.size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	std::memset(copy, 0, own.size());
	munmap(copy, own.size());
	if (ftruncate(fd, 100) || unlink(name))
		fail("the copy cannot be changed");
	close(fd);
}

int main(int, char **argv)
{
	int fd = open("/proc/self/exe", O_RDONLY), caught = 0;
	struct stat status;

	fstat(fd, &status);
	own.resize(status.st_size);
	if (read(fd, own.data(), own.size()) != (ssize_t)own.size())
		fail("read");
	close(fd);
	dl_iterate_phdr(compare, nullptr);
	mappings();
	files();
	std::thread other([&] {
		try {
			throw std::runtime_error(argv[1] ? argv[1] : "none");
		} catch (const std::exception &error) {
			caught = std::strlen(error.what());
		}
	});
	other.join();
	mappings();
	if (argv[1] && std::string(argv[1]) == "own") {
		uint64_t sum = 0xcbf29ce484222325;
		for (unsigned char byte : own)
			sum = (sum ^ byte) * 0x100000001b3;
		std::printf("own %zu %016lx\n", own.size(), sum);
	}
	std::printf("once, caught %d\n", caught);
	return 42;
}
"""


def says(word: str) -> str:
    """Its last line when that is its argument."""
    return f"once, caught {len(word)}\n"


def total(data: bytes) -> str:
    """The first line that it says of its own file, asked for `own`."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"own {len(data)} {value:016x}\n"
