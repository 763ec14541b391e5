#include "units.h"

int main(void)
{
	return !(unit_in_grams("kg") == 1000 && unit_in_grams("stone") == 0);
}
