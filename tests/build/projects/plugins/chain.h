/* Of the program, for its plugins. */
void chain_offer(const char *name, double (*function)(double));
extern int chain_version;
