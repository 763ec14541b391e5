#include "path.h"

int steps_of(double length)
{
	return (int)(length * 2);
}
