/* SPDX-License-Identifier: MIT */
/* The entry point. */
#include <stdio.h>

int main(void)
{
	puts("moonrise " MOONRISE_VERSION);
	return 0;
}
