#include "chain.h"

static double twice(double x)
{
	return x * 2;
}

void plugin_start(void)
{
	if (chain_version >= 3)
		chain_offer("double", twice);
}
