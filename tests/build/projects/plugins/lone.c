#include <dlfcn.h>
#include <stdio.h>

/* Its plugins need nothing of it, so it is linked without -rdynamic. lone PLUGIN */
int main(int argc, char **argv)
{
	void *plugin = dlopen(argc > 1 ? argv[1] : NULL, RTLD_NOW);
	int (*work)(int) = plugin ? (int (*)(int))dlsym(plugin, "work") : NULL;

	if (!work) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	printf("%d\n", work(21));
	return 0;
}
