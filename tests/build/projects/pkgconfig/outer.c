double inner(double x);

double outer(double x)
{
	return inner(x) * 2;
}
