#include "path.h"

int walk_steps(double x, double y)
{
	return steps_of(base_length(x, y));
}
