#include <math.h>
#include "path.h"

double base_length(double x, double y)
{
	return hypot(x, y);
}
