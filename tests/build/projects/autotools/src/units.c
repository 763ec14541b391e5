#include <string.h>
#include "units.h"
#include "unittable.h"

double unit_in_grams(const char *name)
{
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(units[i].name, name))
			return units[i].grams;
	return 0;
}
