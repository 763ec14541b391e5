#include <openssl/evp.h>
#include <stdio.h>

int main(void)
{
	unsigned char out[32];

	if (!EVP_Digest("abc", 3, out, NULL, EVP_sha256(), NULL))
		return 1;
	printf("%02x%02x\n", out[0], out[31]);
	return 0;
}
