#ifdef __cplusplus
extern "C" {
#endif
extern const char *const hour_names[24];
double angle_of(int hour);
int sum_of(int a, int b);
int turns(double angle);
#ifdef __cplusplus
}
#endif
