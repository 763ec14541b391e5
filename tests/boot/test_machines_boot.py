"""Other machines than q35, with all that `ukcc run` gives to a machine."""

from conftest import Boot, Build

from ukcc.demo import free_port

# Copies standard input to standard output in capitals, says on standard error how many CPUs there
# are, and looks whether a second and a half is one by both clocks.
EVERYTHING = r"""
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now(clockid_t clock)
{
	struct timespec at;

	clock_gettime(clock, &at);
	return at.tv_sec + at.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct sockaddr_in host = { .sin_family = AF_INET, .sin_port = htons(7777) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), c;
	double before = now(CLOCK_MONOTONIC), real = now(CLOCK_REALTIME);

	if (bind(listener, (struct sockaddr *)&host, sizeof(host)) || listen(listener, 1))
		return 1;
	while ((c = getchar()) != EOF)
		putchar(toupper(c));
	fprintf(stderr, "%ld CPUs, %s\n", sysconf(_SC_NPROCESSORS_ONLN), argv[argc - 1]);
	usleep(1500000);
	before = now(CLOCK_MONOTONIC) - before;
	real = now(CLOCK_REALTIME) - real;
	return before >= 1.5 && real >= 1.5 && before - real < 0.1 && real - before < 0.1 ? 42 : 2;
}
"""


def test_microvm(build_image: Build, boot: Boot) -> None:
    image = build_image(EVERYTHING, name="everything")
    options = ["--accel", "tcg", "--machine", "microvm", "--smp", "2"]
    options += ["-p", f"{free_port()}:7777"]
    status, stdout, stderr = boot(image, "last", options=options, stdin=b"some words\n")
    assert (status, stdout, stderr) == (42, b"SOME WORDS\n", b"2 CPUs, last\n")
