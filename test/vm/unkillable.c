/* unkillable FILE COMMAND...: becomes that command. While FILE is there, SIGKILL does not end it: it stays in the kernel, on its way out, as
   a process does whose disk hangs. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each thread that ends stands still before it does, and only this tracer lets it go on. */
static void trace(pid_t traced, const char *file)
{
    const long options = PTRACE_O_TRACEEXIT | PTRACE_O_TRACECLONE;
    if (ptrace(PTRACE_SEIZE, traced, 0, options) != 0) {
        perror("unkillable");
        kill(traced, SIGKILL);
        _exit(1);
    }
    /* What it inherits would stay open with it; and the command waits for that. */
    closefrom(0);
    for (;;) {
        int status;
        const pid_t thread = waitpid(-1, &status, __WALL);
        if (thread < 0 && errno == ECHILD)
            _exit(0);
        if (thread < 0 || !WIFSTOPPED(status))
            continue;
        const int event = status >> 16;
        while (event == PTRACE_EVENT_EXIT && access(file, F_OK) == 0)
            usleep(20000);
        if (event == PTRACE_EVENT_STOP && WSTOPSIG(status) != SIGTRAP)
            ptrace(PTRACE_LISTEN, thread, 0, 0);
        else
            ptrace(PTRACE_CONT, thread, 0, event == 0 ? WSTOPSIG(status) : 0);
    }
}

int main(int count, char **arguments)
{
    int ready[2];
    char byte;
    if (count < 3 || pipe(ready) != 0)
        return 2;
    const pid_t parent = getpid();
    const pid_t middle = fork();
    if (middle == 0) {
        /* The command has no child that it does not know of. */
        if (fork() == 0) {
            setsid();
            trace(parent, arguments[1]);
        }
        _exit(0);
    }
    waitpid(middle, NULL, 0);
    close(ready[1]);
    (void)!read(ready[0], &byte, 1);
    close(ready[0]);
    execvp(arguments[2], arguments + 2);
    perror(arguments[2]);
    return 127;
}
