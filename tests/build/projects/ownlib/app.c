extern __thread int greeted;
int greet(const char *name);

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		greet(argv[i]);
	return 40 + greeted;
}
