/* The factor from a unit to grams; 0 for an unknown one. */
double unit_in_grams(const char *name);
