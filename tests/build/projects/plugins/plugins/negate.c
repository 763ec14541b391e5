#include <math.h>
#include "chain.h"

static double negate(double x)
{
	return copysign(x, -x);
}

void plugin_start(void)
{
	chain_offer("negate", negate);
}
