#include <iostream>
#include <map>
#include <string>

int main(int argc, char **argv)
{
	std::map<std::string, int> seen;

	for (int i = 1; i < argc; i++)
		seen[argv[i]]++;
	const char *space = "";
	for (const auto &[word, count] : seen) {
		std::cout << space << word << '=' << count;
		space = " ";
	}
	std::cout << std::endl;
	return 0;
}
