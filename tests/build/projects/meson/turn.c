#include "clock.h"

int turns(double angle)
{
	return (int)(angle / 360);
}
