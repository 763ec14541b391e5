extern const double sines[10];
double round_to(double value, int digits);
