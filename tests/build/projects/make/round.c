#include <math.h>
#include "table.h"

double round_to(double value, int digits)
{
	return round(value * pow(10, digits)) / pow(10, digits);
}
