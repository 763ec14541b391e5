#include <iostream>
#include <string_view>
#include <thread>
#include <zlib.h>
#include "count.h"

int main(int argc, char **argv)
{
	std::string_view word = argc > 1 ? argv[1] : "";
	int count = 0;

	std::thread([&] { count = count_word(word_list, word.data()); }).join();
	std::cout << word << ": " << count << ", zlib " << (zlibVersion()[0] == ZLIB_VERSION[0]) << '\n';
	return 0;
}
