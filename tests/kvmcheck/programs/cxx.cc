// C++: an exception that crosses frames in a thread, containers, iostreams, a static's destructor.
#include <future>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

struct Last {
	~Last() { std::cout << "right" << std::endl; }
};
Last last;

int deep(int levels)
{
	std::string guard(levels, 'x');
	if (levels == 0)
		throw std::runtime_error("the bottom");
	return deep(levels - 1) + static_cast<int>(guard.size());
}

} // namespace

int main()
{
	std::vector<std::future<int>> found;
	std::map<std::string, int> caught;

	for (int i = 0; i < 8; i++)
		found.push_back(std::async(std::launch::async, deep, 20 + i));
	for (auto &one : found) {
		try {
			one.get();
			return 1;
		} catch (const std::runtime_error &error) {
			caught[error.what()]++;
		}
	}
	return caught.at("the bottom") == 8 ? 17 : 2;
}
