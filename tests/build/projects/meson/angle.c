#include <math.h>
#include "clock.h"

/* Of the hand, in degrees. */
double angle_of(int hour)
{
	return fmod(hour * 30.0, 360.0);
}
