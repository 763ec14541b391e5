#include "path.h"

int main(void)
{
	return base_length(3, 4) != 5;
}
