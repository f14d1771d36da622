/*
 * Writes so many records of failed pages into a pipe, as fast as they are read, each of them for a read of its own: so the
 * kernel's log gives its records. Tests of what follows that log start it.
 *
 *   log-flood PIPE COUNT
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int count, char **words) {
    if (count != 3) return 2;
    int pipe = open(words[1], O_WRONLY);
    if (pipe < 0 || fcntl(pipe, F_SETFL, O_DIRECT) != 0) {
        perror("log-flood");
        return 1;
    }
    char record[100];
    for (int page = 0; page < atoi(words[2]); page++) {
        int length = snprintf(record, sizeof(record), "3,%d,1,-;Memory failure: 0x%x: flood\n", page, page);
        if (write(pipe, record, (size_t)length) != length) return 1;
    }
    return 0;
}
