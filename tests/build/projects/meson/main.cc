#include <cstdio>
#include <cstdlib>
#include <thread>
#include <zlib.h>
#include "clock.h"

int main(int argc, char **argv)
{
	int hour = argc > 1 ? std::atoi(argv[1]) : 0;

	if (hour < 0 || hour > 23)
		return 1;
	double angle = 0;
	std::thread([&] { angle = angle_of(sum_of(hour, 3)); }).join();
	std::printf("%s, %g degrees, zlib %d\n", hour_names[hour], angle, zlibVersion()[0] == ZLIB_VERSION[0]);
	return 0;
}
