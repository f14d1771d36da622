/*
 * The longest time for which a guest does not tick: tick_gap FILE OFFSET PERIOD. It looks at the count of ticks in a file's
 * memory; a tick takes PERIOD microseconds at least. If several came between two looks, the guest ran meanwhile, and tick_gap
 * did not: those ticks do not count as a gap. A byte of input begins anew, and prints what it came to, in microseconds.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { look_us = 50 };

static uint64_t now_us(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000ull + time.tv_nsec / 1000;
}

int main(int count, char **arguments)
{
	if (count != 4)
		return 2;
	int fd = open(arguments[1], O_RDONLY);
	uint64_t period = strtoull(arguments[3], NULL, 0);
	volatile uint64_t *number = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, strtoull(arguments[2], NULL, 0));
	if (number == MAP_FAILED) {
		perror(arguments[1]);
		return 1;
	}
	struct pollfd input = { .fd = 0, .events = POLLIN };
	uint64_t last = *number, changed = now_us(), longest = 0;
	for (;;) {
		uint64_t now = now_us(), value = *number;
		if (value != last) {
			uint64_t passed = now - changed, ticked = (value - last - 1) * period;
			if (passed > ticked && passed - ticked > longest)
				longest = passed - ticked;
			last = value;
			changed = now;
		}
		if (poll(&input, 1, 0) > 0) {
			char byte;
			if (read(0, &byte, 1) != 1)
				return 0;
			printf("%llu\n", (unsigned long long)longest);
			fflush(stdout);
			longest = 0;
		}
		usleep(look_us);
	}
}
