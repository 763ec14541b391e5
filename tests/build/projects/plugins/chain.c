#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include "chain.h"

int chain_version = 3;
static double value;

void chain_offer(const char *name, double (*function)(double))
{
	value = function(value);
	printf("%s: %g\n", name, value);
}

/* chain VALUE PLUGIN... */
int main(int argc, char **argv)
{
	value = argc > 1 ? atof(argv[1]) : 1;
	for (int i = 2; i < argc; i++) {
		void *plugin = dlopen(argv[i], RTLD_NOW);
		void (*start)(void) = plugin ? (void (*)(void))dlsym(plugin, "plugin_start") : NULL;

		if (!start) {
			fprintf(stderr, "%s\n", dlerror());
			return 1;
		}
		start();
	}
	return 0;
}
