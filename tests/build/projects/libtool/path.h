double base_length(double x, double y);
int steps_of(double length);
int walk_steps(double x, double y);
